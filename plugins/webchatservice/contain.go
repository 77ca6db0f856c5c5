package webchatservice

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// misbehaviour is why code of the program did not return.
type misbehaviour struct {
	did   string // panicked, or ended its goroutine
	value any    // of the panic; nil for none
	stack []byte
}

// Error implements error. The stack is for the log.
func (m *misbehaviour) Error() string {
	if m.value == nil {
		return "it " + m.did
	}
	return fmt.Sprintf("it %s: %v", m.did, m.value)
}

// record logs it, for the part of the program that is named.
func (m *misbehaviour) record(log *slog.Logger, who string) {
	if m.value == nil {
		log.Error(who + " " + m.did)
		return
	}
	log.Error(who+" "+m.did, "panic", m.value, "stack", string(m.stack))
}

// contained runs f, which is code of the program, and waits for it. It returns nil, or what f did in the place of
// returning. f has a goroutine of its own, so that the caller's goes on in each case.
func contained(f func()) (odd *misbehaviour) {
	odd = &misbehaviour{did: "ended its goroutine"}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				odd = &misbehaviour{"panicked", p, debug.Stack()}
			}
		}()
		f()
		odd = nil
	}()
	<-done
	return odd
}

// driverError logs that a driver did not return, and returns what the call comes to: nobody knows what became of the
// request.
func driverError(log *slog.Logger, op string, odd *misbehaviour) error {
	odd.record(log.With("operation", op), "driver")
	return &chat.Error{Code: chat.CodeInvalid, Op: op, Text: "the driver " + odd.did, Hint: "see the log", Err: odd}
}

// received is conn.Receive of the session. A panic of the driver is an error.
func (s *session) received() (ev chat.Event, err error) {
	defer func() {
		if p := recover(); p != nil {
			ev, err = chat.Event{}, driverError(s.deps.log, "receive", &misbehaviour{"panicked", p, debug.Stack()})
		}
	}()
	return s.conn.Receive(s.ctx)
}

// sent is conn.Send of the link. A panic of the driver is an error.
func (l *link) sent(ctx context.Context, a chat.Action) (r chat.Receipt, err error) {
	defer func() {
		if p := recover(); p != nil {
			r, err = chat.Receipt{}, driverError(l.deps.log, "send", &misbehaviour{"panicked", p, debug.Stack()})
		}
	}()
	return l.conn.Send(ctx, a)
}
