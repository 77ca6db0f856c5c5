package gmssim

import (
	"bytes"
	"encoding/json"
	"maps"
	"strconv"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
)

// Answer is the response object of every operation (wire-gms A.3), on each wire of a GMS. It is not changed once it is made.
type Answer struct {
	StatusCode      *int              `json:"statusCode,omitempty"`
	ChatID          string            `json:"chatId,omitempty"`
	Alias           string            `json:"alias,omitempty"`
	UserID          string            `json:"userId,omitempty"`
	SecureKey       string            `json:"secureKey,omitempty"`
	ChatEnded       *bool             `json:"chatEnded,omitempty"`
	NextPosition    *int              `json:"nextPosition,omitempty"`
	IdleTimerExpire *int              `json:"idleTimerExpire,omitempty"`
	Messages        *[]Message        `json:"messages,omitempty"`
	UserData        map[string]string `json:"userData,omitempty"`
	Errors          []WireError       `json:"errors,omitempty"`
}

// Message is an event in an [Answer] (wire-gms A.4).
type Message struct {
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

// WireError is an entry of errors in an [Answer] (wire-gms A.6).
type WireError struct {
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

// BadRequest returns the refusal of a request that no client makes.
func BadRequest(advice string) Error { return Error{Code: CodeBadRequest, Advice: advice} }

// Empty reports whether the answer carries no event.
func (a *Answer) Empty() bool { return a.Messages == nil || len(*a.Messages) == 0 }

// Answer begins the answer to an operation on a chat of this GMS.
func (g *Face) Answer(tx *chatsim.Tx) *Answer { return g.answer(tx, false) }

func (g *Face) answer(tx *chatsim.Tx, first bool) *Answer {
	quirks, s := &g.opts.Quirks, stateOf(tx)
	a := &Answer{StatusCode: ptr(0), ChatID: tx.Chat().ID()}
	if first || !quirks.Terse {
		a.Alias, a.UserID, a.SecureKey = g.Alias(), s.userID, s.secret
		a.NextPosition, a.Messages = ptr(tx.LastIndex()+1), ptr([]Message{})
	}
	if tx.Ended() || !quirks.OmitChatEnded {
		a.ChatEnded = ptr(tx.Ended())
	}
	if tx.Ended() && quirks.NextPositionZero && a.NextPosition != nil {
		a.NextPosition = ptr(0)
	}
	return a
}

// AddEvents puts events into an answer.
func (g *Face) AddEvents(tx *chatsim.Tx, a *Answer, events []chatsim.Event) {
	if len(events) == 0 {
		return
	}
	messages := make([]Message, len(events))
	for i, e := range events {
		messages[i] = g.message(e)
		if e.Type == chatsim.IdleAlert {
			if left, ok := tx.ClosesIn(); ok {
				a.IdleTimerExpire = ptr(int(left / time.Second))
			}
		}
	}
	a.Messages = &messages
}

// message converts an event.
func (g *Face) message(e chatsim.Event) Message {
	m := Message{Type: string(e.Type), UTCTime: e.Time.UnixMilli(), MessageType: e.MessageType, UserData: e.UserData, Attributes: attributes(e)}
	m.From.Nickname = e.From.Nickname
	m.From.ParticipantID = e.From.ID
	if g.opts.Quirks.PartyIDString {
		m.From.ParticipantID = strconv.Itoa(e.From.ID)
	}
	m.From.Type = string(e.From.Type)
	if g.opts.Quirks.AttributesNotEchoed && e.From.Type == chatsim.Client {
		m.Attributes = nil
	}
	if e.Index > 0 {
		m.Index = ptr(e.Index)
	}
	if e.Text != "" || e.Type == chatsim.Message {
		m.Text = ptr(e.Text)
	}
	data := map[string]string{}
	if f := e.File; f != nil {
		data["file-id"], data["file-name"] = f.ID, f.Name
		if e.Type == chatsim.FileUploaded {
			data["file-size"] = strconv.FormatInt(f.Size, 10)
		}
	}
	if e.Type == chatsim.IdleAlert {
		data["next-idle-timer-type"] = "CLOSE"
		data["next-idle-timer-secs"] = strconv.Itoa(int(e.CloseIn / time.Second))
	}
	if len(data) > 0 {
		maps.Copy(data, e.UserData)
		m.UserData = data
	}
	return m
}

// botStyle marks an event as a bot's (wire-gms A.4).
const botStyle = `{"GCTI_SYSTEM":{"party-info":{"style":"BOT"}}}`

// attributes returns the eventAttributes of an event: what the sender gave, else structured content, else the style
// of a bot. Servers send them one at a time, as far as is known.
func attributes(e chatsim.Event) json.RawMessage {
	switch {
	case len(e.Attributes) > 0:
		return e.Attributes
	case len(e.Content) > 0:
		return marshal(map[string]any{
			"structured-content": map[string]any{"genesys-chat": map[string]any{"content": string(e.Content)}},
		})
	case e.From.Bot && e.File == nil && e.Type != chatsim.ParticipantJoined && e.Type != chatsim.ParticipantLeft && e.Type != chatsim.NicknameUpdated:
		return json.RawMessage(botStyle)
	}
	return nil
}

func marshal(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic("gmssim: value does not encode: " + err.Error())
	}
	return b
}

// Refusal makes the answer that says no.
func (g *Face) Refusal(chatID string, ended bool, errs ...Error) *Answer {
	a := &Answer{ChatID: chatID}
	if !g.opts.Quirks.BareErrors {
		a.StatusCode, a.ChatEnded = ptr(2), ptr(ended)
	}
	for _, e := range errs {
		w := WireError{Code: e.Code, Advice: e.Advice}
		if g.opts.Quirks.ErrorCodeString {
			w.Code = strconv.Itoa(e.Code)
		}
		a.Errors = append(a.Errors, w)
	}
	return a
}

// Gone makes the answer that says that there is no chat any more.
func (g *Face) Gone(chatID string, e Error) *Answer {
	a := g.Refusal(chatID, true, e)
	a.StatusCode, a.ChatEnded = ptr(2), ptr(true)
	return a
}

// Delivery returns the answer as JSON for clients that get it by itself, not as an answer to a request: those read chatId
// and messages without looking whether they are there (wire-gms A.3).
func (a *Answer) Delivery() []byte {
	d := struct {
		*Answer
		ChatID   string    `json:"chatId"`
		Messages []Message `json:"messages"`
	}{a, a.ChatID, []Message{}}
	if a.Messages != nil {
		d.Messages = *a.Messages
	}
	return encode(d)
}

// Encode returns the answer as JSON.
func (a *Answer) Encode() []byte { return encode(a) }

func encode(a any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(a); err != nil {
		panic("gmssim: answer does not encode: " + err.Error()) // raw parts are checked when they come in
	}
	return b.Bytes()
}

func ptr[T any](v T) *T { return &v }
