package gmsrest

import (
	"context"
	"encoding/json"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// Parsed is what the parser of answers makes of a body.
type Parsed struct {
	StatusCode int
	Ended      bool
	Session    chat.Session
	Messages   []chat.Message
	Errors     []chat.ServerError
	Raw        json.RawMessage
}

// Parse is the parser of answers.
func Parse(body []byte, key chat.Secret, needStatus bool) (Parsed, error) {
	a, err := parse(body, needStatus, key)
	return Parsed{a.statusCode, a.ended, a.session, a.messages, a.errors, a.raw}, err
}

// Seen is the set of indices.
type Seen struct{ s seen }

// Add puts i into the set and reports whether it was not in it.
func (s *Seen) Add(i int64) bool { return s.s.add(i) }

// Ranges is how many ranges the set is made of.
func (s *Seen) Ranges() int { return len(s.s) }

// Taker takes bodies of answers to polls all the way to events, without a network.
type Taker struct{ c *conn }

// NewTaker returns a Taker for a chat with this key.
func NewTaker(key chat.Secret) *Taker {
	d := &Driver{wire: &wire{}}
	return &Taker{newConn(d, chat.Session{ID: "c", SecureKey: key}, 1, answer{})}
}

// Take returns the event of a body.
func (t *Taker) Take(ctx context.Context, body []byte) (chat.Event, error) {
	c := t.c
	c.seen, c.queue = nil, nil // each body counts as new
	a, e := c.d.wire.judge("receive", &response{status: 200, body: body}, c.session.SecureKey)
	if e != nil {
		return chat.Event{}, e
	}
	c.mu.Lock()
	c.takeLocked(a, a.raw)
	c.mu.Unlock()
	return c.Receive(ctx)
}
