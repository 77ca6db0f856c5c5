package bayeux

import "time"

// handOffAfter is how long nobody reads at most while what was delivered is taken in.
const handOffAfter = 10 * time.Millisecond

// handOff has the reader, which goes on with l afterwards, call f. If f takes too long, or if somebody needs the socket
// meanwhile, another goroutine becomes the reader and goes on with l. handOff reports whether that has happened.
func (s *socket) handOff(f func(), l *listener) (relieved bool) {
	s.mu.Lock()
	s.calls++
	call := s.calls
	s.task = l
	if s.late == nil {
		s.late = time.AfterFunc(handOffAfter, s.relieve)
	} else {
		s.late.Reset(handOffAfter)
	}
	s.mu.Unlock()
	returned := false
	defer func() {
		if !returned { // f has ended the goroutine
			s.relieve()
		}
	}()
	f()
	returned = true
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.task == nil || s.calls != call { // the second: another reader has called a function since, and is away itself
		return true
	}
	s.task = nil
	s.late.Stop()
	return false
}

// relieve makes another goroutine the reader, if the reader of now is away in a function.
func (s *socket) relieve() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.task; l != nil {
		s.task = nil
		go l.c.run(l.c.term.Add(1), l)
	}
}
