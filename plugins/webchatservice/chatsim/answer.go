package chatsim

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// answer is the response object of every operation (wire-gms A.3).
type answer struct {
	StatusCode      *int              `json:"statusCode,omitempty"`
	ChatID          string            `json:"chatId,omitempty"`
	Alias           string            `json:"alias,omitempty"`
	UserID          string            `json:"userId,omitempty"`
	SecureKey       string            `json:"secureKey,omitempty"`
	ChatEnded       *bool             `json:"chatEnded,omitempty"`
	NextPosition    *int              `json:"nextPosition,omitempty"`
	IdleTimerExpire *int              `json:"idleTimerExpire,omitempty"`
	Messages        *[]message        `json:"messages,omitempty"`
	UserData        map[string]string `json:"userData,omitempty"`
	Errors          []wireError       `json:"errors,omitempty"`
}

// message is an event on the wire (wire-gms A.4).
type message struct {
	From struct {
		Nickname      string `json:"nickname"`
		ParticipantID any    `json:"participantId"`
		Type          string `json:"type"`
	} `json:"from"`
	Index       *int              `json:"index,omitempty"`
	Type        string            `json:"type"`
	UTCTime     int64             `json:"utcTime"`
	Text        *string           `json:"text,omitempty"`
	MessageType string            `json:"messageType,omitempty"`
	UserData    map[string]string `json:"userData,omitempty"`
	Attributes  json.RawMessage   `json:"eventAttributes,omitempty"`
}

// wireError is an entry of errors (wire-gms A.6).
type wireError struct {
	Code   any    `json:"code"`
	Advice string `json:"advice,omitempty"`
}

// Error is a server's refusal: a code of wire-gms A.6 and its advice.
type Error struct {
	Code   int
	Advice string
}

// The error codes that servers are known to send.
const (
	CodeNoFirstName    = 102
	CodeNoLastName     = 103
	CodeNoName         = 161
	CodeTooManyFiles   = 201
	CodeFileSize       = 202
	CodeFileType       = 203
	CodeTooLong        = 204
	CodeCannotStart    = 240
	CodeUnknownService = 306
	CodeBadEmail       = 364
	CodeNoSuchUser     = 8201
	CodeLoggedOut      = 8209
	CodeBadKey         = 8210
)

// CodeBadRequest is what this server answers to a missing or malformed
// parameter. Servers have a code for that too; no source names it.
const CodeBadRequest = 100

func ptr[T any](v T) *T { return &v }

// answerLocked begins the answer to an operation on the chat.
func (c *Chat) answerLocked(first bool) *answer {
	quirks := &c.server.opts.Quirks
	a := &answer{StatusCode: ptr(0), ChatID: c.id}
	if first || !quirks.Terse {
		a.Alias, a.UserID, a.SecureKey = c.server.Alias(), c.userID, c.secret
		a.NextPosition, a.Messages = ptr(c.last+1), ptr([]message{})
	}
	if c.ended || !quirks.OmitChatEnded {
		a.ChatEnded = ptr(c.ended)
	}
	if c.ended && quirks.NextPositionZero && a.NextPosition != nil {
		a.NextPosition = ptr(0)
	}
	return a
}

// carryLocked puts events into an answer.
func (c *Chat) carryLocked(a *answer, events []*event) {
	if len(events) == 0 {
		return
	}
	messages := make([]message, len(events))
	for i, e := range events {
		messages[i] = c.server.message(e)
		if e.kind == IdleAlert {
			if secs, ok := c.idleExpireLocked(); ok {
				a.IdleTimerExpire = ptr(secs)
			}
		}
	}
	a.Messages = &messages
}

// message converts an event. The lock of its chat must be held.
func (s *Server) message(e *event) message {
	m := message{
		Type: string(e.kind), UTCTime: e.time.UnixMilli(), MessageType: e.format,
		UserData: e.userData, Attributes: e.attributes,
	}
	m.From.Nickname = e.from.nickname
	m.From.ParticipantID = e.from.id
	if s.opts.Quirks.PartyIDString {
		m.From.ParticipantID = strconv.Itoa(e.from.id)
	}
	m.From.Type = string(e.from.kind)
	if s.opts.Quirks.AttributesNotEchoed && e.from.kind == Client {
		m.Attributes = nil
	}
	if e.index > 0 {
		m.Index = ptr(e.index)
	}
	if e.text != "" || e.kind == Message {
		m.Text = ptr(e.text)
	}
	return m
}

// refusal makes the body that says no.
func (s *Server) refusal(chatID string, ended bool, errs ...Error) *answer {
	a := &answer{ChatID: chatID}
	if !s.opts.Quirks.BareErrors {
		a.StatusCode, a.ChatEnded = ptr(2), ptr(ended)
	}
	for _, e := range errs {
		w := wireError{Code: e.Code, Advice: e.Advice}
		if s.opts.Quirks.ErrorCodeString {
			w.Code = strconv.Itoa(e.Code)
		}
		a.Errors = append(a.Errors, w)
	}
	return a
}

func (a *answer) encode() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(a); err != nil {
		panic("chatsim: answer does not encode: " + err.Error()) // raw parts are checked when they come in
	}
	return b.Bytes()
}
