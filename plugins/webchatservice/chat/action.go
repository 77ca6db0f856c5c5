package chat

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
	// Async asks for a long-lived chat on wires that have both kinds.
	Async bool
	// Credentials sign the visitor in, on wires whose visitors do. Their type is the driver's, which says so; a
	// driver whose visitors do not sign in ignores them. nil means none.
	Credentials any
}

// ResumeRequest says which chat to take up again, and from where on.
type ResumeRequest struct {
	// Session names the chat, as [Conn.Session] gave it.
	Session Session
	// From is where the lines begin that are wanted: those behind it. The zero Position is the beginning.
	From Position
	// Known is where the reader stood: the lines up to there come with [Message.Known] set. The zero Position is
	// the beginning: no line is known. A place that the chat does not have makes no line known either.
	Known Position
	// Tail, if it is more than 0, asks for the end of a long transcript in the place of what From says: the lines begin
	// so many before the last one, or behind Known where that is earlier. The Conn is then a [Historian], which has
	// the lines before these. A driver that takes up chats only whole ignores it, and UserData.
	Tail int
	// UserData is attached anew to a chat that is taken up with Tail; values as in [Request.UserData].
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
	// Reply makes the line the answer to structured content; nil for a plain line. A wire whose
	// [Capabilities.Replies] do not have its kind fails with what [Unsupported] returns.
	Reply *Reply
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
	Answer JSON
}
