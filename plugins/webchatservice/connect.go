package webchatservice

import (
	"context"
	"time"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// dialer opens the connection of a session: one attempt.
type dialer func(ctx context.Context) (chat.Conn, error)

// begin opens the session, and returns once the server has it or not. When ctx ends first, the session
// is ended as soon as it has begun: nobody is left with a chat that he does not know of.
func (s *session) begin(ctx context.Context, how State, dial dialer) (Answer, error) {
	type outcome struct {
		answer Answer
		err    error
	}
	result := make(chan outcome, 1)
	s.mu.Lock()
	started := s.spawnLocked(func() {
		answer, err := s.connect(how, dial)
		result <- outcome{answer, err}
	})
	s.unlock()
	if !started {
		return Answer{}, bus.ErrStopped
	}
	select {
	case r := <-result:
		return r.answer, r.err
	case <-ctx.Done():
		s.mu.Lock()
		opening := s.state == how || s.state == StateEnding
		if opening {
			s.goLocked(StateEnding) // connect sees to the rest
		}
		s.unlock()
		if !opening { // it has begun or failed by now, and connect is about to say so
			r := <-result
			return r.answer, r.err
		}
		return Answer{}, failure(ErrStartEnded, opOf(how), context.Cause(ctx), "the server is told as soon as it has answered")
	}
}

func opOf(how State) string {
	if how == StateRestoring {
		return "restore"
	}
	return "startChat"
}

// connect dials and brings the session to life. What surely did not reach the server is tried again.
func (s *session) connect(how State, dial dialer) (Answer, error) {
	wait := newBackoff(300 * time.Millisecond)
	var conn chat.Conn
	var err error
	for try := 1; ; try++ {
		conn, err = dial(s.life)
		if err == nil {
			break
		}
		e := wireError(err)
		if !e.Retryable() || try == startTries || s.current() == StateEnding {
			return Answer{}, s.failed(how, err)
		}
		s.mu.Lock()
		changed := s.changed
		s.unlock()
		if !pause(s.life, wait(e.RetryAfter), changed) {
			return Answer{}, s.failed(how, err)
		}
	}

	s.mu.Lock()
	s.conn, s.info = conn, conn.Session()
	if s.state == StateEnding { // given up meanwhile
		s.unlock()
		return Answer{}, s.undo(how)
	}
	s.unlock()
	first, err := conn.Receive(s.life) // returns at once, with the answer
	if err != nil {
		first = chat.Event{}
	}
	gaps, err := s.fill(&first)
	if err != nil {
		s.env.log.Debug("missing lines could not be asked for", "error", err)
	}
	l := s.prepare(first.Messages, how == StateRestoring)
	polling := false
	if p, ok := conn.(chat.Poller); ok {
		p.Preview(s.preview)
		polling = p.Polling()
	}

	s.mu.Lock()
	if s.state == StateEnding {
		s.unlock()
		return Answer{}, s.undo(how)
	}
	s.env.keeper.adopt(s)
	s.goLocked(StateActive)
	s.heard = time.Now()
	if how == StateRestoring {
		s.emitLocked("restored", RestoredData{Async: s.async, ReadMark: s.readMark})
	} else {
		s.emitLocked("started", s.namesLocked())
	}
	s.answeredLocked(first.Raw)
	raw := first.Raw
	first.Raw = nil
	polls := func() {
		if s.polling = polling; polling {
			s.emitLocked("pollingStarted", struct{}{})
		}
	}
	if how != StateRestoring {
		polls()
	}
	s.capsLocked()
	save := s.takeLocked(&first, l, gaps, how == StateRestoring)
	if how == StateRestoring && s.state.live() { // behind the lines (webchatservice 4.7)
		polls()
	}
	s.activeLocked(true)
	if how == StateRestoring {
		s.resumeOutboxLocked()
	}
	s.spawnLocked(s.receive)
	s.unlock()
	if save {
		_ = s.save(s.life) // told by an event
	}
	return s.answer(raw), nil
}

// failed ends a session that never came to be.
func (s *session) failed(how State, err error) error {
	s.mu.Lock()
	ending := s.state == StateEnding
	var out error
	switch {
	case ending:
		out = failure(ErrStartEnded, opOf(how), err, "")
		close(s.hung)
	case how == StateRestoring:
		out = err // the service tells what it means
	default:
		s.reportLocked(err)
		sentinel := ErrStartFailed
		if chat.OutcomeOf(err) == chat.Unknown {
			sentinel = ErrStartUnknown
		}
		out = failure(sentinel, opOf(how), err, "")
	}
	s.goLocked(StateFailed)
	s.unlock()
	return out
}

// undo ends a chat that was given up while it began.
func (s *session) undo(how State) error {
	answer, told, err := s.tellEnd()
	s.mu.Lock()
	s.endAnswer = answer
	if !told {
		s.endErr = failure(ErrServerNotTold, "endChat", err, "")
	}
	s.goLocked(StateFailed)
	close(s.hung)
	s.unlock()
	return failure(ErrStartEnded, opOf(how), nil, "")
}
