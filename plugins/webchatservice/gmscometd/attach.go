package gmscometd

import (
	"context"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

// start publishes the first request once the Bayeux session is there, and waits for its result.
func (c *conn) start(ctx context.Context, op string, data []byte) *chat.Error {
	f := newFlight(op)
	f.first = true
	if e := c.begin(ctx, f, data); e != nil {
		return e
	}
	c.client.keep()
	return nil
}

// tail takes up the end of a long-lived chat (wire-gms C.2): it asks for the last line, and then for what happens
// from so many lines before it on.
func (c *conn) tail(ctx context.Context, op string, last []byte, from, lines int64, userData map[string]string) *chat.Error {
	f := newFlight(op)
	f.first, f.tail = true, true
	if e := c.begin(ctx, f, last); e != nil {
		return e
	}
	next := max(f.last-lines, 1)
	if from > 0 {
		next = min(next, from)
	}
	c.mu.Lock()
	c.book = gms.NewTranscript(c.book.Session, next)
	c.read = next
	session := c.book.Session
	c.mu.Unlock()
	data, e := request(op, "requestNotifications", session, map[string]any{"transcriptPosition": next, "userData": userData, "message": ""})
	if e != nil {
		return e
	}
	return c.start(ctx, op, data)
}

// begin publishes a request whose result is the first delivery, once the Bayeux session is there, and waits for that.
func (c *conn) begin(ctx context.Context, f *flight, data []byte) *chat.Error {
	c.mu.Lock()
	for !c.linked {
		if c.trouble != nil {
			e := *c.trouble
			c.mu.Unlock()
			if e.Outcome == chat.Unknown { // nothing was asked of the chat server yet
				e.Outcome = chat.NotSent
			}
			e.Op = f.op
			return &e
		}
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return canceledError(ctx, f.op)
		}
		c.mu.Lock()
	}
	c.flight = f
	c.mu.Unlock()
	defer c.landed(f)
	if _, e := c.carry(ctx, f, data); e != nil {
		return e
	}
	return f.wait(ctx, c, c.client.delay+c.client.lag(), true)
}

// up is told by the client that the link is there: after the first time, the chat has to be attached again.
func (c *conn) up() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.links++
	c.linked, c.trouble = true, nil
	c.changedLocked()
	c.attachLocked()
}

// attachLocked begins to attach the chat again.
func (c *conn) attachLocked() {
	if c.begun && !c.closed && !c.book.Over {
		c.attached = false
		link := c.links
		c.wg.Go(func() { c.reattach(link) })
	}
}

// holed takes in that something that the server has pushed may be lost though the link holds.
func (c *conn) holed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.attached {
		c.links++
		c.attachLocked()
	}
}

// lost is told by the client that an attempt to connect has failed, the first of which is the loss itself.
func (c *conn) lost(e *chat.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trouble, c.quiet = e, true
	c.losses++
	c.downLocked()
	c.wakeLocked()
}

// down is told by the client that the Bayeux session is no more, and that another one is on its way.
func (c *conn) down() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stray = time.Time{} // it goes to the session that is no more
	c.downLocked()
}

func (c *conn) downLocked() {
	c.linked, c.attached = false, false
	c.links++
	c.changedLocked()
}

func (c *conn) changedLocked() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// reattach asks for what happens in the chat until it comes, or the link is another one (wire-gms B.7).
func (c *conn) reattach(link int) {
	const op = "receive"
	for range attachTries {
		f := newFlight(op)
		f.first = true
		c.mu.Lock()
		if c.links != link || c.closed || c.book.Over {
			c.mu.Unlock()
			return
		}
		c.attach = f
		session, next := c.book.Session, c.book.Next
		c.mu.Unlock()
		data, e := request(op, "requestNotifications", session, map[string]any{"transcriptPosition": next, "message": ""})
		if e != nil {
			return // a session that was made by a server has a JSON
		}
		begun := time.Now()
		if _, e = c.carry(c.life, f, data); e == nil {
			e = f.wait(c.life, c, attachEvery+c.client.lag(), true)
		}
		c.mu.Lock()
		if c.attach == f {
			c.attach = nil
		}
		if e != nil && e.Outcome == chat.Unknown {
			c.stray = time.Now()
		}
		c.mu.Unlock()
		if e == nil || c.life.Err() != nil {
			return
		}
		c.d.log.Debug("the chat could not be attached", "error", e.Error())
		if !c.sleep(attachEvery - time.Since(begun)) {
			return
		}
	}
	c.mu.Lock()
	current := c.links == link
	c.mu.Unlock()
	if !current {
		return
	}
	c.client.giveUp(&chat.Error{Code: chat.CodeTimeout, Op: op, Text: "the server does not answer for the chat"})
}

func (c *conn) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.life.Done():
		return false
	}
}
