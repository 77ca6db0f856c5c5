package gmscometd

import (
	"context"
	"io"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// Receive implements [chat.Conn].
func (c *conn) Receive(ctx context.Context) (chat.Event, error) {
	c.mu.Lock()
	losses := c.losses
	if c.awaited {
		c.awaited, losses = false, c.since
	}
	c.mu.Unlock()
	for {
		if q, err := c.next(ctx, losses); err != nil {
			return chat.Event{}, err
		} else if q != nil {
			return q.event, nil
		}
		if c.client.Stopped() {
			c.client.Resume()
		}
		c.await(ctx)
	}
}

// next returns what Receive returns, if there is something. losses is how many attempts to connect had failed when
// Receive was called: it returns the failure of a later one alone.
func (c *conn) next(ctx context.Context, losses int) (*queued, error) {
	const op = "receive"
	if c.life.Err() != nil {
		return nil, closedError(op)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.queue.empty():
		q := c.queue.pop()
		c.read = q.event.Position
		signal(c.room)
		return &q, nil
	case c.transcript.Over && c.reorder.empty():
		return nil, io.EOF
	case ctx.Err() != nil:
		return nil, canceledError(ctx, op)
	case c.trouble != nil && c.losses > losses: // the next attempt may succeed where one before has failed
		e := *c.trouble
		e.Op = op
		return nil, &e
	}
	return nil, nil
}

// await waits until there may be something for Receive. A chat waits here for most of its life. So there is little on the
// stack.
func (c *conn) await(ctx context.Context) {
	select {
	case <-c.wake:
	case <-ctx.Done():
	case <-c.life.Done():
	}
}

// Await implements [chat.Waker].
func (c *conn) Await(f func()) bool {
	c.mu.Lock()
	if c.life.Err() != nil || !c.queue.empty() || c.transcript.Over && c.reorder.empty() {
		c.mu.Unlock()
		return false
	}
	c.waker, c.awaited, c.since = f, true, c.losses
	c.mu.Unlock()
	if c.client.Stopped() { // if it stops from now on, it says so
		c.client.Resume()
	}
	return true
}

// wakeLocked tells who waits that there is something for Receive.
func (c *conn) wakeLocked() {
	signal(c.wake)
	if c.hold {
		return
	}
	if f := c.waker; f != nil {
		c.waker = nil
		go f() // it is the caller's of Await, who waits for it
	}
}

// waiting returns the function of Await, if there is something for Receive and the function was not called yet.
func (c *conn) waiting() func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.queue.empty() && !c.transcript.Over {
		return nil
	}
	f := c.waker
	c.waker = nil
	return f
}

var _ chat.Waker = (*conn)(nil)
