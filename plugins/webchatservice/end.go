package webchatservice

import (
	"context"
	"time"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// EndChat is the command that ends a session (webchatservice 3).
var EndChat = bus.NewCommand[struct{}, Answer](Namespace+".endChat",
	"Ends the session, after the messages under way, and resolves once the server knows.")

func (s *Service) endChat(ctx context.Context, _ struct{}) (Answer, error) {
	ses := s.last()
	if ses == nil {
		return Answer{}, failure(ErrNoSession, "endChat", nil, "")
	}
	return ses.end(ctx)
}

// finishLocked ends the session, for good and once.
func (s *session) finishLocked(why EndReason, told bool) {
	if !s.state.CanBecome(StateEnded) {
		return
	}
	s.stopTypingLocked(false)
	s.stopTimersLocked()
	if s.polling { // first, as in the vendor's service (webchatservice 4.7)
		s.polling = false
		s.emitLocked("pollingStopped", struct{}{})
	}
	for _, e := range s.people.clear(stamp(time.Now()), nil) {
		s.emitLocked(e.event, e.data)
	}
	s.abortLocked(failure(ErrNoSession, "", nil, ""))
	s.emitLocked("ended", EndedData{Reason: why, ServerTold: told})
	s.goLocked(StateEnded)
	s.after = append(s.after, s.env.hooks.clearFilters, s.forget) // the store may take its time
}

// end ends the session, as the visitor wishes, and returns what became of that. Several callers get
// the same.
func (s *session) end(ctx context.Context) (Answer, error) {
	s.mu.Lock()
	switch {
	case s.state == StateEnding:
	case s.state.Final():
		s.unlock()
		return Answer{}, failure(ErrNoSession, "endChat", nil, "")
	case s.state.live():
		interrupted := s.state == StateInterrupted
		s.goLocked(StateEnding)
		if interrupted {
			s.abortPendingLocked(failure(ErrInterrupted, "", nil, ""))
		}
		if !s.spawnLocked(func() { s.hangUp(interrupted) }) {
			s.unlock()
			return Answer{}, bus.ErrStopped
		}
	default:
		s.goLocked(StateEnding) // connect sees to the rest
	}
	s.unlock()
	select {
	case <-s.hung:
	case <-ctx.Done():
		return Answer{}, failure(bus.ErrCancelled, "endChat", context.Cause(ctx), "the chat is being ended all the same")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.endAnswer, s.endErr
}

// hangUp lets the messages under way go first, tells the server, takes the last lines, and ends the
// session whatever became of these.
func (s *session) hangUp(interrupted bool) {
	defer close(s.hung)
	if !interrupted {
		s.drain()
	}
	s.mu.Lock()
	s.abortPendingLocked(failure(ErrNoSession, "", nil, ""))
	s.unlock()

	answer, told, err := s.tellEnd()
	s.mu.Lock()
	told = told || s.overThere // the end may come before the answer to the request for it
	s.endAnswer = answer
	if !told {
		s.endErr = failure(ErrServerNotTold, "endChat", err, "the server ends the chat itself when it misses the visitor")
	}
	s.answeredLocked(answer.Answer)
	close(s.nudge)
	s.unlock()
	if told {
		pause(s.life, endWait, s.done)
	}
	s.mu.Lock()
	s.finishLocked(s.reason(chat.EndVisitor, true), told)
	s.unlock()
}

// drain waits until the outbox is empty, for endFlush at most.
func (s *session) drain() {
	deadline := time.Now().Add(endFlush)
	for {
		s.mu.Lock()
		empty := len(s.box.queue) == 0 || s.state != StateEnding
		changed := s.changed
		s.unlock()
		if empty || !time.Now().Before(deadline) || !pause(s.life, time.Until(deadline), changed) {
			return
		}
	}
}

// tellEnd tells the server that the chat is over. That may be told twice, so all failures that may
// pass are tried again.
func (s *session) tellEnd() (answer Answer, told bool, err error) {
	ctx, cancel := context.WithTimeout(s.life, endTimeout)
	defer cancel()
	wait := newBackoff(250 * time.Millisecond)
	for try := 1; ; try++ {
		var receipt chat.Receipt
		receipt, err = s.conn.Send(ctx, chat.Action{Kind: chat.ActionEnd})
		if err == nil {
			return s.answer(receipt.Answer), true, nil
		}
		e := wireError(err)
		switch {
		case e.Outcome == chat.Gone:
			return s.answer(e.Answer), true, nil
		case try == endTries, e.Outcome == chat.Rejected && !e.Retryable(), e.Code == chat.CodeClosed:
			return Answer{}, false, err
		}
		if !pause(ctx, wait(e.RetryAfter), nil) {
			return Answer{}, false, err
		}
	}
}
