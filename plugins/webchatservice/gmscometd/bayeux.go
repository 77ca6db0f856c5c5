package gmscometd

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
	"github.com/cxbus/cxbus/plugins/webchatservice/wirejson"
)

// Timing of the client (wire-gms D.4 to D.7).
const (
	connectSlack   = 10 * time.Second // how much longer than advised a connect may take
	defaultTimeout = 60 * time.Second // advice.timeout before there is any
	backoffFirst   = time.Second
	backoffShort   = 8 * time.Second  // longest pause while a chat lives
	backoffLong    = 60 * time.Second // longest pause without one
	goodbye        = time.Second      // how long the server is waited for when the client leaves
	renewPace      = 5 * time.Second  // sessions that are forgotten faster are a failure
	barFirst       = 30 * time.Second // how long websockets are not tried after they failed
	barLongest     = 10 * time.Minute
	badSockets     = 3 // so many sockets in a row that break early are a reason not to try
)

// client keeps one Bayeux session (wire-gms D). Its methods may be called at once from many goroutines; one
// goroutine of its own does the handshakes and the connects, on whichever carrier works.
type client struct {
	wire   *gms.Wire // with the session's cookies
	dialer *dialer   // nil: long-polling only
	delay  time.Duration
	log    *slog.Logger

	// secrets are what no text of the server must show.
	secrets func() []chat.Secret
	// room waits until more can be delivered, and reports whether it had to. The client's goroutine, which calls it before
	// it asks for more, is all that waits: who publishes is not held up.
	room func() (waited bool)
	// deliver gets messages with data. On long-polling it may be called from several goroutines at once.
	deliver func(*message)
	// waiting returns what takes in what was delivered, if it waits for that: it is to be called soon.
	waiting func() func()
	// up is told that the session is connected: after each handshake, after each loss, and after it went over to a
	// websocket in vain. down is told that the server does not know the session and another one is made, lost each
	// failure of a handshake or a connect. All are called by the client's goroutine, which waits for them.
	up   func()
	down func()
	lost func(*chat.Error)

	life context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup
	term atomic.Uint64 // of the client's goroutine: grows when another takes its place
	poke chan struct{} // cap 1: try now
	more chan struct{} // cap 1: go on after having stopped
	// aside holds a token while there is an HTTP request besides the goroutine's: two connections at most (wire-gms D.4).
	aside chan struct{}

	// Of the goroutine.
	plan     plan
	advice   advice
	ack      int64
	acks     bool // the server knows the acknowledge extension
	proven   bool // a connect was answered since the handshake, and since the last loss
	told     bool // up was told
	failures int
	renewed  time.Time // when the server last did not know the session
	lostAt   time.Time
	bad      int // sockets in a row that broke early
	barred   time.Time
	barTime  time.Duration

	mu       sync.Mutex // guards everything below
	state    state
	id       string // clientId
	count    uint64 // of message ids
	live     bool   // there is a chat
	onSocket bool   // the session was made on a websocket, and cannot be reached without; the goroutine alone writes it
	stale    bool   // a reply said that the server does not know the session
	sock     *socket
	cut      context.CancelFunc // ends the long-polling exchange under way
	closing  bool
	interval time.Duration // advised
	given    *chat.Error   // why the link was given up
}

// plan is what the client's goroutine does next.
type plan uint8

const (
	planHandshake plan = iota
	planConnect
	planStop // nothing, until somebody asks
)

// newClient returns a client that does nothing until start.
func newClient(w *gms.Wire, d *dialer, log *slog.Logger) *client {
	c := &client{
		wire: w, dialer: d, log: log, delay: w.Timeout(),
		poke: make(chan struct{}, 1), more: make(chan struct{}, 1), aside: make(chan struct{}, 1),
		advice: advice{timeout: defaultTimeout}, ack: -1,
	}
	if c.delay == 0 {
		c.delay = connectSlack
	}
	c.life, c.stop = context.WithCancel(context.Background())
	return c
}

// start begins with the first handshake.
func (c *client) start() {
	c.wg.Add(1)
	go c.run(c.term.Add(1), nil)
}

// keep says that there is a chat, which is missed while the link is lost.
func (c *client) keep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live = true
}

// run keeps the session until close, or until another goroutine has taken its place, which then has its term, and is the
// one that close waits for. l, if not nil, is what the one before was listening for.
func (c *client) run(term uint64, l *listener) {
	defer func() {
		if c.term.Load() == term {
			c.wg.Done()
		}
	}()
	if l != nil {
		r, e := l.listen()
		if e == errRelieved {
			return
		}
		c.settle(c.connected(l.op, l.s, r, e))
	}
	for c.life.Err() == nil {
		if c.leaving() {
			c.linger()
			break
		}
		var e *chat.Error
		switch c.plan {
		case planHandshake:
			e = c.handshake()
		case planConnect:
			e = c.connect()
		case planStop:
			select {
			case <-c.poke:
			case <-c.more:
				c.pause(c.backoff())
			case <-c.life.Done():
			}
			c.plan = planHandshake
			continue
		}
		if e == errRelieved {
			return
		}
		c.settle(e)
	}
	c.dropSocket(closedError("receive"))
}

// settle takes in how a handshake or a connect went.
func (c *client) settle(e *chat.Error) {
	if e != nil && c.life.Err() == nil && !c.leaving() {
		c.failed(e)
	}
}

// handshake makes a session (wire-gms D.2).
func (c *client) handshake() *chat.Error {
	const op = "handshake"
	c.mu.Lock()
	if !c.setLocked(stateHandshaking) {
		c.setLocked(stateRehandshaking)
	}
	c.id, c.stale, c.given = "", false, nil
	c.mu.Unlock()
	c.ack, c.acks, c.proven, c.told = -1, false, false, false
	c.down()
	s, e := c.socket(op)
	if e != nil {
		return e
	}
	m := outgoing{
		Channel: metaHandshake, Version: "1.0", MinimumVersion: "1.0", Types: []string{typeLongPoll},
		Advice: json.RawMessage(`{"timeout":60000,"interval":0}`), Ext: json.RawMessage(`{"ack":true}`),
	}
	if s != nil {
		m.Types = []string{typeWebsocket, typeLongPoll}
	}
	r, e := c.exchange(op, &m, 0, c.delay)
	switch {
	case e != nil && s != nil && !s.heard && c.life.Err() == nil:
		c.bar(e) // it opened, and that was all
		return nil
	case e != nil:
		return e
	}
	c.merge(r)
	switch {
	case !r.success:
		c.plan = planHandshake
		if c.ended() {
			c.plan = planStop
		}
		return c.unsuccessful(op, r)
	case r.clientID == "":
		return &chat.Error{Code: chat.CodeBadAnswer, Op: op, Text: "the server made a Bayeux session without a clientId", Hint: c.hint()}
	case s != nil && len(r.types) > 0 && !slices.Contains(r.types, typeWebsocket):
		c.bar(nil)
		return nil
	case s == nil && len(r.types) > 0 && !slices.Contains(r.types, typeLongPoll):
		c.plan = planStop
		return &chat.Error{
			Outcome: chat.Rejected, Code: chat.CodeUnsupported, Op: op,
			Text: "the server offers no way to reach it but " + c.hide(fmt.Sprintf("%q", r.types)), Hint: c.hint(),
		}
	}
	c.acks = string(r.ack) == "true"
	c.mu.Lock()
	c.id, c.onSocket = r.clientID, s != nil
	c.setLocked(stateHandshaken)
	c.mu.Unlock()
	c.plan = planConnect
	return nil
}

// connect makes one connect (wire-gms D.2): the first of a session, and the first after a loss, is answered at once,
// each other one once there is something to say, or once the server thinks that it is time.
//
// A session waits in here for most of its life, so that little shall be on the stack meanwhile.
func (c *client) connect() *chat.Error {
	const op = "receive"
	m, s, e := c.connectMessage(op)
	if m == nil {
		return e
	}
	pause, limit := max(c.advice.interval, 0), c.held()
	if m.Advice != nil {
		pause, limit = 0, c.delay
	}
	r, e := c.exchange(op, m, pause, limit)
	if e == errRelieved {
		return e
	}
	return c.connected(op, s, r, e)
}

// connectMessage returns the message of a connect and the websocket that it is for, or no message: then another plan
// was made, or there is an error.
func (c *client) connectMessage(op string) (*outgoing, *socket, *chat.Error) {
	c.mu.Lock()
	if c.state == stateHandshaken {
		c.setLocked(stateConnecting)
	}
	id := c.id
	c.mu.Unlock()
	switch stale, given := c.givenUp(); {
	case stale:
		return nil, nil, c.renew(nil)
	case given != nil:
		return nil, nil, given
	}
	s, e := c.socket(op)
	if e != nil {
		return nil, nil, e
	}
	if s == nil && c.onSocket { // it has no cookie, without which it cannot be reached by long-polling
		c.plan = planHandshake
		return nil, nil, nil
	}
	m := &outgoing{Channel: metaConnect, ClientID: id, ConnectionType: typeLongPoll}
	if s != nil {
		m.ConnectionType = typeWebsocket
	}
	if c.acks {
		m.Ext = json.RawMessage(`{"ack":` + strconv.FormatInt(c.ack, 10) + `}`)
	}
	if s != nil && !s.heard { // it has to prove itself, too
		c.proven = false
	}
	if !c.proven {
		m.Advice = json.RawMessage(`{"timeout":0}`)
	}
	return m, s, nil
}

// givenUp reports whether the server does not know the session, and why the link was given up, which is said once.
func (c *client) givenUp() (stale bool, given *chat.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	given, c.given = c.given, nil
	return c.stale, given
}

// connected takes in the reply to a connect, or its failure.
func (c *client) connected(op string, s *socket, r *message, e *chat.Error) *chat.Error {
	stale, given := c.givenUp()
	switch {
	case e != nil && stale && c.life.Err() == nil:
		return c.renew(e)
	case given != nil: // whatever became of the connect
		return given
	case e != nil && s != nil && !s.heard && !c.onSocket && c.life.Err() == nil:
		c.bar(e) // the session goes on where it came from, but what was pushed into the websocket may be lost
		c.told = false
		return nil
	case e != nil:
		return e
	}
	c.merge(r)
	switch {
	case r.channel == metaDisconnect: // of the server's own accord
		c.plan = planHandshake
		return &chat.Error{Code: chat.CodeNetwork, Op: op, Text: "the server ended the Bayeux session"}
	case !r.success && (r.code() == "402" || c.advice.reconnect == adviceHandshake):
		return c.renew(c.unsuccessful(op, r))
	case !r.success && !c.ended():
		return c.unsuccessful(op, r)
	case !r.success || c.ended():
		c.plan = planStop
		e := c.unsuccessful(op, r)
		e.Text = "the server ended the Bayeux session, and wants no other (advice none)"
		return e
	case c.advice.reconnect == adviceHandshake:
		return c.renew(nil)
	}
	if n, err := strconv.ParseInt(wirejson.Scalar(r.ack), 10, 64); err == nil {
		c.ack = n
	}
	if c.proven { // it was held
		if s != nil {
			c.bad, c.barTime = 0, 0
		}
	}
	c.proven, c.failures, c.lostAt = true, 0, time.Time{}
	c.mu.Lock()
	c.setLocked(stateConnected)
	c.mu.Unlock()
	if !c.told {
		c.told = true
		c.up()
	}
	return nil
}

// renew plans a handshake in the place of a session that the server does not know. That is no loss, unless it goes on and
// on, as with servers that answer in turn and know nothing of one another.
func (c *client) renew(e *chat.Error) *chat.Error {
	c.plan = planHandshake
	again := !c.renewed.IsZero() && time.Since(c.renewed) < renewPace
	c.renewed = time.Now()
	c.mu.Lock()
	c.stale = false
	c.mu.Unlock()
	if !again {
		return nil
	}
	if e == nil {
		e = &chat.Error{Code: chat.CodeNetwork, Op: "receive", Text: "the server forgets the Bayeux session time and again"}
	}
	e.Code, e.Hint = chat.CodeNetwork, "check that a load balancer in front of it keeps clients with their server"
	return e
}

// merge takes in the advice of a meta message.
func (c *client) merge(r *message) {
	c.advice.reconnect = ""
	if r.advice != nil {
		alone := !c.advice.multiple
		c.advice.merge(r.advice)
		if alone && c.advice.multiple { // its interval is obeyed like any other (wire-gms D.5)
			c.log.Info("the server takes this client for one of several with the same cookies", "interval", c.advice.interval)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interval = max(c.advice.interval, 0)
}

// ended reports whether the advice is to stop.
func (c *client) ended() bool { return c.advice.reconnect == adviceNone || c.advice.interval < 0 }

// setLocked changes the state, if the table has that.
func (c *client) setLocked(to state) bool {
	if !c.state.may(to) {
		return false
	}
	c.state = to
	return true
}

// onWebsocket reports whether there is a websocket now.
func (c *client) onWebsocket() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sock != nil
}

func (c *client) idLocked() string {
	c.count++
	return strconv.FormatUint(c.count, 10)
}
