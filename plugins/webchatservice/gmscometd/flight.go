package gmscometd

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

// flight is a request that was published, until what the server says settles it: a delivery has no id of the request
// that it answers (wire-gms B.3), so there is one at a time. conn.mu guards it.
type flight struct {
	op      string
	first   bool                    // the first delivery is its result
	match   func(chat.Message) bool // the own line that it makes; nil: none
	answers bool                    // any delivery that is well confirms it
	end     bool                    // the end of the chat confirms it
	fetch   *fetch                  // it asks for lines
	tail    bool                    // it asks which line is the last

	settled bool
	said    bool            // the server itself confirmed it
	answer  json.RawMessage // of the delivery that did
	last    int64           // index of the last line
	done    chan *chat.Error
}

// fetch asks for lines once more.
type fetch struct {
	first, end int64 // end 0: where the reader stands
	next       int64 // where the transcript stood when it was asked
	found      []chat.Message
}

func newFlight(op string) *flight { return &flight{op: op, done: make(chan *chat.Error, 1)} }

// settle ends the wait for it, with conn.mu held.
func (f *flight) settle(e *chat.Error) {
	if !f.settled {
		f.settled, f.said = true, e == nil
		f.done <- e
	}
}

// wait waits until it is settled, or limit is over, which must makes an error.
func (f *flight) wait(ctx context.Context, c *conn, limit time.Duration, must bool) *chat.Error {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case e := <-f.done:
		return e
	case <-ctx.Done():
		return &chat.Error{Code: chat.CodeCanceled, Op: f.op, Text: "given up while waiting for the answer", Err: context.Cause(ctx)}
	case <-c.life.Done():
		return &chat.Error{Code: chat.CodeClosed, Op: f.op, Text: "connection was closed while the request was under way"}
	case <-t.C:
	}
	if !must {
		return nil
	}
	return &chat.Error{
		Code: chat.CodeTimeout, Op: f.op, Text: fmt.Sprintf("the server took the request and did not answer it within %v", limit),
		Hint: "check webchat.cometD.channel, or raise webchat.ajaxTimeout",
	}
}

// option names the service in the configuration.
func (d *Driver) option() string { return "webchat.cometD.channel" }

// request is the data of a publish (wire-gms B.2).
func request(op, operation string, s chat.Session, fields map[string]any) (json.RawMessage, *chat.Error) {
	all := map[string]any{
		"operation": operation, "chatId": s.ID, "userId": s.UserID, "alias": s.Alias, "secureKey": s.SecureKey.Reveal(),
	}
	maps.Copy(all, fields)
	for _, v := range all {
		if !valid(v) {
			return nil, gms.Invalid(op, "text is not valid UTF-8")
		}
	}
	data, err := json.Marshal(all)
	if err != nil {
		return nil, gms.Invalid(op, "the request has no JSON: "+err.Error())
	}
	return data, nil
}

// valid reports whether text is UTF-8: encoding/json would replace what is not, and change what somebody wrote.
func valid(v any) bool {
	switch v := v.(type) {
	case string:
		return utf8.ValidString(v)
	case json.RawMessage:
		return utf8.Valid(v)
	case map[string]string:
		for name, text := range v {
			if !utf8.ValidString(name) || !utf8.ValidString(text) {
				return false
			}
		}
	}
	return true
}

// carry publishes a request, and fails if Bayeux does not take it.
func (c *conn) carry(ctx context.Context, f *flight, data json.RawMessage) (message, *chat.Error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	replies, e := c.client.publish(ctx, f.op, c.d.channel, data)
	switch {
	case e != nil && c.life.Err() != nil:
		e.Code, e.Text, e.Hint = chat.CodeClosed, "connection was closed while the request was under way", ""
		return message{}, e
	case e != nil:
		if e.Outcome == chat.Unknown && !c.client.onWebsocket() {
			c.holed() // with the answer went what it brought
		}
		return message{}, e
	case !replies[0].success:
		return message{}, unsuccessful(f.op, replies[0])
	}
	return replies[0], nil
}

// forgotten reports whether a request failed since the server does not know the Bayeux session.
func forgotten(e *chat.Error) bool { return e != nil && e.Err == errStale } //nolint:errorlint // it is this very error

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

// resumed says whether an answer attaches a chat: nil if it does, Gone if there is no chat to attach.
func resumed(op string, a *gms.Answer, e *chat.Error) *chat.Error {
	restore := op == "resume"
	switch {
	case a.Ended, e != nil && e.Outcome == chat.Gone, e == nil && restore && !a.EndedTold:
		if e == nil {
			e = &chat.Error{Op: op, Answer: a.Raw}
		}
		e.Outcome, e.Code = chat.Gone, chat.CodeEnded
		e.Text, e.Hint = "the chat is over, or the server no longer knows it", "start a new one"
		return e
	case e != nil && restore && a.StatusCode == gms.StatusRetry && a.EndedTold:
		return nil // the chat lives, the chat server behind GMS cannot be reached
	}
	return e
}

// judgeLocked says whether an answer belongs to the request under way, and settles that. other says that it is the
// answer to something else. taken reports that there is nothing more to it.
func (c *conn) judgeLocked(f *flight, a *gms.Answer, other bool) (mine, taken bool) {
	e := gms.Verdict(f.op, *a, c.d.option())
	shown := f.match != nil && slices.ContainsFunc(a.Messages, func(m chat.Message) bool { return m.Own && c.book.New(m) && f.match(m) })
	switch {
	case other && !shown:
		return false, false
	case f.first && f.op == "open":
		return true, c.openedLocked(f, a, e)
	case f.tail:
		f.settle(f.lastOf(a, e))
		return true, true
	case f.first:
		if e = resumed(f.op, a, e); e == nil {
			c.begun, c.attached = true, true
		}
		f.settle(e)
		return true, e != nil
	case f.fetch != nil && e == nil:
		return c.fetchedLocked(f, a), false
	case shown:
	case e != nil && e.Outcome == chat.Gone, a.Ended && !f.end:
		if e == nil {
			e = &chat.Error{Op: f.op, Text: "the chat is over"}
		}
		e.Outcome, e.Code = chat.Gone, chat.CodeEnded
		a.Ended = true
		f.settle(e)
		return false, false
	case e != nil && time.Since(c.stray) < strayFor:
		return false, false // it may be the answer to the one before
	case e != nil:
		f.settle(e)
		return true, true
	case f.end && a.Ended, f.answers:
	default:
		return false, false
	}
	f.answer = a.Raw
	f.settle(nil)
	return true, false
}

// lastOf takes in the answer to the question for the last line. A chat without one is none to be taken up (wire-gms
// C.2).
func (f *flight) lastOf(a *gms.Answer, e *chat.Error) *chat.Error {
	if a.StatusCode == gms.StatusRetry {
		return e
	}
	if e = resumed(f.op, a, e); e != nil {
		return e
	}
	for _, m := range a.Messages { // some servers send them all
		if m.HasIndex {
			f.last = max(f.last, m.Index)
		}
	}
	if f.last == 0 {
		return &chat.Error{
			Outcome: chat.Gone, Code: chat.CodeEnded, Op: f.op, Answer: a.Raw,
			Text: "the chat has no lines any more", Hint: "start a new one",
		}
	}
	return nil
}

// openedLocked takes in the result of a start.
func (c *conn) openedLocked(f *flight, a *gms.Answer, e *chat.Error) (failed bool) {
	if e == nil && (a.Session.ID == "" || a.Session.SecureKey.IsZero()) {
		e = &chat.Error{
			Code: chat.CodeBadAnswer, Op: f.op, Answer: a.Raw,
			Text: "the server started a chat without telling its chatId and secureKey", Hint: "check " + c.d.option(),
		}
	}
	if e == nil {
		c.book = gms.NewTranscript(a.Session, 1)
		c.begun, c.attached = true, true
	}
	f.settle(e)
	return e != nil
}

// unreadableLocked takes in that a delivery could not be read. Only of a first one it is known whose it is.
func (c *conn) unreadableLocked(err error) {
	if f := c.flight; f != nil && f.first {
		f.settle(&chat.Error{Code: chat.CodeBadAnswer, Op: f.op, Text: gms.Unreadable(err), Hint: "check " + c.d.option(), Err: err})
	}
}

// fetchedLocked reports whether an answer is the one to a request for lines: it begins before where the transcript
// stood, or is empty, as no push does or is.
func (c *conn) fetchedLocked(f *flight, a *gms.Answer) bool {
	q := f.fetch
	first, indexed := int64(0), false
	for _, m := range a.Messages {
		if m.HasIndex {
			first, indexed = m.Index, true
			break
		}
	}
	switch {
	case indexed && first >= q.next, !indexed && len(a.Messages) > 0:
		return false
	}
	end := q.end
	if end == 0 {
		end = c.read
	}
	q.found = c.book.Extract(a, q.first, end)
	c.withdrawLocked(q.found)
	f.answer = a.Raw
	f.settle(nil)
	return true
}

// withdrawLocked takes lines out of what waits for Receive: something else may have brought them, too.
func (c *conn) withdrawLocked(lines []chat.Message) {
	given := make(map[int64]bool, len(lines))
	for _, m := range lines {
		given[m.Index] = true
	}
	for i := range c.queue {
		ev := &c.queue[i].event
		ev.Messages = slices.DeleteFunc(ev.Messages, func(m chat.Message) bool { return m.HasIndex && given[m.Index] })
	}
}

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
	losses := c.losses
	if c.trouble != nil && !c.book.Over {
		c.client.retry()
	}
	for {
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

// relinked waits until the link is another one than it was.
func (c *conn) relinked(ctx context.Context, link int) bool {
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
			c.arriveLocked(gms.Answer{Ended: true}, nil, true)
		case e != nil && e.Outcome != chat.Unknown:
			c.book.Ending = false
		}
	}
	if e != nil {
		return chat.Receipt{}, link, e
	}
	return chat.Receipt{Confirmed: f.said, Answer: f.answer}, link, nil
}
