package bus

// A sharedLane is the part of a lane that several subscriptions share. An event is queued once in the lane, and the
// consumer calls the subscriptions one after the other. The list never changes: when somebody subscribes to the event,
// or a subscription ends, the topic gets a new lane with a new list, and later events go by that one.
type sharedLane[T any] struct {
	subs []*lane[T] // the lanes of the single subscriptions; each has a subscription and its handler
	next int        // index in subs of the one that is called next; only the consumer uses it
}

// makeSingle returns one lane that reaches all subscriptions of the group. It returns nil if an event must be queued
// for each subscription, because one of them may drop events or takes any payload.
func (g *mailboxGroup[T]) makeSingle() *lane[T] {
	if g.counted != len(g.subs) {
		return nil
	}
	c := &sharedLane[T]{subs: make([]*lane[T], len(g.subs))}
	for i, s := range g.subs {
		if s.typed == nil {
			return nil
		}
		c.subs[i] = s.typed
	}
	if len(c.subs) == 1 {
		return c.subs[0]
	}
	return &lane[T]{box: g.box, sharedLane: c}
}

// deliverAll is deliver for a shared lane. When a handler panics, the consumer calls deliverAll again, which then goes
// on with the next subscription.
func (l *lane[T]) deliverAll(mb *mailbox, r *run) {
	var zero T
	for ; r.n > 0; r.n-- {
		e := Event[T]{l.work[l.at], r.m}
		for l.next < len(l.subs) {
			s := l.subs[l.next]
			l.next++
			mb.pos.Store(mb.pos.Load() + 1) // only the consumer stores
			if !s.sub.dead.Load() {
				s.fn(s.sub.scope, e)
			}
		}
		l.next = 0
		l.work[l.at] = zero
		l.at++
	}
}
