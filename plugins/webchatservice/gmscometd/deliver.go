package gmscometd

import (
	"errors"
	"slices"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

// delivery is an answer on its way into the transcript.
type delivery struct {
	answer gms.Answer
	raw    chat.JSON // the answer as it came, if it is worth an event whatever is in it
	asked  bool      // it answers a request
}

// errOtherChat is the error of a delivery whose chatId is another chat's: it is none of ours, whoever mixed them up.
var errOtherChat = errors.New("delivery is of another chat")

// deliver takes in what the server says (wire-gms B.3): data is valid JSON. Whoever calls it then calls waiting.
func (c *conn) deliver(data []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, err := gms.ParseValid(data, false, c.secretsLocked()...)
	if err == nil && !a.StatusTold && len(a.Errors) == 0 {
		err = gms.ErrNoStatus
	}
	if err != nil {
		c.unreadableLocked(err)
		return err
	}
	if id := a.Session.ID; c.begun && id != "" && id != c.transcript.Session.ID {
		return errOtherChat
	}
	c.hold = true
	c.answerLocked(a)
	c.hold = false
	return nil
}

// answerLocked finds out what an answer means for the requests under way, and takes it in.
func (c *conn) answerLocked(a gms.Answer) {
	raw, whole, other := a.Raw, false, false
	if p := c.attach; p != nil {
		c.attach = nil
		other = true
		if whole = beginsBy(&a, p.asked); whole {
			a.Asked = p.asked
		}
		if !c.quiet && a.StatusCode != gms.StatusRetry { // everybody knows that the link is back, and the chat server there
			raw = nil
		}
		if e := resumed(p.op, &a, gms.Outcome(p.op, a, channelOption)); e != nil && e.Outcome != chat.Gone {
			p.settle(e)
		} else {
			a.Ended = a.Ended || e != nil
			c.attached = e == nil
			p.settle(nil)
			c.changedLocked()
		}
	}
	mine := false
	if p := c.pending; p != nil && !p.settled {
		var taken bool
		if mine, taken = c.matchLocked(p, &a, other); taken {
			return
		}
		if mine && !other {
			raw, whole = nil, p.first && beginsBy(&a, c.transcript.Next) || p.fetch != nil
			if p.first {
				raw = a.Raw
			}
		}
	}
	if a.StatusCode == gms.StatusError && slices.ContainsFunc(a.Errors, func(e chat.ServerError) bool { return gms.Gone(e.Code) }) {
		a.Ended = true
	}
	c.inOrderLocked(delivery{a, raw, mine || other}, whole)
}

// beginsBy reports whether a delivery can be the whole answer to a request for the lines from index asked on. On
// long-polling a later push can overtake that answer, because two requests bring what the server delivers. Such a push
// lacks the first lines.
func beginsBy(a *gms.Answer, asked int64) bool {
	for i := range a.Messages {
		if index := a.Messages[i].Index; index != 0 {
			return index <= asked
		}
	}
	return true
}

// unreadableLocked takes in that a delivery could not be read. Only if it is the first one is it known what it answers.
func (c *conn) unreadableLocked(err error) {
	if p := c.pending; p != nil && p.first {
		p.settle(unreadableError(p.op, err))
	}
}

// takeLocked takes what an answer brought into the transcript, and queues it if it is worth an event.
func (c *conn) takeLocked(d delivery) {
	over := c.transcript.Over
	if lines := d.answer.Messages; !c.quiet && len(lines) > 0 && !c.transcript.AnyNew(lines) {
		d.raw = nil // it was said before: to say it again tells nothing
	}
	asks := c.transcript.Asks()
	ev, ok := c.transcript.Take(d.answer, d.raw)
	if c.transcript.Asks() < asks { // another server may have taken over: it is asked for what it has in their place
		c.links++
		c.attachLocked()
	}
	if !ok {
		return
	}
	if len(ev.Errors) == 0 {
		ev.Errors = d.answer.Errors
	}
	if !d.asked {
		ev.Raw = nil
	}
	c.queue.push(&ev)
	c.quiet = d.answer.StatusCode == gms.StatusRetry // then it will be told that the chat server is back
	c.wakeLocked()
	if c.transcript.Over && !over {
		c.overLocked()
	}
}
