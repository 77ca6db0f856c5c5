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

const (
	endTries   = 3                // of telling the end, which may be told twice
	endFlush   = 10 * time.Second // for messages under way, before the end
	endWait    = 3 * time.Second  // for the last lines, after it
	endTimeout = 8 * time.Second  // of all tries to tell the end
)

// ending is what is known of the end of a session. The session's monitor guards it.
type ending struct {
	reason   EndReason     // of an end that this side brings about; "" for visitor
	byServer bool          // the server has said that the chat is over
	answer   Answer        // what endChat resolves with; set before done is closed
	err      error         // what endChat rejects with; set before done is closed
	done     chan struct{} // closed when what endChat can do is done
}

// end ends the session, as the visitor wishes, and returns what became of that. Several callers get
// the same.
func (s *session) end(ctx context.Context) (Answer, error) {
	s.lock()
	switch {
	case s.state == StateEnding:
	case s.state.Final():
		s.unlock()
		return Answer{}, failure(ErrNoSession, "endChat", nil, "")
	case s.state.live():
		if !s.endLocked("") {
			s.unlock()
			return Answer{}, bus.ErrStopped
		}
	default:
		s.becomeLocked(StateEnding) // connect sees to the rest
	}
	s.unlock()
	select {
	case <-s.ending.done:
	case <-ctx.Done():
		return Answer{}, failure(bus.ErrCancelled, "endChat", context.Cause(ctx), "the chat is being ended all the same")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ending.answer, s.ending.err
}

// endLocked begins to end a live session, for reason, and reports whether it does: one that is closing is left alone.
// It is the one way to end a session from here, for the visitor as for timers. All that waits is settled on it.
func (s *session) endLocked(reason EndReason) bool {
	reachable := s.state == StateActive
	if !s.spawnLocked(func() { s.runEnd(reachable) }) {
		return false
	}
	s.ending.reason = reason
	s.becomeLocked(StateEnding)
	if !reachable {
		s.outbox.abortPendingLocked(failure(ErrInterrupted, "", nil, ""))
	}
	return true
}

// runEnd lets the messages under way go first, tells the server, takes the last lines, and ends the
// session whatever became of these.
func (s *session) runEnd(reachable bool) {
	defer close(s.ending.done)
	if reachable {
		s.outbox.drain(endFlush)
	}
	s.lock()
	s.outbox.abortPendingLocked(failure(ErrNoSession, "", nil, ""))
	s.unlock()

	answer, told, err := s.tellEnd()
	s.lock()
	told = told || s.ending.byServer // the end may come before the answer to the request for it
	s.ending.answer = answer
	if !told {
		s.ending.err = failure(ErrServerNotTold, "endChat", err, "the server ends the chat itself when it misses the visitor")
	}
	s.answeredLocked(answer.Answer)
	receiver{s}.retryNow() // the last lines are there now
	s.unlock()
	if told {
		pause(s.ctx, endWait, s.done)
	}
	s.lock()
	s.finishLocked(s.endReason(chat.EndVisitor, true), told)
	s.unlock()
}

// tellEnd tells the server that the chat is over. That may be told twice, so all failures that may
// pass are tried again.
func (s *session) tellEnd() (answer Answer, told bool, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, endTimeout)
	defer cancel()
	wait := newBackoff(250 * time.Millisecond)
	for try := 1; ; try++ {
		var receipt chat.Receipt
		receipt, err = s.sent(ctx, chat.Action{Kind: chat.ActionEnd})
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

// finishLocked ends the session, for good and once.
func (s *session) finishLocked(why EndReason, told bool) {
	if !s.state.CanBecome(StateEnded) {
		return
	}
	s.typing.stopLocked(false)
	s.timers.stopLocked()
	if s.polling.on { // first, as in the vendor's service (webchatservice 4.7)
		s.polling.on = false
		emit(s, PollingStopped, struct{}{})
	}
	var left publications
	s.roster.clear(stamp(time.Now()), &left)
	s.roster.seal()
	s.emitAllLocked(left)
	s.outbox.abortLocked(failure(ErrNoSession, "", nil, ""))
	if s.polling.asleep {
		setData(s, DataSleeping, false)
	}
	if s.async {
		setData(s, DataMode, Mode{})
	}
	s.agentTypingLocked()
	setData(s, DataSessionActive, false)
	emit(s, Ended, EndedData{Reason: why, ServerTold: told})
	s.becomeLocked(StateEnded)
	s.laterLocked(s.deps.hooks.clearFilters, s.forget) // the store may take its time
}

// endReason says why a session is over, in the service's words. ending says that this side is ending it.
func (s *session) endReason(by chat.EndReason, ending bool) EndReason {
	switch {
	case ending && s.ending.reason != "":
		return s.ending.reason
	case ending || by == chat.EndVisitor:
		return EndVisitor
	case by == chat.EndUnknown:
		return EndServer
	}
	return EndReason(by)
}
