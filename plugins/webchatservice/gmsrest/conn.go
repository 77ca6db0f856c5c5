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
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
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

	mu      sync.Mutex // guards everything below
	book    gms.Transcript
	read    chat.Position // where a reader stands after the last event that Receive returned
	queue   []chat.Event
	pace    pace
	polling bool
	busy    bool // a poll is under way
	preview func() string
	refused string      // preview that the server found too long
	waker   func()      // of Await, until it is called
	alarm   *time.Timer // calls it when the next poll is due
	missing int         // answers in a row that point to a chat that is gone
}

func newConn(d *Driver, s chat.Session, next int64, known chat.Position, a gms.Answer) *conn {
	c := &conn{
		d: d, turn: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		book: gms.NewTranscript(s, next, known), polling: true, pace: pace{poll: d.poll},
	}
	c.read = c.book.Position()
	c.life, c.stop = context.WithCancel(context.Background())
	c.pace.start(time.Now())
	c.takeLocked(a, a.Raw) // nobody else has c yet
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
	return c.book.Session
}

// Position implements [chat.Conn].
func (c *conn) Position() chat.Position {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read
}

// Capabilities implements [chat.Conn]. What GMS takes, all servers take; which files, FileLimits tells.
func (c *conn) Capabilities() chat.Capabilities {
	return chat.Capabilities{
		Files: true, Refetch: true, Polling: true, Typing: true, UserData: true, Notices: true, URLs: true, Nicknames: true,
		ReadMarks: true, IdleReset: true,
	}
}

// Close implements [chat.Conn].
func (c *conn) Close() error {
	c.stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waker = nil
	if c.alarm != nil {
		c.alarm.Stop()
	}
	return nil
}

// Send implements [chat.Conn].
func (c *conn) Send(ctx context.Context, a chat.Action) (chat.Receipt, error) {
	switch a.Kind {
	case chat.ActionMessage:
		if a.Reply != nil {
			return chat.Receipt{}, chat.Unsupported("send")
		}
		label := a.MessageType
		if label == "" {
			label = "text"
		}
		form := url.Values{"message": {a.Text}, "messageType": {label}}
		if attributes, err := c.attributes(a); err != nil {
			return chat.Receipt{}, gms.Invalid("send", err.Error())
		} else if attributes != "" {
			form.Set("eventAttributes", attributes)
		}
		return c.request(ctx, "send", "send", form, true)
	case chat.ActionEnd:
		// The position is for what was said since the last poll: after the end nobody can ask for it.
		return c.request(ctx, "end", "disconnect", nil, true)
	}
	return chat.Receipt{}, gms.Invalid("send", fmt.Sprintf("unknown action %d", a.Kind))
}

// attributes is what goes along with a line: the line that it answers, and the mark (see [gms.MarkGroup]).
func (c *conn) attributes(a chat.Action) (string, error) {
	groups := make(map[string]any)
	if a.ParentID != "" {
		groups["general-properties"] = map[string]string{"related-event-id": a.ParentID}
	}
	if a.ClientID != "" && c.d.mark {
		groups[gms.MarkGroup] = map[string]string{gms.MarkName: a.ClientID}
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
	if err := gms.UserData(form, data); err != nil {
		return chat.Receipt{}, gms.Invalid(op, err.Error())
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

// ResetIdle implements [chat.IdleResetter].
func (c *conn) ResetIdle(ctx context.Context) (chat.Receipt, error) {
	return c.CustomNotice(ctx, "", json.RawMessage(gms.CancelIdle))
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
	last := gms.First(upTo) - 1
	if last == 0 { // nothing was read
		return chat.Receipt{Confirmed: true}, nil
	}
	form := make(url.Values)
	setPosition(form, last)
	return c.request(ctx, op, "readReceipt", form, false)
}

// Refetch implements [chat.Refetcher].
func (c *conn) Refetch(ctx context.Context, from, to chat.Position) ([]chat.Message, error) {
	const op = "refetch"
	done, e := c.takeTurn(ctx, op)
	if e != nil {
		return nil, e
	}
	defer done()
	c.mu.Lock()
	first := c.book.After(from)
	c.mu.Unlock()
	form := make(url.Values) // without a preview: it would be taken for the visitor's
	setPosition(form, first)
	var found []chat.Message
	_, e = c.exchange(ctx, op, "refresh", form, func(a *gms.Answer) {
		if to == (chat.Position{}) {
			to = c.read
		}
		end := gms.First(to)
		if slices.ContainsFunc(a.Messages, func(m chat.Message) bool { return m.Index != 0 && !m.Own && c.book.New(m) }) {
			c.pace.reset()
		}
		found = c.book.Extract(a, first, end)
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
	if len(c.queue) == 0 {
		return
	}
	given := make(map[chat.Position]bool, len(lines))
	for _, m := range lines {
		given[m.Position] = true
	}
	for i := range c.queue {
		ev := &c.queue[i]
		ev.Messages = slices.DeleteFunc(ev.Messages, func(m chat.Message) bool { return m.Index != 0 && given[m.Position] })
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
	asked := int64(0)
	if positioned {
		if form == nil {
			form = make(url.Values)
		}
		c.mu.Lock()
		asked = c.book.Asks()
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
	case c.book.Over:
		return chat.Session{}, &chat.Error{Outcome: chat.Gone, Code: chat.CodeEnded, Op: op, Text: "the chat is over"}
	}
	return c.book.Session, nil
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
		c.book.Ending = true
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

// blame makes Close the cause of a failure after it.
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
func (c *conn) takeLocked(a gms.Answer, raw json.RawMessage) {
	ev, ok := c.book.Take(a, raw)
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

func closedError(op string) *chat.Error {
	return &chat.Error{Outcome: chat.NotSent, Code: chat.CodeClosed, Op: op, Text: "connection was closed"}
}

func canceledError(ctx context.Context, op string) *chat.Error {
	return &chat.Error{Outcome: chat.NotSent, Code: chat.CodeCanceled, Op: op, Text: "given up before the request was sent", Err: context.Cause(ctx)}
}

var (
	_ chat.Conn        = (*conn)(nil)
	_ chat.Waker       = (*conn)(nil)
	_ chat.Poller      = (*conn)(nil)
	_ chat.Typer       = (*conn)(nil)
	_ chat.DataUpdater = (*conn)(nil)
	_ chat.Notifier    = (*conn)(nil)
	_ chat.URLPusher   = (*conn)(nil)
	_ chat.Renamer     = (*conn)(nil)
	_ chat.ReadMarker  = (*conn)(nil)
	_ chat.Refetcher   = (*conn)(nil)

	_ chat.IdleResetter = (*conn)(nil)
)
