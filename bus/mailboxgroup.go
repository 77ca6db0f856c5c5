package bus

import "context"

// A mailboxGroup is the subscriptions to one event that have the same mailbox. It belongs to a snapshot and never
// changes.
type mailboxGroup[T any] struct {
	box     *mailbox
	subs    []mailboxSub[T]
	counted int      // how many of subs the limits of the mailbox count: those that never drop
	single  *lane[T] // one lane for all of subs; nil if an event must be queued for each of them
}

// A mailboxSub is one subscription of the group. It has one of the two lanes.
type mailboxSub[T any] struct {
	typed *lane[T]
	any   *lane[any]
}

// push queues e for all subscriptions of the group. It waits for room while the mailbox is at its soft limit. boxed
// points to the payload as an interface value, or to nil, which push may replace. If the mailbox sleeps, push
// wakes it. h is the handoff of the publisher, or nil.
func (g *mailboxGroup[T]) push(ctx context.Context, e Event[T], boxed *any, h *handoff) error {
	mb := g.box
	mb.mu.Lock()
	if mb.counted+g.counted > mb.soft && g.counted > 0 {
		n, err := mb.room(ctx, h, g.alive, e.m.topic)
		if err != nil || n == 0 {
			if err == nil { // else room has unlocked mu
				mb.mu.Unlock()
			}
			g.addDropping(e, boxed)
			return err
		}
	}
	g.add(e, boxed)
	mb.queued(h)
	return nil
}

// alive counts the subscriptions that the limits count and that have not ended.
func (g *mailboxGroup[T]) alive() (n int) {
	for i := range g.subs {
		if s := g.subs[i].subscription(); s.limit == 0 && !s.dead.Load() {
			n++
		}
	}
	return n
}

// force is push that does not wait. It goes on beyond the soft limit, up to the hard limit.
func (g *mailboxGroup[T]) force(e Event[T], boxed *any) error {
	mb := g.box
	mb.mu.Lock()
	if mb.counted+g.counted > mb.hard && g.counted > 0 {
		err := mb.overflowLocked(g.counted, e.m.topic) // overflowLocked has unlocked mu
		g.addDropping(e, boxed)
		return err
	}
	g.add(e, boxed)
	mb.queued(nil)
	return nil
}

// add appends e to the lanes. The mailbox's mutex is held.
func (g *mailboxGroup[T]) add(e Event[T], boxed *any) {
	if g.single != nil {
		g.single.put(e.Data, e.m)
		return
	}
	for i := range g.subs {
		g.subs[i].put(e, boxed)
	}
}

// addDropping queues an event that does not fit into the mailbox. It queues it only for the subscriptions that may
// drop events, since the limits do not count those.
func (g *mailboxGroup[T]) addDropping(e Event[T], boxed *any) {
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
	mb.queued(nil)
}

func (s *mailboxSub[T]) subscription() *Subscription {
	if s.typed != nil {
		return s.typed.sub
	}
	return s.any.sub
}

func (s *mailboxSub[T]) put(e Event[T], boxed *any) {
	if s.typed != nil {
		s.typed.put(e.Data, e.m)
		return
	}
	if *boxed == nil {
		*boxed = e.Data
	}
	s.any.put(*boxed, e.m)
}
