package bus

import (
	"context"
	"iter"
	"slices"
	"sync"
)

// Subscribe calls h for every event whose full name is or fits name. In a
// pattern a final "*" stands for one or more parts, a leading "*" for exactly
// one, and "*" alone for everything. See the function [Subscribe] for the
// rest; a pattern sees each event once.
func (c *Client) Subscribe(name string, h func(ctx context.Context, e Event[any]), opts ...SubscribeOption) (*Subscription, error) {
	if h == nil {
		return nil, ErrNilHandler.with("subscribe "+name, "pass a function")
	}
	s := newSubscription(c, name, opts)
	setHandler(s, h)
	if err := c.subscribe(s); err != nil {
		return nil, err
	}
	return s, nil
}

// subscribe enters a subscription that takes any payload.
func (c *Client) subscribe(s *Subscription) error {
	if !wild(s.name) {
		if err := checkFull(s.name, checkEvent); err != nil {
			return err
		}
		return c.subscribeExact(s, s.name, kindOf[any]{})
	}
	p, err := parsePattern(s.name)
	if err != nil {
		return err
	}
	s.pattern, s.isWild = p, true
	if err := c.remember(s); err != nil {
		return err
	}
	if err := c.bus.subscribeWild(s); err != nil {
		s.Unsubscribe()
		return err
	}
	return nil
}

// Events returns the events of that name (or pattern) as an iterator. The
// subscription begins at once and has a mailbox of its own; it ends when the
// loop does, when ctx ends, or with the client. The loop body runs in the
// caller's goroutine; while it runs, further events wait as in any mailbox. It
// may be ranged over once. It returns what Subscribe returns.
func (c *Client) Events(ctx context.Context, event string, opts ...SubscribeOption) (iter.Seq[Event[any]], error) {
	return events[any](ctx, c, event, opts, c.subscribe)
}

// events makes an iterator of a subscription that enter enters. Its callers are called by the program itself.
func events[T any](ctx context.Context, c *Client, event string, opts []SubscribeOption, enter func(*Subscription) error) (iter.Seq[Event[T]], error) {
	ch := make(chan Event[T])
	over := make(chan struct{}) // closed when nobody takes events any more
	s := newSubscription(c, event, append(slices.Clone(opts), func(s *Subscription) { s.inline, s.ownMailbox = false, false }))
	s.calledThrough()
	s.box = c.addMailbox()
	var end func()
	setHandler(s, func(hctx context.Context, e Event[T]) {
		select {
		case ch <- e:
		case <-over:
		case <-hctx.Done():
		}
		if s.onlyFirst {
			end()
		}
	})
	end = sync.OnceFunc(func() {
		close(over)
		s.Unsubscribe()
		c.dropMailbox(s.box)
	})
	if err := enter(s); err != nil {
		end()
		return nil, err
	}
	stop := context.AfterFunc(ctx, end)
	return func(yield func(Event[T]) bool) {
		defer end()
		defer stop()
		waitingScope(ctx)
		for {
			select {
			case e := <-ch:
				if !yield(e) {
					return
				}
			case <-over:
				return
			case <-c.life.Done():
				return
			}
		}
	}, nil
}

// WaitFor waits for the next event of that name (or pattern) that match
// accepts; a nil match accepts every one. A retained event counts at once.
// match runs in the publisher's goroutine and must be quick. It returns
// [ErrCancelled] or [ErrTimeout] when ctx ends, and what Subscribe returns.
func (c *Client) WaitFor(ctx context.Context, event string, match func(Event[any]) bool) (Event[any], error) {
	return c.waitFor(ctx, event, match)
}

func (c *Client) waitFor(ctx context.Context, event string, match func(Event[any]) bool) (Event[any], error) {
	got := make(chan Event[any], 1)
	s := newSubscription(c, event, []SubscribeOption{Inline()})
	s.calledThrough()
	setHandler(s, func(_ context.Context, e Event[any]) {
		if match == nil || match(e) {
			select {
			case got <- e:
			default: // an earlier one was taken
			}
		}
	})
	err := c.subscribe(s)
	if err != nil {
		return Event[any]{}, err
	}
	defer s.Unsubscribe()
	waitingScope(ctx)
	select {
	case e := <-got:
		return e, nil
	case <-c.life.Done():
		err = c.gone("wait for " + event)
	case <-ctx.Done():
		err = ctxError("wait for "+event, ctx)
	}
	select {
	case e := <-got: // it came at the last moment
		return e, nil
	default:
		return Event[any]{}, err
	}
}

// Flush waits until every event that was queued for the client's handlers
// before has been handled; iterators and taps are not waited for. It returns [ErrSelfWait] when called with the context of one of the
// client's own mailbox handlers, else [ErrCancelled] or [ErrTimeout]. Called
// from another handler it waits no longer than 5 s unless ctx has a deadline.
func (c *Client) Flush(ctx context.Context) error {
	if _, ok := ctx.Deadline(); !ok && insideBus(ctx) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cleanUp) // two handlers may wait for each other
		defer cancel()
	}
	for s := range scopes(ctx) {
		if s.mailbox && s.client == c {
			return ErrSelfWait.with("flush "+c.namespace, "call Flush from elsewhere")
		}
	}
	for _, mb := range c.allMailboxes() {
		if mb != c.mailbox && !mb.handlers {
			continue
		}
		if err := mb.flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) subscribeExact(s *Subscription, name string, k kind) error {
	if err := c.remember(s); err != nil {
		return err
	}
	ns, _, _ := splitName(name)
	for {
		t := c.bus.topic(name, ns, true)
		if err := c.bus.neverDeclared(t); err != nil {
			if c.bus.opts.Strict {
				s.Unsubscribe()
				return err
			}
			c.log.Warn("subscribed to an event that its plugin does not declare", "subscriber", s.String(), "error", err)
		}
		drain, ok, err := t.attach(s, k)
		drainAll(drain)
		if err != nil {
			s.Unsubscribe()
			return err
		}
		if ok {
			return nil
		}
	}
}

// remember notes a subscription so that it ends with the plugin.
func (c *Client) remember(s *Subscription) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.usable("subscribe " + s.name); err != nil {
		return err
	}
	if c.subs == nil {
		c.subs = map[*Subscription]struct{}{}
	}
	c.subs[s] = struct{}{}
	if s.ownMailbox {
		c.rememberMailboxLocked(s.box)
	}
	if s.inline {
		c.inlined.Store(true)
	}
	return nil
}

func (c *Client) forget(s *Subscription) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.subs, s)
}
