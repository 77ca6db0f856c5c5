package bayeux

import (
	"context"
	"net/http"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/wirejson"
)

// overPost is exchange by long-polling (wire-gms D.4).
func (c *Client) overPost(op string, m *outgoing, unit []byte, pause, limit time.Duration) (*message, *chat.Error) {
	c.pause(pause)
	if c.handler.AwaitRoom(); c.life.Err() != nil {
		return nil, closedError(op)
	}
	ctx, cancel := context.WithCancel(c.life)
	defer cancel()
	c.mu.Lock()
	c.cut = cancel
	useless := c.stale || c.reset != nil
	c.mu.Unlock()
	if useless && m.Channel == metaConnect {
		return nil, unknownClient(op)
	}
	all, e := c.post(ctx, op, m.Channel[len("/meta"):], unit, limit)
	if e != nil {
		if e.Code == chat.CodeNetwork || e.Code == chat.CodeTimeout {
			c.suspended = time.Time{} // long-polling does not work either: so it is not the websocket's fault
		}
		return nil, e
	}
	r := c.handOut(all, m.ID)
	if r == nil {
		return nil, c.noReply(op)
	}
	return r, nil
}

// postAll publishes by long-polling, one unit at a time, and returns the replies to the messages of these ids.
func (c *Client) postAll(ctx context.Context, op string, unit []byte, ids []string) ([]*message, *chat.Error) {
	select {
	case c.second <- struct{}{}:
		defer func() { <-c.second }()
	case <-ctx.Done():
		return nil, canceledError(ctx, op)
	}
	all, e := c.post(ctx, op, "/", unit, c.timeout)
	if e != nil {
		return nil, e
	}
	found := make(map[string]*message, len(ids))
	rest := all[:0:0]
	for _, m := range all {
		if m.reply {
			found[m.id] = m.keep()
		} else {
			rest = append(rest, m)
		}
	}
	c.handOut(rest, "")
	replies := make([]*message, len(ids))
	for i, id := range ids {
		r, ok := found[id]
		if !ok {
			return nil, c.noReply(op)
		}
		replies[i] = r
	}
	return replies, nil
}

// post makes one request and reads its answer.
func (c *Client) post(ctx context.Context, op, suffix string, unit []byte, limit time.Duration) ([]message, *chat.Error) {
	body, e := c.http.Post(ctx, op, suffix, unit, limit)
	if e != nil {
		return nil, e
	}
	all, err := parseUnit(body, nil)
	if err != nil {
		return nil, &chat.Error{
			Code: chat.CodeBadAnswer, Op: op, Status: http.StatusOK, Text: wirejson.Unreadable(err), Hint: c.hint(), Err: err,
		}
	}
	return all, nil
}

func (c *Client) noReply(op string) *chat.Error {
	return &chat.Error{Code: chat.CodeBadAnswer, Op: op, Status: http.StatusOK, Text: "the server's answer has no reply to the message", Hint: c.hint()}
}
