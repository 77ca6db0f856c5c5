package bus

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
)

// Subscription is the handle of one Subscribe.
type Subscription struct {
	client  *Client
	name    string
	pattern pattern
	isWild  bool
	inline  bool
	timed   bool
	typed   any     // func(context.Context, Event[T])
	lane    swapper // *lane[T], unless inline
	ctx     context.Context
	pc      uintptr // where Subscribe was called
	seq     uint64  // order of wildcard subscriptions
	dead    atomic.Bool
	once    sync.Once
	serial  *serial // inline on a retained topic
}

// SubscribeOption changes how one subscription is served.
type SubscribeOption func(*Subscription)

// Inline calls the handler in the publisher's goroutine, before Publish
// returns, with no lock held. It is the fastest way to be told and may overlap
// every other handler, also itself, so what it touches needs a mutex. A slow
// inline handler holds its publisher up. Events of a name that was ever
// republished are the exception: there the calls of one inline subscription
// never overlap and keep the order of revisions, and a publish that meets a
// call under way leaves its event to it.
func Inline() SubscribeOption { return func(s *Subscription) { s.inline = true } }

// Timed fills in [Event.Time].
func Timed() SubscribeOption { return func(s *Subscription) { s.timed = true } }

func newSubscription(c *Client, name string, opts []SubscribeOption) *Subscription {
	s := &Subscription{client: c, name: name}
	for _, o := range opts {
		o(s)
	}
	s.ctx = c.boxCtx
	if s.inline {
		s.ctx = c.inlineCtx
		s.serial = &serial{sub: s}
	}
	var pc [1]uintptr
	runtime.Callers(3, pc[:])
	s.pc = pc[0]
	return s
}

// Event returns the name or pattern subscribed to.
func (s *Subscription) Event() string { return s.name }

// String names the subscription for logs and errors: plugin, event, and the
// file and line of the Subscribe call.
func (s *Subscription) String() string {
	return s.client.namespace + "/" + s.name + " (" + s.place() + ")"
}

func (s *Subscription) place() string {
	if s.pc == 0 {
		return "internal"
	}
	f, _ := runtime.CallersFrames([]uintptr{s.pc}).Next()
	return f.File + ":" + strconv.Itoa(f.Line)
}

// Unsubscribe ends exactly this subscription. It never waits, may be called
// from anywhere, also from inside the handler, and more than once. No mailbox
// call starts after it returned, and events still queued are dropped. A
// publish that is calling inline subscribers at this moment may still call
// this one once.
func (s *Subscription) Unsubscribe() {
	s.once.Do(func() {
		s.dead.Store(true)
		s.client.bus.detach(s)
		s.client.forget(s)
	})
}

// UnsubscribeWait is Unsubscribe that also waits until no call of the handler
// is running, so that what the handler uses may be torn down. Called with the
// handler's own context it does not wait for itself. For an inline subscription
// it waits until every publish that was calling inline handlers has finished;
// called with an inline handler's context it does not wait. It returns
// [ErrCancelled] or [ErrTimeout] if ctx ends first; the subscription has ended
// all the same.
func (s *Subscription) UnsubscribeWait(ctx context.Context) error {
	s.Unsubscribe()
	for sc := range scopes(ctx) {
		if s.inline && sc.inline || !s.inline && sc.mailbox && sc.client == s.client {
			return nil
		}
	}
	if !s.inline {
		return s.client.box.waitCall(ctx, s)
	}
	if err := s.client.bus.readers.wait(ctx, 0); err != nil {
		return ctxError("unsubscribe "+s.name, ctx)
	}
	return nil
}

// panicked reports a contained panic.
func (s *Subscription) panicked(p any) {
	s.client.bus.log.Error("subscriber panicked", "plugin", s.client.namespace, "event", s.name,
		"subscriber", s.place(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
}

func itoa(n int) string { return strconv.Itoa(n) }
