package chatsim

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// EventType is the type of a transcript event, spelled as on the GMS wire.
type EventType string

// The event types a chat server makes (wire-gms A.4).
const (
	ParticipantJoined EventType = "ParticipantJoined"
	ParticipantLeft   EventType = "ParticipantLeft"
	Message           EventType = "Message"
	TypingStarted     EventType = "TypingStarted"
	TypingStopped     EventType = "TypingStopped"
	PushURL           EventType = "PushUrl"
	NicknameUpdated   EventType = "NicknameUpdated"
	FileUploaded      EventType = "FileUploaded"
	FileDeleted       EventType = "FileDeleted"
	CustomNotice      EventType = "CustomNotice"
	Notice            EventType = "Notice"
	IdleAlert         EventType = "IdleAlert"
	IdleClose         EventType = "IdleClose"
)

// PartyType is the kind of a participant, spelled as on the GMS wire.
type PartyType string

// The kinds of participants. External is a system, a bot or a routing
// strategy.
const (
	Client     PartyType = "Client"
	Agent      PartyType = "Agent"
	Supervisor PartyType = "Supervisor"
	External   PartyType = "External"
)

// Party is a participant of a chat.
type Party struct {
	// Nickname is the name it goes by now, also in older events.
	Nickname string
	// ID numbers the participants of one chat from 1, which is the visitor.
	ID int
	// Type is its kind.
	Type PartyType
	// Bot says that its events carry the bot style.
	Bot bool
	// Hidden says that the visitor does not see it.
	Hidden bool
	// Present says that it is in the chat.
	Present bool
}

// Event is one entry of a transcript.
type Event struct {
	// Index is its position, from 1; 0 for an event the visitor cannot ask
	// for by position (hidden, or unnumbered by a switch of [Quirks]).
	Index int
	Type  EventType
	From  Party
	// Text is the line, the URL, the notice or the typing preview.
	Text string
	// MessageType is what the sender gave with a message, echoed.
	MessageType string
	UserData    map[string]string
	// Attributes is the eventAttributes object, nil if there is none.
	Attributes json.RawMessage
	Time       time.Time
	// Hidden says that the visitor never gets it: a whisper, or a hidden
	// participant's coming and going.
	Hidden bool
}

// party is a participant as the chat keeps it. Guarded by its chat's mu.
type party struct {
	nickname string
	id       int
	kind     PartyType
	bot      bool
	hidden   bool
	present  bool
	typing   bool
	preview  string
}

func (p *party) export() Party {
	return Party{Nickname: p.nickname, ID: p.id, Type: p.kind, Bot: p.bot, Hidden: p.hidden, Present: p.present}
}

// event is an event as the chat keeps it. Immutable once in the transcript,
// but for the nickname of its party, which is read when it is delivered.
type event struct {
	index      int
	kind       EventType
	from       *party
	text       string
	format     string // messageType
	userData   map[string]string
	attributes json.RawMessage
	time       time.Time
	hidden     bool
	shown      bool // the visitor may have it
}

func (e *event) export() Event {
	return Event{
		Index: e.index, Type: e.kind, From: e.from.export(), Text: e.text, MessageType: e.format,
		UserData: maps.Clone(e.userData), Attributes: slices.Clone(e.attributes), Time: e.time, Hidden: e.hidden,
	}
}

func (e *event) isTyping() bool { return e.kind == TypingStarted || e.kind == TypingStopped }
