package bus

import "context"

// A laneHead is what the mailbox knows of a lane: all but the payloads, whose type it does not know.
type laneHead struct {
	box    *mailbox
	sub    *Subscription // nil in a shared lane
	self   batchLane     // the lane itself
	calls  int           // how many handlers are called for a payload
	filled int           // how many payloads wait, besides those of the open run; the mailbox's mutex guards it
	dirty  bool          // the lane is in the mailbox's list of lanes that have something; the mutex guards it
}

// A batchLane is a lane as the mailbox uses it.
type batchLane interface {
	deliverer
	swap()
}

// A lane holds the payloads of one event that wait for one subscription. They lie in a slice of their own type, so
// that queueing a payload allocates nothing. The mailbox itself only holds the order in which its lanes are served.
//
// As the mailbox does, a lane has two slices: publishers put into fill, while the consumer works through work. When the
// consumer takes a batch, the two change places.
//
// When several subscriptions of one mailbox hear the same event, they have one lane together; see sharedLane.
type lane[T any] struct {
	laneHead
	fn   func(context.Context, Event[T]) // the handler; nil in a shared lane
	fill []T                             // as long as its capacity; the mailbox's mutex guards it
	work []T                             // only the consumer uses it
	at   int                             // index in work of the first payload of the run; only the consumer uses it
	*dropState
	subs []*lane[T] // the lanes of the subscriptions that share this one; nil in a lane of one subscription
}

// dropState is what a lane has in addition if its subscription may drop events. Such a lane keeps the meta of each
// payload beside it, because the runs of the mailbox no longer fit the payloads once one was dropped.
type dropState struct {
	head      int     // index in fill of the oldest payload; those before it were dropped
	metas     []*meta // one for each payload in fill
	workMetas []*meta // one for each payload in work
}

func newLane[T any](s *Subscription, fn func(context.Context, Event[T])) *lane[T] {
	l := &lane[T]{laneHead: laneHead{box: s.box, sub: s, calls: 1}, fn: fn}
	l.self = l
	if s.limit != 0 {
		l.dropState = &dropState{}
	}
	return l
}

func (l *lane[T]) subscription(n int) *Subscription {
	if l.subs != nil {
		return l.subs[n%len(l.subs)].sub
	}
	return l.sub
}

// post queues a payload for subscriptions that never drop. It does not wait: if the mailbox is at its soft limit, post
// queues nothing and returns false. It takes the mutex itself. If the mailbox sleeps, post wakes it. h is the handoff of
// the publisher, or nil.
func (l *lane[T]) post(v T, m *meta, h *handoff) bool {
	mb := l.box
	mb.mu.Lock()
	if mb.counted+l.calls > mb.soft {
		mb.mu.Unlock()
		return false
	}
	mb.counted += l.calls
	l.add(v, m)
	if mb.sleepsLocked() {
		mb.wake(h)
		return true
	}
	mb.mu.Unlock()
	return true
}

// put queues a payload for subscriptions of any kind. The caller holds the mailbox's mutex, has looked at the limits, and
// wakes the mailbox.
func (l *lane[T]) put(v T, m *meta) {
	mb, s := l.box, l.sub
	switch {
	case l.subs != nil:
		mb.counted += l.calls
	case s.dead.Load():
		return // the publish began before the subscription ended
	case s.limit == 0:
		mb.counted++
	default:
		n := l.filled - l.head
		if mb.open == &l.laneHead {
			n += mb.openLen
		}
		if n >= s.limit {
			s.dropped.Add(1)
			if !s.dropNewest {
				l.replaceOldest(v, m)
			}
			return
		}
		mb.uncounted++
		l.metas = append(l.metas, m)
		m = nil // the run does not say which payload it is for; metas does
	}
	l.add(v, m)
}

// add puts a payload behind all others of the mailbox. The mailbox's mutex is held.
func (l *lane[T]) add(v T, m *meta) {
	mb := l.box
	if mb.open != &l.laneHead || mb.openMeta != m {
		mb.openRun(&l.laneHead, m)
	}
	l.store(l.filled+mb.openLen, v)
	mb.openLen++
}

// store puts a payload into fill, at an index that is no more than one beyond the last.
func (l *lane[T]) store(i int, v T) {
	if i < len(l.fill) {
		l.fill[i] = v
		return
	}
	l.fill = append(l.fill[:i], v)
	l.fill = l.fill[:cap(l.fill)]
}

// replaceOldest drops the oldest payload and queues v. The next payload takes the place of the oldest one among the
// plugin's other events.
func (l *lane[T]) replaceOldest(v T, m *meta) {
	var zero T
	l.box.closeRun() // so that filled counts all of them
	l.fill[l.head], l.metas[l.head] = zero, nil
	l.head++
	if l.head >= l.sub.limit {
		left := copy(l.fill, l.fill[l.head:l.filled])
		clear(l.fill[left:l.filled])
		l.metas = append(l.metas[:0], l.metas[l.head:]...)
		l.filled, l.head = left, 0
	}
	l.store(l.filled, v)
	l.filled++
	l.metas = append(l.metas, m)
}

// swap hands what waits to the consumer, which has finished the last batch. The mailbox's mutex is held.
func (l *lane[T]) swap() {
	l.fill, l.work = l.work[:cap(l.work)], l.fill[:l.filled]
	l.filled, l.at, l.dirty = 0, 0, false
	if d := l.dropState; d != nil {
		d.metas, d.workMetas = d.workMetas[:0], d.metas
		l.at, d.head = d.head, 0
	}
}

// deliver implements deliverer. What a publisher writes it does not touch, and what it writes for each call is the
// position of the mailbox and the payload's place: on several cores each cache line that both write costs more than
// everything else here.
func (l *lane[T]) deliver(mb *mailbox, r *run) {
	if l.subs != nil {
		l.deliverAll(mb, r)
		return
	}
	var zero T
	sub, fn, scope, m := l.sub, l.fn, l.sub.scope, r.m
	pos := mb.pos.Load()
	for i := l.at + mb.doneInRun(); i < l.at+r.n; i++ {
		v := l.work[i]
		l.work[i] = zero
		if sub.limit != 0 {
			m, l.workMetas[i] = l.workMetas[i], nil
		}
		pos++
		mb.pos.Store(pos) // only the consumer stores
		if !sub.dead.Load() {
			fn(scope, Event[T]{v, m})
		}
	}
	l.at += r.n
}
