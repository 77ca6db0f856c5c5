package webchatservice

import (
	"fmt"
	"slices"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// restoreSettle is how long messages wait, after a restore, of which the record does not say for sure that they were not
// sent. Meanwhile the transcript shows those that were, also one whose request was still on its way.
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
		if b.state.Final() || len(b.queue) == 0 {
			b.sending = false
			b.unlock()
			return nil
		}
		m, now := b.queue[0], time.Now()
		expires := m.created.Add(b.deps.limits.outboxAge)
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
	receipt, err := b.conn.Send(b.ctx, m.action)

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
		b.awaitEchoLocked(m)
		return
	}
	e := wireError(err)
	switch {
	case e.Outcome == chat.Unknown:
		if m.echoed {
			b.settleLocked(m, MessageSent, nil)
			return
		}
		b.awaitEchoLocked(m)
	case e.Retryable():
		if m.backoff == nil {
			m.backoff = newBackoff(250 * time.Millisecond)
		}
		m.underWay, m.requested = false, false
		m.echoed = false
		// Its own wait counts where nothing else fails, the session's where nothing gets through.
		b.notBefore = time.Now().Add(max(m.backoff(e.RetryAfter), b.backOffLocked(e.RetryAfter)))
	default:
		b.reportLocked(err)
		b.settleLocked(m, MessageFailed, failure(ErrNotSent, "sendMessage", err, ""))
	}
}

// awaitEchoLocked waits for the transcript to show a message, and returns, with the lock held, when that is
// decided: the line came, or time is up, or the session is over. Nothing else is sent meanwhile.
func (b *outbox) awaitEchoLocked(m *outgoing) {
	m.settleSince = time.Now()
	since := m.settleSince // of the connection, as it is now
	for m.state == MessagePending {
		if m.echoed {
			b.settleLocked(m, MessageSent, nil)
			return
		}
		// What was taken shows at once. What hung somewhere on its way is taken belatedly: that time
		// runs anew after an interruption, which may have held the request up, too. Giving up sooner
		// would let later messages overtake this one.
		if b.state == StateInterrupted {
			since = time.Time{}
		} else if since.IsZero() {
			since = time.Now()
		}
		until := since.Add(b.deps.limits.settleWithin)
		if !since.IsZero() && !time.Now().Before(until) {
			b.settleLocked(m, MessageUnknown, failure(ErrSendUnknown, "sendMessage", m.lastErr,
				"look at the transcript before sending it again"))
			return
		}
		wait := time.Until(until)
		if since.IsZero() {
			wait = time.Hour // until the state changes
		}
		changed := b.changed
		b.unlock()
		alive := pause(b.ctx, wait, changed)
		b.lock()
		if !alive {
			return // whoever ended the session settles it
		}
	}
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
