package chat

import (
	"encoding/json"
	"time"
)

// Event is one batch: what one answer or push of the server brought. The receiver owns it.
type Event struct {
	// Messages are the lines not given out before, in the order of the transcript. It may be empty:
	// an answer with nothing new is an Event too, as the sign that the server was reached.
	Messages []Message
	// StatusCode is the server's own word on the answer: 0 well; 1 it failed for now and the rest
	// of the event says nothing (the chat server behind the API is down); 2 it failed (wire-gms
	// A.5). It is 0 on wires without one.
	StatusCode int
	// Errors is the server's list of errors; it goes with an end that was an error.
	Errors []ServerError
	// Ended: the chat is over. It is the last event; io.EOF follows.
	Ended bool
	// EndedBy says who ended it, as far as the wire tells.
	EndedBy EndReason
	// Session is set when the server changed a key of the chat with this batch (another alias, a new
	// secureKey): the whole new session, to be stored in the place of the old one.
	Session *Session
	// Position is where a reader stands after this batch: what to store, and to resume from.
	Position Position
	// IdleTimerExpire is the server's idle count-down as it came; nil when there is none.
	IdleTimerExpire json.RawMessage
	// Raw is the server's envelope as it came, less its secrets. It is nil when the batch came
	// with the answer to a request, whose [Receipt] has the envelope, and when the server pushed
	// it unasked. The first event of a connection carries the answer to Open or Resume.
	Raw json.RawMessage
}

// EndReason says who ended a chat.
type EndReason string

const (
	// EndUnknown: the wire does not tell.
	EndUnknown EndReason = ""
	// EndVisitor: this side did, with [ActionEnd].
	EndVisitor EndReason = "visitor"
	// EndAgent: the last agent left.
	EndAgent EndReason = "agent"
	// EndIdle: the server closed a chat in which nobody wrote.
	EndIdle EndReason = "idle"
	// EndServer: the server did, of its own accord or because it no longer knows the chat.
	EndServer EndReason = "server"
)

// MessageKind is the kind of a line, in GMS's words (webchatservice 4.4). Drivers translate the
// words of their wire into these; a kind that has none here is passed on as it is.
type MessageKind string

// The kinds of lines.
const (
	KindMessage           MessageKind = "Message"
	KindParticipantJoined MessageKind = "ParticipantJoined"
	KindParticipantLeft   MessageKind = "ParticipantLeft"
	KindTypingStarted     MessageKind = "TypingStarted"
	KindTypingStopped     MessageKind = "TypingStopped"
	KindPushURL           MessageKind = "PushUrl"
	KindNicknameUpdated   MessageKind = "NicknameUpdated"
	KindFileUploaded      MessageKind = "FileUploaded"
	KindFileDeleted       MessageKind = "FileDeleted"
	KindNotice            MessageKind = "Notice"
	KindCustomNotice      MessageKind = "CustomNotice"
	KindIdleAlert         MessageKind = "IdleAlert"
	KindIdleClose         MessageKind = "IdleClose"
)

// Role is what a party is in a chat.
type Role string

// The roles. External is the system: routing strategy, flow, ESP.
const (
	RoleClient     Role = "Client"
	RoleAgent      Role = "Agent"
	RoleSupervisor Role = "Supervisor"
	RoleExternal   Role = "External"
	RoleBot        Role = "Bot"
)

// Party is one who takes part.
type Party struct {
	// ID is unique within the chat. GMS numbers parties: there it is decimal digits.
	ID   string
	Role Role
	Name string
}

// Message is one line of a transcript.
type Message struct {
	// Index is the line's place in the transcript, from 1, when HasIndex. Indices rise; they may
	// have gaps, since a server may leave out lines of passing interest (typing).
	Index    int64
	HasIndex bool
	// ID is the server's id of the line, on wires that name lines; else "".
	ID string
	// ClientID is the [Action.ClientID] of an own line, where the wire echoes it; else "".
	ClientID string
	// Own: the line is this side's, as far as the wire tells. Other devices of the same visitor
	// count as this side.
	Own  bool
	Kind MessageKind
	From Party
	// Text is what to show: the text of structured content if there is one, else the plain text.
	// For typing it is the preview, for PushUrl the URL.
	Text string
	// Label is the sender's messageType, as in [Action.MessageType].
	Label string
	// Time is when the server took the line, in UTC, to the millisecond. Zero when it did not say.
	Time time.Time
	// UserData is what is attached to the line: facts on files and idle timers.
	UserData map[string]any
	// File tells which file, for FileUploaded and FileDeleted; else nil.
	File *File
	// Attributes are the line's eventAttributes as they came; nil when there are none.
	Attributes json.RawMessage
	// Raw is the whole line as it came, less the session's secrets.
	Raw json.RawMessage
}

// File names a file of a chat.
type File struct {
	ID   string
	Name string
	Size int64 // bytes; -1 when the server did not say
}
