package eventbus

import (
	"context"
	"sync/atomic"

	"github.com/cxbus/cxbus/bus"
)

// subscriber is one subscription.
type subscriber struct {
	handler
	route *route
	gone  atomic.Bool // Unsubscribe was called
	fired atomic.Bool // of one that ends with the first event: it came

	once, asynchronous bool

	left  bool              // guarded by route.mu: it is no longer on the list
	ended bool              // guarded by route.mu
	sub   *bus.Subscription // guarded by route.mu; nil until the bus has it
}

// Subscribe calls fn, a function, in the publisher's goroutine for every event
// of the topic. The same function may be subscribed several times. It returns
// [ErrNotFunc], [bus.ErrNilHandler], [bus.ErrBadName] for a topic that is too
// long, [bus.ErrStopped] or [bus.ErrClosed].
func (b *Bus) Subscribe(topic string, fn any) error { return b.subscribe(topic, fn, false, false) }

// SubscribeAsync calls fn from a mailbox of its own, one event at a time and in
// the order they were published. It makes no difference whether transactional
// is set: the original promises order only if it is, and makes publishers wait
// for it. It returns what Subscribe returns.
func (b *Bus) SubscribeAsync(topic string, fn any, transactional bool) error {
	return b.subscribe(topic, fn, true, false)
}

// SubscribeOnce is Subscribe for the next event whose arguments fit; the
// subscription ends before fn is called.
func (b *Bus) SubscribeOnce(topic string, fn any) error { return b.subscribe(topic, fn, false, true) }

// SubscribeOnceAsync is SubscribeAsync for the next event whose arguments fit.
func (b *Bus) SubscribeOnceAsync(topic string, fn any) error {
	return b.subscribe(topic, fn, true, true)
}

func (b *Bus) subscribe(topic string, fn any, async, once bool) error {
	h, err := compile("subscribe "+topic, fn)
	if err != nil {
		return err
	}
	r, err := b.route(topic, true)
	if err != nil {
		return err
	}
	s := &subscriber{handler: h, route: r, once: once, asynchronous: async}
	r.enter(s)
	opt := bus.Inline()
	if async {
		opt = bus.OwnMailbox()
	}
	sub, err := b.client.Subscribe(r.name, s.receiver(), opt)
	if err != nil {
		s.end()
		return err
	}
	r.mu.Lock()
	s.sub = sub
	ended := s.ended // by a handler that was called meanwhile
	r.mu.Unlock()
	if ended {
		sub.Unsubscribe()
	}
	return nil
}

// receiver is what the bus calls.
func (s *subscriber) receiver() receiver {
	serve := s.serve(s)
	if s.once {
		then := serve
		serve = func(ctx context.Context, e bus.Event[any]) {
			switch {
			case !s.fits(unpack(e.Data)):
				s.misfit(e.Data)
			case s.fired.CompareAndSwap(false, true):
				s.end()
				then(ctx, e)
			}
		}
	}
	if s.asynchronous {
		return func(ctx context.Context, e bus.Event[any]) { s.async(serve, ctx, e) }
	}
	return serve
}

// async calls an asynchronous handler; insideAsync looks for it by name.
//
//go:noinline
func (s *subscriber) async(serve receiver, ctx context.Context, e bus.Event[any]) {
	b := s.route.bus
	b.turns.Add(1)
	defer b.turns.Add(1)
	serve(ctx, e)
}

// misfit reports arguments that the handler cannot take.
func (s *subscriber) misfit(payload any) {
	s.route.bus.failed(s.route.topic, s.unfit(s.route, unpack(payload)))
}

func (h handler) unfit(r *route, args []any) error {
	return with(ErrArguments, "publish "+r.name, h.String()+" got "+typesOf(args))
}

// end takes the subscriber off the list and off the bus.
func (s *subscriber) end() {
	s.route.leave(s)
	s.route.mu.Lock()
	s.ended = true
	sub := s.sub
	s.route.mu.Unlock()
	if sub != nil {
		sub.Unsubscribe()
	}
}

// Unsubscribe removes one subscription of fn: the oldest one of exactly this function value, where a method value like
// v.Method counts as the same each time it is written down if v is the same pointer; if there is none, the oldest one
// with the same type and code, as the original does. So closures of one literal are told apart if the function value is
// kept in a variable, and are removed in the order they subscribed if not. If no subscription has the code, it returns
// nil as the original does, or [ErrNoCallback] if the topic has no subscription at all. No call of the handler starts
// after it returned. It returns [ErrNotFunc] or [bus.ErrNilHandler] if fn is no function.
func (b *Bus) Unsubscribe(topic string, fn any) error {
	op := "unsubscribe " + topic
	h, err := compile(op, fn)
	if err != nil {
		return err
	}
	r := b.routes.get(topic)
	if r == nil || r.aud.Load() == nil {
		return with(ErrNoCallback, op, "subscribe first")
	}
	if s := r.find(h); s != nil {
		s.gone.Store(true)
		s.end()
	}
	return nil
}
