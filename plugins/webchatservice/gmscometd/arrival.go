package gmscometd

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
	"github.com/cxbus/cxbus/plugins/webchatservice/wirejson"
)

// arrival is an answer on its way into the transcript.
type arrival struct {
	answer gms.Answer
	raw    json.RawMessage // the answer as it came, if that is worth an event whatever is in it
	asked  bool            // it answers a request
}

// firstLocked is the lowest index of a line that has not come out yet, 0 if there is none.
func (c *conn) firstLocked(a *gms.Answer) int64 {
	for _, m := range a.Messages {
		if m.HasIndex && c.book.New(m) {
			return m.Index
		}
	}
	return 0
}

// deliver takes in what the server says (wire-gms B.3). The caller wakes who waits for that: see waiting.
func (c *conn) deliver(m *message) {
	if m.channel != c.d.channel {
		return
	}
	if err := c.deliverData(m.data); err != nil {
		c.d.log.Warn("a delivery cannot be read", "error", wirejson.Unreadable(err))
	}
}

func (c *conn) deliverData(data []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, err := gms.ParseValid(data, false, c.secretsLocked()...) // as all that parseUnit gives out is
	if err == nil && !a.StatusTold && len(a.Errors) == 0 {
		err = gms.ErrNoStatus
	}
	if err != nil {
		c.unreadableLocked(err)
		return err
	}
	c.hold = true
	c.answerLocked(a)
	c.hold = false
	return nil
}

// awaitRoom waits while too much waits for Receive, and reports whether it had to. Close and the end of the client end
// the wait.
func (c *conn) awaitRoom() (waited bool) {
	for {
		c.mu.Lock()
		full := c.queue.lines >= MaxQueue
		c.mu.Unlock()
		if !full || c.life.Err() != nil || c.client.life.Err() != nil {
			return waited
		}
		waited = true
		select {
		case <-c.room:
		case <-c.life.Done():
		case <-c.client.life.Done():
		}
	}
}

// answerLocked says what an answer means for what is under way, and takes it in.
func (c *conn) answerLocked(a gms.Answer) {
	raw, whole, other := a.Raw, false, false
	if f := c.attach; f != nil {
		c.attach = nil
		whole, other = true, true
		if !c.quiet && a.StatusCode != gms.StatusRetry { // it is known that the link is back, and the chat server there
			raw = nil
		}
		if e := resumed(f.op, &a, gms.Verdict(f.op, a, c.d.option())); e != nil && e.Outcome != chat.Gone {
			f.settle(e)
		} else {
			a.Ended = a.Ended || e != nil
			c.attached = e == nil
			f.settle(nil)
			c.changedLocked()
		}
	}
	mine := false
	if f := c.flight; f != nil && !f.settled {
		var taken bool
		if mine, taken = c.judgeLocked(f, &a, other); taken {
			return
		}
		if mine && !other {
			raw, whole = nil, f.first || f.fetch != nil
			if f.first {
				raw = a.Raw
			}
		}
	}
	if a.StatusCode == gms.StatusError && slices.ContainsFunc(a.Errors, func(e chat.ServerError) bool { return gms.Gone(e.Code) }) {
		a.Ended = true
	}
	c.arriveLocked(arrival{a, raw, mine || other}, whole)
}

// arriveLocked takes in an answer in its turn: lines that came before those which precede them wait a little.
// whole says that the answer has all that the server has from where the transcript stands.
func (c *conn) arriveLocked(a arrival, whole bool) {
	ended := a.answer.Ended
	if !whole && (c.firstLocked(&a.answer) > c.book.Next || ended && len(c.early) > 0) {
		c.early = append(c.early, a)
		if len(c.early) == 1 {
			c.patience = time.AfterFunc(overtaken, c.waited)
		}
		return
	}
	if ended {
		c.catchUpLocked(true)
	}
	c.takeLocked(a)
	c.catchUpLocked(whole)
}

// waited ends the wait for lines that were overtaken.
func (c *conn) waited() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.catchUpLocked(true)
	}
}

// catchUpLocked takes in what has waited: what follows now, or all of it.
func (c *conn) catchUpLocked(all bool) {
	if len(c.early) == 0 {
		return
	}
	slices.SortStableFunc(c.early, func(a, b arrival) int {
		if a.answer.Ended != b.answer.Ended {
			if a.answer.Ended {
				return 1
			}
			return -1
		}
		return cmp.Compare(c.firstLocked(&a.answer), c.firstLocked(&b.answer))
	})
	for len(c.early) > 0 {
		e := c.early[0]
		if !all && c.firstLocked(&e.answer) > c.book.Next {
			return
		}
		c.early = c.early[1:]
		c.takeLocked(e)
	}
	c.patience.Stop()
	c.early = nil
}

// takeLocked takes in what an answer brought, and queues it if it is worth an event.
func (c *conn) takeLocked(a arrival) {
	over := c.book.Over
	if lines := a.answer.Messages; !c.quiet && len(lines) > 0 && !slices.ContainsFunc(lines, c.book.New) {
		a.raw = nil // it was said before, and tells nothing by being said again
	}
	ev, ok := c.book.Take(a.answer, a.raw)
	if !ok {
		return
	}
	if len(ev.Errors) == 0 {
		ev.Errors = a.answer.Errors
	}
	if !a.asked {
		ev.Raw = nil
	}
	c.queue.push(&ev, c.book.Next)
	c.quiet = a.answer.StatusCode == gms.StatusRetry // then it will be told that the chat server is back
	c.wakeLocked()
	if c.book.Over && !over {
		c.overLocked()
	}
}

// overLocked leaves the server, where there is nothing more to be had.
func (c *conn) overLocked() {
	c.attached, c.trouble = false, nil
	c.changedLocked()
	if c.flight == nil { // else its answer is on the way
		c.leaveLocked()
	}
}

// leaveLocked ends the Bayeux session of a chat that is over.
func (c *conn) leaveLocked() {
	if !c.closed {
		c.wg.Go(c.client.close)
	}
}
