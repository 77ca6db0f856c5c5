package bus

import "context"

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

// push queues e for the subscriptions of one mailbox, and leaves starting its consumer to tail, if there is one.
func (g *boxGroup[T]) push(ctx context.Context, e Event[T], boxed *any, tail *Tail) error {
	mb := g.box
	mb.mu.Lock()
	if mb.counted+g.counted > mb.soft && g.counted > 0 {
		tail.Go()                                                  // it is perhaps what has to make room
		if err := mb.room(ctx, g.counted, e.m.topic); err != nil { // which has unlocked
			g.addDropping(e, boxed)
			return err
		}
	}
	g.add(e, boxed)
	mb.queued(tail)
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
	mb.queued(nil)
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
	mb.queued(nil)
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
