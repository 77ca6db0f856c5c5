package gmscometd

import (
	"context"
	"net/http"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/wirejson"
)

const jsonType = "application/json;charset=UTF-8"

// post makes one request of long-polling (wire-gms D.4), handles what the answer brings, and returns the reply to the
// message want. Only the goroutine of the client calls it.
func (c *client) post(ctx context.Context, op, suffix string, unit []byte, limit time.Duration, want string) (*message, *chat.Error) {
	all, status, e := c.fetch(ctx, op, suffix, unit, limit)
	if e != nil {
		return nil, e
	}
	r := c.handOut(all, want)
	if r == nil {
		return nil, c.missing(op, status)
	}
	return r, nil
}

// overPost is exchange by long-polling.
func (c *client) overPost(op string, m *outgoing, unit []byte, pause, limit time.Duration) (*message, *chat.Error) {
	c.pause(pause)
	if c.room(); c.life.Err() != nil {
		return nil, closedError(op)
	}
	ctx, cancel := context.WithCancel(c.life)
	defer cancel()
	c.mu.Lock()
	c.cut = cancel
	useless := c.stale || c.given != nil
	c.mu.Unlock()
	if useless && m.Channel == metaConnect {
		return nil, staleError(op)
	}
	r, e := c.post(ctx, op, m.Channel[len("/meta"):], unit, limit, m.ID)
	if e != nil && (e.Code == chat.CodeNetwork || e.Code == chat.CodeTimeout) {
		c.barred = time.Time{} // it is not the websocket's fault
	}
	return r, e
}

// postAll publishes by long-polling, one unit at a time.
func (c *client) postAll(ctx context.Context, op string, unit []byte, want []string) ([]*message, *chat.Error) {
	select {
	case c.aside <- struct{}{}:
		defer func() { <-c.aside }()
	case <-ctx.Done():
		return nil, canceledError(ctx, op)
	}
	all, status, e := c.fetch(ctx, op, "/", unit, c.delay)
	if e != nil {
		return nil, e
	}
	found := make(map[string]*message, len(want))
	rest := all[:0:0]
	for _, m := range all {
		if m.reply {
			found[m.id] = m.keep()
		} else {
			rest = append(rest, m)
		}
	}
	c.handOut(rest, "")
	replies := make([]*message, len(want))
	for i, id := range want {
		r, ok := found[id]
		if !ok {
			return nil, c.missing(op, status)
		}
		replies[i] = r
	}
	return replies, nil
}

// fetch makes one request and reads its answer.
func (c *client) fetch(ctx context.Context, op, suffix string, unit []byte, limit time.Duration) ([]message, int, *chat.Error) {
	resp, e := c.wire.Send(ctx, op, c.wire.Address+suffix, jsonType, unit, limit)
	if e != nil {
		return nil, 0, e
	}
	if resp.Status != http.StatusOK {
		e := c.wire.Failure(op, resp)
		if resp.Status == http.StatusNotFound {
			e.Text, e.Hint = "the server has no CometD there (HTTP 404)", c.hint()+", and that enable_notification_mode is on"
		}
		return nil, resp.Status, e
	}
	all, err := parseUnit(resp.Body, nil)
	if err != nil {
		return nil, resp.Status, &chat.Error{
			Code: chat.CodeBadAnswer, Op: op, Status: resp.Status, Text: wirejson.Unreadable(err), Hint: c.hint(), Err: err,
		}
	}
	return all, resp.Status, nil
}

func (c *client) missing(op string, status int) *chat.Error {
	return &chat.Error{Code: chat.CodeBadAnswer, Op: op, Status: status, Text: "the server's answer has no reply to the message", Hint: c.hint()}
}
