package bus

// Several subscriptions of one mailbox to one event share a lane. An event is queued once in it, and the consumer calls
// the subscriptions one after the other. The list of subscriptions never changes: when somebody subscribes to the event,
// or a subscription ends, the topic gets a new lane with a new list, and later events go by that one.
// It is what "mailbox 1 to 10 subscribers of one plugin" of bus/bench is fast by.

// makeSingle returns one lane that reaches all subscriptions of the group. It returns nil if an event must be queued
// for each subscription, because one of them may drop events or takes any payload.
func (g *mailboxGroup[T]) makeSingle() *lane[T] {
	if g.counted != len(g.subs) {
		return nil
	}
	subs := make([]*lane[T], len(g.subs))
	for i, s := range g.subs {
		if s.typed == nil {
			return nil
		}
		subs[i] = s.typed
	}
	if len(subs) == 1 {
		return subs[0]
	}
	l := &lane[T]{laneHead: laneHead{box: g.box, calls: len(subs)}, subs: subs}
	l.self = l
	return l
}

// deliverAll is deliver for a shared lane. When a handler panics, the consumer calls deliverAll again, which then goes
// on with the next subscription.
func (l *lane[T]) deliverAll(mb *mailbox, r *run) {
	var zero T
	pos, done := mb.pos.Load(), mb.doneInRun()
	next := done % len(l.subs)
	for i := l.at + done/len(l.subs); i < l.at+r.n; i++ {
		e := Event[T]{l.work[i], r.m}
		for ; next < len(l.subs); next++ {
			s := l.subs[next]
			pos++
			mb.pos.Store(pos) // only the consumer stores
			if !s.sub.dead.Load() {
				s.fn(s.sub.scope, e)
			}
		}
		next = 0
		l.work[i] = zero
	}
	l.at += r.n
}
