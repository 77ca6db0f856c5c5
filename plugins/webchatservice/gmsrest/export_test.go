package gmsrest

import (
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
