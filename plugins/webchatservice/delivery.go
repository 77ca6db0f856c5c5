package webchatservice

import (
	"fmt"
	"slices"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// restoreSettle is how long messages wait, after a restore, of which the record does not say for sure that they were
// not sent. Meanwhile the transcript shows those that were, also one whose request was still on its way.
const restoreSettle = 2 * time.Second

// sendLocked sees to it that a goroutine sends what is in the queue.
func (b *outbox) sendLocked() {
	if !b.sending && len(b.queue) > 0 {
		b.sending = b.spawnLocked(b.sendAll)
	}
}

// sendAll sends the messages of the queue, one after the other, until there are none.
func (b *outbox) sendAll() {
	for {
		m := b.next()
		if m == nil {
			return
		}
		b.deliver(m)
	}
}

// next waits until a message can be sent and marks it as under way. It returns nil, and sending is
// over, when there is none or when the session is.
func (b *outbox) next() *outgoing {
	for {
		b.lock()
		if b.state.Final() || b.stopped || len(b.queue) == 0 {
			b.sending = false
			b.unlock()
			return nil
		}
		m, now := b.queue[0], time.Now()
		expires := m.created.Add(b.deps.limits.outboxAge)
		if m.doubtful && expires.Before(b.notBefore) { // the transcript may show it until then
			expires = b.notBefore
		}
		if !now.Before(expires) {
			b.settleLocked(m, MessageFailed, failure(ErrNotSent, "sendMessage", m.lastErr,
				fmt.Sprintf("it waited for the network for %v", b.deps.limits.outboxAge)))
			b.unlock()
			continue
		}
		ready := b.state == StateActive || b.state == StateEnding
		if ready && !now.Before(b.notBefore) {
			m.underWay = true
			b.unsaved = true
			b.unlock()
			b.recorder.saveOutbox() // if the process dies now, its fate is unknown
			b.lock()
			gone := b.state.Final() || m.state != MessagePending // another service has taken the session up
			m.requested = !gone
			b.unlock()
			if gone {
				continue
			}
			return m
		}
		until := expires
		if ready && b.notBefore.Before(until) {
			until = b.notBefore
		}
		changed := b.changed
		b.unlock()
		if !pause(b.ctx, time.Until(until), changed) {
			b.lock()
			b.sending = false
			b.unlock()
			return nil
		}
	}
}

// deliver makes one try with a message.
func (b *outbox) deliver(m *outgoing) {
	receipt, err := b.sent(b.ctx, m.action)

	b.lock()
	defer b.unlock()
	if m.state != MessagePending {
		return // settled meanwhile: the session is over
	}
	m.lastErr = err
	if err == nil {
		m.answer, m.lineID = receipt.Answer, receipt.ID
		b.answeredLocked(receipt.Answer)
		if receipt.Confirmed || m.echoed {
			b.settleLocked(m, MessageSent, nil)
			return
		}
		b.awaitEchoLocked(m, evidence{})
		return
	}
	e := wireError(err)
	proof := b.evidence(e)
	switch {
	case m.echoed && (proof.possible() || e.Outcome == chat.Unknown):
		b.settleLocked(m, MessageSent, nil)
	case e.Outcome == chat.Unknown, e.Retryable() && proof.possible():
		if absent := b.awaitEchoLocked(m, proof); !absent {
			return
		}
		if e.Retryable() {
			b.repeatLocked(m, e)
			return
		}
		b.reportLocked(err)
		b.settleLocked(m, MessageFailed, failure(ErrNotSent, "sendMessage", err, "the transcript does not show it; send it again if it is still wanted"))
	case e.Retryable():
		b.repeatLocked(m, e)
	default:
		b.reportLocked(err)
		b.settleLocked(m, MessageFailed, failure(ErrNotSent, "sendMessage", err, ""))
	}
}

// repeatLocked has a message tried again after a while.
func (b *outbox) repeatLocked(m *outgoing, e *chat.Error) {
	if m.backoff == nil {
		m.backoff = newBackoff(250 * time.Millisecond)
	}
	m.underWay, m.requested, m.echoed, m.settleSince = false, false, false, time.Time{}
	// Its own wait counts where nothing else fails, the session's where nothing gets through.
	b.notBefore = time.Now().Add(max(m.backoff(e.RetryAfter), b.backOffLocked(e.RetryAfter)))
}

const (
	conclusivePolls = 2               // the first may have begun before the message failed
	conclusiveLook  = 2 * time.Second // for what a look has brought to be taken in
)

// evidence is what can show that a message is not in the transcript: answers to polls, or what the server says when it
// is asked for what is new. The zero evidence is none.
type evidence struct {
	polls bool
	look  chat.Refetcher
	// patient: the message is to be repeated, so the evidence may take as long as a message may wait.
	patient bool
}

func (v evidence) possible() bool { return v.polls || v.look != nil }

// evidence says what can show that a message which failed with e is not there. There is none of one that broke on its
// way, and may arrive yet: whoever answers has done with a request, but for a gateway that gave up waiting (HTTP 502,
// 504).
func (b *outbox) evidence(e *chat.Error) (v evidence) {
	unknown := e.Outcome == chat.Unknown && e.Status != 0 && e.Status != 502 && e.Status != 504
	behind := e.Retryable() && e.ServerStatus != 0 // what is behind the one who answers may have taken it
	if !unknown && !behind {
		return v
	}
	v.patient = behind
	if p, ok := poller(b.conn); ok && p.Polling() {
		v.polls = true
	} else {
		v.look, _ = refetcher(b.conn)
	}
	return v
}

// polledLocked notes that a poll was answered.
func (b *outbox) polledLocked() {
	if len(b.queue) > 0 && !b.queue[0].settleSince.IsZero() {
		b.polls++
		b.notifyLocked()
	}
}

// lookLocked asks the server for what is new, which is received as usual, and reports whether it has answered. It lets
// go of the lock meanwhile.
func (b *outbox) lookLocked(wire chat.Refetcher) bool {
	b.unlock()
	_, err := wire.Refetch(b.ctx, b.conn.Position(), chat.Position{})
	b.lock()
	return err == nil
}

// awaitEchoLocked waits for the transcript to show a message, and returns, with the lock held, when that is decided:
// the line came, or time is up, or the session is over. Nothing else is sent meanwhile. It reports absent when there is
// evidence that the line is not there; then the message is not settled.
func (b *outbox) awaitEchoLocked(m *outgoing, v evidence) (absent bool) {
	m.settleSince = time.Now()
	since := m.settleSince // of the connection, as it is now; zero while it is interrupted
	b.polls = 0
	var looked, nextLook time.Time
	for m.state == MessagePending {
		if m.echoed {
			b.settleLocked(m, MessageSent, nil)
			return false
		}
		now := time.Now()
		// What was taken shows at once. What hung somewhere on its way is taken belatedly: that time
		// runs anew after an interruption, which may have held the request up, too. Giving up sooner
		// would let later messages overtake this one.
		if b.state == StateInterrupted {
			since, looked, b.polls = time.Time{}, time.Time{}, 0
		} else if since.IsZero() {
			since = now
		}
		reached := !since.IsZero()
		if v.look != nil && looked.IsZero() && reached && !now.Before(nextLook) {
			if b.lookLocked(v.look) {
				looked = time.Now()
			} else {
				nextLook = time.Now().Add(b.backOffLocked(0))
			}
			continue
		}
		until := since.Add(b.deps.limits.settleWithin)
		if v.patient {
			until = m.created.Add(b.deps.limits.outboxAge)
		}
		switch {
		case b.polls >= conclusivePolls && v.polls, !looked.IsZero() && now.Sub(looked) >= conclusiveLook:
			return true
		case (reached || v.patient) && !now.Before(until):
			b.settleLocked(m, MessageUnknown, failure(ErrSendUnknown, "sendMessage", m.lastErr,
				"look at the transcript before sending it again"))
			return false
		}
		switch {
		case !looked.IsZero():
			until = looked.Add(conclusiveLook)
		case v.look != nil && reached && nextLook.Before(until):
			until = nextLook
		case !reached && !v.patient:
			until = now.Add(time.Hour) // until the state changes
		}
		changed := b.changed
		b.unlock()
		alive := pause(b.ctx, time.Until(until), changed)
		b.lock()
		if !alive {
			return false // whoever ended the session settles it
		}
	}
	return false
}

// echoLocked takes in an own line of the transcript: the message that it is has been sent.
func (b *outbox) echoLocked(line *chat.Message) {
	if i := slices.IndexFunc(b.awaitingEcho, func(m *outgoing) bool { return m.is(line) }); i >= 0 {
		m := b.awaitingEcho[i]
		b.awaitingEcho = slices.Delete(b.awaitingEcho, i, i+1)
		m.echoed = true
		if m.state == MessageUnknown { // better late: its caller was told that it is not known
			m.state = MessageSent
			b.takeUnsentLocked(m.id)
			b.emitStateLocked(m, nil)
		}
		return
	}
	if i := slices.IndexFunc(b.queue, func(m *outgoing) bool { return m.doubtful && !m.requested && m.is(line) }); i >= 0 {
		b.queue[i].echoed = true
		b.settleLocked(b.queue[i], MessageSent, nil)
		return
	}
	if len(b.queue) > 0 && b.queue[0].requested && b.queue[0].is(line) {
		m := b.queue[0]
		m.echoed = true
		if !m.settleSince.IsZero() {
			b.settleLocked(m, MessageSent, nil)
		}
	}
}

// is reports whether a line of the transcript is the message.
func (m *outgoing) is(line *chat.Message) bool {
	switch {
	case line.ClientID != "":
		return m.id == line.ClientID
	case line.ID != "" && m.lineID != "":
		return m.lineID == line.ID
	}
	return m.action.Text == line.Text
}

// drain waits until the outbox is empty, for limit at most, while the session is ending.
func (b *outbox) drain(limit time.Duration) {
	deadline := time.Now().Add(limit)
	for {
		b.lock()
		done := len(b.queue) == 0 || b.state != StateEnding
		changed := b.changed
		b.unlock()
		if done || !time.Now().Before(deadline) || !pause(b.ctx, time.Until(deadline), changed) {
			return
		}
	}
}
