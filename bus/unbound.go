package bus

import (
	"context"
	"errors"
	"iter"
)

// What follows does what handles made with Bind do, with the same checks, for those who call or publish now and then.

// Call runs the command for c and returns its result. It returns [ErrBadName] and what [Caller.Call] returns.
func (d CommandOf[In, Out]) Call(ctx context.Context, c *Client, in In) (Out, error) {
	if err := checkFull(d.name, checkCommand); err != nil {
		var none Out
		return none, err
	}
	k := Caller[In, Out]{client: c, name: d.name}
	return k.Call(ctx, in)
}

// Go starts the command for c and returns at once; see [Caller.Go].
func (d CommandOf[In, Out]) Go(ctx context.Context, c *Client, in In) *Future[Out] {
	k, err := d.Bind(c)
	if err != nil {
		return failedFuture[Out](err)
	}
	return k.Go(ctx, in)
}

// Publish declares the event as one of c's, if it is not declared yet, and publishes v. It returns what [EventOf.Bind]
// and [Publisher.Publish] return.
func (d EventOf[T]) Publish(ctx context.Context, c *Client, v T) error {
	p, err := d.Bind(c)
	if err != nil {
		return err
	}
	return p.Publish(ctx, v)
}

// Republish is Publish for a value that is kept for those who subscribe later; see [Publisher.Republish].
func (d EventOf[T]) Republish(ctx context.Context, c *Client, v T) error {
	p, err := d.Bind(c)
	if err != nil {
		return err
	}
	return p.Republish(ctx, v)
}

// Events returns the events described by d as an iterator, as [Client.Events] does by name. The subscription begins at
// once; the loop ends with ctx or with the client. An event described with another payload type than it is declared with,
// or a malformed name, is a mistake of the program: it is logged, and the loop has no round.
func Events[T any](ctx context.Context, c *Client, d EventOf[T], opts ...SubscribeOption) iter.Seq[Event[T]] {
	seq, err := events[T](ctx, c, d.name, opts, func(s *Subscription) error {
		if err := checkFull(d.name, checkEvent); err != nil {
			return err
		}
		return c.subscribeExact(s, d.name, kindOf[T]{})
	})
	if err != nil {
		if !errors.Is(err, ErrStopped) && !errors.Is(err, ErrClosed) {
			c.log.Error("no events", "event", d.name, "error", err)
		}
		return func(func(Event[T]) bool) {}
	}
	return seq
}
