package gmscometd

import (
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// socket returns the websocket to use, nil for long-polling. It opens one if it is time to.
func (c *client) socket(op string) (*socket, *chat.Error) {
	c.mu.Lock()
	s := c.sock
	closing := c.closing
	c.mu.Unlock()
	switch {
	case closing:
		return nil, closedError(op)
	case s != nil && s.failure() == nil:
		return s, nil
	case s != nil:
		c.dropSocket(s.failure())
	}
	if c.dialer == nil || time.Now().Before(c.barred) {
		return nil, nil
	}
	conn, unusable, e := c.dialer.dial(c.life, op, c.wire, c.delay)
	switch {
	case e != nil && unusable && c.life.Err() == nil:
		c.bar(e)
		return nil, nil
	case e != nil:
		return nil, e
	}
	s = newSocket(c.dialer, conn, &c.wg, c.hide)
	c.mu.Lock()
	c.sock = s
	closing = c.closing
	c.mu.Unlock()
	if closing {
		s.abandon(closedError(op))
		return nil, closedError(op)
	}
	return s, nil
}

// bar gives websockets up for a while.
func (c *client) bar(e *chat.Error) {
	c.barTime = min(max(2*c.barTime, barFirst), barLongest)
	c.barred = time.Now().Add(c.barTime)
	c.bad = badSockets - 1 // the next one has to prove itself
	c.dropSocket(closedError("receive"))
	if e != nil {
		c.log.Info("no websocket, so long-polling", "error", e.Error(), "again", c.barTime)
	}
}

// dropSocket lets go of the websocket, if there is one. What waits for replies on it fails with e.
func (c *client) dropSocket(e *chat.Error) {
	c.mu.Lock()
	s := c.sock
	c.sock = nil
	c.mu.Unlock()
	if s != nil {
		s.abandon(e)
	}
}

// overSocket is exchange on a websocket.
func (c *client) overSocket(s *socket, op string, m *outgoing, unit []byte, pause, limit time.Duration) (*message, *chat.Error) {
	l := &listener{c: c, s: s, op: op, id: m.ID, limit: limit}
	l.lends = m.Channel == metaConnect // a handshake is no time to be away
	if pause > 0 {                     // what comes meanwhile is read
		l.later = time.AfterFunc(pause, func() { s.send(frame{data: unit}) })
	} else {
		s.send(frame{data: unit})
	}
	s.waits = time.Now().Add(pause + limit)
	if s.burst != nil {
		s.burst.dry = l.dry
	}
	return l.listen()
}

// errRelieved is returned to a goroutine that has been relieved of being the client's.
var errRelieved = &chat.Error{Op: "receive", Code: chat.CodeClosed, Text: "another goroutine reads"}

// listener waits for the reply to a message.
type listener struct {
	c      *client
	s      *socket
	op, id string // of the message
	limit  time.Duration
	later  *time.Timer // sends the message; nil: it was sent
	lends  bool        // another goroutine may go on in the place of the one that listens

	// Of that goroutine.
	reply   *message
	receive func() // to be called soon: it takes in what was delivered
}

// listen reads until the reply is there. What was delivered is taken in at once, by the goroutine that has read it: one
// that had to be woken would cost more than most of what there is to do. If that takes time, or the socket is needed for
// it, another goroutine reads on, and is the client's from then on: this one gets errRelieved.
func (l *listener) listen() (*message, *chat.Error) {
	r, e := l.wait()
	if e != errRelieved && l.later != nil {
		l.later.Stop()
	}
	return r, e
}

// wait is listen without what is to be done at the end.
func (l *listener) wait() (*message, *chat.Error) {
	c, s := l.c, l.s
	for {
		if c.room() { // the server was not heard meanwhile, and cannot help that
			s.waits = time.Now().Add(l.limit)
			s.alive()
		}
		err := l.read()
		switch {
		case err != nil:
			l.wake()
			return nil, c.brokenSocket(s, l.op, err)
		case l.reply != nil:
			l.wake()
			return l.reply, nil
		case l.receive == nil:
		case !l.lends:
			l.wake()
		default:
			f := l.receive
			l.receive = nil
			if s.lend(f, l) {
				return nil, errRelieved
			}
		}
	}
}

// read reads one message and hands it out, and others while they are there already.
func (l *listener) read() error {
	s := l.s
	for {
		if s.burst == nil {
			s.deadline()
		}
		kind, from, err := s.conn.NextReader() // here a session is for most of its life
		if err == nil {
			err = s.take(kind, from, l.take)
		}
		if err != nil || l.reply != nil || !s.more() {
			return err
		}
	}
}

func (l *listener) take(all []message) {
	r, f := l.c.dispatch(all, l.id)
	l.reply = r
	if f != nil {
		l.receive = f
	}
}

// dry is called before the network is asked for more, which may take long.
func (l *listener) dry() {
	l.wake()
	l.s.dry()
}

// wake has a goroutine of its own take in what was delivered.
func (l *listener) wake() {
	if f := l.receive; f != nil {
		l.receive = nil
		go f() // it is the waiter's, and the wait is over
	}
}

// brokenSocket takes in that the websocket broke, and says why.
func (c *client) brokenSocket(s *socket, op string, err error) *chat.Error {
	e := s.broken(op, err)
	c.dropSocket(e)
	if e.Err != errStale { //nolint:errorlint // it is this very error
		if c.bad++; c.bad >= badSockets {
			c.bar(e)
		}
	}
	return e
}
