package chat

import "time"

// Session is what names a chat on its server: enough to take it up again ([Resumer]), also from
// another process. Sessions can be compared with ==.
type Session struct {
	// ID names the chat.
	ID string
	// UserID names this side in it.
	UserID string
	// Alias names the server that serves the chat, where the wire has that. It may change.
	Alias string
	// SecureKey is the authority over the chat: a key or a token.
	SecureKey Secret
	// Address is where the wire's push socket is, for servers that hand one out. It may carry a
	// token of its own.
	Address Secret
	// Refresh is the authority to get another SecureKey when that has expired; the zero Secret where the
	// wire has none.
	Refresh Secret
	// Expires is when the server forgets the chat unless something happens in it, in UTC, to the
	// millisecond, without a monotonic reading: time.UnixMilli(n).UTC(). It is zero where the server does not say.
	Expires time.Time
}

// Position is a place in a transcript: where a reader stands who has read up to a line. So it also names that line.
// The zero Position is the beginning. Only the driver that made a Position gives its fields a meaning. Everybody else
// may ask whether two are equal, with ==, and whether one is zero; both fields are stored as they are.
type Position struct {
	Index int64  `json:"index,omitempty"` // on wires that number lines: one more than the number of the line
	ID    string `json:"id,omitempty"`    // on wires that name lines
}
