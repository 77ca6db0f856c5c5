package gmsrest

import (
	"context"
	"net/url"
	"slices"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

// goneAfter is how many answers in a row must say that the server has no such chat, or that it will not be polled, until
// the chat counts as gone. Some versions say no more than that of a chat that they do not have any more. A few such
// answers may be a mistake of a gateway (wire-gms Uncertain 11).
const goneAfter = 5

// lockSend waits until no other request that is no poll is under way, and returns what lets the next one begin.
func (c *conn) lockSend(ctx context.Context, op string) (unlock func(), e *chat.Error) {
	if c.life.Err() != nil {
		return nil, closedError(op)
	}
	select {
	case c.sendLock <- struct{}{}:
		return func() { <-c.sendLock }, nil
	case <-ctx.Done():
		return nil, canceledError(ctx, op)
	case <-c.life.Done():
		return nil, closedError(op)
	}
}

// request takes the send lock and makes one request of the visitor. positioned asks for what is new, along with the
// answer.
func (c *conn) request(ctx context.Context, op, operation string, form url.Values, positioned bool) (chat.Receipt, error) {
	unlock, e := c.lockSend(ctx, op)
	if e != nil {
		return chat.Receipt{}, e
	}
	defer unlock()
	asked := int64(0)
	if positioned {
		if form == nil {
			form = make(url.Values)
		}
		c.mu.Lock()
		asked = c.transcript.Asks()
		c.mu.Unlock()
		setPosition(form, asked)
	}
	a, e := c.exchange(ctx, op, operation, form, func(a *gms.Answer) { a.Asked = asked })
	c.mu.Lock()
	c.pace.reset()
	c.signal()
	c.mu.Unlock()
	if e != nil {
		return chat.Receipt{}, e
	}
	return chat.Receipt{Confirmed: true, Answer: a.Raw}, nil
}

// ready returns the session if a request can be made.
func (c *conn) ready(ctx context.Context, op string) (chat.Session, *chat.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.life.Err() != nil:
		return chat.Session{}, closedError(op)
	case ctx.Err() != nil:
		return chat.Session{}, canceledError(ctx, op)
	case c.transcript.Over:
		return chat.Session{}, &chat.Error{Outcome: chat.Gone, Code: chat.CodeEnded, Op: op, Text: "the chat is over"}
	}
	return c.transcript.Session, nil
}

// exchange makes one request that is no poll, and takes in what its answer brings. filter, if not nil,
// first takes out what is not for Receive; it is called with mu held.
func (c *conn) exchange(ctx context.Context, op, operation string, form url.Values, filter func(*gms.Answer)) (gms.Answer, *chat.Error) {
	session, e := c.ready(ctx, op)
	if e != nil {
		return gms.Answer{}, e
	}
	full := keys(session)
	for name, values := range form {
		full[name] = values
	}
	resp, e := c.post(ctx, op, c.d.wire.path(session.ID, operation), full)
	return c.answered(op, operation, session, resp, e, filter)
}

// answered takes in the response to a request that is no poll, or its failure.
func (c *conn) answered(
	op, operation string, session chat.Session, resp *gms.Response, e *chat.Error, filter func(*gms.Answer),
) (gms.Answer, *chat.Error) {
	var a gms.Answer
	if e == nil {
		a, e = c.d.wire.Judge(op, resp, session.SecureKey)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if operation == "disconnect" && (e == nil || e.Outcome == chat.Unknown) {
		c.transcript.Ending = true
	}
	if resp == nil {
		return a, e
	}
	// After a disconnect the session is over whatever else the answer says (wire-gms A.7.5).
	a.Ended = a.Ended || e == nil && operation == "disconnect"
	if filter != nil && e == nil {
		filter(&a)
	}
	return a, c.settleLocked(a, e, false)
}

// post makes a request that ends with the connection, too.
func (c *conn) post(ctx context.Context, op, address string, form url.Values) (*gms.Response, *chat.Error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	resp, e := c.d.wire.Post(ctx, op, address, form)
	return resp, c.blame(e)
}

// blame makes a failure after Close one of the closed connection.
func (c *conn) blame(e *chat.Error) *chat.Error {
	if e != nil && c.life.Err() != nil {
		e.Code, e.Text, e.Hint = chat.CodeClosed, "connection was closed while the request was under way", ""
	}
	return e
}

// settleLocked takes in the answer to a poll or to another request, and the error that came with it.
// The error comes back as Gone when it turns out to be an end.
func (c *conn) settleLocked(a gms.Answer, e *chat.Error, poll bool) *chat.Error {
	switch {
	case e == nil:
		c.missing = 0
	case e.Code == chat.CodeNotFound, poll && e.Code == chat.CodeRefused:
		c.missing++
	}
	if e != nil {
		// Only what an answer says about the end counts beside an error (wire-gms A.5); of a
		// failure that may pass (statusCode 1) nothing does.
		ended := e.Outcome == chat.Gone || c.missing >= goneAfter || a.Ended && a.StatusCode != gms.StatusRetry
		if !ended {
			return e
		}
		e.Outcome, e.Code = chat.Gone, chat.CodeEnded
		a.Ended = true
	}
	raw := a.Raw
	if !poll { // the receipt or the error has it
		raw = nil
	}
	c.takeLocked(a, raw)
	return e
}

// takeLocked takes in what an answer brought, and queues it if it is worth an event. raw is the
// envelope for the event; with one there is always an event.
func (c *conn) takeLocked(a gms.Answer, raw chat.JSON) {
	ev, ok := c.transcript.Take(a, raw)
	if !ok {
		return
	}
	if slices.ContainsFunc(ev.Messages, func(m chat.Message) bool { return !m.Own }) {
		c.pace.reset()
	}
	c.queue = append(c.queue, ev)
	c.signal()
}

// signal tells who waits that there may be something for Receive, with mu held.
func (c *conn) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
	if f := c.waker; f != nil {
		c.waker = nil
		go f() // it is the waiter's, and the wait is over
	}
}
