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
func (c *client) overSocket(s *socket, op, id string, unit []byte, pause, limit time.Duration) (*message, *chat.Error) {
	if pause > 0 { // what comes meanwhile is read
		t := time.AfterFunc(pause, func() { s.send(frame{data: unit}) })
		defer t.Stop()
	} else {
		s.send(frame{data: unit})
	}
	s.waits = time.Now().Add(pause + limit)
	for {
		if c.room() { // the server was not heard meanwhile, and cannot help that
			s.waits = time.Now().Add(limit)
			s.alive()
		}
		s.deadline()
		kind, from, err := s.conn.NextReader() // here a session is for most of its life
		var r *message
		if err == nil {
			err = s.take(kind, from, func(all []message) { r = c.dispatch(all, id) })
		}
		switch {
		case err != nil:
			return nil, c.brokenSocket(s, op, err)
		case r != nil:
			return r, nil
		}
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
