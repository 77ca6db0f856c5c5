package bayeux

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// Options are the options of a [Client]. The zero value works.
type Options struct {
	// Dialer opens websockets. nil: long-polling only.
	Dialer *Dialer
	// Jar is the cookie jar that the HTTP requests use. nil: websockets have no cookies, and none is forgotten.
	Jar *Jar
	// Timeout is how long a request waits for its answer. 0: 10 s.
	Timeout time.Duration
	// Logger gets a few records, none of them for an error that is returned or told to the handler. nil: slog.Default().
	Logger *slog.Logger
	// Names are what hints call the options of the configuration.
	Names Names
}

// Names are the names of options in a configuration.
type Names struct {
	Address string // of the Bayeux server
	Channel string // that messages are published on
	Timeout string // [Options.Timeout]
}

// Client keeps one Bayeux session. All its methods may be called at once from many goroutines.
type Client struct {
	http    HTTP
	handler Handler
	dialer  *Dialer // nil: long-polling only
	jar     *Jar    // nil: none
	timeout time.Duration
	log     *slog.Logger
	names   Names

	life context.Context // ends with Close
	stop context.CancelFunc
	wg   sync.WaitGroup
	term atomic.Uint64 // number of the reader: it grows when another goroutine takes its place
	try  chan struct{} // cap 1: end the pause, try now
	goOn chan struct{} // cap 1: go on after having stopped
	// second holds a token while there is an HTTP request besides the reader's: there are two connections at most
	// (wire-gms D.4).
	second chan struct{}

	// The reader alone uses these.
	plan      plan
	advice    advice
	ack       int64     // number of the last answer to a connect (wire-gms D.8)
	acks      bool      // the server knows the acknowledge extension
	proven    bool      // a connect was answered since the handshake, and since the last loss
	told      bool      // the handler was told that the session is connected
	failures  int       // in a row
	renewed   time.Time // when the server last did not know the session
	lostAt    time.Time // when the first of the failures was; zero: there is none
	broken    int       // websockets in a row that broke early
	suspended time.Time // until when no websocket is tried
	pauseTime time.Duration
	delay     time.Duration // how long the server wants the next handshake to wait

	mu       sync.Mutex // guards everything below
	state    State
	id       string // clientId; empty: there is no session
	count    uint64 // of message ids
	inUse    bool
	onSocket bool               // the session was made on a websocket, and cannot be reached otherwise; the reader alone writes it
	stale    bool               // a reply said that the server does not know the session
	sock     *socket            // nil: none
	cut      context.CancelFunc // ends the connect that is under way by long-polling
	closing  bool
	interval time.Duration // the pause between two connects
	reset    *chat.Error   // why the link was given up; nil: it was not
}

// plan is what the reader does next.
type plan uint8

const (
	planHandshake plan = iota
	planConnect
	planStop // nothing, until somebody asks
)

// defaultRequestTimeout is what [Options.Timeout] is if it is 0.
const defaultRequestTimeout = 10 * time.Second

// New returns a client that makes its requests through h, tells handler what happens, and does nothing until Start.
func New(h HTTP, handler Handler, o *Options) *Client {
	if o == nil {
		o = new(Options)
	}
	c := &Client{
		http: h, handler: handler, dialer: o.Dialer, jar: o.Jar, timeout: o.Timeout, log: o.Logger, names: o.Names,
		try: make(chan struct{}, 1), goOn: make(chan struct{}, 1), second: make(chan struct{}, 1),
		advice: advice{timeout: defaultConnectTimeout}, ack: -1,
	}
	if c.timeout <= 0 {
		c.timeout = defaultRequestTimeout
	}
	if c.log == nil {
		c.log = slog.Default()
	}
	c.life, c.stop = context.WithCancel(context.Background())
	return c
}

// Start begins with the first handshake. It is to be called once, and not after Close.
func (c *Client) Start() {
	c.wg.Add(1)
	go c.run(c.term.Add(1), nil)
}

// InUse says that the session is missed while it is lost: from now on the pauses between attempts are 8 s at most.
func (c *Client) InUse() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inUse = true
}

// Done returns a channel that is closed when the client ends.
func (c *Client) Done() <-chan struct{} { return c.life.Done() }

// Timeout is how long a request waits for its answer.
func (c *Client) Timeout() time.Duration { return c.timeout }

// State returns what the client is doing now.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// Stopped reports whether the client has stopped, because the server advised it, and waits for [Client.Resume]. Before
// Start and after Close it is stopped, too.
func (c *Client) Stopped() bool { return c.State() == StateDisconnected }

// ClientID returns the id of the session, "" if there is none.
func (c *Client) ClientID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.id
}

// OnWebsocket reports whether there is a websocket now.
func (c *Client) OnWebsocket() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sock != nil
}

// Lag is how long a message that the server pushes may have to wait for the next connect: 0 on a websocket.
func (c *Client) Lag() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sock != nil {
		return 0
	}
	return c.interval
}

// Reset ends the link for this reason, as if the network had: the handler is told that it failed, and the client tries
// to connect again.
func (c *Client) Reset(e *chat.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reset = e // for the reader, which may be between two connects
	if c.cut != nil {
		c.cut()
	}
	if c.sock != nil {
		c.sock.abandon(e)
	}
}

// setLocked changes the state, if the table allows it.
func (c *Client) setLocked(to State) bool {
	if !c.state.may(to) {
		return false
	}
	c.state = to
	return true
}

// messageIDLocked returns the id of the next message.
func (c *Client) messageIDLocked() string {
	c.count++
	return strconv.FormatUint(c.count, 10)
}
