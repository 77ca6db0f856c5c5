package chatsim

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"
)

// Face is one wire of a [Server]: it takes the requests of that wire's clients, carries out what they ask for on the
// server's chats, and tells them what happens there. A face belongs to one server at a time. The faces of this module are in the
// packages below this one.
//
// Methods are called in this order: Open in [New]; then the others, from any goroutine and at the same time; Close
// as the last. After Close the face may be given to another server: Open begins anew. Name, BaseURLs and RandomFault
// work before Open too. A face keeps what it knows of one chat in the chat ([Tx.Value]), so that it is forgotten with it.
type Face interface {
	// Name names the face among those of its server: "gms".
	Name() string
	// Open registers the handlers of the wire. Each handler answers through [Host.Exchange], so that requests
	// are logged and faults apply. The face may keep h, and uses it for all that it does. It may start
	// goroutines, which Close ends.
	Open(h *Host, mux *http.ServeMux)
	// BaseURLs returns the addresses that clients are configured with if the server is reached at
	// hostport. The keys are those of [Server.BaseURLs]; no two faces share one.
	BaseURLs(hostport string) map[string]string
	// RandomFault returns a fault of the kind that this wire suffers in practice, for one request of any
	// operation. It sets Fault.Wire. The same state of rng gives the same fault. A careful client
	// survives it with all lines.
	RandomFault(rng *rand.Rand) Fault
	// Changed tells the face that a chat has changed: events, attached data, the end. It is called for every
	// chat, also for those of other wires, with the chat locked: it takes what it needs from tx, queues
	// it for its clients, and returns. It does not wait and does not call methods of [Chat].
	// It may change the chat through tx; then it is called again.
	Changed(tx *Tx)
	// Restart tells the face that the server process has been replaced, as [Server.Restart] says: connections
	// are broken and sessions forgotten. With memory the chats go on.
	Restart(memory bool)
	// Close ends what Open and the handlers started, and waits for it. The host's context is done before.
	Close()
}

// openFaces lets the faces register their handlers.
func (s *Server) openFaces() http.Handler {
	mux := http.NewServeMux()
	names := map[string]bool{}
	for _, f := range s.opts.Faces {
		if names[f.Name()] {
			panic("chatsim: two faces have the name " + f.Name())
		}
		names[f.Name()] = true
		f.Open(&Host{s}, mux)
	}
	return oneSlash(s.limitBody(mux))
}

// FaceOf returns the face of type F that a server has, and whether there is one. The packages of the faces use it
// for functions such as gmssim.Of.
func FaceOf[F Face](s *Server) (F, bool) {
	for _, f := range s.opts.Faces {
		if f, ok := f.(F); ok {
			return f, true
		}
	}
	var none F
	return none, false
}

// Host is the server as its faces see it. Safe for concurrent use.
type Host struct {
	server *Server
}

// Server returns the server itself.
func (h *Host) Server() *Server { return h.server }

// Options returns the options of the server, with their defaults filled in. They are not to be changed.
func (h *Host) Options() *Options { return &h.server.opts }

// Context is done when the server is closed.
func (h *Host) Context() context.Context { return h.server.ctx }

// Enter starts a chat, with the visitor in it, and lets the script in. It returns [ErrClosed] once the server
// is closed.
func (h *Host) Enter(e Entry) (*Chat, error) { return h.server.enter(e) }

// ByToken returns the chat that has this token, see [Entry].
func (h *Host) ByToken(token string) (*Chat, bool) {
	s := h.server
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.tokens[token]
	return c, ok
}

// TakeFault returns the fault for a request, or nil.
func (h *Host) TakeFault(r Request) *Fault { return h.server.faults.take(r) }

// Log notes a request, for [Server.Requests].
func (h *Host) Log(r Request) { h.server.log.add(r) }

// Later runs f in a goroutine once d has passed, unless the server is closed before. Close waits for it.
func (h *Host) Later(d time.Duration, f func()) { h.server.later(d, f) }

// Random returns n random characters of an alphabet. With Options.Seed they are the same in each run.
func (h *Host) Random(alphabet string, n int) string { return h.server.keys.pick(alphabet, n) }

// RandomBytes fills b. With Options.Seed the bytes are the same in each run.
func (h *Host) RandomBytes(b []byte) { h.server.keys.fill(b) }

// Entry is how a visitor comes into a chat.
type Entry struct {
	// Service is what the visitor asked for: a chat service, a queue, a deployment.
	Service string
	// Visitor is what he said of himself. Nickname is the name that he goes by in the chat, if it differs from
	// Visitor.Nickname.
	Visitor  Visitor
	Nickname string
	// UserData is the attached data. The chat takes the map over.
	UserData map[string]string
	// Token, if set, is the secret that lets clients into this chat. [Host.ByToken] finds the chat by it.
	Token string
	// Async says that it is a long-lived chat, which has no silence limit and does not end with its agent.
	Async bool
	// Index decides the index of each event. nil: an event that the visitor does not see is Withheld, every
	// other one is Numbered. It is called with the chat locked.
	Index func(e Event) Indexing
	// Prepare, if set, is called with the chat locked before anybody can find the chat.
	Prepare func(tx *Tx)
}

// Indexing says what an event means for the index of events.
type Indexing int

// What there is. The index of a Numbered event is one higher than the highest before.
const (
	Numbered   Indexing = iota
	Unnumbered          // the visitor gets it, without an index
	Withheld            // the visitor does not get it
	Skipped             // the visitor does not get it, and it uses an index up
)
