package gmscometd

import (
	"context"
	"sync"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/bayeux"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

// conn is a chat.
type conn struct {
	d        *Driver
	client   *bayeux.Client
	files    *gms.Wire
	life     context.Context // ends with Close
	stop     context.CancelFunc
	wg       sync.WaitGroup
	sendLock chan struct{} // holds a token while a request is under way
	wake     chan struct{} // cap 1: something has changed that Receive waits for
	room     chan struct{} // cap 1: the queue has become shorter

	mu sync.Mutex // guards everything below

	// The transcript, and what is on its way into it and out of it.
	transcript gms.Transcript
	hidden     []chat.Secret // the chat's key, and the driver's secrets
	reorder    reorderBuffer
	queue      queue
	read       chat.Position // where a reader stands after the last event that Receive returned

	// The requests.
	pending   *pending  // the request under way
	abandoned time.Time // when a request was left whose answer may still come in this Bayeux session
	attach    *pending  // the attempt to attach the chat again

	// The state of the chat.
	begun    bool          // the chat was accepted
	attached bool          // what happens in the chat is pushed here
	closed   bool          // Close was called
	linked   bool          // the Bayeux session is there
	links    int           // how often linked has changed
	trouble  *chat.Error   // of the last attempt to connect; nil: the link is well, or an attempt is under way
	losses   int           // attempts that have failed so far
	quiet    bool          // the last that was told is that the link, or the chat server behind it, is lost
	changed  chan struct{} // closed and replaced when attached, linked, trouble or the end change

	// Await.
	waker   func() // until it is called
	hold    bool   // whoever holds mu will call waiting
	awaited bool   // Await was called since the last Receive
	since   int    // losses when it was called
}

// newConn returns a connection whose client is not started yet.
func newConn(d *Driver, s chat.Session, next int64, known chat.Position) *conn {
	c := &conn{
		d: d, sendLock: make(chan struct{}, 1), wake: make(chan struct{}, 1), room: make(chan struct{}, 1), changed: make(chan struct{}),
		transcript: gms.NewTranscript(s, next, known),
	}
	c.read = c.transcript.Position()
	c.life, c.stop = context.WithCancel(context.Background())
	jar := bayeux.NewJar()
	if d.files != nil {
		c.files = d.files.WithCookies(jar)
	}
	c.client = bayeux.New(requests{d.wire.WithCookies(jar)}, handler{c}, &bayeux.Options{
		Dialer: d.dialer, Jar: jar, Timeout: d.wire.Timeout(), Logger: d.log,
		Names: bayeux.Names{Address: d.wire.Option, Channel: channelOption, Timeout: "webchat.ajaxTimeout"},
	})
	return c
}

// secretsLocked returns what nothing that is told must show. The slice is never written to.
func (c *conn) secretsLocked() []chat.Secret {
	if key := c.transcript.Session.SecureKey; len(c.hidden) == 0 || c.hidden[0] != key {
		c.hidden = append([]chat.Secret{key}, c.d.wire.Secrets()...)
	}
	return c.hidden
}

// Session implements [chat.Conn].
func (c *conn) Session() chat.Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.transcript.Session
}

// Position implements [chat.Conn].
func (c *conn) Position() chat.Position {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read
}

// Capabilities implements [chat.Conn]. There are files if the configuration says where they go.
func (c *conn) Capabilities() chat.Capabilities {
	return chat.Capabilities{
		Files: c.files != nil, History: true, Refetch: true, Typing: true, UserData: true, Notices: true, URLs: true,
		Nicknames: true, ReadMarks: true, IdleReset: true,
	}
}

// Explain implements [chat.Explainer], with the vendor's texts (webchatservice, appendix A).
func (c *conn) Explain(op string) *chat.Error {
	e := chat.Unsupported(op)
	switch op {
	case "poll":
		e.Text = "Polling is not supported when using CometD"
	case "download":
		e.Text, e.Hint = "Could not download file. Please ensure WebChat is configured properly.", "set webchat.cometD.apiURL"
	default:
		return nil
	}
	return e
}

// Close implements [chat.Conn].
func (c *conn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.reorder.stop()
	c.mu.Unlock()
	c.stop()
	c.client.Close()
	c.wg.Wait()
	return nil
}

// overLocked leaves the server when the chat is over: there is nothing more to be had.
func (c *conn) overLocked() {
	c.attached, c.trouble = false, nil
	c.changedLocked()
	if c.pending == nil { // else its answer is on the way
		c.leaveLocked()
	}
}

// leaveLocked ends the Bayeux session of a chat that is over.
func (c *conn) leaveLocked() {
	if !c.closed {
		c.wg.Go(c.client.Close)
	}
}

// changedLocked wakes whoever waits for another state of the chat.
func (c *conn) changedLocked() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// unlinkedLocked takes in that there is no Bayeux session.
func (c *conn) unlinkedLocked() {
	c.linked, c.attached = false, false
	c.links++
	c.changedLocked()
}

// sleep waits for d, and reports whether the connection was not closed meanwhile.
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

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

func closedError(op string) *chat.Error {
	return &chat.Error{Outcome: chat.NotSent, Code: chat.CodeClosed, Op: op, Text: "connection was closed"}
}

// closeError is the error of a request that was under way when the connection was closed.
func closeError(op string) *chat.Error {
	return &chat.Error{Code: chat.CodeClosed, Op: op, Text: "connection was closed while the request was under way"}
}

func canceledError(ctx context.Context, op string) *chat.Error {
	return &chat.Error{Outcome: chat.NotSent, Code: chat.CodeCanceled, Op: op, Text: "given up before the request was sent", Err: context.Cause(ctx)}
}

func overError(op string) *chat.Error {
	return &chat.Error{Outcome: chat.Gone, Code: chat.CodeEnded, Op: op, Text: "the chat is over"}
}

var _ chat.Conn = (*conn)(nil)
