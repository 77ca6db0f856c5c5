package gmscometd

import (
	"math/rand/v2"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// retry makes the next attempt begin now, if one is due later.
func (c *client) retry() { signal(c.poke) }

// resume makes a client that has stopped go on, as soon as its pace allows.
func (c *client) resume() { signal(c.more) }

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// lag is how long it takes until a push has a way, besides the network's time.
func (c *client) lag() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sock != nil {
		return 0
	}
	return c.interval
}

// held is how long a connect that the server holds may take.
func (c *client) held() time.Duration {
	return max(c.advice.timeout, 0) + connectSlack
}

// failed takes in that a handshake or a connect failed, and waits until it is time for the next one.
func (c *client) failed(e *chat.Error) {
	now := time.Now()
	if c.lostAt.IsZero() {
		c.lostAt = now
	}
	c.failures++
	c.proven, c.told = false, false
	c.mu.Lock()
	switch {
	case c.plan == planStop:
		c.setLocked(stateDisconnected)
	case c.plan == planHandshake:
		c.setLocked(stateRehandshaking)
	default:
		c.setLocked(stateUnconnected)
	}
	c.mu.Unlock()
	select { // what was asked for before does not count
	case <-c.poke:
	default:
	}
	c.lost(e)
	if c.plan == planStop {
		c.dropSocket(e)
		return
	}
	c.pause(max(c.backoff(), e.RetryAfter))
	// Nobody keeps a session for so long (wire-gms D.5).
	if a := &c.advice; c.plan == planConnect && a.maxInterval > 0 && time.Since(c.lostAt) > a.timeout+max(a.interval, 0)+a.maxInterval {
		c.plan = planHandshake
	}
}

// backoff is the pause after the last failure.
func (c *client) backoff() time.Duration {
	c.mu.Lock()
	most := backoffLong
	if c.live {
		most = backoffShort
	}
	c.mu.Unlock()
	wait := most
	if n := c.failures - 1; n < 10 {
		wait = min(backoffFirst<<max(n, 0), most)
	}
	return wait/2 + rand.N(wait/2+1) + max(c.advice.interval, 0)
}

// pause waits, less long if somebody wants an attempt now.
func (c *client) pause(d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.poke:
	case <-c.life.Done():
	}
}
