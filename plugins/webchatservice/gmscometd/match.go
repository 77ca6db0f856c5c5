package gmscometd

import (
	"slices"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

// abandonedFor is how long a refusal may be the answer to a request that was left before: a delivery does not say.
const abandonedFor = 30 * time.Second

// matchLocked finds out whether an answer belongs to the request under way, and settles that request if it does. other
// says that the answer is the one to something else. taken reports that nothing is left of the answer to take in.
func (c *conn) matchLocked(p *pending, a *gms.Answer, other bool) (mine, taken bool) {
	e := gms.Outcome(p.op, *a, channelOption)
	shown := p.match != nil && slices.ContainsFunc(a.Messages, func(m chat.Message) bool { return m.Own && c.transcript.New(&m) && p.match(m) })
	switch {
	case other && !shown:
		return false, false
	case p.first && p.op == "open":
		return true, c.openedLocked(p, a, e)
	case p.tail:
		p.settle(p.lastOf(a, e))
		return true, true
	case p.first:
		if e = resumed(p.op, a, e); e == nil {
			c.begun, c.attached = true, true
			if a.StatusCode == gms.StatusRetry { // nothing will be pushed yet
				c.attachLocked()
			}
		}
		p.settle(e)
		return true, e != nil
	case p.fetch != nil && e == nil:
		return c.fetchedLocked(p, a), false
	case shown:
	case e != nil && e.Outcome == chat.Gone, a.Ended && !p.end:
		if e == nil {
			e = overError(p.op)
		}
		e.Outcome, e.Code = chat.Gone, chat.CodeEnded
		a.Ended = true
		p.settle(e)
		return false, false
	case e != nil && time.Since(c.abandoned) < abandonedFor:
		return false, false // it may be the answer to the request before
	case e != nil:
		p.settle(e)
		return true, true
	case p.end && a.Ended, p.answers:
	default:
		return false, false
	}
	p.answer = a.Raw
	p.settle(nil)
	return true, false
}

// resumed says whether an answer attaches a chat: nil if it does, an error whose outcome is Gone if there is no chat.
func resumed(op string, a *gms.Answer, e *chat.Error) *chat.Error {
	restore := op == "resume"
	switch {
	case a.Ended, e != nil && e.Outcome == chat.Gone, e == nil && restore && !a.EndedTold:
		if e == nil {
			e = &chat.Error{Op: op, Answer: a.Raw}
		}
		e.Outcome, e.Code = chat.Gone, chat.CodeEnded
		e.Text, e.Hint = "the chat is over, or the server no longer knows it", "start a new one"
		return e
	case e != nil && restore && a.StatusCode == gms.StatusRetry && a.EndedTold:
		return nil // the chat lives; the chat server behind GMS cannot be reached
	}
	return e
}

// lastOf takes in the answer to the question for the last line. A chat without a line is none to be taken up (wire-gms
// C.2).
func (p *pending) lastOf(a *gms.Answer, e *chat.Error) *chat.Error {
	if a.StatusCode == gms.StatusRetry {
		return e
	}
	if e = resumed(p.op, a, e); e != nil {
		return e
	}
	for _, m := range a.Messages { // some servers send all lines
		if m.Index != 0 {
			p.last = max(p.last, m.Index)
		}
	}
	if p.last == 0 {
		return &chat.Error{
			Outcome: chat.Gone, Code: chat.CodeEnded, Op: p.op, Answer: a.Raw,
			Text: "the chat has no lines any more", Hint: "start a new one",
		}
	}
	return nil
}

// openedLocked takes in the result of a start.
func (c *conn) openedLocked(p *pending, a *gms.Answer, e *chat.Error) (failed bool) {
	if e == nil && (a.Session.ID == "" || a.Session.SecureKey.IsZero()) {
		e = &chat.Error{
			Code: chat.CodeBadAnswer, Op: p.op, Answer: a.Raw,
			Text: "the server started a chat without telling its chatId and secureKey", Hint: "check " + channelOption,
		}
	}
	if e == nil {
		c.transcript = gms.NewTranscript(a.Session, 1, chat.Position{})
		c.begun, c.attached = true, true
	}
	p.settle(e)
	return e != nil
}

// fetchedLocked takes in an answer if it is the one to a request for lines, and reports whether it is: it begins before
// where the transcript stood, or it is empty. No push does so, or is.
func (c *conn) fetchedLocked(p *pending, a *gms.Answer) bool {
	q := p.fetch
	first, indexed := int64(0), false
	for _, m := range a.Messages {
		if m.Index != 0 {
			first, indexed = m.Index, true
			break
		}
	}
	switch {
	case indexed && first >= q.next, !indexed && len(a.Messages) > 0:
		return false
	}
	end := q.end
	if end == 0 {
		end = gms.First(c.read)
	}
	q.found = c.transcript.Extract(a, q.first, end)
	c.queue.withdraw(q.found)
	p.answer = a.Raw
	p.settle(nil)
	return true
}
