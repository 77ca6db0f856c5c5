package gmscometd

import (
	"context"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/bayeux"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

// operate takes the send lock and makes one request of the visitor. grace is how long to wait for what settles the
// request once Bayeux has taken it; 0 is as long as a request may take.
func (c *conn) operate(
	ctx context.Context, p *pending, operation string, fields map[string]any, grace time.Duration,
) (chat.Receipt, *chat.Error) {
	unlock, e := c.lockSend(ctx, p.op)
	if e != nil {
		return chat.Receipt{}, e
	}
	defer unlock()
	session, e := c.ready(ctx, p.op)
	if e != nil {
		return chat.Receipt{}, e
	}
	r, link, e := c.attempt(ctx, p, session, operation, fields, grace)
	if e != nil && e.Err == bayeux.ErrLinkBroken && c.relinked(ctx, link) { //nolint:errorlint // it is this very error
		// Nothing was sent: the link had broken, and nobody knew it yet.
		if session, e = c.ready(ctx, p.op); e == nil {
			r, _, e = c.attempt(ctx, p, session, operation, fields, grace)
		}
	}
	return r, e
}

// attempt makes one request under the send lock, and returns the number of the link that it was made on.
func (c *conn) attempt(
	ctx context.Context, p *pending, session chat.Session, operation string, fields map[string]any, grace time.Duration,
) (chat.Receipt, int, *chat.Error) {
	begun := time.Now()
	c.mu.Lock()
	c.pending = p
	link := c.links
	if p.fetch != nil {
		p.fetch.next = c.transcript.Next
	}
	if p.end {
		c.transcript.Ending = true
	}
	c.mu.Unlock()
	defer c.finished(p)
	data, e := request(p.op, operation, session, fields)
	if e != nil {
		return chat.Receipt{}, link, e
	}
	e = c.publish(ctx, p, data)
	switch {
	case forgotten(e):
		e = c.look(ctx, p, link, e)
	case e == nil:
		limit := c.client.Timeout() - time.Since(begun)
		if grace > 0 {
			limit = grace
		}
		limit += c.client.Lag()
		e = p.wait(ctx, c, limit, p.fetch != nil)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e != nil && p.confirmed && c.closed {
		e = nil // the connection was closed because of what the server said, before the reply was there
	}
	if e != nil && e.Outcome == chat.Unknown || e == nil && !p.confirmed && grace == 0 {
		c.abandoned = time.Now()
	}
	if p.end {
		switch {
		case e == nil && !p.confirmed: // it is over whatever else the server says (wire-gms A.7.5, B.3)
			c.inOrderLocked(delivery{answer: gms.Answer{Ended: true}}, true)
		case e != nil && e.Outcome != chat.Unknown:
			c.transcript.Ending = false
		}
	}
	if e != nil {
		return chat.Receipt{}, link, e
	}
	return chat.Receipt{Confirmed: p.confirmed, Answer: p.answer}, link, nil
}

// look finds out what became of a request that Bayeux has refused because it does not know the session. The transcript
// tells, once the chat is attached again in a new session (wire-gms B.7).
func (c *conn) look(ctx context.Context, p *pending, link int, refused *chat.Error) *chat.Error {
	t := time.NewTimer(c.client.Timeout())
	defer t.Stop()
	for {
		c.mu.Lock()
		attached, over, changed := c.attached && c.links != link, c.transcript.Over, c.changed
		c.mu.Unlock()
		select {
		case e := <-p.done:
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
		case e := <-p.done:
			return e
		case <-changed:
		case <-ctx.Done():
			unknown.Code, unknown.Text, unknown.Err = chat.CodeCanceled, "given up while waiting for the answer", context.Cause(ctx)
			return &unknown
		case <-c.life.Done():
			unknown.Code, unknown.Text, unknown.Hint = chat.CodeClosed, closeError(p.op).Text, ""
			return &unknown
		case <-t.C:
			return &unknown
		}
	}
}
