package gmscometd

import (
	"context"
	"time"
)

// close leaves the server and ends the client. It waits for the client's goroutines.
func (c *client) close() {
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		c.wg.Wait()
		return
	}
	c.closing = true
	known := c.state == stateConnected && c.setLocked(stateDisconnecting)
	m := outgoing{ID: c.idLocked(), Channel: metaDisconnect, ClientID: c.id}
	s := c.sock
	c.mu.Unlock()
	if known {
		c.leave(s, m)
	}
	c.mu.Lock()
	c.setLocked(stateTerminating)
	c.mu.Unlock()
	c.stop()
	if s != nil {
		s.abandon(closedError("receive"))
	}
	c.wg.Wait()
	c.mu.Lock()
	c.setLocked(stateDisconnected)
	c.mu.Unlock()
}

// leave tells the server that the client goes, and does not insist.
func (c *client) leave(s *socket, m outgoing) {
	unit, err := encode(m)
	if err != nil {
		return
	}
	if s != nil {
		s.farewell(unit, m.ID)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), goodbye)
	defer cancel()
	select {
	case c.aside <- struct{}{}:
		defer func() { <-c.aside }()
	case <-ctx.Done():
		return
	}
	if _, e := c.wire.Send(ctx, "close", c.wire.Address+"/disconnect", jsonType, unit, goodbye); e != nil {
		c.log.Debug("the Bayeux session is left to the server", "error", e.Error())
	}
}

// leaving reports whether close was called.
func (c *client) leaving() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// linger reads what comes while the client leaves, the reply to its disconnect among it.
func (c *client) linger() {
	c.mu.Lock()
	s := c.sock
	c.mu.Unlock()
	if s == nil {
		<-c.life.Done()
		return
	}
	s.waits = time.Now().Add(goodbye)
	for {
		if err := s.read(func(all []message) { c.handOut(all, "") }); err != nil {
			s.abandon(s.broken("close", err))
			return
		}
	}
}

func (c *client) stopped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == stateDisconnected
}
