package gmscometd

import (
	"slices"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
	"github.com/cxbus/cxbus/plugins/webchatservice/wirejson"
)

// resumed says whether an answer attaches a chat: nil if it does, Gone if there is no chat to attach.
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
		return nil // the chat lives, the chat server behind GMS cannot be reached
	}
	return e
}

// judgeLocked says whether an answer belongs to the request under way, and settles that. other says that it is the
// answer to something else. taken reports that there is nothing more to it.
func (c *conn) judgeLocked(f *flight, a *gms.Answer, other bool) (mine, taken bool) {
	e := gms.Verdict(f.op, *a, c.d.option())
	shown := f.match != nil && slices.ContainsFunc(a.Messages, func(m chat.Message) bool { return m.Own && c.book.New(m) && f.match(m) })
	switch {
	case other && !shown:
		return false, false
	case f.first && f.op == "open":
		return true, c.openedLocked(f, a, e)
	case f.tail:
		f.settle(f.lastOf(a, e))
		return true, true
	case f.first:
		if e = resumed(f.op, a, e); e == nil {
			c.begun, c.attached = true, true
			if a.StatusCode == gms.StatusRetry { // nothing will be pushed yet
				c.attachLocked()
			}
		}
		f.settle(e)
		return true, e != nil
	case f.fetch != nil && e == nil:
		return c.fetchedLocked(f, a), false
	case shown:
	case e != nil && e.Outcome == chat.Gone, a.Ended && !f.end:
		if e == nil {
			e = &chat.Error{Op: f.op, Text: "the chat is over"}
		}
		e.Outcome, e.Code = chat.Gone, chat.CodeEnded
		a.Ended = true
		f.settle(e)
		return false, false
	case e != nil && time.Since(c.stray) < strayFor:
		return false, false // it may be the answer to the one before
	case e != nil:
		f.settle(e)
		return true, true
	case f.end && a.Ended, f.answers:
	default:
		return false, false
	}
	f.answer = a.Raw
	f.settle(nil)
	return true, false
}

// lastOf takes in the answer to the question for the last line. A chat without one is none to be taken up (wire-gms
// C.2).
func (f *flight) lastOf(a *gms.Answer, e *chat.Error) *chat.Error {
	if a.StatusCode == gms.StatusRetry {
		return e
	}
	if e = resumed(f.op, a, e); e != nil {
		return e
	}
	for _, m := range a.Messages { // some servers send them all
		if m.HasIndex {
			f.last = max(f.last, m.Index)
		}
	}
	if f.last == 0 {
		return &chat.Error{
			Outcome: chat.Gone, Code: chat.CodeEnded, Op: f.op, Answer: a.Raw,
			Text: "the chat has no lines any more", Hint: "start a new one",
		}
	}
	return nil
}

// openedLocked takes in the result of a start.
func (c *conn) openedLocked(f *flight, a *gms.Answer, e *chat.Error) (failed bool) {
	if e == nil && (a.Session.ID == "" || a.Session.SecureKey.IsZero()) {
		e = &chat.Error{
			Code: chat.CodeBadAnswer, Op: f.op, Answer: a.Raw,
			Text: "the server started a chat without telling its chatId and secureKey", Hint: "check " + c.d.option(),
		}
	}
	if e == nil {
		c.book = gms.NewTranscript(a.Session, 1)
		c.begun, c.attached = true, true
	}
	f.settle(e)
	return e != nil
}

// unreadableLocked takes in that a delivery could not be read. Only of a first one it is known whose it is.
func (c *conn) unreadableLocked(err error) {
	if f := c.flight; f != nil && f.first {
		f.settle(&chat.Error{Code: chat.CodeBadAnswer, Op: f.op, Text: wirejson.Unreadable(err), Hint: "check " + c.d.option(), Err: err})
	}
}

// fetchedLocked reports whether an answer is the one to a request for lines: it begins before where the transcript
// stood, or is empty, as no push does or is.
func (c *conn) fetchedLocked(f *flight, a *gms.Answer) bool {
	q := f.fetch
	first, indexed := int64(0), false
	for _, m := range a.Messages {
		if m.HasIndex {
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
		end = c.read
	}
	q.found = c.book.Extract(a, q.first, end)
	c.withdrawLocked(q.found)
	f.answer = a.Raw
	f.settle(nil)
	return true
}

// withdrawLocked takes lines out of what waits for Receive: something else may have brought them, too.
func (c *conn) withdrawLocked(lines []chat.Message) {
	given := make(map[int64]bool, len(lines))
	for _, m := range lines {
		given[m.Index] = true
	}
	for i := range c.queue.all {
		ev := &c.queue.all[i].event
		ev.Messages = slices.DeleteFunc(ev.Messages, func(m chat.Message) bool { return m.HasIndex && given[m.Index] })
	}
}
