package bayeux

import (
	"math/rand/v2"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// The pauses between attempts (wire-gms D.6).
const (
	backoffFirst = time.Second
	backoffShort = 8 * time.Second  // the longest while the session is in use
	backoffLong  = 60 * time.Second // the longest otherwise
)

// Retry makes the next attempt begin now, if the client is in a pause before it.
func (c *Client) Retry() { signal(c.try) }

// Resume makes a client that has stopped go on after a pause, whose length is that of one after a failure.
func (c *Client) Resume() { signal(c.goOn) }

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// failed takes in that a handshake or a connect has failed, tells the handler, and waits until it is time to try again.
func (c *Client) failed(e *chat.Error) {
	if c.lostAt.IsZero() {
		c.lostAt = time.Now()
	}
	c.failures++
	c.proven, c.told = false, false
	c.mu.Lock()
	switch c.plan {
	case planStop:
		c.setLocked(StateDisconnected)
	case planHandshake:
		c.setLocked(StateRehandshaking)
	default:
		c.setLocked(StateUnconnected)
	}
	c.mu.Unlock()
	select { // a Retry from before this failure does not count
	case <-c.try:
	default:
	}
	c.handler.Failed(e)
	if c.plan == planStop {
		c.dropSocket(e)
		return
	}
	c.pause(max(c.backoff(), e.RetryAfter))
	// A server keeps no session for longer than this (wire-gms D.5).
	if a := &c.advice; c.plan == planConnect && a.maxInterval > 0 && time.Since(c.lostAt) > a.timeout+a.pause()+a.maxInterval {
		c.plan = planHandshake
	}
}

// backoff returns the pause after the last failure.
func (c *Client) backoff() time.Duration {
	c.mu.Lock()
	longest := backoffLong
	if c.inUse {
		longest = backoffShort
	}
	c.mu.Unlock()
	wait := longest
	if n := c.failures - 1; n < 10 {
		wait = min(backoffFirst<<max(n, 0), longest)
	}
	return wait/2 + rand.N(wait/2+1) + c.advice.pause()
}

// pause waits for d. Retry and Close end it.
func (c *Client) pause(d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.try:
	case <-c.life.Done():
	}
}
