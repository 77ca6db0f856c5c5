package chat

import "encoding/json"

// Request says what a new chat starts with. Empty fields are left to the server.
type Request struct {
	Nickname  string
	FirstName string
	LastName  string
	Email     string
	Subject   string
	// UserData is attached to the chat. A wire that knows text only sends strings as they are and
	// everything else as its JSON.
	UserData map[string]any
	// Interaction is routing and journey data for the wires that have it
	// (webchatservice 2.4); the others ignore it.
	Interaction map[string]any
	// Async asks for a long-lived chat on wires that have them (wire-gms part C).
	Async bool
	// Credentials sign the visitor in, on wires whose visitors do. Their type is the driver's, which says so; a
	// driver whose visitors do not sign in ignores them. nil means none.
	Credentials any
}

// ResumeRequest says which chat to take up again, and where.
type ResumeRequest struct {
	// Session names the chat, as [Conn.Session] gave it.
	Session Session
	// From is where to go on, as [Conn.Position] gave it; the zero Position is the beginning.
	From Position
	// Lines is how many lines before the last one [TailResumer.ResumeTail] begins.
	Lines int
	// UserData is attached to the chat anew by [TailResumer.ResumeTail]; values as in [Request.UserData].
	UserData map[string]any
	// Credentials are as in [Request.Credentials].
	Credentials any
}

// ActionKind says what an [Action] is.
type ActionKind uint8

const (
	// ActionMessage sends a line.
	ActionMessage ActionKind = iota
	// ActionEnd ends the chat on the server. A receipt for it means that the server knows; after
	// an error the chat may live on, and the connection can be used further. Once it is
	// confirmed, Receive gives out what is left, the Event with Ended set, then io.EOF.
	ActionEnd
)

// Action is something that the visitor does in a chat and that every wire can carry. What only some
// wires can carry (typing, user data, notices, files) has small interfaces of its own.
type Action struct {
	Kind ActionKind

	// Text is the line. It reaches the other side unchanged.
	Text string
	// MessageType labels the line ("text" when empty); wires without labels ignore it.
	MessageType string
	// ParentID is the index or id of the line that this one answers, or "".
	ParentID string
	// ClientID is the sender's own name for the line. Where the wire carries and echoes it, it
	// comes back as [Message.ClientID]; elsewhere it goes nowhere.
	ClientID string
}

// Receipt tells what became of a request that did not fail.
type Receipt struct {
	// Confirmed: the server itself said that it accepted the request. When false, the request is
	// on its way and only the transcript tells: a line of one's own with the same ClientID or ID,
	// or, failing these, the same text.
	Confirmed bool
	// ID is the id that the server gave the line, on wires that tell it; else "".
	ID string
	// Answer is the server's answer as it came, less its secrets; nil where there is none. The
	// caller owns it.
	Answer json.RawMessage
}
