package gmscometd

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"
	"unicode/utf8"

	"github.com/cxbus/cxbus/plugins/webchatservice/bayeux"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
	"github.com/cxbus/cxbus/plugins/webchatservice/wirejson"
)

// pending is a request that was published, or is about to be, until what the server says settles it. A delivery has no id
// of the request that it answers (wire-gms B.3), so there is one at a time. conn.mu guards it.
type pending struct {
	op string

	// What settles it.
	first   bool                    // the first delivery
	tail    bool                    // the first delivery, which tells which line is the last
	match   func(chat.Message) bool // its own line; nil: it makes none
	answers bool                    // any delivery that is well
	end     bool                    // the end of the chat
	fetch   *fetch                  // the lines that it asks for; nil: it asks for none
	asked   int64                   // the position that it asks for what happens from; 0: it does not

	// What became of it.
	settled   bool
	confirmed bool      // the server itself has settled it, well
	answer    chat.JSON // of the delivery that did
	last      int64     // with tail: the index of the last line
	done      chan *chat.Error
}

// fetch is what a request asks for that wants lines once more.
type fetch struct {
	first, end int64 // end 0: up to where the reader stands
	next       int64 // where the transcript stood when the request was made
	found      []chat.Message
}

func newPending(op string) *pending { return &pending{op: op, done: make(chan *chat.Error, 1)} }

// settle ends the wait for it. conn.mu is held.
func (p *pending) settle(e *chat.Error) {
	if !p.settled {
		p.settled, p.confirmed = true, e == nil
		p.done <- e
	}
}

// wait waits until it is settled, for limit at most. If must is set, it is an error when nothing has settled it by then.
func (p *pending) wait(ctx context.Context, c *conn, limit time.Duration, must bool) *chat.Error {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case e := <-p.done:
		return e
	case <-ctx.Done():
		return &chat.Error{Code: chat.CodeCanceled, Op: p.op, Text: "given up while waiting for the answer", Err: context.Cause(ctx)}
	case <-c.life.Done():
		return closeError(p.op)
	case <-t.C:
	}
	if !must {
		return nil
	}
	return &chat.Error{
		Code: chat.CodeTimeout, Op: p.op, Text: fmt.Sprintf("the server took the request and did not answer it within %v", limit),
		Hint: "check " + channelOption + ", or raise webchat.ajaxTimeout",
	}
}

// finished takes a request away that nothing settles any more.
func (c *conn) finished(p *pending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending == p {
		c.pending = nil
		if c.transcript.Over {
			c.leaveLocked()
		}
	}
}

// publish publishes the data of a request. It fails if Bayeux does not take it.
func (c *conn) publish(ctx context.Context, p *pending, data json.RawMessage) *chat.Error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	replies, e := c.client.Publish(ctx, p.op, c.d.channel, data)
	switch {
	case e != nil && c.life.Err() != nil:
		e.Code, e.Text, e.Hint = chat.CodeClosed, closeError(p.op).Text, ""
		return e
	case e != nil:
		if e.Outcome == chat.Unknown && !c.client.OnWebsocket() {
			c.deliveriesLost() // with the answer went what it brought
		}
		return e
	case !replies[0].Successful:
		return c.client.Refused(p.op, replies[0])
	}
	return nil
}

// forgotten reports whether a request has failed because the server does not know the Bayeux session.
func forgotten(e *chat.Error) bool {
	return e != nil && e.Err == bayeux.ErrUnknownClient //nolint:errorlint // it is this very error
}

// request makes the data of a publish (wire-gms B.2).
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

// valid reports whether text is UTF-8. encoding/json would replace what is not, and so change what somebody wrote.
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

// unreadableError is the error of a request whose answer cannot be read.
func unreadableError(op string, err error) *chat.Error {
	return &chat.Error{Code: chat.CodeBadAnswer, Op: op, Text: wirejson.Unreadable(err), Hint: "check " + channelOption, Err: err}
}
