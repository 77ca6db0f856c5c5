package chatsim

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// EventType is the type of an event, in the words of WebChatService. A face translates it into those of its wire.
type EventType string

// The event types that there are. A [Seat] can make others.
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

// PartyType is the kind of a participant, in the words of WebChatService.
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
	// Bot says that it is a program that speaks in place of an agent.
	Bot bool
	// Hidden says that the visitor does not see it.
	Hidden bool
	// Present says that it is in the chat.
	Present bool
}

// Event is one entry of a transcript.
type Event struct {
	// Index numbers the events that the visitor gets, from 1; 0 for those that are hidden or have no number
	// ([Unnumbered]).
	Index int
	Type  EventType
	From  Party
	// Text is the line, the URL, the notice or the typing preview.
	Text string
	// MessageType is what the sender gave with a message, echoed.
	MessageType string
	UserData    map[string]string
	// Content is structured content beside the text, such as quick replies or cards: a JSON value in the form
	// that the clients of its wire read; nil if there is none.
	Content json.RawMessage
	// Attributes is an object that the sender gave with the event, nil if there is none.
	Attributes json.RawMessage
	// File is the file that was given or deleted; nil of other events. Its data are not there.
	File *File
	// CloseIn is the time from an idle alert to the end of the chat.
	CloseIn time.Duration
	Time    time.Time
	// Hidden says that the visitor never gets it: a whisper, a hidden
	// participant's coming and going, or what his wire keeps from him ([Withheld], [Skipped]).
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
	content    json.RawMessage
	attributes json.RawMessage
	file       *File
	closeIn    time.Duration
	time       time.Time
	hidden     bool
}

func (e *event) export() Event {
	return Event{
		Index: e.index, Type: e.kind, From: e.from.export(), Text: e.text, MessageType: e.format, Content: slices.Clone(e.content),
		UserData: maps.Clone(e.userData), Attributes: slices.Clone(e.attributes), File: e.file, CloseIn: e.closeIn,
		Time: e.time, Hidden: e.hidden,
	}
}

func export(events []*event) []Event {
	if len(events) == 0 {
		return nil
	}
	out := make([]Event, len(events))
	for i, e := range events {
		out[i] = e.export()
	}
	return out
}

// Typing reports whether the event says that somebody begins or ceases to type.
func (e Event) Typing() bool { return e.Type == TypingStarted || e.Type == TypingStopped }
