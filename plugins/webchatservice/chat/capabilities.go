package chat

import (
	"reflect"
	"slices"
)

// Capabilities is what can be done in a chat, now. It may change while the chat goes on: a server may allow files only
// once an agent is there. What a connection cannot do is false, nil or empty; there is one answer for it, [Unsupported].
type Capabilities struct {
	// Files: files can be sent and fetched ([Filer]).
	Files bool
	// FileLimits are the server's limits where they are known without asking; nil where [Filer.FileLimits] asks.
	FileLimits *FileLimits
	// History: older lines come page by page ([Historian]).
	History bool
	// Refetch: missing lines can be asked for ([Refetcher]).
	Refetch bool
	// Polling: the connection polls ([Poller]).
	Polling bool
	// Typing: the other side can be told that the visitor types ([Typer]).
	Typing bool
	// UserData: data can be attached while the chat goes on ([DataUpdater]).
	UserData bool
	// Notices: notices for the agent's software can be sent ([Notifier]).
	Notices bool
	// URLs: URLs can be pushed ([URLPusher]).
	URLs bool
	// Nicknames: the visitor's name can be changed ([Renamer]).
	Nicknames bool
	// ReadMarks: the other side can be told what was read ([ReadMarker]).
	ReadMarks bool
	// IdleReset: the server's idle timer can be stopped ([IdleResetter]).
	IdleReset bool
	// Replies are the kinds of structured content that can be answered, in rising order. Lines may carry such
	// content ([Message.Content]).
	Replies []ReplyKind
	// MaxMessageBytes is how long the text of a line may be, in bytes of UTF-8; 0 where no limit is known.
	MaxMessageBytes int
}

// CanReply reports whether an answer of that kind can be sent.
func (c Capabilities) CanReply(kind ReplyKind) bool { return slices.Contains(c.Replies, kind) }

// Equal reports whether two say the same.
func (c Capabilities) Equal(d Capabilities) bool { return reflect.DeepEqual(c, d) }

// Unsupported is the failure of what a wire cannot do: nothing was sent, and asking again does not help. op is what was
// attempted, as in [Error.Op].
func Unsupported(op string) *Error {
	return &Error{Outcome: NotSent, Code: CodeUnsupported, Op: op, Text: "this wire cannot do that"}
}
