package gmscometd

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"
	"unicode/utf8"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

// flight is a request that was published, until what the server says settles it: a delivery has no id of the request
// that it answers (wire-gms B.3), so there is one at a time. conn.mu guards it.
type flight struct {
	op      string
	first   bool                    // the first delivery is its result
	match   func(chat.Message) bool // the own line that it makes; nil: none
	answers bool                    // any delivery that is well confirms it
	end     bool                    // the end of the chat confirms it
	fetch   *fetch                  // it asks for lines
	tail    bool                    // it asks which line is the last

	settled bool
	said    bool            // the server itself confirmed it
	answer  json.RawMessage // of the delivery that did
	last    int64           // index of the last line
	done    chan *chat.Error
}

// fetch asks for lines once more.
type fetch struct {
	first, end int64 // end 0: where the reader stands
	next       int64 // where the transcript stood when it was asked
	found      []chat.Message
}

func newFlight(op string) *flight { return &flight{op: op, done: make(chan *chat.Error, 1)} }

// settle ends the wait for it, with conn.mu held.
func (f *flight) settle(e *chat.Error) {
	if !f.settled {
		f.settled, f.said = true, e == nil
		f.done <- e
	}
}

// wait waits until it is settled, or limit is over, which must makes an error.
func (f *flight) wait(ctx context.Context, c *conn, limit time.Duration, must bool) *chat.Error {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case e := <-f.done:
		return e
	case <-ctx.Done():
		return &chat.Error{Code: chat.CodeCanceled, Op: f.op, Text: "given up while waiting for the answer", Err: context.Cause(ctx)}
	case <-c.life.Done():
		return &chat.Error{Code: chat.CodeClosed, Op: f.op, Text: "connection was closed while the request was under way"}
	case <-t.C:
	}
	if !must {
		return nil
	}
	return &chat.Error{
		Code: chat.CodeTimeout, Op: f.op, Text: fmt.Sprintf("the server took the request and did not answer it within %v", limit),
		Hint: "check webchat.cometD.channel, or raise webchat.ajaxTimeout",
	}
}

// option names the service in the configuration.
func (d *Driver) option() string { return "webchat.cometD.channel" }

// request is the data of a publish (wire-gms B.2).
func request(op, operation string, s chat.Session, fields map[string]any) (json.RawMessage, *chat.Error) {
	all := map[string]any{
		"operation": operation, "chatId": s.ID, "userId": s.UserID, "alias": s.Alias, "secureKey": s.SecureKey.Reveal(),
	}
	maps.Copy(all, fields)
	for _, v := range all {
		if !valid(v) {
			return nil, gms.Invalid(op, "text is not valid UTF-8")
		}
	}
	data, err := json.Marshal(all)
	if err != nil {
		return nil, gms.Invalid(op, "the request has no JSON: "+err.Error())
	}
	return data, nil
}

// valid reports whether text is UTF-8: encoding/json would replace what is not, and change what somebody wrote.
func valid(v any) bool {
	switch v := v.(type) {
	case string:
		return utf8.ValidString(v)
	case json.RawMessage:
		return utf8.Valid(v)
	case map[string]string:
		for name, text := range v {
			if !utf8.ValidString(name) || !utf8.ValidString(text) {
				return false
			}
		}
	}
	return true
}

// carry publishes a request, and fails if Bayeux does not take it.
func (c *conn) carry(ctx context.Context, f *flight, data json.RawMessage) (*message, *chat.Error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	replies, e := c.client.publish(ctx, f.op, c.d.channel, data)
	switch {
	case e != nil && c.life.Err() != nil:
		e.Code, e.Text, e.Hint = chat.CodeClosed, "connection was closed while the request was under way", ""
		return nil, e
	case e != nil:
		if e.Outcome == chat.Unknown && !c.client.onWebsocket() {
			c.holed() // with the answer went what it brought
		}
		return nil, e
	case !replies[0].success:
		return nil, c.client.unsuccessful(f.op, replies[0])
	}
	return replies[0], nil
}

// forgotten reports whether a request failed since the server does not know the Bayeux session.
func forgotten(e *chat.Error) bool { return e != nil && e.Err == errStale } //nolint:errorlint // it is this very error
