package bayeux

import (
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// When websockets are not tried.
const (
	suspendFirst   = 30 * time.Second // for how long, after they have failed for the first time
	suspendLongest = 10 * time.Minute
	badSockets     = 3 // so many websockets in a row that break early are a reason
)

// socket returns the websocket to use, nil for long-polling. It opens one if there is none and it is time to try.
func (c *Client) socket(op string) (*socket, *chat.Error) {
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
	if c.dialer == nil || time.Now().Before(c.suspended) {
		return nil, nil
	}
	conn, unusable, e := c.dialer.dial(c.life, op, c.http, c.jar, c.timeout)
	switch {
	case e != nil && unusable && c.life.Err() == nil:
		c.suspend(e)
		return nil, nil
	case e != nil:
		return nil, e
	}
	s = newSocket(conn, c.dialer.maxMessage, &c.wg, c)
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

// suspend gives websockets up for a while: 30 s, then twice as long each time.
func (c *Client) suspend(e *chat.Error) {
	c.pauseTime = min(max(2*c.pauseTime, suspendFirst), suspendLongest)
	c.suspended = time.Now().Add(c.pauseTime)
	c.broken = badSockets - 1 // the next one has to prove itself
	c.dropSocket(closedError("receive"))
	if e != nil {
		c.log.Info("no websocket, so long-polling", "error", e.Error(), "again", c.pauseTime)
	}
}

// dropSocket lets go of the websocket, if there is one. What waits for replies on it fails with e.
func (c *Client) dropSocket(e *chat.Error) {
	c.mu.Lock()
	s := c.sock
	c.sock = nil
	c.mu.Unlock()
	if s != nil {
		s.abandon(e)
	}
}

// brokenSocket takes in that a websocket broke, and returns why.
func (c *Client) brokenSocket(s *socket, op string, err error) *chat.Error {
	e := s.broken(op, err)
	c.dropSocket(e)
	if e.Err != ErrUnknownClient { //nolint:errorlint // it is this very error
		if c.broken++; c.broken >= badSockets {
			c.suspend(e)
		}
	}
	return e
}
