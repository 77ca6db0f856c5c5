package webchatservice

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

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
	// Type labels the message; "" means text.
	Type string `json:"type,omitempty"`
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
	if strings.TrimSpace(in.Message) == "" {
		d.Reject(failure(ErrNoText, "sendMessage", nil, ""))
		return
	}
	if err := s.checkLength(in.Message); err != nil {
		d.Reject(err)
		return
	}
	ses.rouseSoon()
	err = ses.enqueue(ctx, in, func(out SendMessageOut, err error) {
		if err != nil {
			d.Reject(err)
			return
		}
		d.Resolve(out)
	})
	if err != nil {
		d.Reject(err)
	}
}

// checkLength holds a message to the configured length.
func (s *Service) checkLength(text string) error {
	s.mu.Lock()
	limit := s.cfg.MaxMessageLength
	s.mu.Unlock()
	if limit <= 0 || utf8.RuneCountInString(text) <= limit {
		return nil
	}
	e := failure(ErrTooLong, "sendMessage", nil, "")
	e.Text = fmt.Sprintf("Message length exceeds configured threshold of (%d) characters", limit)
	return e
}

func (s *Service) resend(ctx context.Context, in MessageIn, d *bus.Deferred[SendMessageOut]) {
	ses, err := s.live("resend")
	if err != nil {
		d.Reject(err)
		return
	}
	ses.rouseSoon()
	err = ses.resend(ctx, in.MessageID, s.checkLength, func(out SendMessageOut, err error) {
		if err != nil {
			d.Reject(err)
			return
		}
		d.Resolve(out)
	})
	if err != nil {
		d.Reject(err)
	}
}

func (s *Service) discard(_ context.Context, in MessageIn) (none struct{}, err error) {
	ses := s.last()
	if ses == nil || !ses.discard(in.MessageID) {
		return none, failure(ErrUnknownID, "discard", nil, "only messages that wait, have failed or whose fate is unknown can be discarded")
	}
	return none, nil
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
