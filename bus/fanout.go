package bus

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"unsafe"
)

// snapshot is the head of a fanout[T]; list points to the whole of it.
type snapshot struct {
	list fan
	idle unsafe.Pointer // if nobody listens: the type word of payloads that need no conversion
}

type fan interface {
	// publishAny publishes what was given by name. m is the topic's, which most
	// publishes need not look at; the snapshot was found at at.
	publishAny(ctx context.Context, b *Bus, m *meta, at *atomic.Pointer[snapshot], v any) error
	inlineAgain(v any, m *meta)
	// queueKept queues an event of a retained topic for everybody and returns
	// the inline subscriptions to drain once no lock is held.
	queueKept(v any, m *meta) ([]*serial, error)
}

// fanout is where events of one topic go: immutable once stored. What the most
// common way needs comes first.
type fanout[T any] struct {
	snapshot
	fn     func(context.Context, Event[T]) // the only subscriber, inline and typed: the shortest path
	scope  *scope                          // and its handler's
	inline []inlineSub[T]
	plain  bool // inline typed subscribers only: a short path
	*others[T]
}

// fanout1 is a fanout with the only inline subscriber beside it. It fills two
// cache lines, so that what comes first is in one.
type fanout1[T any] struct {
	fanout[T]
	first [1]inlineSub[T]
	_     [128 - 104]byte
}

// others is what a fanout has besides, where it is not plain.
type others[T any] struct {
	one   *lane[T]      // all subscribers are in it: another short path
	mixed []mixedSub[T] // used instead of inline when some take any payload
	boxes []boxGroup[T]
	timed bool
	keeps bool
}

type inlineSub[T any] struct {
	fn    func(context.Context, Event[T])
	scope *scope
	sub   *Subscription
}

// mixedSub has one of the two functions.
type mixedSub[T any] struct {
	inlineSub[T]
	any func(context.Context, Event[any])
}

// build makes the snapshot of t's subscriptions; t.mu is held.
func (kindOf[T]) build(t *topic) *snapshot {
	var f *fanout[T]
	if len(t.subs) == 1 {
		f1 := &fanout1[T]{}
		f = &f1.fanout
		f.inline = f1.first[:0]
	} else {
		f = &fanout[T]{}
	}
	f.others = &others[T]{keeps: t.keeps}
	mixed := false
	for _, s := range t.subs {
		f.timed = f.timed || s.timed
		if s.inline {
			fn, typed := s.typed.(func(context.Context, Event[T]))
			mixed = mixed || !typed
			if t.loose { // who ends s cannot take it out of here
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
		var b boxSub[T]
		if l, ok := s.lane.(*lane[T]); ok {
			b.typed = l
		} else {
			b.any = s.lane.(*lane[any])
		}
		i := slices.IndexFunc(f.boxes, func(g boxGroup[T]) bool { return g.box == s.box })
		if i < 0 {
			i = len(f.boxes)
			f.boxes = append(f.boxes, boxGroup[T]{box: s.box})
		}
		f.boxes[i].subs = append(f.boxes[i].subs, b)
		if s.limit == 0 {
			f.boxes[i].counted++
		}
	}
	for i := range f.boxes {
		f.boxes[i].one = f.boxes[i].shared()
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
	f.plain = len(f.boxes) == 0 && !mixed && !f.timed && !f.keeps
	if len(f.inline) > 1 {
		f.inline = slices.Clone(f.inline) // no larger than it must be
	}
	if len(f.boxes) == 1 && len(f.inline)+len(f.mixed) == 0 && !f.timed && !f.keeps {
		f.one = f.boxes[0].one
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

// publishAny is publish for a payload that came by name.
func (f *fanout[T]) publishAny(ctx context.Context, b *Bus, m *meta, at *atomic.Pointer[snapshot], v any) error {
	p, ok := v.(T)
	if !ok {
		var err error
		if p, err = convert[T]("publish "+m.topic.name, v); err != nil {
			return err
		}
		v = p
	}
	if isBackground(ctx) {
		if f.fn != nil {
			if r := f.enter(b, at); r != nil { // runInline, a call shorter
				f.runOne(Event[T]{p, m}, r)
				return nil
			}
		} else if f.plain {
			if len(f.inline) == 0 {
				return nil
			}
			if r := f.enter(b, at); r != nil { // runInline, a call shorter
				f.runFrom(0, Event[T]{p, m}, r)
				return nil
			}
		} else if f.one != nil && f.one.post(p, m, nil) {
			return nil
		}
	}
	return f.publish(ctx, m.topic, p, v)
}

// publish is the whole path; boxed is the payload as an interface if it is at
// hand.
func (f *fanout[T]) publish(ctx context.Context, t *topic, v T, boxed any) error {
	tail, ok := ctx.(*Tail)
	if ok {
		ctx = tail.Context
	}
	chain := Correlation(ctx)
	if f.plain {
		e := Event[T]{v, &t.meta}
		if chain != 0 {
			e.m = newMeta(t, false, chain)
		}
		if len(f.inline) > 0 {
			tail.Go() // inline handlers may take long, here and below
		}
		f.runInline(e)
		return nil
	}
	if f.keeps {
		tail.Go()
		return t.publishKept(v, f.timed, chain)
	}
	e := Event[T]{v, &t.meta}
	if f.timed || chain != 0 {
		e.m = newMeta(t, f.timed, chain)
	}
	var first error
	for i := range f.boxes {
		g := &f.boxes[i]
		if g.one != nil && g.one.post(v, e.m, tail) {
			continue
		}
		if err := g.push(ctx, e, &boxed, tail); err != nil {
			first = errors.Join(first, err)
		}
	}
	switch {
	case f.mixed != nil:
		tail.Go()
		f.runMixed(e, boxed)
	case len(f.inline) > 0:
		tail.Go()
		f.runInline(e)
	}
	if first != nil {
		tail.Go()
		t.bus.overflowed(first)
	}
	return first
}

// enter marks a publish that is about to call the inline subscribers of s, which
// was found at at. It returns nil if s is out of date: who was removed from it may
// have been told that no call will come any more.
func (s *snapshot) enter(b *Bus, at *atomic.Pointer[snapshot]) *reader {
	r := b.readers.enter()
	if at.Load() != s {
		r.leave()
		return nil
	}
	return r
}

// inlineAgain calls the inline subscribers of a snapshot that replaced the one
// the publish had begun with.
func (f *fanout[T]) inlineAgain(v any, m *meta) {
	p, err := convert[T]("publish "+m.topic.name, v)
	switch e := (Event[T]{p, m}); {
	case err != nil:
		m.topic.bus.log.Error("event lost: its type was declared while it was published", "event", m.topic.name, "error", err)
	case f.plain:
		f.runInline(e)
	case f.keeps:
		drainAll(f.serials(e, v))
	case f.mixed != nil:
		f.runMixed(e, v)
	case len(f.inline) > 0:
		f.runInline(e)
	}
}

// runInline calls the inline subscribers. One recover serves the whole loop,
// which goes on behind the subscriber that panicked.
func (f *fanout[T]) runInline(e Event[T]) {
	t := e.m.topic
	r := f.enter(t.bus, &t.snap)
	if r == nil {
		e.m.topic.snap.Load().list.inlineAgain(e.Data, e.m)
		return
	}
	f.runFrom(0, e, r)
}

// runOne is runFrom for the only subscriber.
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

// runMixed is runInline where some subscribers take any payload, which is
// boxed once.
func (f *fanout[T]) runMixed(e Event[T], boxed any) {
	if boxed == nil {
		boxed = e.Data
	}
	t := e.m.topic
	r := f.enter(t.bus, &t.snap)
	if r == nil {
		e.m.topic.snap.Load().list.inlineAgain(boxed, e.m)
		return
	}
	f.runMixedFrom(0, e, Event[any]{boxed, e.m}, r)
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
