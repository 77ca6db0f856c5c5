package chattest

import (
	"testing"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// Harness says how the suite gets at a driver and at a server for it.
type Harness struct {
	// New starts a server that has no chats, and whose network is well. It is called in the bubble
	// of each case; the suite calls Close before the bubble ends.
	New func(t *testing.T) Server
	// Features says what the wire can do.
	Features Features
}

// Features is what differs between wires.
type Features struct {
	Confirms bool // a receipt for a message is confirmed by the server
	Indexes  bool // lines carry indices
	ClientID bool // the wire echoes Action.ClientID
	LineID   bool // a receipt for a message has the id of the line that comes back
	Resumes  bool // the driver is a chat.Resumer
	Wakes    bool // connections are chat.Wakers

	// Capabilities is what can be done in a new chat. With Files the Server is a [FileServer], with ReadMarks a
	// [ReadServer], with Replies a [ContentServer].
	Capabilities chat.Capabilities
	// ChangesCapabilities: they may change; the Server is a [CapabilityServer].
	ChangesCapabilities bool
	// Holes: the Server is a [HoleServer].
	Holes bool
	// Disorder is how long the driver waits for lines that were overtaken; 0 where lines cannot overtake one
	// another. Otherwise the Server is a [DisorderServer].
	Disorder time.Duration
	// Authorizes: drivers carry a chat.Authorization; the Server is an [AuthServer].
	Authorizes bool
}

// Server is the far side: a chat server with a desk of agents, and the network to it. A chat is
// named by the ID of its session. All methods are called from the case's goroutine, and what they do
// has happened when they return.
type Server interface {
	// Driver returns a new driver that talks to this server. Its requests time out after [Timeout].
	Driver() chat.Driver

	// The desk.
	AgentJoin(chatID, name string)
	AgentSay(chatID, name, text string)
	AgentTyping(chatID, name string, on bool)
	AgentLeave(chatID, name string)
	// EndChat ends the chat from the server's side.
	EndChat(chatID string)

	// What the server knows.
	Chats() int                          // chats started so far
	VisitorLines(chatID string) []string // texts of the visitor's messages, in transcript order
	VisitorTyping(chatID string) bool    // whether the visitor is seen typing
	UserData(chatID string) map[string]string
	Notices(chatID string) []string // texts of the visitor's custom notices
	Ended(chatID string) bool

	// Faults.
	Partition()                 // cut every connection, refuse new ones, until Heal
	Heal()                      // end Partition
	LoseAnswer()                // do the visitor's next request that is no poll, and cut before answering it
	Refuse(code, advice string) // refuse the visitor's next request that is no poll, with this error
	Delay(d time.Duration)      // take this long to answer each request that is no poll

	// Close ends everything that New started, and waits for it.
	Close()
}

// FileServer is a Server that has files. Its limits allow files of type txt of up to 1,000 bytes, three of
// them.
type FileServer interface {
	Server
	// AgentFile gives the visitor a file and returns its id.
	AgentFile(chatID, name, fileName, contentType string, data []byte) string
	// Files are the visitor's files that were accepted and not deleted, in order.
	Files(chatID string) []File
}

// File is a file that a server has.
type File struct {
	ID, Name, ContentType string
	Data                  []byte
	Description           string
}

// ReadServer is a Server that knows how far the visitor has read.
type ReadServer interface {
	Server
	// Read is the number of the last line that the visitor has read, counted from 1; 0 for none.
	Read(chatID string) int64
}

// HoleServer is a Server that can leave out lines. The lines are those that are said next, one directly after the other.
type HoleServer interface {
	Server
	// Withhold leaves the next n lines out where they would be given first. Whoever asks for them gets them.
	Withhold(chatID string, n int)
	// Forget loses the next n lines for good, though others come behind them.
	Forget(chatID string, n int)
}

// DisorderServer is a Server whose lines may overtake one another.
type DisorderServer interface {
	Server
	// Hold lets the next n lines arrive only after d.
	Hold(chatID string, n int, d time.Duration)
}

// ContentServer is a Server that has structured content.
type ContentServer interface {
	Server
	// AgentOffer sends a line of an agent with structured content.
	AgentOffer(chatID, name, text string, content *chat.Content)
	// Replies are the visitor's answers to such content, in order.
	Replies(chatID string) []chat.Reply
}

// CapabilityServer is a Server that can change what can be done in a chat.
type CapabilityServer interface {
	Server
	// AllowFiles says whether files can be sent from now on.
	AllowFiles(chatID string, allowed bool)
}

// AuthServer is a Server that asks for credentials when it is told to.
type AuthServer interface {
	Server
	// Demand makes the server answer HTTP 401 to every request that does not have this value in
	// its header Authorization; "" ends that.
	Demand(authorization string)
	// AuthorizedDriver is Driver with credentials.
	AuthorizedDriver(a *chat.Authorization) chat.Driver
}

// Timeout is the request time-out of the drivers under test.
const Timeout = 3 * time.Second
