package chatsim

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/mail"
	"strconv"
	"strings"
	"unicode/utf8"
)

// packetLimit is how many bytes one packet to the server may carry
// (wire-gms A.7.2).
const packetLimit = 32768

// outcome is the answer to an operation before it is put on a wire.
type outcome struct {
	status int
	body   *answer // nil: no JSON
	file   *storedFile
	repeat *answer // the chat's previous answer with events; not to be changed
}

func refused(body *answer) outcome { return outcome{status: http.StatusBadRequest, body: body} }
func accepted(a *answer) outcome   { return outcome{status: http.StatusOK, body: a} }

// hooks are called with the chat's lock held, in the course of an operation
// that finds its chat. Either may be nil.
type hooks struct {
	after func(*Chat)           // before the answer is made, if it is no refusal
	done  func(*Chat, *outcome) // with the outcome, which it may change
}

// start is wire-gms A.7.1.
func (s *Server) start(service string, f *form, h hooks) outcome {
	if !s.serves(service) {
		return refused(s.refusal("", false, Error{Code: CodeUnknownService, Advice: "unknown service"}))
	}
	v := Visitor{
		Nickname: f.get("nickname"), FirstName: f.get("firstName"), LastName: f.get("lastName"),
		Email: f.get("emailAddress"), Subject: f.get("subject"),
	}
	var errs []Error
	nickname := v.Nickname
	if nickname == "" {
		switch {
		case v.FirstName == "" && v.LastName == "":
			errs = append(errs, Error{Code: CodeNoName, Advice: "nickname or first and last name needed"})
		case v.FirstName == "":
			errs = append(errs, Error{Code: CodeNoFirstName, Advice: "first name needed"})
		case v.LastName == "":
			errs = append(errs, Error{Code: CodeNoLastName, Advice: "last name needed"})
		}
		nickname = v.FirstName + " " + v.LastName
	}
	if v.Email != "" && !validEmail(v.Email) {
		errs = append(errs, Error{Code: CodeBadEmail, Advice: "not an e-mail address"})
	}
	if len(errs) > 0 {
		return refused(s.refusal("", false, errs...))
	}
	c, err := s.enter(service, v, nickname, maps.Clone(f.userData))
	if err != nil {
		return refused(s.refusal("", false, Error{Code: CodeCannotStart, Advice: "server is shutting down"}))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.after != nil {
		h.after(c)
	}
	a := c.answerLocked(true)
	c.carryLocked(a, c.fromLocked(1))
	c.answered = a
	out := accepted(a)
	if h.done != nil {
		h.done(c, &out)
	}
	return out
}

func validEmail(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Name == "" && a.Address == s
}

// operation is one operation of the visitor on a running chat. It runs with
// the chat's lock held and the key checked.
type operation func(c *Chat, f *form) (refusal *Error)

// operations by their name on the wire. Those on files are in files.go.
var operations = map[string]operation{
	"send":           (*Chat).send,
	"refresh":        (*Chat).refresh,
	"startTyping":    (*Chat).startTyping,
	"stopTyping":     (*Chat).stopTyping,
	"disconnect":     (*Chat).disconnect,
	"pushUrl":        (*Chat).pushURL,
	"updateNickname": (*Chat).updateNickname,
	"customNotice":   (*Chat).customNotice,
	"updateData":     (*Chat).updateData,
	"readReceipt":    (*Chat).readReceipt,
}

// perform carries out an operation of the visitor of a chat.
func (s *Server) perform(service, chatID, op, fileID string, f *form, h hooks) outcome {
	c, ok := s.Chat(chatID)
	if !ok || c.service != service {
		if s.opts.Quirks.UnknownChat404 {
			return outcome{status: http.StatusNotFound}
		}
		return accepted(s.gone(chatID, Error{Code: CodeNoSuchUser, Advice: "no such session"}))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.performLocked(op, fileID, f, h.after)
	if h.done != nil {
		h.done(c, &out)
	}
	return out
}

func (c *Chat) performLocked(op, fileID string, f *form, after func(*Chat)) outcome {
	s := c.server
	if out, ok := c.admitLocked(op, f); !ok {
		return out
	}
	c.heardLocked()
	if strings.HasPrefix(op, "file") {
		return c.fileOpLocked(op, fileID, f, after)
	}
	position, refusal := positionOf(op, f, s.opts.Quirks.SendReturnsAll)
	if refusal == nil {
		refusal = operations[op](c, f)
	}
	if refusal != nil {
		return refused(s.refusal(c.id, c.ended, *refusal))
	}
	if after != nil {
		after(c)
	}
	a := c.answerLocked(false)
	c.carryLocked(a, c.fromLocked(position))
	out := accepted(a)
	out.repeat = c.answered
	if a.Messages != nil && len(*a.Messages) > 0 {
		c.answered = a
	}
	return out
}

// gone is the answer that says that there is no chat any more.
func (s *Server) gone(chatID string, e Error) *answer {
	a := s.refusal(chatID, true, e)
	a.StatusCode, a.ChatEnded = ptr(2), ptr(true)
	return a
}

// admitLocked checks the keys and that the chat lives.
func (c *Chat) admitLocked(op string, f *form) (outcome, bool) {
	s := c.server
	if f.get("secureKey") != c.secret {
		if s.opts.Quirks.BadKeyEnds && !c.ended {
			c.removed = true
			c.endLocked(EndedByBadKey)
		}
		return refused(s.refusal(c.id, false, Error{Code: CodeBadKey, Advice: "secure key does not match"})), false
	}
	if s.opts.Quirks.RequireAllKeys && (f.get("userId") != c.userID || f.get("alias") == "") {
		return refused(s.refusal(c.id, false, Error{Code: CodeBadRequest, Advice: "userId and alias needed"})), false
	}
	switch {
	case !c.ended:
		return outcome{}, true
	case s.opts.Quirks.EndedChat400:
		return refused(s.refusal(c.id, true, Error{Code: CodeNoSuchUser, Advice: "chat has ended"})), false
	case c.removed:
		return accepted(s.gone(c.id, Error{Code: CodeLoggedOut, Advice: "user was logged out"})), false
	case op == "refresh":
		return outcome{}, true // the last events can still be had
	}
	return accepted(s.gone(c.id, Error{Code: CodeNoSuchUser, Advice: "chat has ended"})), false
}

// positionOf reads transcriptPosition. What it means is the same for every
// operation; without one, only refresh returns events (wire-gms A.7.3).
func positionOf(op string, f *form, all bool) (int, *Error) {
	text, ok := f.values["transcriptPosition"]
	switch {
	case op == "readReceipt":
		return 0, nil // there it is not a question
	case (!ok || text == "") && (op == "refresh" || all):
		return 1, nil
	case !ok || text == "":
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < -1 {
		return 0, badRequest("transcriptPosition must be an integer from -1")
	}
	return n, nil
}

func badRequest(advice string) *Error { return &Error{Code: CodeBadRequest, Advice: advice} }

// checkText says whether a message or a preview is too long.
func (c *Chat) checkText(text string) *Error {
	limit := c.server.opts.MaxMessage
	if len(text) > packetLimit || utf8.RuneCountInString(text) > limit {
		return &Error{Code: CodeTooLong, Advice: strconv.Itoa(limit)}
	}
	return nil
}

// attributesOf reads eventAttributes, a JSON object as text.
func attributesOf(f *form) (json.RawMessage, *Error) {
	text := f.get("eventAttributes")
	if text == "" {
		return nil, nil
	}
	if len(text) > packetLimit {
		return nil, &Error{Code: CodeTooLong, Advice: strconv.Itoa(packetLimit)}
	}
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &object) != nil || object == nil {
		return nil, badRequest("eventAttributes must be a JSON object")
	}
	return json.RawMessage(text), nil
}

func (c *Chat) send(f *form) *Error {
	text := f.get("message")
	if text == "" {
		return badRequest("message needed")
	}
	if e := c.checkText(text); e != nil {
		return e
	}
	attributes, e := attributesOf(f)
	if e != nil {
		return e
	}
	c.visitor.typing, c.visitor.preview = false, ""
	c.activeLocked()
	c.addLocked(&event{kind: Message, from: c.visitor, text: text, format: f.get("messageType"), attributes: attributes})
	return nil
}

func (c *Chat) refresh(f *form) *Error {
	preview, ok := f.values["message"]
	if e := c.checkText(preview); e != nil {
		return e
	}
	if ok && !c.ended && c.visitor.preview != preview {
		c.visitor.preview = preview
		c.wakeLocked()
	}
	return nil
}

func (c *Chat) startTyping(f *form) *Error {
	preview := f.get("message")
	if e := c.checkText(preview); e != nil {
		return e
	}
	c.visitor.typing, c.visitor.preview = true, preview
	c.addLocked(&event{kind: TypingStarted, from: c.visitor, text: preview})
	return nil
}

func (c *Chat) stopTyping(f *form) *Error {
	preview := f.get("message")
	if e := c.checkText(preview); e != nil {
		return e
	}
	c.visitor.typing, c.visitor.preview = false, preview
	c.addLocked(&event{kind: TypingStopped, from: c.visitor, text: preview})
	return nil
}

func (c *Chat) disconnect(*form) *Error {
	c.endLocked(EndedByVisitor)
	return nil
}

func (c *Chat) pushURL(f *form) *Error {
	url := f.get("pushUrl")
	if url == "" {
		return badRequest("pushUrl needed")
	}
	if e := c.checkText(url); e != nil {
		return e
	}
	c.activeLocked()
	c.addLocked(&event{kind: PushURL, from: c.visitor, text: url})
	return nil
}

func (c *Chat) updateNickname(f *form) *Error {
	nickname := f.get("nickname")
	if nickname == "" {
		return badRequest("nickname needed")
	}
	c.visitor.nickname = nickname
	c.addLocked(&event{kind: NicknameUpdated, from: c.visitor})
	return nil
}

func (c *Chat) customNotice(f *form) *Error {
	text := f.get("message")
	if text == "" && f.get("eventAttributes") == "" {
		return badRequest("message or eventAttributes needed")
	}
	if e := c.checkText(text); e != nil {
		return e
	}
	attributes, e := attributesOf(f)
	if e != nil {
		return e
	}
	// wire-gms A.7.8: one notice resets the inactivity timer.
	var purpose struct {
		Purpose string `json:"purpose"`
	}
	if json.Unmarshal(attributes, &purpose) == nil && purpose.Purpose == "cancel-idle-timer" {
		c.activeLocked()
	}
	c.addLocked(&event{kind: CustomNotice, from: c.visitor, text: text, attributes: attributes})
	return nil
}

func (c *Chat) updateData(f *form) *Error {
	if len(f.userData) == 0 {
		return badRequest("userData needed")
	}
	maps.Copy(c.userData, f.userData)
	c.wakeLocked()
	return nil
}

func (c *Chat) readReceipt(f *form) *Error {
	n, err := strconv.Atoi(f.get("transcriptPosition"))
	if err != nil || n < 0 {
		return badRequest("transcriptPosition needed")
	}
	c.readUpTo = max(c.readUpTo, n)
	c.wakeLocked()
	return nil
}
