package gmscometd

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

// MaxQueue is how many batches wait for Receive until nothing more is read.
const MaxQueue = 4096

// Timing of a connection.
const (
	// overtaken is how long a line waits for those before it, which another answer may bring.
	overtaken = 250 * time.Millisecond
	// attachEvery and attachTries are how a chat is attached again (wire-gms B.7).
	attachEvery = 3 * time.Second
	attachTries = 30
	// strayFor is how long a refusal may be that of a request which was left before: a delivery does not say.
	strayFor = 30 * time.Second
)

// conn is a chat.
type conn struct {
	d      *Driver
	client *client
	files  *gms.Wire
	life   context.Context // ends with Close
	stop   context.CancelFunc
	wg     sync.WaitGroup
	turn   chan struct{} // holds a token while a request is under way
	wake   chan struct{} // cap 1: something changed that Receive waits for
	room   chan struct{} // cap 1: the queue has become shorter

	mu       sync.Mutex // guards everything below
	book     gms.Transcript
	read     int64 // where a reader stands after the last event that Receive returned
	queue    []queued
	early    []arrival   // what overtook lines that are on their way
	patience *time.Timer // ends the wait for those
	flight   *flight     // the request under way
	stray    time.Time   // when a request was left whose answer may still come in this Bayeux session
	attach   *flight     // the attempt to attach the chat again
	attached bool        // what happens in the chat is pushed here
	begun    bool        // the chat was accepted
	closed   bool
	trouble  *chat.Error   // of the last attempt to connect; nil: it is well, or under way
	quiet    bool          // no event since the link was lost last
	losses   int           // failures so far
	linked   bool          // the Bayeux session is there
	links    int           // how often that changed
	changed  chan struct{} // closed and replaced when attached, trouble or the end change
}

// queued is an event with where a reader stands after it.
type queued struct {
	event chat.Event
	next  int64
}

func newConn(d *Driver, jar http.CookieJar, s chat.Session, next int64) *conn {
	c := &conn{
		d: d, turn: make(chan struct{}, 1), wake: make(chan struct{}, 1), room: make(chan struct{}, 1), changed: make(chan struct{}),
		book: gms.NewTranscript(s, next), read: next,
	}
	c.life, c.stop = context.WithCancel(context.Background())
	if d.files != nil {
		c.files = d.files.WithCookies(jar)
	}
	c.client = newClient(d.wire.WithCookies(jar), d.dialer, d.log)
	c.client.deliver, c.client.up, c.client.down, c.client.lost = c.deliver, c.up, c.down, c.lost
	return c
}

// public returns the connection with the abilities that it has.
func (c *conn) public() chat.Conn {
	if c.files == nil {
		return c
	}
	return &fileConn{c}
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
	return chat.Position{Index: c.read}
}

// Close implements [chat.Conn].
func (c *conn) Close() error {
	c.mu.Lock()
	c.closed = true
	if c.patience != nil {
		c.patience.Stop()
	}
	c.mu.Unlock()
	c.stop()
	c.client.close()
	c.wg.Wait()
	return nil
}

// Receive implements [chat.Conn].
func (c *conn) Receive(ctx context.Context) (chat.Event, error) {
	const op = "receive"
	c.mu.Lock()
	losses := c.losses
	c.mu.Unlock()
	for {
		if c.life.Err() != nil {
			return chat.Event{}, closedError(op)
		}
		c.mu.Lock()
		switch {
		case len(c.queue) > 0:
			q := c.queue[0]
			c.queue[0] = queued{}
			c.queue = c.queue[1:]
			c.read = q.next
			c.mu.Unlock()
			signal(c.room)
			return q.event, nil
		case c.book.Over && len(c.early) == 0:
			c.mu.Unlock()
			return chat.Event{}, io.EOF
		case ctx.Err() != nil:
			c.mu.Unlock()
			return chat.Event{}, canceledError(ctx, op)
		case c.trouble != nil && c.losses > losses: // what failed before does not count: the next attempt may succeed
			e := *c.trouble
			c.mu.Unlock()
			e.Op = op
			return chat.Event{}, &e
		}
		c.mu.Unlock()
		if c.client.stopped() {
			c.client.resume()
		}
		select {
		case <-c.wake:
		case <-ctx.Done():
		case <-c.life.Done():
		}
	}
}

// start publishes the first request once the Bayeux session is there, and waits for its result.
func (c *conn) start(ctx context.Context, op string, data []byte) *chat.Error {
	f := newFlight(op)
	f.first = true
	if e := c.begin(ctx, f, data); e != nil {
		return e
	}
	c.client.keep(true)
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
	signal(c.wake)
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

// arrival is an answer on its way into the transcript.
type arrival struct {
	answer gms.Answer
	raw    json.RawMessage
}

// first is the lowest index of a line that has not come out yet, 0 if there is none.
func (c *conn) firstLocked(a *gms.Answer) int64 {
	for _, m := range a.Messages {
		if m.HasIndex && c.book.New(m) {
			return m.Index
		}
	}
	return 0
}

// deliver takes in what the server says (wire-gms B.3).
func (c *conn) deliver(m message) {
	if m.channel != c.d.channel {
		return
	}
	c.mu.Lock()
	for len(c.queue) >= MaxQueue && c.life.Err() == nil {
		c.mu.Unlock()
		select {
		case <-c.room:
		case <-c.life.Done():
		}
		c.mu.Lock()
	}
	defer c.mu.Unlock()
	secrets := append([]chat.Secret{c.book.Session.SecureKey}, c.d.wire.Secrets()...)
	a, err := gms.ParseValid(m.data, false, secrets...) // as all that parseUnit gives out is
	if err == nil && !a.StatusTold && len(a.Errors) == 0 {
		err = gms.ErrNoStatus
	}
	if err != nil {
		c.d.log.Warn("a delivery cannot be read", "error", gms.Unreadable(err))
		c.unreadableLocked(err)
		return
	}
	c.answerLocked(a)
}

// answerLocked says what an answer means for what is under way, and takes it in.
func (c *conn) answerLocked(a gms.Answer) {
	raw, whole, other := a.Raw, false, false
	if f := c.attach; f != nil {
		c.attach = nil
		whole, other = true, true
		if !c.quiet { // it is known that the link is back
			raw = nil
		}
		if e := resumed(f.op, &a, gms.Verdict(f.op, a, c.d.option())); e != nil && e.Outcome != chat.Gone {
			f.settle(e)
		} else {
			a.Ended = a.Ended || e != nil
			c.attached = e == nil
			f.settle(nil)
			c.changedLocked()
		}
	}
	if f := c.flight; f != nil && !f.settled {
		mine, taken := c.judgeLocked(f, &a, other)
		if taken {
			return
		}
		if mine && !other {
			raw, whole = nil, f.first || f.fetch != nil
			if f.first {
				raw = a.Raw
			}
		}
	}
	if a.StatusCode == gms.StatusError && slices.ContainsFunc(a.Errors, func(e chat.ServerError) bool { return gms.Gone(e.Code) }) {
		a.Ended = true
	}
	c.arriveLocked(a, raw, whole)
}

// arriveLocked takes in an answer in its turn: lines that came before those which precede them wait a little.
// whole says that the answer has all that the server has from where the transcript stands.
func (c *conn) arriveLocked(a gms.Answer, raw json.RawMessage, whole bool) {
	first := c.firstLocked(&a)
	if !whole && (first > c.book.Next || a.Ended && len(c.early) > 0) {
		c.early = append(c.early, arrival{a, raw})
		if len(c.early) == 1 {
			c.patience = time.AfterFunc(overtaken, c.waited)
		}
		return
	}
	if a.Ended {
		c.catchUpLocked(true)
	}
	c.takeLocked(a, raw)
	c.catchUpLocked(whole)
}

// waited ends the wait for lines that were overtaken.
func (c *conn) waited() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.catchUpLocked(true)
	}
}

// catchUpLocked takes in what has waited: what follows now, or all of it.
func (c *conn) catchUpLocked(all bool) {
	if len(c.early) == 0 {
		return
	}
	slices.SortStableFunc(c.early, func(a, b arrival) int {
		if a.answer.Ended != b.answer.Ended {
			if a.answer.Ended {
				return 1
			}
			return -1
		}
		return cmp.Compare(c.firstLocked(&a.answer), c.firstLocked(&b.answer))
	})
	for len(c.early) > 0 {
		e := c.early[0]
		if !all && c.firstLocked(&e.answer) > c.book.Next {
			return
		}
		c.early = c.early[1:]
		c.takeLocked(e.answer, e.raw)
	}
	c.patience.Stop()
	c.early = nil
}

// takeLocked takes in what an answer brought, and queues it if it is worth an event.
func (c *conn) takeLocked(a gms.Answer, raw json.RawMessage) {
	over := c.book.Over
	if !c.quiet && len(a.Messages) > 0 && !slices.ContainsFunc(a.Messages, c.book.New) {
		raw = nil // it was said before, and tells nothing by being said again
	}
	ev, ok := c.book.Take(a, raw)
	if !ok {
		return
	}
	if len(ev.Errors) == 0 {
		ev.Errors = a.Errors
	}
	c.queue = append(c.queue, queued{ev, c.book.Next})
	c.quiet = false
	signal(c.wake)
	if c.book.Over && !over {
		c.overLocked()
	}
}

// overLocked leaves the server, where there is nothing more to be had.
func (c *conn) overLocked() {
	c.attached, c.trouble = false, nil
	c.changedLocked()
	if c.flight == nil { // else its answer is on the way
		c.leaveLocked()
	}
}

// leaveLocked ends the Bayeux session of a chat that is over.
func (c *conn) leaveLocked() {
	if !c.closed {
		c.wg.Go(c.client.close)
	}
}

var _ chat.Conn = (*conn)(nil)
