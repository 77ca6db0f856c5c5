package bus

import (
	"context"
	"unsafe"
)

// A batchLane is a lane as the mailbox sees it, which does not know the type of the payloads.
type batchLane interface {
	deliverer
	swap()
}

// A lane holds the payloads of one event that wait for one subscription. They lie in a slice of their own type, so
// that queueing a payload allocates nothing. The mailbox itself only holds the order in which its lanes are served.
//
// As the mailbox does, a lane has two slices: publishers append to fill, while the consumer works through work. When the
// consumer takes a batch, the two change places.
//
// When several subscriptions of one mailbox hear the same event, they have one lane together; see sharedLane.
type lane[T any] struct {
	box   *mailbox
	sub   *Subscription                   // nil in a shared lane
	fn    func(context.Context, Event[T]) // the handler; nil in a shared lane
	dirty bool                            // the lane is in the mailbox's list of lanes with something in fill
	fill  []T                             // guarded by the mailbox's mutex
	work  []T                             // only the consumer uses it
	at    int                             // index in work of the next payload
	*dropState
	*sharedLane[T]
}

// dropState is what a lane has in addition if its subscription may drop events. Such a lane keeps the meta of each
// payload beside it, because the runs of the mailbox no longer fit the payloads once one was dropped.
type dropState struct {
	head      int     // index in fill of the oldest payload; those before it were dropped
	metas     []*meta // one for each payload in fill
	workMetas []*meta // one for each payload in work
}

func newLane[T any](s *Subscription, fn func(context.Context, Event[T])) *lane[T] {
	l := &lane[T]{box: s.box, sub: s, fn: fn}
	if s.limit != 0 {
		l.dropState = &dropState{}
	}
	return l
}

func (l *lane[T]) subscription(n int) *Subscription {
	if l.sharedLane != nil {
		return l.subs[n%len(l.subs)].sub
	}
	return l.sub
}

// post queues a payload for subscriptions that never drop. It does not wait: if the mailbox is at its soft limit, post
// queues nothing and returns false. It takes the mutex itself. If the mailbox sleeps, post wakes it. h is the handoff of the
// publisher, or nil.
func (l *lane[T]) post(v T, m *meta, h *handoff) bool {
	mb, calls := l.box, 1
	if l.sharedLane != nil {
		calls = len(l.subs)
	}
	mb.mu.Lock()
	if mb.counted+calls > mb.soft {
		mb.mu.Unlock()
		return false
	}
	mb.counted += calls
	mb.waiting += calls
	if !l.dirty {
		l.dirty = true
		mb.lanes = append(mb.lanes, l)
	}
	l.fill = append(l.fill, v)
	if n := len(mb.fill) - 1; mb.lastLane == unsafe.Pointer(l) && mb.fill[n].m == m {
		mb.fill[n].n++
	} else {
		mb.lastLane = unsafe.Pointer(l)
		mb.fill = append(mb.fill, run{l, m, 1})
	}
	if mb.sleepsLocked() {
		mb.wake(h)
		return true
	}
	mb.mu.Unlock()
	return true
}

// put queues a payload for subscriptions of any kind. The caller holds the mailbox's mutex, has looked at the limits, and
// starts the consumer.
func (l *lane[T]) put(v T, m *meta) {
	s, calls := l.sub, 1
	switch {
	case l.sharedLane != nil:
		calls = len(l.subs)
		l.box.counted += calls
	case s.dead.Load():
		return // the publish began before the subscription ended
	case s.limit == 0:
		l.box.counted++
	default:
		if len(l.fill)-l.head >= s.limit {
			s.dropped.Add(1)
			if !s.dropNewest {
				l.replaceOldest(v, m)
			}
			return
		}
		l.metas = append(l.metas, m)
		m = nil // the run does not say which payload it is for; metas does
	}
	mb := l.box
	mb.waiting += calls
	if !l.dirty {
		l.dirty = true
		mb.lanes = append(mb.lanes, l)
	}
	l.fill = append(l.fill, v)
	if n := len(mb.fill) - 1; mb.lastLane == unsafe.Pointer(l) && mb.fill[n].m == m {
		mb.fill[n].n++
		return
	}
	mb.lastLane = unsafe.Pointer(l)
	mb.fill = append(mb.fill, run{l, m, 1})
}

// replaceOldest drops the oldest payload and queues v. The next payload takes the place of the oldest one among the
// plugin's other events.
func (l *lane[T]) replaceOldest(v T, m *meta) {
	var zero T
	l.fill[l.head], l.metas[l.head] = zero, nil
	l.head++
	if l.head >= l.sub.limit {
		l.fill = append(l.fill[:0], l.fill[l.head:]...)
		l.metas = append(l.metas[:0], l.metas[l.head:]...)
		l.head = 0
	}
	l.fill, l.metas = append(l.fill, v), append(l.metas, m)
}

// swap hands what waits to the consumer, which has finished the last batch. The mailbox's mutex is held.
func (l *lane[T]) swap() {
	l.fill, l.work = l.work[:0], l.fill
	l.at, l.dirty = 0, false
	if d := l.dropState; d != nil {
		d.metas, d.workMetas = d.workMetas[:0], d.metas
		l.at, d.head = d.head, 0
	}
}

// deliver implements deliverer.
func (l *lane[T]) deliver(mb *mailbox, r *run) {
	if l.sharedLane != nil {
		l.deliverAll(mb, r)
		return
	}
	var zero T
	for r.n > 0 {
		r.n--
		at := l.at
		l.at++
		v, m := l.work[at], r.m
		l.work[at] = zero
		if l.sub.limit != 0 {
			m = l.workMetas[at]
			l.workMetas[at] = nil
		}
		mb.pos.Store(mb.pos.Load() + 1) // only the consumer stores
		if !l.sub.dead.Load() {
			l.fn(l.sub.scope, Event[T]{v, m})
		}
	}
}
