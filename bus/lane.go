package bus

import (
	"context"
	"unsafe"
)

// swapper is a lane as the mailbox sees it.
type swapper interface {
	runner
	swap()
}

// A lane holds the payloads that wait for one subscription, by value and in
// order, so that queueing allocates nothing per event. The subscriptions of one
// mailbox to one event share another one, a crowd.
type lane[T any] struct {
	box   *mailbox
	sub   *Subscription
	fn    func(context.Context, Event[T])
	dirty bool
	fill  []T // guarded by the mailbox's mutex
	work  []T // the consumer's
	at    int
	*dropper
	*crowd[T]
}

// dropper is what a lane has besides if its subscription may drop.
type dropper struct {
	head  int     // of fill: older ones were dropped
	metas []*meta // of fill
	mwork []*meta // of work
}

func newLane[T any](s *Subscription, fn func(context.Context, Event[T])) *lane[T] {
	l := &lane[T]{box: s.box, sub: s, fn: fn}
	if s.limit != 0 {
		l.dropper = &dropper{}
	}
	return l
}

func (l *lane[T]) subscription(n int) *Subscription {
	if l.crowd != nil {
		return l.subs[n%len(l.subs)].sub
	}
	return l.sub
}

// post queues a payload for a subscription that never drops, if there is room
// for it without waiting. It is the short way of put. A consumer that does not run
// is started, or left to tail.
func (l *lane[T]) post(v T, m *meta, tail *Tail) bool {
	mb, calls := l.box, 1
	if l.crowd != nil {
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
	if n := len(mb.fill) - 1; mb.tail == unsafe.Pointer(l) && mb.fill[n].m == m {
		mb.fill[n].n++
	} else {
		mb.tail = unsafe.Pointer(l)
		mb.fill = append(mb.fill, run{l, m, 1})
	}
	wake := !mb.running
	mb.running = true
	mb.mu.Unlock()
	if wake {
		mb.start(tail)
	}
	return true
}

// put queues a payload; the mailbox's mutex is held.
func (l *lane[T]) put(v T, m *meta) {
	s, calls := l.sub, 1
	switch {
	case l.crowd != nil:
		calls = len(l.subs)
		l.box.counted += calls
	case s.dead.Load():
		return // a publish that began before the subscription ended
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
		m = nil // runs of it need not agree
	}
	mb := l.box
	mb.waiting += calls
	if !l.dirty {
		l.dirty = true
		mb.lanes = append(mb.lanes, l)
	}
	l.fill = append(l.fill, v)
	if n := len(mb.fill) - 1; mb.tail == unsafe.Pointer(l) && mb.fill[n].m == m {
		mb.fill[n].n++
		return
	}
	mb.tail = unsafe.Pointer(l)
	mb.fill = append(mb.fill, run{l, m, 1})
}

// replaceOldest drops the oldest payload and queues v. The oldest one's place
// among the plugin's other events goes to the next.
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

// swap hands what waits to the consumer, which has finished the last batch;
// the mailbox's mutex is held.
func (l *lane[T]) swap() {
	l.fill, l.work = l.work[:0], l.fill
	l.at, l.dirty = 0, false
	if d := l.dropper; d != nil {
		d.metas, d.mwork = d.mwork[:0], d.metas
		l.at, d.head = d.head, 0
	}
}

func (l *lane[T]) deliver(mb *mailbox, r *run) {
	if l.crowd != nil {
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
			m = l.mwork[at]
			l.mwork[at] = nil
		}
		mb.pos.Store(mb.pos.Load() + 1) // the consumer alone stores
		if !l.sub.dead.Load() {
			l.fn(l.sub.scope, Event[T]{v, m})
		}
	}
}
