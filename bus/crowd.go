package bus

// A crowd is the subscriptions that share a lane: an event is queued once for all
// of them. It never changes; subscribing to the event or ending a subscription makes
// the next event go by another lane, with another crowd.
type crowd[T any] struct {
	subs []*lane[T] // each with its own subscription and handler
	next int        // of subs: who is called next; the consumer's
}

// shared returns the lane by which an event reaches all subscriptions of the
// group, or nil if it is queued for each of them.
func (g *boxGroup[T]) shared() *lane[T] {
	if g.counted != len(g.subs) {
		return nil
	}
	c := &crowd[T]{subs: make([]*lane[T], len(g.subs))}
	for i, s := range g.subs {
		if s.typed == nil {
			return nil
		}
		c.subs[i] = s.typed
	}
	if len(c.subs) == 1 {
		return c.subs[0]
	}
	return &lane[T]{box: g.box, crowd: c}
}

// deliverAll is deliver for a crowd. When a handler panics, it is called again
// and goes on with the next.
func (l *lane[T]) deliverAll(mb *mailbox, r *run) {
	var zero T
	for ; r.n > 0; r.n-- {
		e := Event[T]{l.work[l.at], r.m}
		for l.next < len(l.subs) {
			s := l.subs[l.next]
			l.next++
			mb.pos.Store(mb.pos.Load() + 1) // the consumer alone stores
			if !s.sub.dead.Load() {
				s.fn(s.sub.scope, e)
			}
		}
		l.next = 0
		l.work[l.at] = zero
		l.at++
	}
}
