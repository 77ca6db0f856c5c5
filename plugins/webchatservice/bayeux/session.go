package bayeux

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/wirejson"
)

const (
	// connectSlack is how much longer than advised the answer to a connect may take.
	connectSlack = 10 * time.Second
	// renewPace: a server that forgets the session sooner than this after it has forgotten the one before, fails.
	renewPace = 5 * time.Second
)

// run keeps the session until Close, or until another goroutine has taken its place as the reader. That one has a
// higher term, and is the one that Close waits for. l, if not nil, is what the reader before was listening for.
func (c *Client) run(term uint64, l *listener) {
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
			c.drain()
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
			case <-c.try:
			case <-c.goOn:
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
func (c *Client) settle(e *chat.Error) {
	if e != nil && c.life.Err() == nil && !c.leaving() {
		c.failed(e)
	}
}

// handshake makes a session (wire-gms D.2).
func (c *Client) handshake() *chat.Error {
	const op = "handshake"
	c.mu.Lock()
	if !c.setLocked(StateHandshaking) {
		c.setLocked(StateRehandshaking)
	}
	c.id, c.stale, c.reset = "", false, nil
	c.mu.Unlock()
	c.ack, c.acks, c.proven, c.told = -1, false, false, false
	delay := c.delay
	c.delay = 0
	c.advice = advice{timeout: defaultConnectTimeout} // that of the session before does not count
	if c.jar != nil {
		c.jar.Forget()
	}
	c.handler.Disconnected()
	if delay > 0 {
		c.dropSocket(unknownClient("receive")) // nobody would read meanwhile
		c.pause(delay)
	}
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
	r, e := c.exchange(op, &m, 0, c.timeout)
	switch {
	case e != nil && s != nil && !s.heard && c.life.Err() == nil:
		c.suspend(e) // the websocket opened, and that was all
		return nil
	case e != nil:
		return e
	}
	c.advise(r)
	switch {
	case !r.success:
		c.plan = planHandshake
		if c.advice.stop() {
			c.plan = planStop
		}
		return c.refused(op, r.err)
	case r.clientID == "":
		return &chat.Error{Code: chat.CodeBadAnswer, Op: op, Text: "the server made a Bayeux session without a clientId", Hint: c.hint()}
	case s != nil && len(r.types) > 0 && !slices.Contains(r.types, typeWebsocket):
		c.suspend(nil)
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
	c.setLocked(StateHandshaken)
	c.mu.Unlock()
	c.plan = planConnect
	return nil
}

// connect makes one connect (wire-gms D.2). The first one of a session, and the first one after a loss, is answered at
// once. The server answers each other one when it has something to say, or when it thinks that it is time.
//
// A session waits in here for most of its life. So there should be little on the stack.
func (c *Client) connect() *chat.Error {
	const op = "receive"
	m, s, e := c.connectMessage(op)
	if m == nil {
		return e
	}
	pause, limit := c.advice.pause(), max(c.advice.timeout, 0)+connectSlack
	if m.Advice != nil {
		pause, limit = 0, c.timeout
	}
	r, e := c.exchange(op, m, pause, limit)
	if e == errRelieved {
		return e
	}
	return c.connected(op, s, r, e)
}

// connectMessage returns the message of a connect, and the websocket that it is for. Without a message there is an error,
// or another plan was made.
func (c *Client) connectMessage(op string) (*outgoing, *socket, *chat.Error) {
	c.mu.Lock()
	if c.state == StateHandshaken {
		c.setLocked(StateConnecting)
	}
	id := c.id
	c.mu.Unlock()
	switch stale, reset := c.givenUp(); {
	case stale:
		return nil, nil, c.renew(nil)
	case reset != nil:
		return nil, nil, reset
	}
	s, e := c.socket(op)
	if e != nil {
		return nil, nil, e
	}
	if s == nil && c.onSocket { // the session has no cookie, so it cannot be reached by long-polling
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
	if s != nil && !s.heard { // a new websocket has to prove itself, too
		c.proven = false
	}
	if !c.proven {
		m.Advice = json.RawMessage(`{"timeout":0}`)
	}
	return m, s, nil
}

// givenUp reports whether the server does not know the session, and why the link was given up. The reason is given out
// once.
func (c *Client) givenUp() (stale bool, reset *chat.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	reset, c.reset = c.reset, nil
	return c.stale, reset
}

// connected takes in the reply to a connect, or its failure.
func (c *Client) connected(op string, s *socket, r *message, e *chat.Error) *chat.Error {
	stale, reset := c.givenUp()
	switch {
	case e != nil && stale && c.life.Err() == nil:
		return c.renew(e)
	case reset != nil: // whatever became of the connect
		return reset
	case e != nil && s != nil && !s.heard && !c.onSocket && c.life.Err() == nil:
		c.suspend(e) // the session goes on where it came from, but what was pushed into the websocket may be lost
		c.told = false
		return nil
	case e != nil && c.failures > 0 && (e.Code == chat.CodeBadAnswer || e.Code == chat.CodeTooLarge):
		// What cannot be read cannot be acknowledged, so the server would send it again with each connect of this session.
		c.plan = planHandshake
		return e
	case e != nil:
		return e
	}
	c.advise(r)
	if c.advice.reconnect == adviceHandshake {
		c.delay = c.advice.delay
	}
	switch {
	case r.channel == metaDisconnect: // of the server's own accord
		c.plan = planHandshake
		return &chat.Error{Code: chat.CodeNetwork, Op: op, Text: "the server ended the Bayeux session"}
	case !r.success && (r.code() == "402" || c.advice.reconnect == adviceHandshake):
		return c.renew(c.refused(op, r.err))
	case !r.success && !c.advice.stop():
		return c.refused(op, r.err)
	case !r.success || c.advice.stop():
		c.plan = planStop
		e := c.refused(op, r.err)
		e.Text = "the server ended the Bayeux session, and wants no other (advice none)"
		return e
	case c.advice.reconnect == adviceHandshake:
		return c.renew(nil)
	}
	if n, err := strconv.ParseInt(wirejson.Scalar(r.ack), 10, 64); err == nil {
		c.ack = n
	}
	if c.proven && s != nil { // the server has held a connect on this websocket
		c.broken, c.pauseTime = 0, 0
	}
	c.proven, c.failures, c.lostAt = true, 0, time.Time{}
	c.mu.Lock()
	c.setLocked(StateConnected)
	c.mu.Unlock()
	if !c.told {
		c.told = true
		c.handler.Connected()
	}
	return nil
}

// renew plans a handshake in the place of a session that the server does not know. That is no failure, unless it happens
// again and again, as with servers that answer in turn and know nothing of one another.
func (c *Client) renew(e *chat.Error) *chat.Error {
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

// advise takes in the advice of a meta message.
func (c *Client) advise(r *message) {
	before := c.advice.multiple
	c.advice.merge(r.advice)
	if !before && c.advice.multiple {
		c.log.Info("the server takes this client for one of several with the same cookies", "interval", c.advice.pause())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interval = c.advice.pause()
}
