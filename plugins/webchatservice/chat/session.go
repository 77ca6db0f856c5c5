package chat

// Session is what names a chat on its server: enough to take it up again ([Resumer]), also from
// another process. Sessions can be compared with ==.
type Session struct {
	// ID names the chat: chatId, conversation id.
	ID string
	// UserID names this side in it: userId, member id.
	UserID string
	// Alias names the server that serves the chat, where the wire has that (GMS). It may change.
	Alias string
	// SecureKey is the authority over the chat: secureKey, token, JWT.
	SecureKey Secret
	// Address is where the wire's push socket is, for servers that hand one out. It may carry a
	// token of its own.
	Address Secret
}

// Position is a place in a transcript: what to ask for next. The zero Position is the beginning.
// A store keeps both fields as they are; only the driver that made them gives them a meaning.
type Position struct {
	// Index is the index of the first line not seen, on wires that number lines (GMS).
	Index int64 `json:"index,omitempty"`
	// ID is the id of the last line seen, on wires that only name them (Genesys Cloud).
	ID string `json:"id,omitempty"`
}
