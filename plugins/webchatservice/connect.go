package webchatservice

import (
	"context"
	"time"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// startTries is how often a start is tried that surely did not reach the server.
const startTries = 3

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
	s.lock()
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
		s.lock()
		opening := s.state == how || s.state == StateEnding
		if opening {
			s.becomeLocked(StateEnding) // connect sees to the rest
		}
		s.unlock()
		if !opening { // it has begun or failed by now, and connect is about to say so
			r := <-result
			return r.answer, r.err
		}
		return Answer{}, failure(ErrStartEnded, commandOf(how), context.Cause(ctx), "the server is told as soon as it has answered")
	}
}

// commandOf names the command that begins a session in that state.
func commandOf(how State) string {
	if how == StateRestoring {
		return "restore"
	}
	return "startChat"
}

// connect opens the connection and brings the session to life.
func (s *session) connect(how State, dial dialer) (Answer, error) {
	conn, err := s.dial(dial)
	if err != nil {
		return Answer{}, s.failed(how, err)
	}
	s.lock()
	s.conn, s.info = conn, conn.Session()
	if s.state == StateEnding { // given up meanwhile
		s.unlock()
		return Answer{}, s.undo(how)
	}
	s.unlock()
	base := conn.Position()
	first, err := conn.Receive(s.ctx) // returns at once, with the answer
	if err != nil {
		first = chat.Event{Position: s.place}
	}
	gaps, err := receiver{s}.fill(&first, base)
	if err != nil {
		s.deps.log.Debug("missing lines could not be asked for", "error", err)
	}
	l := s.deps.hooks.prepare(s.deps.log, first.Messages, how == StateRestoring)
	polls := false
	if p, ok := poller(conn); ok {
		p.Preview(s.typing.preview)
		polls = p.Polling()
	}

	s.lock()
	if s.state == StateEnding {
		s.unlock()
		return Answer{}, s.undo(how)
	}
	s.deps.store.adopt(s)
	raw := first.Raw
	save := s.activateLocked(how, &first, l, gaps, polls)
	s.unlock()
	if save {
		_ = s.save(s.ctx, false) // a failure is told by an event
	}
	return s.answer(raw), nil
}

// dial opens the connection. What surely did not reach the server is tried again.
func (s *session) dial(dial dialer) (chat.Conn, error) {
	wait := newBackoff(300 * time.Millisecond)
	for try := 1; ; try++ {
		conn, err := dial(s.ctx)
		if err == nil {
			return conn, nil
		}
		e := wireError(err)
		if !e.Retryable() || try == startTries || s.current() == StateEnding {
			return nil, err
		}
		s.lock()
		changed := s.changed
		s.unlock()
		if !pause(s.ctx, wait(e.RetryAfter), changed) {
			return nil, err
		}
	}
}

// activateLocked makes the session active, publishes that, takes in what the server's answer brought, and starts to receive. It
// reports whether the session should be saved.
func (s *session) activateLocked(how State, first *chat.Event, l lines, gaps []TranscriptGapData, polls bool) (save bool) {
	restoring := how == StateRestoring
	s.becomeLocked(StateActive)
	s.heard = time.Now()
	if restoring {
		s.readMark = readMarkOf(first.Messages)
		emit(s, Restored, RestoredData{Async: s.async, ReadMark: s.readMark.index, ReadMarkID: s.readMark.id})
	} else {
		emit(s, Started, s.infoLocked())
	}
	setData(s, DataSessionActive, true)
	if s.async {
		setData(s, DataMode, Mode{Async: true})
	}
	s.answeredLocked(first.Raw)
	first.Raw = nil // published
	if !restoring {
		s.polling.setLocked(polls)
	}
	s.emitCapabilitiesLocked()
	save = s.applyLocked(first, l, gaps, restoring)
	if restoring { // behind the lines (webchatservice 4.7)
		s.polling.setLocked(polls)
	}
	s.timers.activityLocked(true)
	if restoring {
		s.resumeOutboxLocked()
	}
	s.spawnLocked(receiver{s}.receive)
	return save
}

// failed ends a session that never came to be.
func (s *session) failed(how State, err error) error {
	s.lock()
	given := s.state == StateEnding
	var out error
	switch {
	case given:
		out = failure(ErrStartEnded, commandOf(how), err, "")
	case how == StateRestoring:
		out = err // the service tells what it means
	default:
		s.reportLocked(err)
		sentinel := ErrStartFailed
		if chat.OutcomeOf(err) == chat.Unknown {
			sentinel = ErrStartUnknown
		}
		out = failure(sentinel, commandOf(how), err, "")
	}
	s.becomeLocked(StateFailed)
	if given {
		close(s.ending.done)
	}
	s.unlock()
	return out
}

// undo ends a chat that was given up while it began.
func (s *session) undo(how State) error {
	answer, told, err := s.tellEnd()
	s.lock()
	s.ending.answer = answer
	if !told {
		s.ending.err = failure(ErrServerNotTold, "endChat", err, "")
	}
	s.becomeLocked(StateFailed)
	close(s.ending.done)
	s.unlock()
	return failure(ErrStartEnded, commandOf(how), nil, "")
}
