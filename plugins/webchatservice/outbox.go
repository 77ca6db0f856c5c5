package webchatservice

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// The commands on messages of the visitor. Resend and Discard are this service's own.
var (
	SendMessage = bus.NewCommand[SendMessageIn, SendMessageOut](Namespace+".sendMessage",
		"Sends a message and resolves once the server has it. Messages are sent in the order of the calls, at most once; while the network is down they wait.")
	Resend = bus.NewCommand[MessageIn, SendMessageOut](Namespace+".resend",
		"Sends a message again that has failed or whose fate is unknown. It is this service's own command.")
	Discard = bus.NewCommand[MessageIn, struct{}](Namespace+".discard",
		"Takes a message back that waits, or forgets one that has failed or whose fate is unknown. It is this service's own command.")
)

// SendMessageIn are the options of sendMessage.
type SendMessageIn struct {
	Message string `json:"message"` // the text
	// Type labels the message; "" means text. With a Postback it is what that answers: quickReply, card, datePicker,
	// listPicker or form.
	Type string `json:"type,omitempty"`
	// Postback makes the message the answer to structured content; the vendor's command has it on one wire.
	Postback *Postback `json:"postback,omitempty"`
	// ParentMessageID is the index or id of the line that this one answers.
	ParentMessageID LineID `json:"parentMessageID,omitempty"`
}

// SendMessageOut is what sendMessage resolves with.
type SendMessageOut struct {
	Answer
	// MessageID is the service's own id of the message, as in [MessageStateChanged].
	MessageID string `json:"messageID"`
}

// LineID is the index or the id of a line; in JSON a number or a string.
type LineID string

// UnmarshalJSON takes a number or a string.
func (l *LineID) UnmarshalJSON(b []byte) error { return (*PartyID)(l).UnmarshalJSON(b) }

// MessageIn names a message by the id that sendMessage and messageStateChanged gave.
type MessageIn struct {
	MessageID string `json:"messageID"` // as sendMessage and messageStateChanged gave it
}

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

// MessageStateData is the payload of [MessageStateChanged].
type MessageStateData struct {
	MessageID string       `json:"messageID"` // the service's own id of the message
	State     MessageState `json:"state"`     // pending, sent, failed, unknown or withdrawn
	Text      string       `json:"text"`      // the text, masked
	// Error says why it failed or is unknown.
	Error *ErrorData `json:"error,omitempty"`
}

func (s *Service) sendMessage(ctx context.Context, in SendMessageIn, d *bus.Deferred[SendMessageOut]) {
	ses, err := s.live("sendMessage")
	if err != nil {
		d.Reject(err)
		return
	}
	if in.Postback != nil {
		reply, ok := in.Postback.reply(in.Type)
		switch {
		case !ok:
			d.Reject(failure(ErrPostback, "sendMessage", nil, "type is quickReply, card, datePicker, listPicker or form; the postback has a text or a payload"))
			return
		case !ses.conn.Capabilities().CanReply(reply.Kind):
			d.Reject(failure(ErrNoPostback, "sendMessage", nil, ""))
			return
		case in.Message == "":
			in.Message = in.Postback.text()
		}
	}
	if strings.TrimSpace(in.Message) == "" {
		d.Reject(failure(ErrNoText, "sendMessage", nil, ""))
		return
	}
	if err := ses.deps.checkText(in.Message); err != nil {
		d.Reject(err)
		return
	}
	ses.wakeSoon()
	if err := ses.send(ctx, in, settling(d)); err != nil {
		d.Reject(err)
	}
}

func (s *Service) resend(ctx context.Context, in MessageIn, d *bus.Deferred[SendMessageOut]) {
	ses, err := s.live("resend")
	if err != nil {
		d.Reject(err)
		return
	}
	ses.wakeSoon()
	if err := ses.resend(ctx, in.MessageID, settling(d)); err != nil {
		d.Reject(err)
	}
}

// settling returns a function that settles d.
func settling[Out any](d *bus.Deferred[Out]) func(Out, error) {
	return func(out Out, err error) {
		if err != nil {
			d.Reject(err)
			return
		}
		d.Resolve(out)
	}
}

func (s *Service) discard(_ context.Context, in MessageIn) (none struct{}, err error) {
	ses := s.last()
	if ses == nil || !ses.outbox.discard(in.MessageID) {
		return none, failure(ErrUnknownID, "discard", nil, "only messages that wait, have failed or whose fate is unknown can be discarded")
	}
	return none, nil
}

// outgoing is a message in the outbox.
type outgoing struct {
	id      string
	action  chat.Action
	created time.Time
	settle  func(SendMessageOut, error) // called once, with no lock held; nil after a restore
	unwatch func() bool                 // ends the watch on the caller's context; may be nil

	state       MessageState
	underWay    bool      // its turn has come, and it is not settled
	requested   bool      // its request may have reached the server
	doubtful    bool      // restored: its request may have reached the server before
	stored      bool      // a record may have it: whoever takes that up goes on with the message
	settleSince time.Time // since when only the transcript can tell what became of it; zero before
	echoed      bool      // the transcript shows it
	lineID      string    // the server's id of the line, where the receipt told
	answer      chat.JSON
	backoff     func(time.Duration) time.Duration // of the next try
	lastErr     error                             // of the last try
}

// outbox holds the messages of a session, in order. One message is under way at a time, so that the transcript can
// settle what became of it by text and order. The session's monitor guards it.
type outbox struct {
	*link
	recorder recorder

	queue        []*outgoing // not settled; the first may be under way
	awaitingEcho []*outgoing // settled as sent or unknown, and not yet seen in the transcript
	unsent       []*outgoing // settled as failed or unknown, to be sent again or discarded
	untold       []*outgoing // of a stored session: sent, which is still to be told
	sending      bool        // a goroutine sends what is in the queue
	stopped      bool        // nothing more of the queue is sent: the session is being let go of
	notBefore    time.Time   // nothing is sent before that
	polls        int         // answered since only the transcript can tell what became of the first
	idPrefix     string
	count        int

	unsaved bool // there is something that the store does not have
	saving  bool // a goroutine sees to that
}

// recorder keeps the outbox in the store, where there is one.
type recorder interface {
	outboxChangedLocked() // it is saved soon
	saveOutbox()          // it is saved now
}

// maxAwaitingEcho limits how many messages wait for their echo, or to be sent again; the oldest are forgotten.
const maxAwaitingEcho = 256

// send takes a message in. ctx withdraws it while it is not under way.
func (s *session) send(ctx context.Context, in SendMessageIn, settle func(SendMessageOut, error)) error {
	s.lock()
	defer s.unlock()
	return s.sendLocked(ctx, in, settle)
}

func (s *session) sendLocked(ctx context.Context, in SendMessageIn, settle func(SendMessageOut, error)) error {
	if !s.state.live() {
		return failure(ErrNoSession, "sendMessage", nil, "")
	}
	m, err := s.outbox.addLocked(in, settle)
	if err != nil {
		return err
	}
	s.typing.stopLocked(false) // the server knows by the line
	s.outbox.emitStateLocked(m, nil)
	s.cancelIdleAlertLocked()
	s.outbox.startLocked(ctx, m)
	return nil
}

// resend sends a message again, under a new id, that has failed or whose fate is unknown. Where it cannot be taken in
// it stays what it was.
func (s *session) resend(ctx context.Context, id string, settle func(SendMessageOut, error)) error {
	s.lock()
	defer s.unlock()
	m := s.outbox.takeUnsentLocked(id)
	if m == nil {
		return failure(ErrUnknownID, "resend", nil, "only messages that have failed or whose fate is unknown can be sent again")
	}
	a := m.action
	err := s.deps.checkText(a.Text)
	if err == nil {
		err = s.sendLocked(ctx, SendMessageIn{
			Message: a.Text, Type: a.MessageType, ParentMessageID: LineID(a.ParentID), Postback: postbackOf(a.Reply),
		}, settle)
	}
	if err != nil {
		s.outbox.unsent = append(s.outbox.unsent, m)
	}
	s.outboxChangedLocked()
	return err
}

// addLocked puts a message into the queue.
func (b *outbox) addLocked(in SendMessageIn, settle func(SendMessageOut, error)) (*outgoing, error) {
	if len(b.queue) >= b.deps.limits.outbox {
		return nil, failure(ErrOutboxFull, "sendMessage", nil, fmt.Sprintf("%d messages wait already", b.deps.limits.outbox))
	}
	if b.idPrefix == "" {
		b.idPrefix = rand.Text()[:10]
	}
	b.count++
	m := &outgoing{
		id:      fmt.Sprintf("%s-%d", b.idPrefix, b.count),
		action:  chat.Action{Kind: chat.ActionMessage, Text: in.Message, MessageType: in.Type, ParentID: string(in.ParentMessageID)},
		created: time.Now(),
		settle:  settle,
		state:   MessagePending,
	}
	m.action.ClientID = m.id
	if in.Postback != nil {
		m.action.Reply, _ = in.Postback.reply(in.Type)
	}
	b.queue = append(b.queue, m)
	b.recorder.outboxChangedLocked()
	return m, nil
}

// startLocked sees to it that a message in the queue is sent. ctx withdraws it while it is not under way.
func (b *outbox) startLocked(ctx context.Context, m *outgoing) {
	if ctx.Done() != nil {
		m.unwatch = context.AfterFunc(ctx, func() { b.withdraw(m, ctx) })
	}
	b.sendLocked()
	b.notifyLocked()
}

// withdraw takes back a message that is not under way.
func (b *outbox) withdraw(m *outgoing, ctx context.Context) {
	b.lock()
	if m.state == MessagePending && !m.underWay {
		b.settleLocked(m, MessageWithdrawn, failure(ErrWithdrawn, "sendMessage", context.Cause(ctx), ""))
	}
	b.unlock()
}

// discard takes a message back that waits, or forgets one that has failed or whose fate is unknown.
func (b *outbox) discard(id string) bool {
	b.lock()
	defer b.unlock()
	if b.takeUnsentLocked(id) != nil {
		b.recorder.outboxChangedLocked()
		return true
	}
	i := slices.IndexFunc(b.queue, func(m *outgoing) bool { return m.id == id && !m.underWay })
	if i < 0 {
		return false
	}
	b.settleLocked(b.queue[i], MessageWithdrawn, failure(ErrWithdrawn, "sendMessage", nil, ""))
	return true
}

// settleLocked gives a message its state and its caller the result.
func (b *outbox) settleLocked(m *outgoing, state MessageState, err error) {
	if m.state != MessagePending {
		return
	}
	m.state, m.underWay = state, false
	b.recorder.outboxChangedLocked()
	if i := slices.Index(b.queue, m); i >= 0 {
		b.queue = slices.Delete(b.queue, i, i+1)
	}
	if (state == MessageSent || state == MessageUnknown) && !m.echoed {
		b.awaitingEcho = keepLast(append(b.awaitingEcho, m))
	}
	if state == MessageFailed || state == MessageUnknown {
		b.unsent = keepLast(append(b.unsent, m))
	}
	b.emitStateLocked(m, err)
	if m.unwatch != nil {
		m.unwatch()
	}
	if settle := m.settle; settle != nil {
		out := SendMessageOut{MessageID: m.id, Answer: b.answer(m.answer)}
		if err != nil {
			out = SendMessageOut{}
		}
		b.laterLocked(func() { settle(out, err) })
	}
	b.notifyLocked()
}

// keepLast returns the last messages of a list.
func keepLast(list []*outgoing) []*outgoing {
	return slices.Delete(list, 0, max(len(list)-maxAwaitingEcho, 0))
}

// emitStateLocked publishes the state of a message.
func (b *outbox) emitStateLocked(m *outgoing, err error) {
	d := MessageStateData{MessageID: m.id, State: m.state, Text: b.deps.hooks.mask(m.action.Text)}
	if err != nil {
		e := failureData(err)
		d.Error = &e
	}
	emit(b, MessageStateChanged, d)
}

// abortLocked settles all that is left, because the session is over here.
func (b *outbox) abortLocked(why error) {
	for _, m := range slices.Clone(b.queue) {
		if m.requested {
			b.settleLocked(m, MessageUnknown, failure(ErrSendUnknown, "sendMessage", why, ""))
		} else {
			b.settleLocked(m, MessageFailed, failure(ErrNotSent, "sendMessage", why, ""))
		}
	}
}

// openLocked returns the messages that a record has: those whose fate is open, or is to be told.
func (b *outbox) openLocked() []*outgoing { return slices.Concat(b.untold, b.unsent, b.queue) }

// movedLocked settles all that is left, because another service has taken the session up. What that one has found in
// the record it sends.
func (b *outbox) movedLocked() {
	why := failure(ErrSessionMoved, "", nil, "")
	for _, m := range slices.Clone(b.queue) {
		if m.stored || m.requested {
			b.settleLocked(m, MessageUnknown, failure(ErrSendUnknown, "sendMessage", why, "the other service goes on with it"))
		}
	}
	b.abortLocked(why)
}

// abortPendingLocked settles what is not under way.
func (b *outbox) abortPendingLocked(why error) {
	for _, m := range slices.Clone(b.queue) {
		if !m.underWay {
			b.settleLocked(m, MessageFailed, failure(ErrNotSent, "sendMessage", why, ""))
		}
	}
}

// leaveLocked tells the callers that nobody here will know what becomes of their messages. These
// are in the store, unless that failed with err, and restore goes on with them.
func (b *outbox) leaveLocked(err error) {
	hint := "the message is kept, and restore goes on with it"
	if err != nil {
		hint = "the message may not be kept: the store failed"
	}
	for _, m := range b.queue {
		if m.unwatch != nil {
			m.unwatch()
		}
		if settle := m.settle; settle != nil {
			m.settle = nil
			b.laterLocked(func() {
				settle(SendMessageOut{}, failure(bus.ErrStopped, "sendMessage", err, hint))
			})
		}
	}
}

// takeUnsentLocked takes out a message that can be sent again, and returns it; nil if it is none.
func (b *outbox) takeUnsentLocked(id string) *outgoing {
	i := slices.IndexFunc(b.unsent, func(m *outgoing) bool { return m.id == id })
	if i < 0 {
		return nil
	}
	m := b.unsent[i]
	b.unsent = slices.Delete(b.unsent, i, i+1)
	return m
}
