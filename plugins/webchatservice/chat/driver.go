package chat

import (
	"context"
	"encoding/json"
)

// Driver is a transport: it opens chats on one server. Its methods may be called at once from many
// goroutines; a Driver holds no chat and needs no closing.
type Driver interface {
	// Open starts a new chat and returns once the server has accepted it. It makes one attempt.
	// Errors are [*Error]; Outcome NotSent means that no chat was started, Unknown that there may
	// be one that nobody holds the keys of. Cancelling ctx after Open has returned does nothing.
	Open(ctx context.Context, r Request) (Conn, error)
}

// Resumer is a Driver that can take up a chat again.
type Resumer interface {
	// Resume asks the server for a chat and returns once it said that the chat lives. The lines that r
	// asks for come out of Receive. When the chat is over or unknown the error's Outcome is Gone. It makes
	// one attempt at each request that the wire needs for it.
	Resume(ctx context.Context, r ResumeRequest) (Conn, error)
}

// IdleCloser is a Driver that may keep network connections of its own for later use.
type IdleCloser interface {
	// CloseIdleConnections closes those that are not in use now. The driver can be used further.
	// Connections of an [Options.Client] are its owner's and stay.
	CloseIdleConnections()
}

// Conn is an open chat. Its methods may be called at once from different goroutines, Receive from
// one at a time. After Close all of them fail with an error that matches [ErrClosed]; after
// the chat has ended those that talk to the server fail with one that matches [ErrEnded].
type Conn interface {
	// Send does a, and returns once the wire tells what became of it. Sends, and the requests of
	// the optional interfaces other than [Filer], are carried out one after the other, in the order
	// of the calls. It makes one attempt. Errors are [*Error].
	//
	// Cancelling ctx while the request is under way gives up waiting, not the request: the
	// outcome is then Unknown.
	Send(ctx context.Context, a Action) (Receipt, error)

	// Receive waits for the next batch. It returns io.EOF once the chat has ended and everything
	// was given out. It does what the wire needs to get events (a poll wire polls in here), so the
	// chat stays alive on the server only while somebody receives. Errors are [*Error], and after
	// each of them Receive may be called again; when to do so is the caller's choice. Their
	// Outcome is never Gone: a chat that the server no longer has comes out as its end. None
	// of them matches io.EOF, also where the network broke with one.
	//
	// The first Receive of a connection returns at once, with what the answer to Open or Resume
	// brought.
	Receive(ctx context.Context) (Event, error)

	// Session returns the keys of the chat as they are now. It does not block.
	Session() Session

	// Position returns where the reader stands: after the last Event that Receive returned, and before the
	// first one where the lines begin that were asked for. It does not block.
	Position() Position

	// Capabilities returns what can be done in the chat now. A change comes out of Receive, too: see
	// [Event.Capabilities]. It does not block.
	Capabilities() Capabilities

	// Close lets go of the connection: it ends all calls under way. The chat stays on the
	// server until that misses the visitor. Closing again does nothing and returns nil.
	Close() error
}

// The interfaces below have the methods of abilities that not every wire has. They obey the rules of Conn. A
// connection whose [Capabilities] name an ability implements its interface. One that implements an interface without
// naming the ability fails its methods with what [Unsupported] returns, and sends nothing.

// Explainer is a Conn that says in its wire's own words why something cannot be done.
type Explainer interface {
	// Explain returns what [Unsupported] returns, with a text and a hint of the wire's own; nil where it has none. op is
	// "poll", "upload", "download", "file limits", "typing", "update data", "notice" or "history". It does not block.
	Explain(op string) *Error
}

// Waker is a Conn for which nobody needs to wait inside of Receive while nothing happens: with many chats it is the
// stacks of those who wait that take the memory.
type Waker interface {
	// Await has f called, once, as soon as Receive has something to do or to return, in a goroutine that
	// is f's for as long as it likes and that nobody waits for; it reports false, and f is not called, if
	// it has now. No lock is held meanwhile: f may call the connection, and close it. Until f is called
	// Receive must not be called either. To the Receive that follows it is as if it had waited: it does what the wire needs to
	// get events, and returns the errors that came meanwhile. After Close f may be called or not.
	Await(f func()) bool
}

// Poller is a Conn that polls. Polling goes on inside of Receive; a new connection polls. The pace
// is the protocol's: from the shortest interval, each poll multiplies it, up to the longest; activity in
// either direction (a request of the visitor, a line of another party) sets it back.
type Poller interface {
	// Poll polls now. What it brings comes out of Receive. It fails with code busy while another
	// poll is under way.
	Poll(ctx context.Context) (Receipt, error)
	// StartPoll makes Receive poll, beginning with the shortest interval, and reports whether it
	// did not before.
	StartPoll() bool
	// StopPoll makes Receive wait without polling, for what answers to requests bring, and reports
	// whether it polled before. A poll under way is finished. Without polls the server gives the
	// visitor up after a while.
	StopPoll() bool
	// Polling reports whether Receive polls.
	Polling() bool
	// Sleep slows polling down to the pace of a sleeping visitor, or ends that.
	Sleep(asleep bool)
	// Preview sets a function that tells, at each poll, the text that the visitor has typed and
	// not sent; nil for none. It must not block.
	Preview(text func() string)
}

// Typer is a Conn that tells the other side whether the visitor types.
type Typer interface {
	// Typing says that the visitor began or ceased to type; preview is the text so far, or "".
	Typing(ctx context.Context, on bool, preview string) (Receipt, error)
}

// DataUpdater is a Conn that can change the data attached to the chat.
type DataUpdater interface {
	// UpdateUserData merges data into what is attached to the chat. Values as in
	// [Request.UserData]. Empty data does nothing.
	UpdateUserData(ctx context.Context, data map[string]any) (Receipt, error)
}

// Notifier is a Conn that carries notices for the agent's software.
type Notifier interface {
	// CustomNotice sends text, or attributes (JSON), or both.
	CustomNotice(ctx context.Context, text string, attributes json.RawMessage) (Receipt, error)
}

// URLPusher is a Conn that can push a URL to the other side.
type URLPusher interface {
	// PushURL sends the URL; it becomes a line of kind [KindPushURL].
	PushURL(ctx context.Context, url string) (Receipt, error)
}

// Renamer is a Conn that can change the visitor's name while the chat goes on.
type Renamer interface {
	// UpdateNickname changes the name; it becomes a line of kind [KindNicknameUpdated].
	UpdateNickname(ctx context.Context, nickname string) (Receipt, error)
}

// ReadMarker is a Conn that can tell the other side how far the visitor has read.
type ReadMarker interface {
	// MarkRead says that the lines up to upTo were read. The zero Position does nothing.
	MarkRead(ctx context.Context, upTo Position) (Receipt, error)
}

// IdleResetter is a Conn that can stop the server's idle timer: the visitor is there, though nothing was sent.
type IdleResetter interface {
	// ResetIdle stops it. The server starts it again when it likes.
	ResetIdle(ctx context.Context) (Receipt, error)
}

// Refetcher is a Conn that can ask for a part of the transcript once more: for lines that were
// missing between others.
type Refetcher interface {
	// Refetch asks the server once for the lines behind from, up to and including the one at to, and returns
	// those that the answer has, in the order of the transcript, whether or not they came out of Receive before. The
	// zero from is the beginning, the zero to is where the reader stands. A line that the server no longer has, or
	// never showed to visitors, is not among them; asking once more helps only if a bad answer left it out.
	//
	// Each line returned has its [Message.Behind] set: the line that it follows, as far as the driver has seen the
	// transcript. Its [Message.Missing] tells what is missing between the two after this answer.
	//
	// The lines returned do not come out of Receive any more, also those that waited there. Everything else that the
	// answer brings does, in order and once, as with the answer to a send: newer lines, changed keys, the
	// end. The position does not change by what is returned.
	Refetch(ctx context.Context, from, to Position) ([]Message, error)
}

// Historian is a Conn that has the lines before those that came out of Receive, page by page.
type Historian interface {
	// History asks the server once for the page that ends before the line at before: at most n lines, more than 0,
	// in the order of the transcript. The zero before is where the lines of this connection began. What it
	// returns is not among what comes out of Receive. The position does not change.
	History(ctx context.Context, before Position, n int) (Page, error)
}

// Page is a page of history.
type Page struct {
	// Messages are the lines. There may be fewer than were asked for, also none, since a server may have
	// lost some.
	Messages []Message
	// Oldest is what to give to History for the page before this one.
	Oldest Position
	// Beginning: there is nothing before this page.
	Beginning bool
}
