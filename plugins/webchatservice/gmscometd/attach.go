package gmscometd

import (
	"context"
	"net/http"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

// How a chat is attached again (wire-gms B.7): so many attempts, each of which waits so long.
const (
	attachEvery = 3 * time.Second
	attachTries = 30
)

// start publishes the first request once the Bayeux session is there, and waits for its result.
func (c *conn) start(ctx context.Context, op string, data []byte) *chat.Error {
	p := newPending(op)
	p.first = true
	if e := c.begin(ctx, p, data); e != nil {
		return e
	}
	c.client.InUse()
	return nil
}

// tail takes up the end of a long-lived chat (wire-gms C.2): it asks for the last line, and then for what happens from so
// many lines before it on. known is where the caller stands.
func (c *conn) tail(ctx context.Context, op string, last []byte, known chat.Position, lines int64, userData map[string]string) *chat.Error {
	p := newPending(op)
	p.first, p.tail = true, true
	if e := c.begin(ctx, p, last); e != nil {
		return e
	}
	next := max(p.last-lines, 1)
	if known != (chat.Position{}) {
		next = min(next, gms.First(known))
	}
	c.mu.Lock()
	c.transcript = gms.NewTranscript(c.transcript.Session, next, known)
	c.read = c.transcript.Position()
	session := c.transcript.Session
	c.mu.Unlock()
	data, e := request(op, "requestNotifications", session, map[string]any{"transcriptPosition": next, "userData": userData, "message": ""})
	if e != nil {
		return e
	}
	return c.start(ctx, op, data)
}

// begin publishes a request whose result is the first delivery, once the Bayeux session is there, and waits for that.
func (c *conn) begin(ctx context.Context, p *pending, data []byte) *chat.Error {
	c.mu.Lock()
	for !c.linked {
		if c.trouble != nil {
			e := notBegun(p.op, c.trouble)
			c.mu.Unlock()
			return e
		}
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return canceledError(ctx, p.op)
		}
		c.mu.Lock()
	}
	c.pending = p
	c.mu.Unlock()
	defer c.finished(p)
	if e := c.publish(ctx, p, data); e != nil {
		return e
	}
	return p.wait(ctx, c, c.client.Timeout()+c.client.Lag(), true)
}

// notBegun is the error of a request for which there was no Bayeux session: nothing was asked of the chat server, so the
// request may be made again, whatever became of the handshake.
func notBegun(op string, trouble *chat.Error) *chat.Error {
	e := *trouble
	e.Op = op
	if e.Outcome == chat.Unknown {
		e.Outcome = chat.NotSent
	}
	e.Code = linkCode(trouble)
	return &e
}

// linkCode is the code of a request for which there was no Bayeux session. A status from 500 on says that the fault is the
// server's (RFC 9110 15.6), so the next handshake may succeed. That holds for numbers that no standard knows, too, which
// gateways have. Two of them say that the server will never do it.
func linkCode(trouble *chat.Error) string {
	if s := trouble.Status; s >= 500 && s != http.StatusNotImplemented && s != http.StatusHTTPVersionNotSupported {
		return chat.CodeUnavailable
	}
	return trouble.Code
}

// attachLocked begins to attach the chat again, if there is one.
func (c *conn) attachLocked() {
	if c.begun && !c.closed && !c.transcript.Over {
		c.attached = false
		link := c.links
		c.wg.Go(func() { c.reattach(link) })
	}
}

// deliveriesLost takes in that something may be lost that the server has pushed, though the link holds.
func (c *conn) deliveriesLost() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.attached {
		c.links++
		c.attachLocked()
	}
}

// reattach asks for what happens in the chat until that comes, or until the link is another one (wire-gms B.7).
func (c *conn) reattach(link int) {
	const op = "receive"
	for range attachTries {
		p := newPending(op)
		p.first = true
		c.mu.Lock()
		if c.links != link || c.closed || c.transcript.Over {
			c.mu.Unlock()
			return
		}
		c.attach = p
		session, next := c.transcript.Session, c.transcript.Asks()
		p.asked = next
		c.mu.Unlock()
		data, e := request(op, "requestNotifications", session, map[string]any{"transcriptPosition": next, "message": ""})
		if e != nil {
			return // does not happen: the session was made by a server, and has a JSON
		}
		begun := time.Now()
		if e = c.publish(c.life, p, data); e == nil {
			e = p.wait(c.life, c, attachEvery+c.client.Lag(), true)
		}
		c.mu.Lock()
		if c.attach == p {
			c.attach = nil
		}
		if e != nil && e.Outcome == chat.Unknown {
			c.abandoned = time.Now()
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
	c.client.Reset(&chat.Error{Code: chat.CodeTimeout, Op: op, Text: "the server does not answer for the chat"})
}
