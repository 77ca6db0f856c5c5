package bus

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Retained events. All that touches the value of one (publishing, clearing,
// subscribing) takes the topic's retain mutex and queues under it without
// waiting, so every subscriber gets each value once, as replay or live, and the
// last value queued is the one retained.

// A serial runs the inline calls of one subscription to a retained topic one at
// a time and in order: whoever finds it idle drains it, with no lock held.
type serial struct {
	sub   *Subscription
	mu    sync.Mutex // guards what follows
	queue []func()
	busy  bool
}

func (q *serial) put(f func()) {
	q.mu.Lock()
	q.queue = append(q.queue, f)
	q.mu.Unlock()
}

func (q *serial) drain() {
	q.mu.Lock()
	if q.busy {
		q.mu.Unlock()
		return
	}
	q.busy = true
	q.mu.Unlock()
	for q.step() {
	}
}

// step runs one call; it reports false when nothing was left.
func (q *serial) step() (more bool) {
	q.mu.Lock()
	if len(q.queue) == 0 {
		q.busy = false
		q.mu.Unlock()
		return false
	}
	f := q.queue[0]
	q.queue = q.queue[1:]
	q.mu.Unlock()
	r := q.sub.client.bus.readers.enter()
	normal := false
	defer func() {
		r.leave()
		if normal {
			return
		}
		if p := recover(); p != nil {
			q.sub.panicked(p)
			more = true
			return
		}
		q.mu.Lock()
		q.busy = false
		q.mu.Unlock()
		go q.drain() // runtime.Goexit: this goroutine ends here, another takes its place
	}()
	if !q.sub.dead.Load() {
		f()
	}
	normal = true
	return true
}

func drainAll(list []*serial) {
	at := 0
	defer func() {
		if at < len(list) { // runtime.Goexit
			go drainAll(list[at+1:])
		}
	}()
	for ; at < len(list); at++ {
		list[at].drain()
	}
}

// errOtherKind is returned by queueRetained if the payload is not of the topic's type, which was declared meanwhile.
// Whoever gets it converts the payload, when it holds no lock, and tries again.
var errOtherKind = errors.New("payload of another type")

// queueRetained implements anyFanout; t.retain is held.
func (f *fanout[T]) queueRetained(v any, m *meta) ([]*serial, error) {
	p, ok := v.(T)
	if !ok && v != nil {
		return nil, errOtherKind
	}
	e := Event[T]{p, m}
	if f.plain { // no longer a retained one
		return f.serials(e, v), nil
	}
	var errs []error
	for i := range f.groups {
		if err := f.groups[i].force(e, &v); err != nil {
			errs = append(errs, err)
		}
	}
	return f.serials(e, v), errors.Join(errs...)
}

// serials queues e for the inline subscriptions and returns their queues.
func (f *fanout[T]) serials(e Event[T], v any) (list []*serial) {
	for i := range f.inline {
		s := &f.inline[i]
		s.sub.serial.put(func() { s.fn(s.scope, e) })
		list = append(list, s.sub.serial)
	}
	if f.plain {
		return list
	}
	for i := range f.mixed {
		s := &f.mixed[i]
		s.sub.serial.put(func() {
			if s.any != nil {
				s.any(s.scope, Event[any]{v, e.m})
			} else {
				s.fn(s.scope, e)
			}
		})
		list = append(list, s.sub.serial)
	}
	return list
}

// publishRetained publishes plainly on a retained topic.
func (t *topic) publishRetained(v any, m *meta) error {
	for {
		t.retain.Lock()
		list, err := t.snap.Load().list.queueRetained(v, m)
		t.retain.Unlock()
		if err == errOtherKind {
			if v, err = t.currentKind().convert("publish "+t.name, v, m.foreign()); err != nil {
				return err
			}
			continue
		}
		drainAll(list)
		t.bus.overflowed(err)
		return err
	}
}

func (t *topic) currentKind() kind {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.kind
}

// republish publishes v and retains it.
func (t *topic) republish(ctx context.Context, c *Client, v any) error {
	for {
		k := t.currentKind()
		p, err := k.convert("republish "+t.name, v, fromLink(ctx))
		if err != nil {
			return err
		}
		if ok, err := t.swap(ctx, c, k, func(any, bool) (any, bool) { return p, true }); ok {
			return err
		}
	}
}

// swap republishes, for c, what f makes of the retained value, if f says so. f is called with the retain mutex held,
// and returns a value of the kind k. swap reports false if that is not the topic's kind any more.
func (t *topic) swap(ctx context.Context, c *Client, k kind, f func(old any, has bool) (any, bool)) (bool, error) {
	m := newMeta(ctx, t, true, lineageOf(ctx)) // before the locks: it may ask the program for the trace
	t.mu.Lock()
	if !t.retains {
		t.retains = true
		t.changed()
	}
	t.mu.Unlock()
	list, ok, err := t.swapRetained(ctx, c, k, m, f)
	if len(list) > 0 {
		waitingScope(ctx) // inline handlers may take long
	}
	drainAll(list)
	t.bus.overflowed(err)
	return ok, err
}

func (t *topic) swapRetained(ctx context.Context, c *Client, k kind, m *meta, f func(old any, has bool) (any, bool)) ([]*serial, bool, error) {
	t.retain.Lock()
	defer t.retain.Unlock()
	if err := c.publishRefused(ctx, "republish ", t); err != nil {
		return nil, true, err // under retain: once c is down its values have been forgotten
	}
	t.mu.Lock()
	same, s := t.kind.typ() == k.typ(), t.freshLocked()
	t.mu.Unlock()
	if !same {
		return nil, false, nil
	}
	v, ok := f(t.value, t.has)
	if !ok {
		return nil, true, nil
	}
	t.rev++
	m.revision, m.time = t.rev, time.Now()
	t.value, t.has, t.last = v, true, m
	if w := t.bus.watch.Load(); w != nil {
		w.event(t, m.lineage, v)
	}
	list, err := s.list.queueRetained(v, m)
	return list, true, err
}

func (t *topic) clearRetained() {
	t.retain.Lock()
	t.value, t.has, t.last = nil, false, nil
	t.retain.Unlock()
}

// attach adds s to t's subscriptions and queues the retained value for it. It
// returns false if the topic has left the bus's table, and what to drain once
// the caller holds no lock.
func (t *topic) attach(s *Subscription, k kind) ([]*serial, bool, error) {
	t.mu.Lock()
	if t.retains {
		t.mu.Unlock()
		return t.attachRetained(s, k)
	}
	defer t.mu.Unlock()
	ok, err := t.attachLocked(s, k)
	return nil, ok, err
}

// attachRetained is attach for a topic that has, or had, a retained value. That is converted to the type that s asks for
// while no lock is held, since it is code of users.
func (t *topic) attachRetained(s *Subscription, k kind) (list []*serial, ok bool, err error) {
	var ready, missing conversion
	for {
		if list, missing, ok, err = t.attachConverted(s, k, ready); missing.to == nil {
			return list, ok, err
		}
		if missing.value, err = missing.to.convert("subscribe "+t.name, missing.value, missing.of.foreign()); err != nil {
			return nil, true, err // before s has given the topic its type, which would stay
		}
		ready = missing
	}
}

// conversion is a retained value on its way to another type.
type conversion struct {
	value any
	of    *meta // the event that brought it
	to    kind
}

// attachConverted does attachRetained if the retained value is of the right type or ready is it; otherwise it does
// nothing and returns what must be converted.
func (t *topic) attachConverted(s *Subscription, k kind, ready conversion) (list []*serial, missing conversion, ok bool, err error) {
	t.retain.Lock()
	defer t.retain.Unlock()
	t.mu.Lock()
	to, value := t.kind, t.value
	if to.untyped() {
		to = k
	}
	if t.has && !to.holds(value) {
		if ready.of != t.last || ready.to.typ() != to.typ() {
			t.mu.Unlock()
			return nil, conversion{value, t.last, to}, false, nil
		}
		value = ready.value
	}
	ok, err = t.attachLocked(s, k)
	solo := &topic{bus: t.bus, name: t.name, kind: t.kind, subs: ordered[*Subscription]{all: []*Subscription{s}}, retains: true}
	t.mu.Unlock()
	if ok && err == nil && t.has {
		t.value = value
		m := *t.last
		m.revision, m.chain = m.revision|replayBit, 0
		list, err = solo.kind.build(solo).list.queueRetained(value, &m)
	}
	return list, missing, ok, err
}

func (t *topic) attachLocked(s *Subscription, k kind) (bool, error) {
	if t.gone {
		return false, nil
	}
	// Under mu: ending s takes it out of subs after this.
	if s.left.Load() {
		return true, s.client.gone("subscribe " + s.name)
	}
	if err := t.setKind(k); err != nil {
		return true, err
	}
	t.subs.add(s)
	if !s.isWild {
		s.topic = t
		t.exact++
	}
	t.changed()
	return true, nil
}
