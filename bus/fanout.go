package bus

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"unsafe"
)

// A snapshot says where the events of one topic go now. It never changes; a topic stores a new one when its subscriptions
// change. It is the beginning of a fanout[T], whose payload type is not known to those who hold the snapshot.
type snapshot struct {
	list anyFanout // the fanout[T] that the snapshot is the beginning of
	// idle is the type word of payloads that need no conversion, if nobody listens; else nil. Without it
	// BenchmarkPublish/Name/0 takes 40 % longer.
	idle unsafe.Pointer
}

// anyFanout is a fanout[T] of any payload type.
type anyFanout interface {
	// publishAny publishes a payload that was given by name. m is the meta of the topic. at is where the snapshot was
	// found.
	publishAny(ctx context.Context, b *Bus, m *meta, at *atomic.Pointer[snapshot], v any) error
	// inlineAgain calls the inline subscribers, for a publish that began with an older snapshot.
	inlineAgain(v any, m *meta) error
	// queueRetained queues an event of a retained topic for all subscribers. It returns the queues of the inline
	// subscriptions, which the caller drains once it holds no lock.
	queueRetained(v any, m *meta) ([]*serial, error)
}

// A fanout is the subscribers of one topic, sorted by how they are called: inline, or by way of a mailbox. It never
// changes once a topic has stored it. What the most common publish needs comes first, so that it is in one cache line.
//
// Three cases have ways of their own, each by one call or one lock less than publish: one inline subscriber (fn,
// BenchmarkPublish/Token/1: 27 % faster), inline subscribers alone (plain, BenchmarkPublish/Token/2: 27 %), and one
// lane for all (single, BenchmarkQueue: twice as fast).
type fanout[T any] struct {
	snapshot
	fn     func(context.Context, Event[T]) // the handler, if there is one subscriber, which is inline and typed
	scope  *scope                          // the context of fn
	inline []inlineSub[T]                  // the inline subscribers, if all of them are typed
	plain  bool                            // there are no other subscribers, and others is nil
	*others[T]
}

// others is what a fanout has in addition if it is not plain.
type others[T any] struct {
	single  *lane[T]          // the lane of all subscribers, if they have one together and events carry nothing else
	mixed   []mixedSub[T]     // the inline subscribers, if some of them take any payload; inline is empty then
	groups  []mailboxGroup[T] // the subscribers that have a mailbox, by mailbox
	timed   bool              // somebody asked for the time
	retains bool              // the topic has retained events
}

type inlineSub[T any] struct {
	fn    func(context.Context, Event[T])
	scope *scope
	sub   *Subscription
}

// mixedSub is an inline subscriber. It has one of the two functions.
type mixedSub[T any] struct {
	inlineSub[T]
	any func(context.Context, Event[any])
}

// build makes the snapshot of t's subscriptions. t.mu is held.
func (kindOf[T]) build(t *topic) *snapshot {
	f := &fanout[T]{}
	subs := t.subs.live()
	f.others = &others[T]{retains: t.retains}
	mixed := false
	groups := map[*mailbox]int{} // the index in f.groups
	for _, s := range subs {
		f.timed = f.timed || s.timed
		if s.inline {
			fn, typed := s.typed.(func(context.Context, Event[T]))
			mixed = mixed || !typed
			if t.transient { // nobody can take s out of this snapshot when it ends
				h := fn
				fn = func(ctx context.Context, e Event[T]) {
					if !s.dead.Load() {
						h(ctx, e)
					}
				}
			}
			f.inline = append(f.inline, inlineSub[T]{fn, s.scope, s})
			continue
		}
		var b mailboxSub[T]
		if l, ok := s.lane.(*lane[T]); ok {
			b.typed = l
		} else {
			b.any = s.lane.(*lane[any])
		}
		i, ok := groups[s.box]
		if !ok {
			i = len(f.groups)
			groups[s.box] = i
			f.groups = append(f.groups, mailboxGroup[T]{box: s.box})
		}
		f.groups[i].subs = append(f.groups[i].subs, b)
		if s.limit == 0 {
			f.groups[i].counted++
		}
	}
	for i := range f.groups {
		f.groups[i].single = f.groups[i].makeSingle()
	}
	if mixed {
		for _, s := range f.inline {
			m := mixedSub[T]{inlineSub: s}
			if s.fn == nil {
				m.any = s.sub.typed.(func(context.Context, Event[any]))
			}
			f.mixed = append(f.mixed, m)
		}
		f.inline = nil
	}
	f.plain = len(f.groups) == 0 && !mixed && !f.timed && !f.retains
	if len(f.inline) > 1 {
		f.inline = slices.Clone(f.inline) // without spare capacity
	}
	if len(f.groups) == 1 && len(f.inline)+len(f.mixed) == 0 && !f.timed && !f.retains {
		f.single = f.groups[0].single
	}
	if f.plain {
		f.others = nil
		switch len(f.inline) {
		case 0:
			var v any = *new(T)
			f.idle = payloadType(&v)
		case 1:
			f.fn, f.scope = f.inline[0].fn, f.inline[0].scope
		}
	}
	f.list = f
	return &f.snapshot
}

// publishAny is publish for a payload that was given by name.
func (f *fanout[T]) publishAny(ctx context.Context, b *Bus, m *meta, at *atomic.Pointer[snapshot], v any) error {
	p, ok := v.(T)
	if !ok {
		var err error
		if p, err = decode[T]("publish "+m.topic.name, v, fromLink(ctx)); err != nil {
			return err
		}
		v = p
	}
	if isBackground(ctx) {
		if f.fn != nil {
			if r := f.enter(b, at); r != nil { // as runInline does, with one call less
				f.runOne(Event[T]{p, m}, r)
				return nil
			}
		} else if f.plain {
			if len(f.inline) == 0 {
				return nil
			}
			if r := f.enter(b, at); r != nil { // as runInline does, with one call less
				f.runFrom(0, Event[T]{p, m}, r)
				return nil
			}
		} else if f.single != nil && f.single.post(p, m, nil) {
			return nil
		}
	}
	return f.publish(ctx, m.topic, p, v)
}

// publish publishes to all subscribers, whatever they are. The short ways in front of it serve the most common cases.
// boxed is the payload as an interface value if the caller has it, else nil. Mailboxes come first: an inline handler may
// take long, and may wait for what handlers of mailboxes do.
func (f *fanout[T]) publish(ctx context.Context, t *topic, v T, boxed any) error {
	h, ok := ctx.(*handoff)
	if ok {
		ctx = h.Context
	}
	l := lineageOf(ctx)
	if f.plain {
		e := Event[T]{v, &t.meta}
		if l != (lineage{}) {
			e.m = newMeta(ctx, t, false, l)
		}
		if len(f.inline) > 0 {
			h.start() // inline handlers may take long, here and below
		}
		return f.runInline(e)
	}
	if f.retains {
		h.start()
		return t.publishRetained(v, newMeta(ctx, t, f.timed, l))
	}
	e := Event[T]{v, &t.meta}
	if f.timed || l != (lineage{}) {
		e.m = newMeta(ctx, t, f.timed, l)
	}
	var first error
	for i := range f.groups {
		g := &f.groups[i]
		if g.single != nil && g.single.post(v, e.m, h) {
			continue
		}
		if err := g.push(ctx, e, &boxed, h); err != nil {
			first = errors.Join(first, err)
		}
	}
	switch {
	case f.mixed != nil:
		h.start()
		first = errors.Join(first, f.runMixed(e, boxed))
	case len(f.inline) > 0:
		h.start()
		first = errors.Join(first, f.runInline(e))
	}
	if first != nil {
		h.start()
		t.bus.overflowed(first)
	}
	return first
}

// enter counts a publish that is about to call the inline subscribers of s. at is where s was found. It returns nil if
// another snapshot is there now, or if so many publishes are under way that enterSlowly must look at the stack.
func (s *snapshot) enter(b *Bus, at *atomic.Pointer[snapshot]) *reader {
	r := b.readers.shard()
	if mustLook(r.n.Add(1)) || at.Load() != s {
		r.leave()
		return nil
	}
	return r
}

// enterSlowly is enter for those whom that refused. It returns nil and no error if another snapshot is there now: then a
// subscriber of s may have ended and may have been told that no call will come, so the caller must begin again with the
// new snapshot.
func (s *snapshot) enterSlowly(t *topic) (*reader, error) {
	r, err := t.bus.enterInline(t.name)
	if err == nil && t.snap.Load() != s {
		r.leave()
		return nil, nil
	}
	return r, err
}

// enterInline counts a publish that is about to call inline subscribers, unless they publish to each other in a circle.
func (b *Bus) enterInline(event string) (*reader, error) {
	r := b.readers.shard()
	if mustLook(r.n.Add(1)) && tooDeep() {
		r.leave()
		b.log.Error("inline subscribers publish to each other in a circle", "event", event)
		return nil, ErrTooDeep.with("publish "+event, "inline subscribers publish to each other in a circle?")
	}
	return r, nil
}

// inlineAgain implements anyFanout. f has replaced the snapshot that the publish began with.
func (f *fanout[T]) inlineAgain(v any, m *meta) error {
	p, err := decode[T]("publish "+m.topic.name, v, m.foreign())
	switch e := (Event[T]{p, m}); {
	case err != nil:
		return err // its type was declared while it was published, and it is not of that
	case f.plain: // f has nothing else
		return f.runInline(e)
	case f.retains:
		drainAll(f.serials(e, v))
	case f.mixed != nil:
		return f.runMixed(e, v)
	case len(f.inline) > 0:
		return f.runInline(e)
	}
	return nil
}

// runInline calls the inline subscribers. If one of them panics, the next one is called. One deferred recover serves the
// whole loop.
func (f *fanout[T]) runInline(e Event[T]) error {
	t := e.m.topic
	r, err := f.enterSlowly(t)
	if err != nil {
		return err
	}
	if r == nil {
		return t.snap.Load().list.inlineAgain(e.Data, e.m)
	}
	f.runFrom(0, e, r)
	return nil
}

// runOne is runFrom for a fanout with one subscriber.
func (f *fanout[T]) runOne(e Event[T], r *reader) {
	returned := false
	defer func() {
		if !returned {
			if p := recover(); p != nil { // nil: runtime.Goexit, the goroutine ends
				f.inline[0].sub.panicked(p)
			}
		}
		r.leave()
	}()
	f.fn(f.scope, e)
	returned = true
}

// runFrom calls the inline subscribers from number i on. r is where the publish is counted.
func (f *fanout[T]) runFrom(i int, e Event[T], r *reader) {
	at := i
	defer func() {
		if at < len(f.inline) {
			if p := recover(); p != nil { // nil: runtime.Goexit, the goroutine ends
				f.inline[at].sub.panicked(p)
				f.runFrom(at+1, e, r)
				return
			}
		}
		r.leave()
	}()
	for ; i < len(f.inline); i++ {
		at = i
		s := &f.inline[i]
		s.fn(s.scope, e)
	}
	at = i
}

// runMixed is runInline where some subscribers take any payload. For those the payload is made an interface value, once.
func (f *fanout[T]) runMixed(e Event[T], boxed any) error {
	if boxed == nil {
		boxed = e.Data
	}
	t := e.m.topic
	r, err := f.enterSlowly(t)
	if err != nil {
		return err
	}
	if r == nil {
		return t.snap.Load().list.inlineAgain(boxed, e.m)
	}
	f.runMixedFrom(0, e, Event[any]{boxed, e.m}, r)
	return nil
}

func (f *fanout[T]) runMixedFrom(i int, e Event[T], a Event[any], r *reader) {
	at := i
	defer func() {
		if at < len(f.mixed) {
			if p := recover(); p != nil {
				f.mixed[at].sub.panicked(p)
				f.runMixedFrom(at+1, e, a, r)
				return
			}
		}
		r.leave()
	}()
	for ; i < len(f.mixed); i++ {
		at = i
		s := &f.mixed[i]
		if s.any != nil {
			s.any(s.scope, a)
		} else {
			s.fn(s.scope, e)
		}
	}
	at = i
}
