package gmsrest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// goneAfter is how many answers in a row must say that the server has no such chat, or will not be
// polled, until the chat counts as gone: some versions say no more than that of a chat that they no
// longer have, but a few may be a gateway's slip (wire-gms Uncertain 11).
const goneAfter = 5

// conn is a chat. It starts no goroutines.
type conn struct {
	d    *Driver
	life context.Context // ends with Close
	stop context.CancelFunc
	turn chan struct{} // holds a token while a request that is no poll is under way
	wake chan struct{} // cap 1: something changed that Receive waits for

	mu       sync.Mutex // guards everything below
	session  chat.Session
	told     chat.Session // session as of the last event
	from     int64        // first index that is wanted
	next     int64        // transcriptPosition to ask from
	read     int64        // the same, as of the last event that Receive returned
	seen     seen
	queue    []queued
	over     bool // the chat has ended; the end is in the queue or was given out
	ending   bool // the visitor asked for the end
	pace     pace
	polling  bool
	busy     bool // a poll is under way
	preview  func() string
	refused  string // preview that the server found too long
	missing  int    // answers in a row that point to a chat that is gone
	agents   int    // agents seen in the chat
	left     bool   // the last agent left, and nothing was said since
	putOut   bool   // the visitor left without having asked for the end
	idleShut bool   // the server said that it closes for idleness
}

// queued is an event with where a reader stands after it.
type queued struct {
	event chat.Event
	next  int64
}

func newConn(d *Driver, s chat.Session, next int64, a answer) *conn {
	c := &conn{
		d: d, turn: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		session: s, told: s, from: next, next: next, read: next, polling: true, pace: pace{poll: d.poll},
	}
	c.life, c.stop = context.WithCancel(context.Background())
	c.pace.start(time.Now())
	c.takeLocked(a, a.raw) // nobody else has c yet
	return c
}

// keys is the form that every request after the start carries (wire-gms A.2).
func keys(s chat.Session) url.Values {
	return url.Values{"secureKey": {s.SecureKey.Reveal()}, "userId": {s.UserID}, "alias": {s.Alias}}
}

func setPosition(form url.Values, next int64) {
	form.Set("transcriptPosition", strconv.FormatInt(next, 10))
}

// Session implements [chat.Conn].
func (c *conn) Session() chat.Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session
}

// Position implements [chat.Conn].
func (c *conn) Position() chat.Position {
	c.mu.Lock()
	defer c.mu.Unlock()
	return chat.Position{Index: c.read}
}

// Close implements [chat.Conn].
func (c *conn) Close() error {
	c.stop()
	return nil
}

// Send implements [chat.Conn].
func (c *conn) Send(ctx context.Context, a chat.Action) (chat.Receipt, error) {
	switch a.Kind {
	case chat.ActionMessage:
		label := a.MessageType
		if label == "" {
			label = "text"
		}
		form := url.Values{"message": {a.Text}, "messageType": {label}}
		if attributes, err := c.attributes(a); err != nil {
			return chat.Receipt{}, invalid("send", err.Error())
		} else if attributes != "" {
			form.Set("eventAttributes", attributes)
		}
		return c.request(ctx, "send", "send", form, true)
	case chat.ActionEnd:
		// The position is for what was said since the last poll: after the end nobody can ask for it.
		return c.request(ctx, "end", "disconnect", nil, true)
	}
	return chat.Receipt{}, invalid("send", fmt.Sprintf("unknown action %d", a.Kind))
}

// attributes is what goes along with a line: the line that it answers, and the mark (see [markGroup]).
func (c *conn) attributes(a chat.Action) (string, error) {
	groups := make(map[string]any)
	if a.ParentID != "" {
		groups["general-properties"] = map[string]string{"related-event-id": a.ParentID}
	}
	if a.ClientID != "" && c.d.mark {
		groups[markGroup] = map[string]string{markName: a.ClientID}
	}
	if len(groups) == 0 {
		return "", nil
	}
	text, err := json.Marshal(groups)
	return string(text), err
}

// Typing implements [chat.Typer].
func (c *conn) Typing(ctx context.Context, on bool, preview string) (chat.Receipt, error) {
	operation := "stopTyping"
	if on {
		operation = "startTyping"
	}
	return c.request(ctx, "typing", operation, url.Values{"message": {preview}}, true)
}

// UpdateUserData implements [chat.DataUpdater].
func (c *conn) UpdateUserData(ctx context.Context, data map[string]any) (chat.Receipt, error) {
	const op = "user data"
	form := url.Values{}
	if err := userData(form, data); err != nil {
		return chat.Receipt{}, invalid(op, err.Error())
	}
	if len(form) == 0 {
		return chat.Receipt{Confirmed: true}, nil
	}
	return c.request(ctx, op, "updateData", form, false)
}

// CustomNotice implements [chat.Notifier].
func (c *conn) CustomNotice(ctx context.Context, text string, attributes json.RawMessage) (chat.Receipt, error) {
	form := url.Values{"message": {text}}
	if len(attributes) > 0 {
		form.Set("eventAttributes", string(attributes))
	}
	return c.request(ctx, "notice", "customNotice", form, false)
}

// PushURL implements [chat.URLPusher].
func (c *conn) PushURL(ctx context.Context, address string) (chat.Receipt, error) {
	return c.request(ctx, "push URL", "pushUrl", url.Values{"pushUrl": {address}}, false)
}

// UpdateNickname implements [chat.Renamer].
func (c *conn) UpdateNickname(ctx context.Context, nickname string) (chat.Receipt, error) {
	return c.request(ctx, "nickname", "updateNickname", url.Values{"nickname": {nickname}}, false)
}

// MarkRead implements [chat.ReadMarker].
func (c *conn) MarkRead(ctx context.Context, upTo chat.Position) (chat.Receipt, error) {
	const op = "read receipt"
	if upTo.Index <= 1 { // nothing was read
		return chat.Receipt{Confirmed: true}, nil
	}
	form := make(url.Values)
	setPosition(form, upTo.Index-1)
	return c.request(ctx, op, "readReceipt", form, false)
}

// Refetch implements [chat.Refetcher].
func (c *conn) Refetch(ctx context.Context, from, to chat.Position) ([]chat.Message, error) {
	const op = "refetch"
	first := max(from.Index, 1)
	done, e := c.takeTurn(ctx, op)
	if e != nil {
		return nil, e
	}
	defer done()
	form := make(url.Values) // without a preview: it would be taken for the visitor's
	setPosition(form, first)
	var found []chat.Message
	_, e = c.exchange(ctx, op, "refresh", form, func(a *answer) {
		end := to.Index
		if to == (chat.Position{}) {
			end = c.read
		}
		var rest []chat.Message
		for _, m := range a.messages {
			if !m.HasIndex || m.Index < first || m.Index >= end {
				rest = append(rest, m)
				continue
			}
			if len(found) > 0 && found[len(found)-1].Index == m.Index {
				continue
			}
			found = append(found, m)
			if m.Index >= c.from && c.seen.add(m.Index) {
				c.lineLocked(m)
			}
		}
		a.messages = rest
		c.withdrawLocked(found)
	})
	if e != nil {
		return nil, e
	}
	return found, nil
}

// withdrawLocked takes lines out of what waits for Receive: a request that was made before may have brought
// them, too.
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

// takeTurn waits until no request is under way that takes turns, and returns what ends the turn.
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

// request takes its turn and makes one request of the visitor. positioned asks for what is new along
// with the answer.
func (c *conn) request(ctx context.Context, op, operation string, form url.Values, positioned bool) (chat.Receipt, error) {
	done, e := c.takeTurn(ctx, op)
	if e != nil {
		return chat.Receipt{}, e
	}
	defer done()
	if positioned {
		if form == nil {
			form = make(url.Values)
		}
		c.mu.Lock()
		setPosition(form, c.next)
		c.mu.Unlock()
	}
	a, e := c.exchange(ctx, op, operation, form, nil)
	c.mu.Lock()
	c.pace.reset()
	c.signal()
	c.mu.Unlock()
	if e != nil {
		return chat.Receipt{}, e
	}
	return chat.Receipt{Confirmed: true, Answer: a.raw}, nil
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
	case c.over:
		return chat.Session{}, &chat.Error{Outcome: chat.Gone, Code: chat.CodeEnded, Op: op, Text: "the chat is over"}
	}
	return c.session, nil
}

// exchange makes one request that is no poll, and takes in what its answer brings. filter, if not nil,
// first takes out what is not for Receive; it is called with mu held.
func (c *conn) exchange(ctx context.Context, op, operation string, form url.Values, filter func(*answer)) (answer, *chat.Error) {
	session, e := c.ready(ctx, op)
	if e != nil {
		return answer{}, e
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
	op, operation string, session chat.Session, resp *response, e *chat.Error, filter func(*answer),
) (answer, *chat.Error) {
	var a answer
	if e == nil {
		a, e = c.d.wire.judge(op, resp, session.SecureKey)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if operation == "disconnect" && (e == nil || e.Outcome == chat.Unknown) {
		c.ending = true
	}
	if resp == nil {
		return a, e
	}
	// After a disconnect the session is over whatever else the answer says (wire-gms A.7.5).
	a.ended = a.ended || e == nil && operation == "disconnect"
	if filter != nil && e == nil {
		filter(&a)
	}
	return a, c.settleLocked(a, e, false)
}

// post makes a request that ends with the connection, too.
func (c *conn) post(ctx context.Context, op, address string, form url.Values) (*response, *chat.Error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	resp, e := c.d.wire.post(ctx, op, address, form)
	return resp, c.blame(e)
}

// blame makes Close the cause of a failure after it.
func (c *conn) blame(e *chat.Error) *chat.Error {
	if e != nil && c.life.Err() != nil {
		e.Code, e.Text, e.Hint = chat.CodeClosed, "connection was closed while the request was under way", ""
	}
	return e
}

// settleLocked takes in the answer to a poll or to another request, and the error that came with it.
// The error comes back as Gone when it turns out to be an end.
func (c *conn) settleLocked(a answer, e *chat.Error, poll bool) *chat.Error {
	switch {
	case e == nil:
		c.missing = 0
	case e.Code == chat.CodeNotFound, poll && e.Code == chat.CodeRefused:
		c.missing++
	}
	if e != nil {
		// Only what an answer says about the end counts beside an error (wire-gms A.5); of a
		// failure that may pass (statusCode 1) nothing does.
		ended := e.Outcome == chat.Gone || c.missing >= goneAfter || a.ended && a.statusCode != statusRetry
		if !ended {
			return e
		}
		e.Outcome, e.Code = chat.Gone, chat.CodeEnded
		a.ended = true
	}
	raw := a.raw
	if !poll { // the receipt or the error has it
		raw = nil
	}
	c.takeLocked(a, raw)
	return e
}

// takeLocked takes in what an answer brought, and queues it if it is worth an event. raw is the
// envelope for the event; with one there is always an event.
func (c *conn) takeLocked(a answer, raw json.RawMessage) {
	if c.over {
		return
	}
	if a.statusCode == statusOK {
		c.keysLocked(a.session)
	}
	ev := chat.Event{StatusCode: a.statusCode, IdleTimerExpire: a.idle, Raw: raw}
	if a.statusCode != statusRetry { // then the other fields are not reliable
		for _, m := range a.messages {
			if m.HasIndex {
				// An old node may send everything, whatever it was asked for (wire-gms Uncertain 16).
				if m.Index < c.from || !c.seen.add(m.Index) {
					continue
				}
				c.next = max(c.next, m.Index+1)
			}
			ev.Messages = append(ev.Messages, m)
			c.lineLocked(m)
		}
		ev.Ended = a.ended
	}
	if ev.Ended {
		c.over = true
		ev.Errors = a.errors
		switch {
		case c.ending:
			ev.EndedBy = chat.EndVisitor
		case c.idleShut:
			ev.EndedBy = chat.EndIdle
		case c.left:
			ev.EndedBy = chat.EndAgent
		default:
			ev.EndedBy = chat.EndServer
		}
	}
	if c.told != c.session {
		c.told = c.session
		s := c.session
		ev.Session = &s
	}
	ev.Position = chat.Position{Index: c.next}
	if raw == nil && len(ev.Messages) == 0 && !ev.Ended && ev.Session == nil {
		return
	}
	c.queue = append(c.queue, queued{ev, c.next})
	c.signal()
}

// keysLocked overwrites the session's keys with those that the answer has (wire-gms A.2).
func (c *conn) keysLocked(s chat.Session) {
	if s.ID != "" {
		c.session.ID = s.ID
	}
	if s.UserID != "" {
		c.session.UserID = s.UserID
	}
	if s.Alias != "" {
		c.session.Alias = s.Alias
	}
	if !s.SecureKey.IsZero() {
		c.session.SecureKey = s.SecureKey
	}
}

// lineLocked notes what a new line means for the pace and for the reason of an end. The wire does not
// tell the reason; that the last agent left just before, or that the visitor was put out while an
// agent was there, are what it shows (wire-gms A.10).
func (c *conn) lineLocked(m chat.Message) {
	if !m.Own {
		c.pace.reset()
	}
	agent := m.From.Role == chat.RoleAgent
	switch {
	case m.Kind == chat.KindIdleClose:
		c.idleShut = true
	case m.Kind == chat.KindParticipantJoined && agent:
		c.agents++
		c.left = false
	case m.Kind == chat.KindParticipantLeft && agent:
		c.agents--
		c.left = c.agents <= 0 && !c.putOut
	case m.Kind == chat.KindParticipantLeft && m.Own:
		c.putOut = true
	case m.Kind == chat.KindMessage:
		c.idleShut, c.left = false, false
	}
}

func (c *conn) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func closedError(op string) *chat.Error {
	return &chat.Error{Outcome: chat.NotSent, Code: chat.CodeClosed, Op: op, Text: "connection was closed"}
}

func canceledError(ctx context.Context, op string) *chat.Error {
	return &chat.Error{Outcome: chat.NotSent, Code: chat.CodeCanceled, Op: op, Text: "given up before the request was sent", Err: context.Cause(ctx)}
}

var (
	_ chat.Conn        = (*conn)(nil)
	_ chat.Poller      = (*conn)(nil)
	_ chat.Typer       = (*conn)(nil)
	_ chat.DataUpdater = (*conn)(nil)
	_ chat.Notifier    = (*conn)(nil)
	_ chat.URLPusher   = (*conn)(nil)
	_ chat.Renamer     = (*conn)(nil)
	_ chat.ReadMarker  = (*conn)(nil)
	_ chat.Refetcher   = (*conn)(nil)
)
