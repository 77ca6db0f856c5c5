package chatsim

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"
	"sync"
)

// chatChannel is where the channel of each chat service begins.
const chatChannel = "/service/chatV2/"

// cometdOps are the operations of wire-gms B.2 by their name there, but for
// requestChat and requestNotifications.
var cometdOps = map[string]string{
	"sendMessage": "send", "startTyping": "startTyping", "stopTyping": "stopTyping", "refresh": "refresh",
	"pushUrl": "pushUrl", "updateNickname": "updateNickname", "updateData": "updateData",
	"customNotice": "customNotice", "readReceipt": "readReceipt", "disconnect": "disconnect",
}

// readData reads the data of a publish (wire-gms B.2): scalars are parameters,
// userData and eventAttributes objects. The form is never nil.
func readData(data json.RawMessage) (f *form, op string, bad *Error) {
	f = newForm()
	fields, ok := objectOf(data)
	if !ok {
		return f, "", badRequest("data must be an object")
	}
	for name, value := range fields {
		switch {
		case name == "auth", string(value) == "null":
		case name == "userData":
			if e := f.addUserData(value); e != nil {
				bad = e
			}
		case name == "eventAttributes" && value[0] == '{':
			f.values[name] = string(value)
		case name == "eventAttributes":
			bad = badRequest("eventAttributes must be an object")
		default:
			if text, ok := scalar(value); ok {
				f.values[name] = text
			}
		}
	}
	op = f.get("operation")
	delete(f.values, "operation")
	if op == "" {
		bad = badRequest("operation needed")
	}
	return f, op, bad
}

func (f *form) addUserData(value json.RawMessage) *Error {
	fields, ok := objectOf(value)
	if !ok {
		return badRequest("userData must be an object")
	}
	for key, v := range fields {
		text, ok := scalar(v)
		if !ok {
			return badRequest("userData must hold strings")
		}
		f.userData[key] = text
	}
	return nil
}

// scalar returns a string's value, or a number or a boolean as text; null is
// the empty string.
func scalar(value json.RawMessage) (string, bool) {
	switch value[0] {
	case '{', '[':
		return "", false
	case '"':
		var s string
		err := json.Unmarshal(value, &s)
		return s, err == nil
	case 'n':
		return "", true
	}
	return string(value), true
}

// knows says whether the data of a publish carry the right credentials
// (wire-gms B.1).
func (s *Server) knows(data json.RawMessage) bool {
	fields, _ := objectOf(data)
	auth, _ := objectOf(fields["auth"])
	var user, password, encoded string
	_ = json.Unmarshal(auth["username"], &user) // what is not a string is not the name
	_ = json.Unmarshal(auth["password"], &password)
	if json.Unmarshal(auth["encoded"], &encoded) == nil && encoded != "" {
		plain, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return false
		}
		user, password, _ = strings.Cut(string(plain), ":")
	}
	return equal(user, s.opts.User) && equal(password, s.opts.Password)
}

// chatOf finds the chat that a publish or a file operation means: by its id
// if there is one, else by the key.
func (s *Server) chatOf(f *form) *Chat {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.chats[f.get("chatId")]; c != nil {
		return c
	}
	return s.secrets[f.get("secureKey")]
}

// operate carries out the operation of a publish. Everything it answers is a
// delivery (wire-gms B.3).
func (h *hub) operate(b *bayeuxSession, in *incoming) {
	s, fault, f := h.server, in.fault, in.form
	tell := func(a *answer) {
		h.deliver(b, in.Channel, a, fault)
	}
	if in.bad != nil {
		tell(s.refusal(in.log.Chat, false, *in.bad))
		return
	}
	if (fault.StatusCode != 0 || len(fault.Errors) > 0) && !fault.Accept {
		tell(s.faultAnswer(in.log.Chat, fault))
		return
	}
	service := strings.TrimPrefix(in.Channel, chatChannel)
	hooks := hooks{after: func(c *Chat) { s.afterFault(c, fault) }}
	var done func(c *Chat, out *outcome) // chat's lock is held: nothing gets between
	told := false
	hooks.done = func(c *Chat, out *outcome) {
		if done != nil {
			done(c, out)
		}
		switch {
		case out.body == nil:
			return
		case fault.StatusCode != 0 || len(fault.Errors) > 0:
			out.body = s.faultAnswer(c.id, fault)
		case fault.Repeat && out.repeat != nil:
			out.body = out.repeat
		}
		out.body = c.overlapLocked(out.body, fault.Overlap)
		told = true
		tell(out.body)
	}
	if in.log.Op == "requestChat" {
		done = func(c *Chat, _ *outcome) { c.attachLocked(b) }
		if out := s.start(service, f, hooks); !told {
			tell(out.body)
		}
		return
	}
	c := s.chatOf(f)
	if c == nil || c.service != service {
		tell(s.gone(f.get("chatId"), Error{Code: CodeNoSuchUser, Advice: "no such session"}))
		return
	}
	op, known := cometdOps[in.log.Op]
	switch {
	case in.log.Op == "requestNotifications":
		c.mu.Lock()
		defer c.mu.Unlock()
		out := c.notifyLocked(f, hooks.after, b)
		hooks.done(c, &out)
	case !known:
		tell(s.refusal(c.id, false, *badRequest("unknown operation")))
	default:
		done = func(c *Chat, out *outcome) {
			if op != "refresh" {
				c.catchUpLocked(b, out)
			}
			quiet := out.body != nil && len(out.body.Errors) == 0 && !c.ended &&
				(out.body.Messages == nil || len(*out.body.Messages) == 0)
			if quiet && op != "refresh" && s.opts.Quirks.SilentSuccess {
				out.body, told = nil, true
			}
		}
		if s.perform(service, c.id, op, "", f, hooks); !told { // a chat that was forgotten meanwhile
			tell(s.gone(c.id, Error{Code: CodeNoSuchUser, Advice: "no such session"}))
		}
	}
}

// notifyLocked is requestNotifications: it attaches the session (wire-gms
// B.2).
func (c *Chat) notifyLocked(f *form, after func(*Chat), b *bayeuxSession) outcome {
	if out, ok := c.admitLocked("refresh", f); !ok {
		return out
	}
	c.heardLocked()
	position, refusal := positionOf("refresh", f, true)
	if refusal != nil {
		return refused(c.server.refusal(c.id, c.ended, *refusal))
	}
	if position == 0 {
		position = 1 // it means all here, unlike with refresh
	}
	if len(f.userData) > 0 {
		maps.Copy(c.userData, f.userData)
	}
	after(c)
	a := c.answerLocked(false)
	c.carryLocked(a, c.fromLocked(position))
	c.attachLocked(b)
	return accepted(a)
}

// catchUpLocked puts what the session has not had yet into the answer to its
// operation.
func (c *Chat) catchUpLocked(b *bayeuxSession, out *outcome) {
	for _, a := range c.attached {
		if a.session != b || out.body == nil || len(out.body.Errors) > 0 {
			continue
		}
		if out.body.Messages == nil || len(*out.body.Messages) == 0 {
			if events := c.unseenLocked(a); len(events) > 0 {
				c.carryLocked(out.body, events)
				c.answered = out.body
			}
		}
	}
	if c.ended && out.body != nil && out.body.ChatEnded != nil && *out.body.ChatEnded {
		c.detachLocked(b) // it knows
	}
}

// faultAnswer is the answer that a fault puts in place of the real one.
func (s *Server) faultAnswer(chatID string, f *Fault) *answer {
	a := s.refusal(chatID, false, f.Errors...)
	if f.StatusCode != 0 {
		a.StatusCode, a.ChatEnded = ptr(f.StatusCode), ptr(false)
	}
	return a
}

// deliver sends an answer to one session, with what a fault does to it.
func (h *hub) deliver(b *bayeuxSession, channel string, a *answer, fault *Fault) {
	b.deliver(channel, fault.change(a).encode())
}

// attachment is a Bayeux session that gets a chat's events.
type attachment struct {
	session *bayeuxSession
	seen    int // so many of Chat.all have been sent or were there before
}

// attachLocked lets the session have what comes from now on.
func (c *Chat) attachLocked(b *bayeuxSession) {
	if c.ended {
		return
	}
	c.detachLocked(b)
	if c.server.opts.Quirks.NewestOnly {
		for len(c.attached) > 0 {
			c.detachLocked(c.attached[0].session)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gone {
		return
	}
	b.attached[c] = struct{}{}
	c.attached = append(c.attached, &attachment{session: b, seen: len(c.all)})
}

func (c *Chat) detachLocked(b *bayeuxSession) {
	for i, a := range c.attached {
		if a.session == b {
			c.attached = append(c.attached[:i:i], c.attached[i+1:]...)
			break
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.attached, c)
}

// detach ends the attachment of a session that is no more. From now on the
// visitor counts as silent.
func (c *Chat) detach(b *bayeuxSession) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.detachLocked(b)
	if len(c.attached) == 0 {
		c.heardLocked()
	}
}

// unseenLocked returns the events that an attached session has not had, and
// counts them as sent.
func (c *Chat) unseenLocked(a *attachment) []*event {
	var events []*event
	for _, e := range c.all[a.seen:] {
		if e.shown {
			events = append(events, e)
		}
	}
	a.seen = len(c.all)
	return events
}

// pushLocked sends what is new to every attached session.
func (c *Chat) pushLocked() {
	if len(c.attached) == 0 {
		return
	}
	c.loose = nil // they are in all
	s := c.server
	for _, a := range c.attached {
		events := c.unseenLocked(a)
		if len(events) == 0 && !c.ended {
			continue
		}
		body := c.answerLocked(false)
		c.carryLocked(body, events)
		s.hub.push(a.session, c, body)
	}
	if c.ended {
		for len(c.attached) > 0 {
			c.detachLocked(c.attached[0].session)
		}
	}
}

// push delivers events that no operation of the session has asked for. The
// chat's lock is held.
func (h *hub) push(b *bayeuxSession, c *Chat, a *answer) {
	channel := chatChannel + c.service
	fault := h.server.faults.take(Request{Wire: "cometd", Op: opPush, Chat: c.id})
	if fault == nil {
		h.deliver(b, channel, a, &Fault{})
		return
	}
	data := fault.change(c.overlapLocked(a, fault.Overlap)).encode()
	if fault.Rewrite != nil {
		data = fault.Rewrite(data)
	}
	send := func() {
		b.deliver(channel, data)
		if fault.Repeat {
			b.deliver(channel, data)
		}
	}
	switch {
	case fault.Drop != DropNever:
	case fault.Delay > 0:
		h.server.later(fault.Delay, send)
	default:
		send()
	}
}

// chatLock guards a chat. What was added to the transcript while it was held
// goes to the attached Bayeux sessions when it is given back.
type chatLock struct {
	sync.Mutex
	chat *Chat
}

func (l *chatLock) Unlock() {
	l.chat.pushLocked()
	l.Mutex.Unlock()
}
