package chat

import (
	"time"
)

// Event is one batch: what one answer or push of the server brought. The receiver owns it.
type Event struct {
	// Messages are the lines not given out before, in the order of the transcript. It may be empty:
	// an answer with nothing new is an Event too, as the sign that the server was reached.
	Messages []Message
	// Unavailable: the server was reached, but what stands behind it cannot serve the chat for now. The event
	// then has no lines, and is no end. Wires that cannot tell never set it.
	Unavailable bool
	// Earlier is set on the first event of a connection that does not begin at the beginning of the chat: the lines
	// before can be had from a [Historian].
	Earlier bool
	// Ended: the chat is over. It is the last event; io.EOF follows.
	Ended bool
	// Errors is the server's list of errors; it goes with an end that was an error.
	Errors []ServerError
	// EndedBy says who ended it, as far as the wire tells.
	EndedBy EndReason
	// Session is set when the server changed a key of the chat with this batch (another alias, a new
	// secureKey): the whole new session, to be stored in the place of the old one.
	Session *Session
	// Capabilities is set when what can be done in the chat has changed with this batch: all of it, as
	// [Conn.Capabilities] gives it.
	Capabilities *Capabilities
	// Position is where a reader stands after this batch: what to store, and to resume from.
	Position Position
	// IdleCountdown is the time until the server closes a chat in which nobody writes, as the server said it; nil when
	// it said nothing.
	IdleCountdown JSON
	// Raw is the server's envelope as it came, less its secrets. It is nil when the batch came
	// with the answer to a request, whose [Receipt] has the envelope, and when the server pushed
	// it unasked. The first event of a connection carries the answer to Open or Resume.
	Raw JSON
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

// MessageKind is the kind of a line, in the words of WebChatService (webchatservice 4.4). Drivers translate the
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
	// ID is unique within the chat. On wires that number parties it is decimal digits.
	ID   string
	Role Role
	Name string
}

// Message is one line of a transcript.
type Message struct {
	// Position is where a reader stands after this line. No two lines of a connection have the same. It is zero for
	// a line that the wire neither numbers nor names: nobody can ask for that.
	Position Position
	// Behind is set on a line that comes late: it belongs behind the line at *Behind, further up in what came
	// before. nil: it belongs behind what came before. Zero: it belongs at the beginning.
	Behind *Position
	// Missing is set when there are lines between this one and the one before it that the server did not
	// give: a [Refetcher] may have them. Where Behind is set, the line before it is that one.
	Missing *Gap

	// Index is the number of the line, from 1, for people to read; 0 on wires that do not number lines. Numbers may
	// have gaps, and be given anew when another server takes over.
	Index int64
	// ID is the server's id of the line, on wires that name lines; else "".
	ID string
	// ClientID is the [Action.ClientID] of an own line, where the wire echoes it; else "".
	ClientID string
	// Own: the line is this side's, as far as the wire tells. Other devices of the same visitor
	// count as this side.
	Own bool
	// Known: the reader had the line before the chat was taken up again: see [ResumeRequest.Known].
	Known bool
	Kind  MessageKind
	From  Party
	// Text is what to show: the text of structured content if there is one, else the plain text.
	// For typing it is the preview, for PushUrl the URL.
	Text string
	// Label is the sender's messageType, as in [Action.MessageType].
	Label string
	// Time is when the server took the line, in UTC, to the millisecond. Zero when it did not say.
	Time time.Time
	// Content is structured content; nil for a plain line. Text says the same as well as text can.
	Content *Content
	// UserData is what is attached to the line, by the names of the wire.
	UserData map[string]any
	// Idle tells what the server's idle timer does next, for lines of kind [KindIdleAlert]; else nil.
	Idle *IdleAlert
	// File tells which file, for FileUploaded and FileDeleted; else nil.
	File *File
	// Attributes are what the sender's software attached, as it came; nil when there is nothing.
	Attributes JSON
	// Raw is the whole line as it came, less the session's secrets.
	Raw JSON
}

// Gap names lines that are missing by their numbers, for people to read. The zero Gap is one on a wire that does
// not number lines.
type Gap struct {
	First, Last int64 // both included
}

// IdleAlert tells what the server does next if nobody writes.
type IdleAlert struct {
	After   time.Duration // the time until then; 0 when the server did not say
	Closing bool          // it closes the chat; else it warns once more
}

// File names a file of a chat.
type File struct {
	ID   string
	Name string
	Size int64 // bytes; -1 when the server did not say
}
