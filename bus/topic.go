package bus

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// A topic is one event name. Publishing reads its snapshot; everything else
// changes the list of subscriptions under mu and stores a new one.
type topic struct {
	snap atomic.Pointer[snapshot] // stored by rebuild alone
	bus  *Bus
	meta meta // shared by the events that carry nothing of their own

	name      string
	namespace string

	mu       sync.Mutex // guards what follows; after bus.mu and retain, before mailboxes
	out      *outlet    // of the client that owns the name, once it has published or declared it
	kind     kind
	subs     []*Subscription // in the order they were made
	doc      string
	declared bool
	cached   bool // its client holds the topic by short name
	stray    bool // and it counts among the bus's strays
	loose    bool // made for one publish, in nobody's reach afterwards
	gone     bool // removed from the bus's table
	keeps    bool // republished at least once: every publish takes retain

	retain sync.Mutex // orders publishing, clearing and subscribing once keeps is set
	value  any        // guarded by retain
	rev    uint64     // guarded by retain
	has    bool       // guarded by retain
	at     time.Time  // guarded by retain
}

// An outlet is where the owner of an event publishes it: as much of the topic as
// publishing needs, so that those of thousands of topics stay in the cache. Its
// snapshot is its topic's as long as it is the topic's outlet, elsewhere
// afterwards.
type outlet struct {
	snap   atomic.Pointer[snapshot]
	meta   *meta // the topic's
	client *Client
}

func (o *outlet) topic() *topic { return o.meta.topic }

// elsewhere is for the outlets of a client that is gone: the way goes by the
// topic, which may have another one.
var elsewhere = &snapshot{list: detour{}}

type detour struct{}

func (detour) publishAny(ctx context.Context, _ *Bus, m *meta, _ *atomic.Pointer[snapshot], v any) error {
	return m.topic.publishAny(ctx, v)
}
func (detour) inlineAgain(v any, m *meta) { m.topic.snap.Load().list.inlineAgain(v, m) }
func (detour) queueKept(v any, m *meta) ([]*serial, error) {
	return m.topic.snap.Load().list.queueKept(v, m)
}

// rebuild makes what has changed known to publishers; t.mu is held.
func (t *topic) rebuild() {
	s := t.kind.build(t)
	t.snap.Store(s)
	if t.out != nil {
		t.out.snap.Store(s)
	}
}

// outlet returns c's outlet; t.mu is held.
func (t *topic) outlet(c *Client) *outlet {
	if t.out != nil && t.out.client == c {
		return t.out
	}
	o := &outlet{meta: &t.meta, client: c}
	if t.out != nil && t.out.client.state.Load() < stateStopped { // c is gone, another has its name
		o.snap.Store(elsewhere)
		return o
	}
	t.shut()
	t.out = o
	o.snap.Store(t.snap.Load())
	return o
}

// shut parts the topic and its outlet; t.mu is held.
func (t *topic) shut() {
	if t.out != nil {
		t.out.snap.Store(elsewhere)
		t.out = nil
	}
}

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

// boxGroup is the subscriptions of one mailbox.
type boxGroup[T any] struct {
	box     *mailbox
	subs    []boxSub[T]
	counted int      // of subs, those that the limits count
	one     *lane[T] // of all of them, if none ever drops or takes any payload
}

// boxSub has one of the two lanes.
type boxSub[T any] struct {
	typed *lane[T]
	any   *lane[any]
}

func newTopic(b *Bus, name, namespace string) *topic {
	t := &topic{bus: b, name: name, namespace: namespace, kind: kindOf[any]{}}
	t.meta.topic = t
	t.rebuild()
	return t
}

// unheard reports whether nobody is subscribed.
func (t *topic) unheard() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.subs) == 0
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

// newMeta is for an event that carries something of its own.
func newMeta(t *topic, timed bool, chain uint64) *meta {
	m := &meta{topic: t, chain: chain}
	if timed {
		m.time = time.Now()
	}
	return m
}

// setKind gives the topic its payload type; t.mu is held. A topic that was
// only ever used by name takes any type.
func (t *topic) setKind(k kind) error {
	if t.kind.typ() == k.typ() || k.untyped() {
		return nil
	}
	if !t.kind.untyped() {
		return ErrWrongType.with(t.name, "the event carries "+t.kind.typ().String()+", not "+k.typ().String())
	}
	t.kind = k
	return nil
}

// publishAny publishes what was given by name, by a way that needs no outlet.
func (t *topic) publishAny(ctx context.Context, v any) error {
	return t.snap.Load().list.publishAny(ctx, t.bus, &t.meta, &t.snap, v)
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
		} else if f.one != nil && f.one.post(p, m) {
			return nil
		}
	}
	return f.publish(ctx, m.topic, p, v)
}

// publish is the whole path; boxed is the payload as an interface if it is at
// hand.
func (f *fanout[T]) publish(ctx context.Context, t *topic, v T, boxed any) error {
	chain := Correlation(ctx)
	if f.plain {
		e := Event[T]{v, &t.meta}
		if chain != 0 {
			e.m = newMeta(t, false, chain)
		}
		f.runInline(e)
		return nil
	}
	if f.keeps {
		return t.publishKept(v, f.timed, chain)
	}
	e := Event[T]{v, &t.meta}
	if f.timed || chain != 0 {
		e.m = newMeta(t, f.timed, chain)
	}
	var first error
	for i := range f.boxes {
		g := &f.boxes[i]
		if g.one != nil && g.one.post(v, e.m) {
			continue
		}
		if err := g.push(ctx, e, &boxed); err != nil {
			first = errors.Join(first, err)
		}
	}
	switch {
	case f.mixed != nil:
		f.runMixed(e, boxed)
	case len(f.inline) > 0:
		f.runInline(e)
	}
	if first != nil {
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

// push queues e for the subscriptions of one mailbox.
func (g *boxGroup[T]) push(ctx context.Context, e Event[T], boxed *any) error {
	mb := g.box
	mb.mu.Lock()
	if mb.counted+g.counted > mb.soft && g.counted > 0 {
		if err := mb.room(ctx, g.counted, e.m.topic); err != nil { // which has unlocked
			g.addDropping(e, boxed)
			return err
		}
	}
	g.add(e, boxed)
	wake := mb.wakeLocked()
	mb.mu.Unlock()
	if wake {
		go mb.run()
	}
	return nil
}

// force is push without waiting, up to the hard limit.
func (g *boxGroup[T]) force(e Event[T], boxed *any) error {
	mb := g.box
	mb.mu.Lock()
	if mb.counted+g.counted > mb.hard && g.counted > 0 {
		err := mb.overflowLocked(g.counted, e.m.topic) // which has unlocked
		g.addDropping(e, boxed)
		return err
	}
	g.add(e, boxed)
	wake := mb.wakeLocked()
	mb.mu.Unlock()
	if wake {
		go mb.run()
	}
	return nil
}

// add appends to the lanes; the mailbox's mutex is held.
func (g *boxGroup[T]) add(e Event[T], boxed *any) {
	if g.one != nil {
		g.one.put(e.Data, e.m)
		return
	}
	for i := range g.subs {
		g.subs[i].put(e, boxed)
	}
}

// addDropping queues an event that does not fit for those subscriptions that
// rather drop than count.
func (g *boxGroup[T]) addDropping(e Event[T], boxed *any) {
	if g.counted == len(g.subs) {
		return
	}
	mb := g.box
	mb.mu.Lock()
	for i := range g.subs {
		if s := &g.subs[i]; s.subscription().limit > 0 {
			s.put(e, boxed)
		}
	}
	wake := mb.wakeLocked()
	mb.mu.Unlock()
	if wake {
		go mb.run()
	}
}

func (s *boxSub[T]) subscription() *Subscription {
	if s.typed != nil {
		return s.typed.sub
	}
	return s.any.sub
}

func (s *boxSub[T]) put(e Event[T], boxed *any) {
	if s.typed != nil {
		s.typed.put(e.Data, e.m)
		return
	}
	if *boxed == nil {
		*boxed = e.Data
	}
	s.any.put(*boxed, e.m)
}
