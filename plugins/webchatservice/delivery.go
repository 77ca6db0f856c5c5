package webchatservice

import (
	"fmt"
	"slices"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// pump sends the messages of the outbox, one after the other, until there are none.
func (s *session) pump() {
	for {
		it := s.nextItem()
		if it == nil {
			return
		}
		s.deliver(it)
	}
}

// nextItem waits until a message can be sent and marks it as under way. It returns nil, and pumping is
// over, when there is none or when the session is.
func (s *session) nextItem() *item {
	for {
		s.mu.Lock()
		b := &s.box
		if s.state.Final() || len(b.queue) == 0 {
			b.running = false
			s.unlock()
			return nil
		}
		it, now := b.queue[0], time.Now()
		expires := it.created.Add(s.env.limits.outboxAge)
		if !now.Before(expires) {
			s.settleLocked(it, MessageFailed, failure(ErrNotSent, "sendMessage", it.last,
				fmt.Sprintf("it waited for the network for %v", s.env.limits.outboxAge)))
			s.unlock()
			continue
		}
		ready := s.state == StateActive || s.state == StateEnding
		if ready && !now.Before(b.notTill) {
			it.inFlight = true
			b.dirty = true
			s.unlock()
			s.saveOutbox() // if the process dies now, its fate is unknown
			return it
		}
		until := expires
		if ready && b.notTill.Before(until) {
			until = b.notTill
		}
		changed := s.changed
		s.unlock()
		if !pause(s.life, time.Until(until), changed) {
			s.mu.Lock()
			s.box.running = false
			s.unlock()
			return nil
		}
	}
}

// deliver makes one try with a message.
func (s *session) deliver(it *item) {
	receipt, err := s.conn.Send(s.life, it.action)

	s.mu.Lock()
	defer s.unlock()
	if it.state != MessagePending {
		return // settled meanwhile: the session is over
	}
	it.last = err
	if err == nil {
		it.answer, it.lineID = receipt.Answer, receipt.ID
		s.answeredLocked(receipt.Answer)
		if receipt.Confirmed || it.echoed {
			s.settleLocked(it, MessageSent, nil)
			return
		}
		s.doubtLocked(it)
		return
	}
	e := wireError(err)
	switch {
	case e.Outcome == chat.Unknown:
		if it.echoed {
			s.settleLocked(it, MessageSent, nil)
			return
		}
		s.doubtLocked(it)
	case e.Retryable():
		if it.wait == nil {
			it.wait = newBackoff(250 * time.Millisecond)
		}
		it.inFlight = false
		it.echoed = false
		// Its own wait counts where nothing else fails, the session's where nothing gets through.
		s.box.notTill = time.Now().Add(max(it.wait(e.RetryAfter), s.backOffLocked(e.RetryAfter)))
	default:
		s.reportLocked(err)
		s.settleLocked(it, MessageFailed, failure(ErrNotSent, "sendMessage", err, ""))
	}
}

// doubtLocked begins to wait for the transcript to show a message, and hands the lock back when that is
// decided: the line came, or time is up, or the session is over. Nothing else is sent meanwhile.
func (s *session) doubtLocked(it *item) {
	it.doubt = time.Now()
	since := it.doubt // of the connection, as it is now
	for it.state == MessagePending {
		if it.echoed {
			s.settleLocked(it, MessageSent, nil)
			return
		}
		// What was taken shows at once. What hung somewhere on its way is taken belatedly: that time
		// runs anew after an interruption, which may have held the request up, too. Giving up sooner
		// would let later messages overtake this one.
		if s.state == StateInterrupted {
			since = time.Time{}
		} else if since.IsZero() {
			since = time.Now()
		}
		until := since.Add(s.env.limits.doubt)
		if !since.IsZero() && !time.Now().Before(until) {
			s.settleLocked(it, MessageUnknown, failure(ErrSendUnknown, "sendMessage", it.last,
				"look at the transcript before sending it again"))
			return
		}
		wait := time.Until(until)
		if since.IsZero() {
			wait = time.Hour // until the state changes
		}
		changed := s.changed
		s.unlock()
		alive := pause(s.life, wait, changed)
		s.mu.Lock()
		if !alive {
			return // whoever ended the session settles it
		}
	}
}

// echoLocked takes in an own line of the transcript: the message that it is has been sent.
func (s *session) echoLocked(m *chat.Message) {
	b := &s.box
	is := func(it *item) bool {
		switch {
		case m.ClientID != "":
			return it.id == m.ClientID
		case m.ID != "" && it.lineID != "":
			return it.lineID == m.ID
		}
		return it.action.Text == m.Text
	}
	if i := slices.IndexFunc(b.echoless, is); i >= 0 {
		it := b.echoless[i]
		b.echoless = slices.Delete(b.echoless, i, i+1)
		it.echoed = true
		if it.state == MessageUnknown { // better late: its caller was told that it is not known
			it.state = MessageSent
			s.dropUnsentLocked(it.id)
			s.tellLocked(it, nil)
		}
		return
	}
	if len(b.queue) > 0 && b.queue[0].inFlight && is(b.queue[0]) {
		it := b.queue[0]
		it.echoed = true
		if !it.doubt.IsZero() {
			s.settleLocked(it, MessageSent, nil)
		}
	}
}
