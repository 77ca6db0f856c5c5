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

// queueRetained implements fan; t.retain is held.
func (f *fanout[T]) queueRetained(v any, m *meta) ([]*serial, error) {
	p, err := convert[T]("publish "+m.topic.name, v)
	if err != nil {
		return nil, err
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
func (t *topic) publishRetained(v any, timed bool, chain uint64) error {
	t.retain.Lock()
	list, err := t.snap.Load().list.queueRetained(v, newMeta(t, timed, chain))
	t.retain.Unlock()
	drainAll(list)
	t.bus.overflowed(err)
	return err
}

// republish publishes v and retains it.
func (t *topic) republish(ctx context.Context, c *Client, v any) error {
	t.mu.Lock()
	k := t.kind
	t.mu.Unlock()
	v, err := k.convert("republish "+t.name, v)
	if err != nil {
		return err
	}
	return t.swap(ctx, c, func(any, bool) (any, bool) { return v, true })
}

// swap republishes, for c, what f makes of the retained value, if f says so. f
// is called with the retain mutex held.
func (t *topic) swap(ctx context.Context, c *Client, f func(old any, has bool) (any, bool)) error {
	t.mu.Lock()
	if !t.retains {
		t.retains = true
		t.changed()
	}
	t.mu.Unlock()
	t.retain.Lock()
	if err := c.publishRefused(ctx, "republish ", t); err != nil {
		// Under retain: once c is down its values have been forgotten.
		t.retain.Unlock()
		return err
	}
	v, ok := f(t.value, t.has)
	if !ok {
		t.retain.Unlock()
		return nil
	}
	t.rev++
	t.value, t.has, t.at = v, true, time.Now()
	if w := t.bus.watch.Load(); w != nil {
		w.event(ctx, t, v)
	}
	list, err := t.snap.Load().list.queueRetained(v, &meta{topic: t, time: t.at, revision: t.rev, chain: Correlation(ctx)})
	t.retain.Unlock()
	if len(list) > 0 {
		waitingScope(ctx) // inline handlers may take long
	}
	drainAll(list)
	t.bus.overflowed(err)
	return err
}

func (t *topic) clearRetained() {
	t.retain.Lock()
	t.value, t.has = nil, false
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

func (t *topic) attachRetained(s *Subscription, k kind) ([]*serial, bool, error) {
	t.retain.Lock()
	t.mu.Lock()
	if t.has && t.kind.untyped() {
		// Before s gives the topic its type, which would stay.
		if _, err := k.convert("subscribe "+t.name, t.value); err != nil {
			t.mu.Unlock()
			t.retain.Unlock()
			return nil, true, err
		}
	}
	ok, err := t.attachLocked(s, k)
	solo := &topic{bus: t.bus, name: t.name, kind: t.kind, subs: ordered[*Subscription]{all: []*Subscription{s}}, retains: true}
	t.mu.Unlock()
	var list []*serial
	if ok && err == nil && t.has {
		list, err = solo.kind.build(solo).list.queueRetained(t.value, &meta{topic: t, time: t.at, revision: t.rev, replay: true})
	}
	t.retain.Unlock()
	return list, ok, err
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
