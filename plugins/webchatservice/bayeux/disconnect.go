package bayeux

import (
	"context"
	"time"

	"github.com/gorilla/websocket"
)

// goodbye is how long the client waits for the server when it leaves.
const goodbye = time.Second

// Close leaves the server and ends the client. It waits for the client's goroutines. A second Close waits, too.
func (c *Client) Close() {
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		c.wg.Wait()
		return
	}
	c.closing = true
	known := c.state == StateConnected && c.setLocked(StateDisconnecting)
	m := outgoing{ID: c.messageIDLocked(), Channel: metaDisconnect, ClientID: c.id}
	s := c.sock
	c.mu.Unlock()
	if known {
		c.disconnect(s, m)
	}
	c.mu.Lock()
	c.setLocked(StateTerminating)
	c.mu.Unlock()
	c.stop()
	if s != nil {
		s.abandon(closedError("receive"))
	}
	c.wg.Wait()
	c.mu.Lock()
	c.id = ""
	c.setLocked(StateDisconnected)
	c.mu.Unlock()
}

// disconnect tells the server that the client leaves (wire-gms D.7). If that fails, the server will find out by itself.
func (c *Client) disconnect(s *socket, m outgoing) {
	unit, err := encode(m)
	if err != nil {
		return
	}
	if s != nil {
		s.disconnect(unit, m.ID)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), goodbye)
	defer cancel()
	select {
	case c.second <- struct{}{}:
		defer func() { <-c.second }()
	case <-ctx.Done():
		return
	}
	if _, e := c.http.Post(ctx, "close", "/disconnect", unit, goodbye); e != nil {
		c.log.Debug("the Bayeux session is left to the server", "error", e.Error())
	}
}

// disconnect tells the server that the client leaves, and closes the websocket once the reply is there: what is under
// way to a websocket that is closed before that may be lost with it (wire-gms D.7).
func (s *socket) disconnect(unit []byte, id string) {
	if _, e := s.request(context.Background(), "close", unit, []string{id}, goodbye); e != nil {
		return
	}
	_ = s.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, "Disconnect"), time.Now().Add(goodbye))
}

// leaving reports whether Close was called.
func (c *Client) leaving() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// drain reads what comes while the client leaves. The reply to its disconnect is among it.
func (c *Client) drain() {
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
