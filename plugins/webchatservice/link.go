package webchatservice

import (
	"context"
	"errors"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// link is the connection of a session as its parts use it: what they ask the server, what becomes of that, and how long
// the server has been out of reach.
type link struct {
	monitor
	deps *deps
	conn chat.Conn // set once, before the session is live

	downSince time.Time                         // since when the server is out of reach; zero while it is not
	errorCode string                            // of the failure that was reported last
	backoff   func(time.Duration) time.Duration // see backOffLocked; nil while all is well
}

// backOffLocked returns how long to wait after a failure. There is one back-off for all that a session tries
// again, so that a server that is down is not asked by each of its goroutines in turn.
func (l *link) backOffLocked(asked time.Duration) time.Duration {
	if l.backoff == nil {
		l.backoff = newBackoff(time.Second)
	}
	return l.backoff(asked)
}

// upLocked notes that the server was reached.
func (l *link) upLocked() { l.downSince, l.errorCode, l.backoff = time.Time{}, "", nil }

// givesUpLocked reports whether the server has been out of reach for too long.
func (l *link) givesUpLocked(now time.Time) bool {
	return !l.downSince.IsZero() && now.Sub(l.downSince) >= l.deps.limits.giveUp
}

// request makes a request of an optional ability, and publishes what came of it.
func (l *link) request(ctx context.Context, op string, f func(ctx context.Context) (chat.Receipt, error)) (Answer, error) {
	receipt, err := f(ctx)
	l.lock()
	defer l.unlock()
	if err != nil {
		if e := wireError(err); e.Code != chat.CodeBusy && e.Code != chat.CodeClosed {
			l.reportLocked(err)
		}
		return Answer{}, requestError(op, err)
	}
	l.answeredLocked(receipt.Answer)
	return l.answer(receipt.Answer), nil
}

// requestError is what a failed request means to the one who asked for it.
func requestError(op string, err error) error {
	if chat.OutcomeOf(err) == chat.Gone || errors.Is(err, chat.ErrClosed) { // it ended while the request was under way
		return failure(ErrNoSession, op, err, "")
	}
	return failure(ErrRequest, op, err, "")
}

// answer is what a command resolves with that got this answer.
func (l *link) answer(raw chat.JSON) Answer {
	return Answer{Answer: l.deps.hooks.maskJSON(raw)}
}

// answeredLocked publishes the server's answer to a request.
func (l *link) answeredLocked(answer chat.JSON) {
	if answer != nil {
		emit(l, AjaxResponse, l.deps.hooks.maskJSON(answer))
	}
}

// reportLocked publishes a failure that the server told, or that no event of the connection tells.
func (l *link) reportLocked(err error) {
	e := wireError(err)
	if e.Code == chat.CodeCanceled || e.Code == chat.CodeClosed {
		return
	}
	network := e.Code == chat.CodeNetwork || e.Code == chat.CodeTimeout
	if network && (l.state.live() || l.state == StateEnding) {
		return // disconnected tells, should it last
	}
	emit(l, Error, errorData(err))
}
