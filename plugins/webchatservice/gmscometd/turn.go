package gmscometd

import (
	"context"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

// takeTurn waits until no request is under way, and returns what ends the turn.
func (c *conn) takeTurn(ctx context.Context, op string) (done func(), e *chat.Error) {
	if c.life.Err() != nil {
		return nil, closedError(op)
	}
	select {
	case c.turn <- struct{}{}:
		return func() { <-c.turn }, nil
	case <-ctx.Done():
		return nil, canceledError(ctx, op)
	case <-c.life.Done():
		return nil, closedError(op)
	}
}

// ready waits until the chat is attached, if that takes one attempt to connect at most, and returns the session.
func (c *conn) ready(ctx context.Context, op string) (chat.Session, *chat.Error) {
	t := time.NewTimer(c.client.delay)
	defer t.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	losses, lost := c.losses, false
	for {
		if c.trouble != nil && !lost && !c.book.Over { // the loss may become known only now
			losses, lost = c.losses, true
			c.client.retry()
		}
		switch {
		case c.life.Err() != nil:
			return chat.Session{}, closedError(op)
		case ctx.Err() != nil:
			return chat.Session{}, canceledError(ctx, op)
		case c.book.Over:
			return chat.Session{}, &chat.Error{Outcome: chat.Gone, Code: chat.CodeEnded, Op: op, Text: "the chat is over"}
		case c.attached:
			return c.book.Session, nil
		case c.trouble != nil && c.losses > losses:
			e := *c.trouble
			e.Op, e.Outcome = op, chat.NotSent
			return chat.Session{}, &e
		}
		changed := c.changed
		c.mu.Unlock()
		late := false
		select {
		case <-changed:
		case <-ctx.Done():
		case <-c.life.Done():
		case <-t.C:
			late = true
		}
		c.mu.Lock()
		if late && !c.attached {
			return chat.Session{}, &chat.Error{
				Outcome: chat.NotSent, Code: chat.CodeTimeout, Op: op, Text: "the chat is not attached again yet", Hint: "try again later",
			}
		}
	}
}

// operate takes its turn and makes one request of the visitor. grace is how long what settles it is waited for once
// Bayeux has taken it; 0 is as long as a request may take.
func (c *conn) operate(
	ctx context.Context, f *flight, operation string, fields map[string]any, grace time.Duration,
) (chat.Receipt, *chat.Error) {
	done, e := c.takeTurn(ctx, f.op)
	if e != nil {
		return chat.Receipt{}, e
	}
	defer done()
	session, e := c.ready(ctx, f.op)
	if e != nil {
		return chat.Receipt{}, e
	}
	r, link, e := c.attempt(ctx, f, session, operation, fields, grace)
	if e != nil && e.Err == errDead && c.relinked(ctx, link) { //nolint:errorlint // it is this very error
		// Nothing was sent: the link had broken, and that was not known yet.
		if session, e = c.ready(ctx, f.op); e == nil {
			r, _, e = c.attempt(ctx, f, session, operation, fields, grace)
		}
	}
	return r, e
}

// relinked waits until the link is another one than it was, if that is soon.
func (c *conn) relinked(ctx context.Context, link int) bool {
	t := time.NewTimer(c.client.delay)
	defer t.Stop()
	for {
		c.mu.Lock()
		links, changed := c.links, c.changed
		c.mu.Unlock()
		if links != link {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		case <-c.life.Done():
			return false
		case <-t.C:
			return false
		}
	}
}

// attempt makes one request in its turn, on the link of the number returned.
func (c *conn) attempt(
	ctx context.Context, f *flight, session chat.Session, operation string, fields map[string]any, grace time.Duration,
) (chat.Receipt, int, *chat.Error) {
	begun := time.Now()
	c.mu.Lock()
	c.flight = f
	link := c.links
	if f.fetch != nil {
		f.fetch.next = c.book.Next
	}
	if f.end {
		c.book.Ending = true
	}
	c.mu.Unlock()
	defer c.landed(f)
	data, e := request(f.op, operation, session, fields)
	if e != nil {
		return chat.Receipt{}, link, e
	}
	_, e = c.carry(ctx, f, data)
	switch {
	case forgotten(e):
		e = c.look(ctx, f, link, e)
	case e == nil:
		limit := c.client.delay - time.Since(begun)
		if grace > 0 {
			limit = grace
		}
		limit += c.client.lag()
		e = f.wait(ctx, c, limit, f.fetch != nil)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e != nil && f.said && c.closed {
		e = nil // the connection was closed on what the server said, before the reply was there
	}
	if e != nil && e.Outcome == chat.Unknown || e == nil && !f.said && grace == 0 {
		c.stray = time.Now()
	}
	if f.end {
		switch {
		case e == nil && !f.said: // it is over whatever else the server says (wire-gms A.7.5, B.3)
			c.arriveLocked(arrival{answer: gms.Answer{Ended: true}}, true)
		case e != nil && e.Outcome != chat.Unknown:
			c.book.Ending = false
		}
	}
	if e != nil {
		return chat.Receipt{}, link, e
	}
	return chat.Receipt{Confirmed: f.said, Answer: f.answer}, link, nil
}

// look finds out what became of a request that Bayeux refused since it does not know the session: the transcript tells,
// once the chat is attached again in a new one (wire-gms B.7).
func (c *conn) look(ctx context.Context, f *flight, link int, refused *chat.Error) *chat.Error {
	t := time.NewTimer(c.client.delay)
	defer t.Stop()
	for {
		c.mu.Lock()
		attached, over, changed := c.attached && c.links != link, c.book.Over, c.changed
		c.mu.Unlock()
		select {
		case e := <-f.done:
			return e
		default:
		}
		if attached {
			return refused
		}
		unknown := *refused
		unknown.Outcome = chat.Unknown
		if over {
			return &unknown
		}
		select {
		case e := <-f.done:
			return e
		case <-changed:
		case <-ctx.Done():
			unknown.Code, unknown.Text, unknown.Err = chat.CodeCanceled, "given up while waiting for the answer", context.Cause(ctx)
			return &unknown
		case <-c.life.Done():
			unknown.Code, unknown.Text, unknown.Hint = chat.CodeClosed, "connection was closed while the request was under way", ""
			return &unknown
		case <-t.C:
			return &unknown
		}
	}
}

// landed ends the wait for what a flight brings.
func (c *conn) landed(f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flight == f {
		c.flight = nil
		if c.book.Over {
			c.leaveLocked()
		}
	}
}
