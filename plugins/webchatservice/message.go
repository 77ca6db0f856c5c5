package webchatservice

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// Message is a normalised line of the transcript (webchatservice 4.4). It is immutable.
type Message struct {
	// Type is what the line is: Message, ParticipantJoined ...
	Type chat.MessageKind `json:"type"`
	// Index is the place in the transcript, from 1; 0 on wires without one.
	Index int64 `json:"index,omitempty"`
	// ID is the server's id of the line, on wires that name lines.
	ID string `json:"id,omitempty"`
	// Text is what to show.
	Text string `json:"text,omitempty"`
	// Timestamp is the server's time, in ms since 1970, UTC.
	Timestamp int64 `json:"timestamp"`
	// From is who it comes from.
	From From `json:"from"`
	// UserData is what is attached to the line; files and idle alerts use it.
	UserData map[string]any `json:"userData,omitempty"`
	// FileDetails is the same as UserData, for lines on files.
	FileDetails map[string]any `json:"fileDetails,omitempty"`
	// IsTyping is set on typing lines.
	IsTyping *bool `json:"isTyping,omitempty"`
	// HTML tells a user interface that Text is HTML; only pre-processors set it.
	HTML   any `json:"html,omitempty"`
	Bubble any `json:"bubble,omitempty"` // how a user interface should show it; only pre-processors set it
	// Restoring: the line is part of a restored transcript.
	Restoring bool `json:"restoring,omitempty"`
	// Structured is what the line has beside its text; nil for a plain line. In JSON its fields are those of the line.
	*Structured
	// Original is the line as the server sent it.
	Original chat.JSON `json:"original,omitempty"`
}

// Own reports whether the line is the visitor's.
func (m Message) Own() bool { return m.From.Type == chat.RoleClient }

// From is the sender of a line.
type From struct {
	ID   PartyID   `json:"id"`   // of the participant in this chat
	Type chat.Role `json:"type"` // Client, Agent, Supervisor, Bot or External
	Name string    `json:"name"` // what to call them
}

// PartyID names a participant of a chat. Ids that are whole numbers, as those of GMS, are numbers in
// JSON, all others strings.
type PartyID string

// MarshalJSON writes a number where the id is one.
func (p PartyID) MarshalJSON() ([]byte, error) {
	if n, err := strconv.ParseInt(string(p), 10, 53); err == nil && strconv.FormatInt(n, 10) == string(p) {
		return []byte(p), nil
	}
	return json.Marshal(string(p))
}

// UnmarshalJSON takes a string or a number.
func (p *PartyID) UnmarshalJSON(b []byte) error {
	var n json.Number
	if json.Unmarshal(b, &n) == nil && len(b) > 0 && b[0] != '"' {
		*p = PartyID(n)
		return nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	*p = PartyID(s)
	return nil
}

// Time is a moment in ms since 1970, UTC; in JSON 0 is false.
type Time int64

// MarshalJSON writes a number, or false for 0.
func (t Time) MarshalJSON() ([]byte, error) {
	if t == 0 {
		return []byte("false"), nil
	}
	return strconv.AppendInt(nil, int64(t), 10), nil
}

// UnmarshalJSON takes a number or false.
func (t *Time) UnmarshalJSON(b []byte) error {
	if string(b) == "false" {
		*t = 0
		return nil
	}
	var n int64
	err := json.Unmarshal(b, &n)
	*t = Time(n)
	return err
}

// Elapsed is a time that has passed, in ms; -1 stands for none, and is false in JSON.
type Elapsed int64

// MarshalJSON writes a number, or false for -1.
func (e Elapsed) MarshalJSON() ([]byte, error) {
	if e < 0 {
		return []byte("false"), nil
	}
	return strconv.AppendInt(nil, int64(e), 10), nil
}

// UnmarshalJSON takes a number or false.
func (e *Elapsed) UnmarshalJSON(b []byte) error {
	if string(b) == "false" {
		*e = -1
		return nil
	}
	return json.Unmarshal(b, (*int64)(e))
}

// normalise makes a Message of a line of the wire.
func normalise(out *Message, m *chat.Message, restoring bool) {
	*out = Message{
		Type:      m.Kind,
		Index:     m.Index,
		ID:        m.ID,
		Text:      m.Text,
		Timestamp: stamp(m.Time),
		From:      From{ID: PartyID(m.From.ID), Type: m.From.Role, Name: m.From.Name},
		UserData:  m.UserData,
		Restoring: restoring,
		Original:  m.Raw,
	}
	if m.Content != nil {
		out.Structured = structured(m.Content)
	}
	switch m.Kind {
	case chat.KindTypingStarted, chat.KindTypingStopped:
		out.IsTyping = ptr(m.Kind == chat.KindTypingStarted)
	case chat.KindFileUploaded, chat.KindFileDeleted:
		out.FileDetails = m.UserData
		if m.File != nil && len(m.UserData) == 0 {
			out.FileDetails = map[string]any{"file-id": m.File.ID, "file-name": m.File.Name}
			if m.File.Size >= 0 {
				out.FileDetails["file-size"] = strconv.FormatInt(m.File.Size, 10)
			}
		}
	}
}

// stamp is t as the vendor gives times: ms since 1970, and 0 for none.
func stamp(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
