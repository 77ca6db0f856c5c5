package eventbus

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cxbus/cxbus/bus"
)

// A route is one topic.
type route struct {
	bus   *Bus
	topic string
	name  string // of the event
	pub   *bus.Publisher[any]
	aud   atomic.Pointer[audience] // nil while there are no subscribers

	mu   sync.Mutex    // guards what follows and the subscribers' fields; never held while calling out
	subs []*subscriber // in the order they subscribed
}

// audience is what publishing has to know of the subscribers: immutable.
type audience struct {
	kinds []handler     // one for each type of function
	onces []*subscriber // asynchronous ones that end with the next event
}

// subscriber is one subscription.
type subscriber struct {
	handler
	route *route
	gone  atomic.Bool // Unsubscribe was called
	fired atomic.Bool // of one that ends with the first event: it came

	once, asynchronous bool

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

// check returns an error for each type of handler that cannot take args.
func (a *audience) check(r *route, args []any) error {
	var errs []error
	for i := range a.kinds {
		if h := &a.kinds[i]; !h.fits(args) {
			errs = append(errs, h.unfit(r, args))
		}
	}
	return errors.Join(errs...)
}

// take takes the asynchronous subscribers that the event about to be published
// ends off the list: the topic has no callback of theirs any more, though they
// have yet to be called.
func (r *route) take(a *audience, args []any) {
	for _, s := range a.onces {
		if s.fits(args) {
			r.leave(s)
		}
	}
}

func (r *route) enter(s *subscriber) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.subs = append(r.subs, s)
	r.rebuildLocked()
}

func (r *route) leave(s *subscriber) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.Index(r.subs, s); i >= 0 {
		r.subs = slices.Delete(r.subs, i, i+1)
		r.rebuildLocked()
	}
}

func (r *route) rebuildLocked() {
	if len(r.subs) == 0 {
		r.aud.Store(nil)
		return
	}
	a := &audience{}
	seen := map[reflect.Type]bool{}
	for _, s := range r.subs {
		if !seen[s.typ] {
			seen[s.typ] = true
			a.kinds = append(a.kinds, s.handler)
		}
		if s.once && s.asynchronous {
			a.onces = append(a.onces, s)
		}
	}
	r.aud.Store(a)
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

// Unsubscribe removes one subscription of fn: the oldest one of exactly this
// function value, or else the only one with the same code (a method value like
// v.Method is a new function value each time it is written down). If several
// share the code, it returns [ErrAmbiguous] and removes none, where the
// original removes whichever is first: keep the function value in a variable
// and pass that. If none has it, it returns nil as the original does, or
// [ErrNoCallback] if the topic has no subscription at all. No call of the
// handler starts after it returned.
//
// Two subscriptions of one type of method on two receivers are ambiguous, too.
// It returns [ErrNotFunc] or [bus.ErrNilHandler] if fn is no function.
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
	s, err := r.find(op, h)
	if s == nil {
		return err
	}
	s.gone.Store(true)
	s.end()
	return nil
}

// find takes the subscriber that h means off the list.
func (r *route) find(op string, h handler) (*subscriber, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.subs, func(s *subscriber) bool { return s.key == h.key && s.typ == h.typ })
	if i < 0 {
		same := func(s *subscriber) bool { return s.code == h.code && s.typ == h.typ }
		if i = slices.IndexFunc(r.subs, same); i < 0 {
			return nil, nil
		}
		if slices.ContainsFunc(r.subs[i+1:], same) {
			return nil, with(ErrAmbiguous, op, "several handlers are "+h.String()+": pass the very function value that was subscribed")
		}
	}
	s := r.subs[i]
	r.subs = slices.Delete(r.subs, i, i+1)
	r.rebuildLocked()
	return s, nil
}
