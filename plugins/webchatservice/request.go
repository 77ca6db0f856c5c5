package webchatservice

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// request makes a request of an optional ability, and publishes what came of it.
func (s *session) request(ctx context.Context, op string, f func(ctx context.Context) (chat.Receipt, error)) (Answer, error) {
	receipt, err := f(ctx)
	s.mu.Lock()
	defer s.unlock()
	if err != nil {
		if e := wireError(err); e.Code != chat.CodeBusy && e.Code != chat.CodeClosed {
			s.reportLocked(err)
		}
		return Answer{}, s.requestError(op, err)
	}
	s.answeredLocked(receipt.Answer)
	return s.answer(receipt.Answer), nil
}

// requestError is what a failed request means to the one who asked for it.
func (s *session) requestError(op string, err error) error {
	if chat.OutcomeOf(err) == chat.Gone || errors.Is(err, chat.ErrClosed) { // it ended while the request was under way
		return failure(ErrNoSession, op, err, "")
	}
	return failure(ErrRequest, op, err, "")
}

// answer is what a command resolves with that got this answer.
func (s *session) answer(raw json.RawMessage) Answer {
	return Answer{Answer: s.env.hooks.maskJSON(raw)}
}

// answeredLocked publishes the server's answer to a request.
func (s *session) answeredLocked(answer json.RawMessage) {
	if answer != nil {
		s.emitLocked("ajaxResponse", s.env.hooks.maskJSON(answer))
	}
}

// reportLocked publishes a failure that the server told, or that no event of the connection tells.
func (s *session) reportLocked(err error) {
	e := wireError(err)
	if e.Code == chat.CodeCanceled || e.Code == chat.CodeClosed {
		return
	}
	quiet := e.Code == chat.CodeNetwork || e.Code == chat.CodeTimeout
	if quiet && (s.state.live() || s.state == StateEnding) {
		return // disconnected tells, should it last
	}
	s.emitLocked("error", errorData(err))
}
