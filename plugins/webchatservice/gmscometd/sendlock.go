package gmscometd

import (
	"context"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// lockSend waits until no request is under way, and returns what lets the next one begin.
func (c *conn) lockSend(ctx context.Context, op string) (unlock func(), e *chat.Error) {
	if c.life.Err() != nil {
		return nil, closedError(op)
	}
	select {
	case c.sendLock <- struct{}{}:
		return func() { <-c.sendLock }, nil
	case <-ctx.Done():
		return nil, canceledError(ctx, op)
	case <-c.life.Done():
		return nil, closedError(op)
	}
}

// ready waits until the chat is attached, if that takes one attempt to connect at most, and returns the session.
func (c *conn) ready(ctx context.Context, op string) (chat.Session, *chat.Error) {
	t := time.NewTimer(c.client.Timeout())
	defer t.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	losses, lost := c.losses, false
	for {
		if c.trouble != nil && !lost && !c.transcript.Over { // the loss may become known only now
			losses, lost = c.losses, true
			c.client.Retry()
		}
		switch {
		case c.life.Err() != nil:
			return chat.Session{}, closedError(op)
		case ctx.Err() != nil:
			return chat.Session{}, canceledError(ctx, op)
		case c.transcript.Over:
			return chat.Session{}, overError(op)
		case c.attached:
			return c.transcript.Session, nil
		case c.trouble != nil && c.losses > losses:
			e := *c.trouble
			e.Op, e.Outcome, e.Code = op, chat.NotSent, linkCode(c.trouble)
			return chat.Session{}, &e
		}
		changed := c.changed
		c.mu.Unlock()
		late := false
		select {
		case <-changed:
		case <-ctx.Done():
		case <-c.life.Done():
		case <-t.C:
			late = true
		}
		c.mu.Lock()
		if late && !c.attached {
			return chat.Session{}, &chat.Error{
				Outcome: chat.NotSent, Code: chat.CodeTimeout, Op: op, Text: "the chat is not attached again yet", Hint: "try again later",
			}
		}
	}
}

// relinked waits until the link is another one than it was, if that happens soon, and reports whether it is.
func (c *conn) relinked(ctx context.Context, link int) bool {
	t := time.NewTimer(c.client.Timeout())
	defer t.Stop()
	for {
		c.mu.Lock()
		links, changed := c.links, c.changed
		c.mu.Unlock()
		if links != link {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		case <-c.life.Done():
			return false
		case <-t.C:
			return false
		}
	}
}
