package gmscometd

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

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
	hidden   []chat.Secret // the key, and the driver's
	read     int64         // where a reader stands after the last event that Receive returned
	queue    queue
	early    []arrival   // what overtook lines that are on their way
	patience *time.Timer // ends the wait for those
	flight   *flight     // the request under way
	stray    time.Time   // when a request was left whose answer may still come in this Bayeux session
	attach   *flight     // the attempt to attach the chat again
	attached bool        // what happens in the chat is pushed here
	begun    bool        // the chat was accepted
	closed   bool
	trouble  *chat.Error   // of the last attempt to connect; nil: it is well, or under way
	quiet    bool          // the last that was told is that the link, or the chat server behind it, is lost
	losses   int           // failures so far
	waker    func()        // of Await, until it is called
	hold     bool          // whoever holds mu sees to the waker
	awaited  bool          // Await was called since the last Receive
	since    int           // losses at that time
	linked   bool          // the Bayeux session is there
	links    int           // how often that changed
	changed  chan struct{} // closed and replaced when attached, trouble or the end change
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
	c.client.secrets = c.secrets
	c.client.room, c.client.deliver, c.client.waiting = c.awaitRoom, c.deliver, c.waiting
	c.client.up, c.client.down, c.client.lost = c.up, c.down, c.lost
	return c
}

// secrets are what nothing that is told must show.
func (c *conn) secrets() []chat.Secret {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.secretsLocked()
}

// The slice is never written to.
func (c *conn) secretsLocked() []chat.Secret {
	if key := c.book.Session.SecureKey; len(c.hidden) == 0 || c.hidden[0] != key {
		c.hidden = append([]chat.Secret{key}, c.d.wire.Secrets()...)
	}
	return c.hidden
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
	c.mu.Lock()
	losses := c.losses
	if c.awaited {
		c.awaited, losses = false, c.since
	}
	c.mu.Unlock()
	for {
		if q, err := c.next(ctx, losses); err != nil {
			return chat.Event{}, err
		} else if q != nil {
			return q.event, nil
		}
		if c.client.stopped() {
			c.client.resume()
		}
		c.await(ctx)
	}
}

// next returns what Receive returns, if there is something.
func (c *conn) next(ctx context.Context, losses int) (*queued, error) {
	const op = "receive"
	if c.life.Err() != nil {
		return nil, closedError(op)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.queue.empty():
		q := c.queue.pop()
		c.read = q.next
		signal(c.room)
		return &q, nil
	case c.book.Over && len(c.early) == 0:
		return nil, io.EOF
	case ctx.Err() != nil:
		return nil, canceledError(ctx, op)
	case c.trouble != nil && c.losses > losses: // what failed before does not count: the next attempt may succeed
		e := *c.trouble
		e.Op = op
		return nil, &e
	}
	return nil, nil
}

// Await implements [chat.Waker].
func (c *conn) Await(f func()) bool {
	c.mu.Lock()
	if c.life.Err() != nil || !c.queue.empty() || c.book.Over && len(c.early) == 0 {
		c.mu.Unlock()
		return false
	}
	c.waker, c.awaited, c.since = f, true, c.losses
	c.mu.Unlock()
	if c.client.stopped() { // if it stops from now on, it tells that
		c.client.resume()
	}
	return true
}

// wakeLocked tells who waits that there is something for Receive.
func (c *conn) wakeLocked() {
	signal(c.wake)
	if c.hold {
		return
	}
	if f := c.waker; f != nil {
		c.waker = nil
		go f() // it is the waiter's, and the wait is over
	}
}

// waiting returns what is to be called since there is something for Receive, nil if there is nothing, or nobody awaits it.
func (c *conn) waiting() func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.queue.empty() && !c.book.Over {
		return nil
	}
	f := c.waker
	c.waker = nil
	return f
}

// await waits until there may be something for Receive. A chat waits here for most of its life: so little is on the stack.
func (c *conn) await(ctx context.Context) {
	select {
	case <-c.wake:
	case <-ctx.Done():
	case <-c.life.Done():
	}
}

var (
	_ chat.Conn  = (*conn)(nil)
	_ chat.Waker = (*conn)(nil)
)
