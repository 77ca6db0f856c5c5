package gmsrest

import (
	"context"
	"io"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

// Receive implements [chat.Conn].
func (c *conn) Receive(ctx context.Context) (chat.Event, error) {
	const op = "receive"
	for {
		if c.life.Err() != nil {
			return chat.Event{}, closedError(op)
		}
		c.mu.Lock()
		if len(c.queue) > 0 {
			ev := c.queue[0]
			c.queue[0] = chat.Event{}
			c.queue = c.queue[1:]
			c.read = ev.Position
			c.mu.Unlock()
			return ev, nil
		}
		if c.transcript.Over {
			c.mu.Unlock()
			return chat.Event{}, io.EOF
		}
		if ctx.Err() != nil {
			c.mu.Unlock()
			return chat.Event{}, canceledError(ctx, op)
		}
		var timer *time.Timer
		var due <-chan time.Time
		if c.polling && !c.busy {
			wait := time.Until(c.pace.due())
			if wait <= 0 {
				c.busy = true
				c.mu.Unlock()
				if _, err := c.poll(ctx, op); err != nil && !c.tooLong(err) {
					return chat.Event{}, err
				}
				continue
			}
			timer = time.NewTimer(wait)
			due = timer.C
		}
		c.mu.Unlock()
		select {
		case <-due:
		case <-c.wake:
		case <-ctx.Done():
		case <-c.life.Done():
		}
		if timer != nil {
			timer.Stop()
		}
	}
}

// Await implements [chat.Waker].
func (c *conn) Await(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life.Err() != nil || len(c.queue) > 0 || c.transcript.Over {
		return false
	}
	if c.polling && !c.busy {
		wait := time.Until(c.pace.due())
		if wait <= 0 {
			return false
		}
		if c.alarm == nil {
			c.alarm = time.AfterFunc(wait, c.ring)
		} else {
			c.alarm.Reset(wait)
		}
	}
	c.waker = f
	return true
}

// ring is called when a poll is due.
func (c *conn) ring() {
	c.mu.Lock()
	f := c.waker
	c.waker = nil
	c.mu.Unlock()
	if f != nil {
		f()
	}
}

// poll makes one poll. The caller has set busy.
func (c *conn) poll(ctx context.Context, op string) (chat.Receipt, *chat.Error) {
	begun := time.Now()
	c.mu.Lock()
	session, next, text := c.transcript.Session, c.transcript.Asks(), c.preview
	c.mu.Unlock()
	preview := ""
	if text != nil {
		preview = text() // no lock is held: it is somebody else's code
	}
	c.mu.Lock()
	if preview == c.refused {
		preview = ""
	}
	c.mu.Unlock()
	form := keys(session)
	setPosition(form, next)
	form.Set("message", preview)
	resp, e := c.post(ctx, op, c.d.wire.path(session.ID, "refresh"), form)
	var a gms.Answer
	if e == nil {
		a, e = c.d.wire.Judge(op, resp, session.SecureKey)
		a.Asked = next
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = false
	c.pace.polled(begun, time.Now())
	defer c.signal()
	switch {
	case e != nil && resp == nil: // no answer
		return chat.Receipt{}, e
	case e != nil && a.StatusCode == gms.StatusRetry && e.Status < 300:
		// The server was reached; what is behind it was not. That is for the caller to count.
		c.missing = 0
		c.takeLocked(a, a.Raw)
		return chat.Receipt{Answer: a.Raw}, nil
	}
	if preview != "" && e != nil && hasCode(e, "204") {
		c.refused = preview
		return chat.Receipt{}, e
	}
	if e = c.settleLocked(a, e, true); e != nil && e.Outcome != chat.Gone {
		return chat.Receipt{}, e
	}
	return chat.Receipt{Confirmed: true, Answer: a.Raw}, nil
}

// tooLong reports whether a poll failed for nothing but its preview (wire-gms A.6, code 204). The next
// one goes without.
func (c *conn) tooLong(e *chat.Error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused != "" && e.Outcome == chat.Rejected && hasCode(e, "204")
}

func hasCode(e *chat.Error, code string) bool {
	for _, s := range e.Errors {
		if s.Code == code {
			return true
		}
	}
	return false
}

// Poll implements [chat.Poller].
func (c *conn) Poll(ctx context.Context) (chat.Receipt, error) {
	const op = "poll"
	c.mu.Lock()
	switch {
	case c.life.Err() != nil:
		c.mu.Unlock()
		return chat.Receipt{}, closedError(op)
	case c.transcript.Over:
		c.mu.Unlock()
		return chat.Receipt{}, &chat.Error{Outcome: chat.Gone, Code: chat.CodeEnded, Op: op, Text: "the chat is over"}
	case c.busy:
		c.mu.Unlock()
		return chat.Receipt{}, &chat.Error{Outcome: chat.NotSent, Code: chat.CodeBusy, Op: op, Text: "previous poll has not finished"}
	}
	c.busy = true
	c.mu.Unlock()
	receipt, e := c.poll(ctx, op)
	if e != nil {
		return chat.Receipt{}, e
	}
	return receipt, nil
}

// StartPoll implements [chat.Poller].
func (c *conn) StartPoll() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.polling || c.transcript.Over {
		return false
	}
	c.polling = true
	c.pace.start(time.Now())
	c.signal()
	return true
}

// StopPoll implements [chat.Poller].
func (c *conn) StopPoll() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.polling
	c.polling = false
	c.signal()
	return was
}

// Polling implements [chat.Poller].
func (c *conn) Polling() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.polling && !c.transcript.Over
}

// Sleep implements [chat.Poller].
func (c *conn) Sleep(asleep bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pace.sleep(asleep)
	c.signal()
}

// Preview implements [chat.Poller].
func (c *conn) Preview(text func() string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.preview, c.refused = text, ""
}
