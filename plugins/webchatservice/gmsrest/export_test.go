package gmsrest

import (
	"context"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

// Taker takes bodies of answers to polls all the way to events, without a network.
type Taker struct{ c *conn }

// NewTaker returns a Taker for a chat with this key.
func NewTaker(key chat.Secret) *Taker {
	d := &Driver{wire: &wire{Wire: &gms.Wire{}}}
	return &Taker{newConn(d, chat.Session{ID: "c", SecureKey: key}, 1, chat.Position{}, gms.Answer{})}
}

// Take returns the event of a body.
func (t *Taker) Take(ctx context.Context, body []byte) (chat.Event, error) {
	c := t.c
	c.transcript, c.queue = gms.NewTranscript(c.transcript.Session, 1, chat.Position{}), nil // each body counts as new
	a, e := c.d.wire.Judge("receive", &gms.Response{Status: 200, Body: body}, c.transcript.Session.SecureKey)
	if e != nil {
		return chat.Event{}, e
	}
	c.mu.Lock()
	c.takeLocked(a, a.Raw)
	c.mu.Unlock()
	return c.Receive(ctx)
}
