package gmscometd

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

// exchange sends a meta message after a pause, and returns the reply to it. What else comes meanwhile is handled. A
// reply of channel /meta/disconnect is none: the server wants to be left.
func (c *client) exchange(op string, m *outgoing, pause, limit time.Duration) (*message, *chat.Error) {
	unit, s, e := c.outfit(op, m)
	switch {
	case e != nil:
		return nil, e
	case s != nil:
		return c.overSocket(s, op, m, unit, pause, limit)
	}
	return c.overPost(op, m, unit, pause, limit)
}

// outfit makes m a unit, and says which websocket it goes out on.
func (c *client) outfit(op string, m *outgoing) ([]byte, *socket, *chat.Error) {
	c.mu.Lock()
	m.ID = c.idLocked()
	s := c.sock
	c.mu.Unlock()
	unit, err := encode(*m)
	if err != nil {
		return nil, nil, gms.Invalid(op, "the message has no JSON")
	}
	return unit, s, nil
}

// dispatch hands out what came, and returns the reply to the message that is waited for, if it is there, and what is to be
// called as soon as possible: it takes what was delivered.
func (c *client) dispatch(all []message, want string) (found *message, receive func()) {
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
			c.deliver(m)
			delivered = true
		}
	}
	if delivered {
		receive = c.waiting()
	}
	return found, receive
}

// handOut is dispatch for those who have no time for what is to be called.
func (c *client) handOut(all []message, want string) (found *message) {
	found, receive := c.dispatch(all, want)
	if receive != nil {
		go receive() // it is the waiter's, and the wait is over
	}
	return found
}

// keep returns a message that shares no memory with what was read, without its data.
func (m *message) keep() *message {
	k := *m
	k.data, k.advice, k.ack = nil, slices.Clone(m.advice), slices.Clone(m.ack)
	return &k
}

// publish sends data on a channel, all in one unit, and returns the replies in the same order. It waits for them as
// long as a request may take. The error tells whether the server may have got it.
func (c *client) publish(ctx context.Context, op, channel string, data ...json.RawMessage) ([]*message, *chat.Error) {
	c.mu.Lock()
	if c.closing || c.state == stateDisconnected {
		c.mu.Unlock()
		return nil, closedError(op)
	}
	all, ids := make([]outgoing, len(data)), make([]string, len(data))
	for i, d := range data {
		ids[i] = c.idLocked()
		all[i] = outgoing{ID: ids[i], Channel: channel, ClientID: c.id, Data: d}
	}
	id, s, lost := c.id, c.sock, c.sock == nil && c.onSocket
	c.mu.Unlock()
	if lost {
		return nil, &chat.Error{Outcome: chat.NotSent, Code: chat.CodeNetwork, Op: op, Text: "the websocket broke off", Err: errDead}
	}
	unit, err := encode(all...)
	if err != nil {
		return nil, gms.Invalid(op, "the request has no JSON: "+err.Error())
	}
	var replies []*message
	var e *chat.Error
	if s != nil {
		replies, e = s.request(ctx, op, unit, ids, c.delay)
	} else {
		replies, e = c.postAll(ctx, op, unit, ids)
	}
	for _, r := range replies {
		if !r.success && r.code() == "402" {
			c.forgotten(id)
		}
	}
	return replies, e
}

// forgotten takes in that the server does not know a session (wire-gms D.6). If that is still the one there is, what is
// under way ends, and another handshake follows.
func (c *client) forgotten(id string) {
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
		c.sock.abandon(staleError("receive"))
	}
}

// giveUp ends the link for this reason, as if the network had.
func (c *client) giveUp(e *chat.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.given = e // for the goroutine, which may be between two connects
	if c.cut != nil {
		c.cut()
	}
	if c.sock != nil {
		c.sock.abandon(e)
	}
}
