package gmscometd

import "time"

// lendFor is how long nobody reads at most while what was read is taken in.
const lendFor = 10 * time.Millisecond

// lend has the goroutine that reads, which does so for l, call f. It reports whether that took too long, or the socket was
// needed meanwhile: then another goroutine goes on with l, and is the one that reads from now on.
func (s *socket) lend(f func(), l *listener) (relieved bool) {
	s.mu.Lock()
	s.loans++
	loan := s.loans
	s.task = l
	if s.late == nil {
		s.late = time.AfterFunc(lendFor, s.relieve)
	} else {
		s.late.Reset(lendFor)
	}
	s.mu.Unlock()
	returned := false
	defer func() {
		if !returned { // f ended the goroutine
			s.relieve()
		}
	}()
	f()
	returned = true
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.task == nil || s.loans != loan { // in the latter case it is a later one that is lent
		return true
	}
	s.task = nil
	s.late.Stop()
	return false
}

// relieve has another goroutine read, if the one that does is lent.
func (s *socket) relieve() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.task; l != nil {
		s.task = nil
		go l.c.run(l.c.term.Add(1), l)
	}
}
