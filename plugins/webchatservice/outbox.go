package webchatservice

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// MessageState is what is known of a message that was given to sendMessage.
type MessageState string

// The states of messages.
const (
	// MessagePending: it waits for its turn or for the network.
	MessagePending MessageState = "pending"
	// MessageSent: the server has it.
	MessageSent MessageState = "sent"
	// MessageFailed: the server does not have it, and it is not tried again.
	MessageFailed MessageState = "failed"
	// MessageUnknown: the server may have it. It is not sent again by itself.
	MessageUnknown MessageState = "unknown"
	// MessageWithdrawn: it was taken back before it was sent.
	MessageWithdrawn MessageState = "withdrawn"
)

// MessageStateChanged tells of each change of the state of a message; it is this service's own event.
var MessageStateChanged = bus.NewEvent[MessageStateData](Namespace+".messageStateChanged",
	"The state of a message of the visitor has changed: pending, sent, failed, unknown or withdrawn.")

// MessageStateData is the payload of [MessageStateChanged].
type MessageStateData struct {
	MessageID string       `json:"messageID"` // the service's own id of the message
	State     MessageState `json:"state"`     // pending, sent, failed, unknown or withdrawn
	Text      string       `json:"text"`      // the text, masked
	// Error says why it failed or is unknown.
	Error *ErrorData `json:"error,omitempty"`
}

// item is a message in the outbox.
type item struct {
	id      string
	action  chat.Action
	created time.Time
	settle  func(SendMessageOut, error) // called once, with no lock held
	unwatch func() bool                 // ends the watch on the caller's context; may be nil

	state    MessageState
	inFlight bool      // its request is under way, or in doubt
	doubt    time.Time // since when only the transcript can tell; zero when not in doubt
	echoed   bool      // the transcript shows it
	lineID   string    // the server's id of the line, where the receipt told
	answer   json.RawMessage
	wait     func(time.Duration) time.Duration // back-off of the next try
	last     error                             // of the last try
}

// outbox holds the messages of a session, in order; session.mu guards it. One message is under way at
// a time, so that the transcript can settle doubts by text and order.
type outbox struct {
	queue    []*item // not settled; the first may be under way
	echoless []*item // settled as sent or unknown, and not yet seen in the transcript
	unsent   []*item // settled as failed or unknown, to be sent again or discarded
	running  bool    // a goroutine pumps
	dirty    bool    // there is something that the store does not have
	saving   bool    // a goroutine sees to that
	notTill  time.Time
	prefix   string // of ids
	count    int
}

// maxEcholess limits how many messages wait for their echo, or to be sent again; the oldest are forgotten.
const maxEcholess = 256

// enqueue takes a message in. ctx withdraws it while it is pending.
func (s *session) enqueue(ctx context.Context, in SendMessageIn, settle func(SendMessageOut, error)) error {
	s.mu.Lock()
	if !s.state.live() {
		s.unlock()
		return failure(ErrNoSession, "sendMessage", nil, "")
	}
	if len(s.box.queue) >= s.env.limits.outbox {
		s.unlock()
		return failure(ErrOutboxFull, "sendMessage", nil, fmt.Sprintf("%d messages wait already", s.env.limits.outbox))
	}
	b := &s.box
	if b.prefix == "" {
		b.prefix = rand.Text()[:10]
	}
	b.count++
	it := &item{
		id:      fmt.Sprintf("%s-%d", b.prefix, b.count),
		action:  chat.Action{Kind: chat.ActionMessage, Text: in.Message, MessageType: in.Type, ParentID: string(in.ParentMessageID)},
		created: time.Now(),
		settle:  settle,
		state:   MessagePending,
	}
	it.action.ClientID = it.id
	b.queue = append(b.queue, it)
	s.dirtyLocked()
	s.stopTypingLocked(false)
	s.tellLocked(it, nil)
	for _, e := range s.idle.cancel(nil) {
		s.emitLocked(e.event, e.data)
	}
	if ctx.Done() != nil {
		it.unwatch = context.AfterFunc(ctx, func() { s.withdraw(it, ctx) })
	}
	if !b.running {
		b.running = s.spawnLocked(s.pump)
	}
	s.wakeLocked()
	s.unlock()
	return nil
}

// withdraw takes back a message that is not under way.
func (s *session) withdraw(it *item, ctx context.Context) {
	s.mu.Lock()
	if it.state == MessagePending && !it.inFlight {
		s.settleLocked(it, MessageWithdrawn, failure(ErrWithdrawn, "sendMessage", context.Cause(ctx), ""))
	}
	s.unlock()
}

// settleLocked gives a message its state and its caller the result.
func (s *session) settleLocked(it *item, state MessageState, err error) {
	if it.state != MessagePending {
		return
	}
	it.state, it.inFlight = state, false
	s.dirtyLocked()
	if i := slices.Index(s.box.queue, it); i >= 0 {
		s.box.queue = slices.Delete(s.box.queue, i, i+1)
	}
	if (state == MessageSent || state == MessageUnknown) && !it.echoed {
		s.box.echoless = append(s.box.echoless, it)
		if n := len(s.box.echoless); n > maxEcholess {
			s.box.echoless = slices.Delete(s.box.echoless, 0, n-maxEcholess)
		}
	}
	if state == MessageFailed || state == MessageUnknown {
		s.box.unsent = append(s.box.unsent, it)
		if n := len(s.box.unsent); n > maxEcholess {
			s.box.unsent = slices.Delete(s.box.unsent, 0, n-maxEcholess)
		}
	}
	s.tellLocked(it, err)
	if it.unwatch != nil {
		it.unwatch()
	}
	if settle := it.settle; settle != nil {
		out := SendMessageOut{MessageID: it.id, Answer: s.answer(it.answer)}
		if err != nil {
			out = SendMessageOut{}
		}
		s.after = append(s.after, func() { settle(out, err) })
	}
	s.wakeLocked()
}

// tellLocked publishes the state of a message.
func (s *session) tellLocked(it *item, err error) {
	d := MessageStateData{MessageID: it.id, State: it.state, Text: s.env.hooks.mask(it.action.Text)}
	if err != nil {
		e := failureData(err)
		d.Error = &e
	}
	s.emitLocked("messageStateChanged", d)
}

// abortLocked settles all that is left, because the session is over here.
func (s *session) abortLocked(why error) {
	for _, it := range slices.Clone(s.box.queue) {
		if it.inFlight {
			s.settleLocked(it, MessageUnknown, failure(ErrSendUnknown, "sendMessage", why, ""))
		} else {
			s.settleLocked(it, MessageFailed, failure(ErrNotSent, "sendMessage", why, ""))
		}
	}
}

// leaveOutboxLocked tells the callers that nobody here will know what becomes of their messages. These
// are in the store, unless that failed with err, and restore goes on with them.
func (s *session) leaveOutboxLocked(err error) {
	hint := "the message is kept, and restore goes on with it"
	if err != nil {
		hint = "the message may not be kept: the store failed"
	}
	for _, it := range s.box.queue {
		if it.unwatch != nil {
			it.unwatch()
		}
		if settle := it.settle; settle != nil {
			it.settle = nil
			s.after = append(s.after, func() {
				settle(SendMessageOut{}, failure(bus.ErrStopped, "sendMessage", err, hint))
			})
		}
	}
}

// abortPendingLocked settles what is not under way.
func (s *session) abortPendingLocked(why error) {
	for _, it := range slices.Clone(s.box.queue) {
		if !it.inFlight {
			s.settleLocked(it, MessageFailed, failure(ErrNotSent, "sendMessage", why, ""))
		}
	}
}

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

// dropUnsentLocked forgets a message that could have been sent again, and returns it; nil if it is none.
func (s *session) dropUnsentLocked(id string) *item {
	i := slices.IndexFunc(s.box.unsent, func(it *item) bool { return it.id == id })
	if i < 0 {
		return nil
	}
	it := s.box.unsent[i]
	s.box.unsent = slices.Delete(s.box.unsent, i, i+1)
	return it
}

// resend sends a message again, under a new id, that has failed or whose fate is unknown. Where it cannot be taken in it
// stays what it was. check says whether its text may be sent now.
func (s *session) resend(ctx context.Context, id string, check func(string) error, settle func(SendMessageOut, error)) error {
	s.mu.Lock()
	it := s.dropUnsentLocked(id)
	s.unlock()
	if it == nil {
		return failure(ErrUnknownID, "resend", nil, "only messages that have failed or whose fate is unknown can be sent again")
	}
	a := it.action
	err := check(a.Text)
	if err == nil {
		err = s.enqueue(ctx, SendMessageIn{Message: a.Text, Type: a.MessageType, ParentMessageID: LineID(a.ParentID)}, settle)
	}
	s.mu.Lock()
	defer s.unlock()
	s.dirtyLocked()
	if err != nil && it.state != MessageSent { // it may have shown up meanwhile
		s.box.unsent = append(s.box.unsent, it)
	}
	return err
}

// discard takes a message back that waits, or forgets one that has failed or whose fate is unknown.
func (s *session) discard(id string) bool {
	s.mu.Lock()
	defer s.unlock()
	if s.dropUnsentLocked(id) != nil {
		s.dirtyLocked()
		return true
	}
	i := slices.IndexFunc(s.box.queue, func(it *item) bool { return it.id == id && !it.inFlight })
	if i < 0 {
		return false
	}
	s.settleLocked(s.box.queue[i], MessageWithdrawn, failure(ErrWithdrawn, "sendMessage", nil, ""))
	return true
}
