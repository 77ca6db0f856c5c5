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
	client     *Client
	name       string
	pattern    pattern
	isWild     bool
	inline     bool
	timed      bool
	onlyFirst  bool      // ends with the first event
	ownMailbox bool      // has a mailbox of its own
	typed      any       // func(context.Context, Event[T])
	lane       batchLane // *lane[T], unless inline
	topic      *topic    // that it is in; guarded by topic.mu, nil for wildcards
	box        *mailbox
	tap        *tap        // of a tap or observer
	scope      *scope      // of its handler
	pc         uintptr     // where Subscribe was called
	seq        uint64      // order of wildcard subscriptions
	left       atomic.Bool // it is out of routing: no publish that begins now reaches it
	dead       atomic.Bool // and what waits for it is dropped
	fired      atomic.Bool // the first event of one that ends with it
	once       sync.Once
	serial     *serial // inline on a retained topic

	limit      int // how many may wait before some are dropped; 0: never
	dropNewest bool
	dropped    atomic.Uint64
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

// Timed fills in [Event.Time] and the ID of [Event.Envelope].
func Timed() SubscribeOption { return func(s *Subscription) { s.timed = true } }

// Once ends the subscription with its first event; the handler is called once.
func Once() SubscribeOption { return func(s *Subscription) { s.onlyFirst = true } }

// OwnMailbox gives the subscription a mailbox of its own, with the limits of its
// plugin's: the handler runs in parallel with the plugin's other handlers, so
// that a slow one holds none of them up. Its events stay in order and its calls
// never overlap each other; there is no order with the plugin's other events.
// An inline subscription has no mailbox, so there it changes nothing.
func OwnMailbox() SubscribeOption { return func(s *Subscription) { s.ownMailbox = true } }

// DropOldest lets no more than n events wait for this subscription, besides
// those of the batch that is being handled; for a further one the oldest is
// dropped and counted, see [Subscription.Dropped]. Publishers never wait for such a
// subscription. Its events stay in order; their order among the plugin's
// other events holds as long as none is dropped. An n below 1 counts as 1.
func DropOldest(n int) SubscribeOption { return func(s *Subscription) { s.limit = max(n, 1) } }

// DropNewest is DropOldest, but the further event itself is dropped.
func DropNewest(n int) SubscribeOption {
	return func(s *Subscription) { s.limit, s.dropNewest = max(n, 1), true }
}

// LatestOnly lets only the latest event wait: it is DropOldest(1).
func LatestOnly() SubscribeOption { return DropOldest(1) }

func newSubscription(c *Client, name string, opts []SubscribeOption) *Subscription {
	s := &Subscription{client: c, name: name}
	for _, o := range opts {
		o(s)
	}
	s.scope, s.box = c.mailboxCtx, c.mailbox
	switch {
	case s.inline:
		s.scope, s.ownMailbox = c.inlineCtx, false
		s.serial = &serial{sub: s}
	case s.ownMailbox:
		s.box = c.newMailbox()
		s.box.handlers = true
		s.scope = &scope{Context: context.Background(), client: c, mailbox: true, box: s.box}
	}
	var pc [1]uintptr
	runtime.Callers(3, pc[:])
	s.pc = pc[0]
	return s
}

// calledThrough notes that Subscribe, or what stands for it, did not call
// newSubscription itself but by way of another function, which calls this one.
func (s *Subscription) calledThrough() {
	var pc [1]uintptr
	runtime.Callers(4, pc[:])
	s.pc = pc[0]
}

// setHandler gives s its handler: the function itself, or one that ends s
// first.
func setHandler[T any](s *Subscription, h func(context.Context, Event[T])) {
	if s.onlyFirst {
		then := h
		h = func(ctx context.Context, e Event[T]) {
			if s.fired.CompareAndSwap(false, true) {
				s.Unsubscribe()
				then(ctx, e)
			}
		}
	}
	s.typed = h
	if !s.inline {
		s.lane = newLane(s, h)
	}
}

func (s *Subscription) hasLeft() bool { return s.left.Load() }

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

// Dropped returns how many events a subscription made with [DropOldest],
// [DropNewest] or [LatestOnly] has missed.
func (s *Subscription) Dropped() uint64 { return s.dropped.Load() }

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
		if !s.inline {
			s.box.release() // whoever waits for room for s alone goes on
		}
		if s.tap != nil || s.ownMailbox {
			s.client.dropMailbox(s.box)
		}
	})
}

// UnsubscribeWait is Unsubscribe that also waits until no call of the handler
// is running, so that what the handler uses may be torn down. Called with the
// handler's own context it does not wait for itself. For an inline subscription
// it waits until every publish that was calling inline handlers has finished;
// called with an inline handler's context it does not wait. Called from another
// handler, it waits no longer than 5 s unless ctx has a deadline. It returns
// [ErrCancelled] or [ErrTimeout] if ctx ends first; the subscription has ended
// all the same.
func (s *Subscription) UnsubscribeWait(ctx context.Context) error {
	s.Unsubscribe()
	for sc := range scopes(ctx) {
		if s.inline && sc.inline || !s.inline && s.scope == sc {
			return nil
		}
	}
	if _, ok := ctx.Deadline(); !ok && insideBus(ctx) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cleanUp) // two handlers may wait for each other
		defer cancel()
	}
	if !s.inline {
		return s.box.waitCall(ctx, s)
	}
	if err := s.client.bus.readers.wait(ctx, 0); err != nil {
		return ctxError("unsubscribe "+s.name, ctx)
	}
	return nil
}

// hears reports whether events of that name come to s.
func (s *Subscription) hears(event string) bool {
	return s.tap != nil || s.name == event || s.isWild && s.pattern.matches(event)
}

// panicked reports a contained panic.
func (s *Subscription) panicked(p any) {
	s.client.bus.reportOf(s, HandlerPanicked, Incident{Plugin: s.client.namespace, Name: s.name, Subscriber: s.place(),
		Text: "subscriber panicked"}, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
}

func itoa(n int) string { return strconv.Itoa(n) }
