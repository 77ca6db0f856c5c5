package bayeux

import (
	"context"
	"encoding/json"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// Reply is what the server said of a message that was published.
type Reply struct {
	Successful bool
	Error      string // code:args:text; empty if it is successful, or if the server gave no reason
}

// Publish sends messages with these data on a channel, all in one unit, and returns the replies in the same order. It
// waits for them for [Options.Timeout]. A reply tells that the server has taken the message, or why not; it is no error
// of Publish: see [Client.Refused]. The error's Outcome tells whether the server may have got the messages; its Err is
// [ErrLinkBroken] if it has not, because the link had broken before.
func (c *Client) Publish(ctx context.Context, op, channel string, data ...json.RawMessage) ([]Reply, *chat.Error) {
	if ctx.Err() != nil {
		return nil, canceledError(ctx, op)
	}
	c.mu.Lock()
	if c.closing || c.state == StateDisconnected {
		c.mu.Unlock()
		return nil, closedError(op)
	}
	all, ids := make([]outgoing, len(data)), make([]string, len(data))
	for i, d := range data {
		ids[i] = c.messageIDLocked()
		all[i] = outgoing{ID: ids[i], Channel: channel, ClientID: c.id, Data: d}
	}
	id, s, lost := c.id, c.sock, c.sock == nil && c.onSocket
	c.mu.Unlock()
	if lost {
		return nil, &chat.Error{Outcome: chat.NotSent, Code: chat.CodeNetwork, Op: op, Text: "the websocket broke off", Err: ErrLinkBroken}
	}
	unit, err := encode(all...)
	if err != nil {
		return nil, invalidError(op, "the request has no JSON: "+err.Error())
	}
	var replies []*message
	var e *chat.Error
	if s != nil {
		replies, e = s.request(ctx, op, unit, ids, c.timeout)
	} else {
		replies, e = c.postAll(ctx, op, unit, ids)
	}
	if e != nil {
		return nil, e
	}
	said := make([]Reply, len(replies))
	for i, r := range replies {
		said[i] = Reply{r.success, r.err}
		if !r.success && r.code() == "402" {
			c.forgotten(id)
		}
	}
	return said, nil
}

// forgotten takes in that the server does not know a session (wire-gms D.6). If that is still the session of now, what is
// under way ends, and another handshake follows.
func (c *Client) forgotten(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.id != id || id == "" || c.stale {
		return
	}
	c.stale = true
	if c.cut != nil {
		c.cut()
	}
	if c.sock != nil {
		c.sock.abandon(unknownClient("receive"))
	}
}

// exchange sends a meta message after a pause, and returns the reply to it, which comes within limit. It takes in what
// else comes meanwhile. If the server ends the session, its message of channel /meta/disconnect is returned in place of
// the reply.
func (c *Client) exchange(op string, m *outgoing, pause, limit time.Duration) (*message, *chat.Error) {
	unit, s, e := c.prepare(op, m)
	switch {
	case e != nil:
		return nil, e
	case s != nil:
		return c.overSocket(s, op, m, unit, pause, limit)
	}
	return c.overPost(op, m, unit, pause, limit)
}

// prepare gives m an id, and returns its unit and the websocket that it goes out on, nil for long-polling.
func (c *Client) prepare(op string, m *outgoing) ([]byte, *socket, *chat.Error) {
	c.mu.Lock()
	m.ID = c.messageIDLocked()
	s := c.sock
	c.mu.Unlock()
	unit, err := encode(*m)
	if err != nil {
		return nil, nil, invalidError(op, "the message has no JSON")
	}
	return unit, s, nil
}

// dispatch takes in messages. It returns the reply to the message of id want, if it is among them, and the function to
// call because something was delivered.
func (c *Client) dispatch(all []message, want string) (found *message, receive func()) {
	c.mu.Lock()
	id, s := c.id, c.sock
	c.mu.Unlock()
	delivered := false
	for i := range all {
		m := &all[i]
		switch {
		case m.clientID != "" && m.channel != metaHandshake && m.clientID != id: // somebody else's
		case m.reply && m.id == want:
			found = m.keep()
		case m.reply && s != nil && s.answered(m):
		case m.channel == metaDisconnect && (!m.reply || m.id == ""):
			found = m.keep()
		case m.data != nil && !m.reply:
			c.handler.Deliver(m.channel, m.data)
			delivered = true
		}
	}
	if delivered {
		receive = c.handler.Waiting()
	}
	return found, receive
}

// handOut is dispatch for those who must go on: another goroutine calls the function.
func (c *Client) handOut(all []message, want string) (found *message) {
	found, receive := c.dispatch(all, want)
	if receive != nil {
		go receive() // it is the handler's, who waits for it
	}
	return found
}
