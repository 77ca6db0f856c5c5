package chatsim

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
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

// Tx is a chat while it is locked, as faces work on it: all that is done in one Tx happens at once for everybody else.
// It is valid until the function that got it returns. The visitor's doings are methods of Tx; those of
// agents are methods of [Seat].
type Tx struct {
	chat *Chat
}

// Update calls f with the chat locked. What f adds to the chat is then told to the faces, see [Face]. f must not wait, and
// must not call methods of Chat, Seat or Server that look at this chat.
func (c *Chat) Update(f func(tx *Tx)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&Tx{c})
}

// Chat returns the chat.
func (tx *Tx) Chat() *Chat { return tx.chat }

// Value returns what SetValue has put under the key, nil if nothing. Keys are compared as those of a context are: use a
// type of one's own.
func (tx *Tx) Value(key any) any { return tx.chat.values[key] }

// SetValue keeps a value with the chat.
func (tx *Tx) SetValue(key, value any) {
	if tx.chat.values == nil {
		tx.chat.values = map[any]any{}
	}
	tx.chat.values[key] = value
}

// Ended reports whether the chat is over. PutOut reports whether the server has put the visitor out.
func (tx *Tx) Ended() bool  { return tx.chat.ended }
func (tx *Tx) PutOut() bool { return tx.chat.putOut }

// Visitor returns the visitor as a participant.
func (tx *Tx) Visitor() Party { return tx.chat.visitor.export() }

// Async reports whether it is a long-lived chat.
func (tx *Tx) Async() bool { return tx.chat.async }

// Staffed reports whether an agent or supervisor that the visitor sees is there.
func (tx *Tx) Staffed() bool { return tx.chat.staffedLocked() }

// ClosesIn returns the time to the end of the chat after an idle alert; false without one.
func (tx *Tx) ClosesIn() (time.Duration, bool) {
	c := tx.chat
	if c.ended || c.idleUntil.IsZero() {
		return 0, false
	}
	return time.Until(c.idleUntil), true
}

// Len returns how many events there are, hidden ones included. After returns those that came after the first n.
func (tx *Tx) Len() int            { return len(tx.chat.all) }
func (tx *Tx) After(n int) []Event { return export(tx.chat.all[n:]) }

// LastIndex returns the highest index given. FromIndex returns the numbered events from an index on, in order,
// without those that [Chat.Forget] removed.
func (tx *Tx) LastIndex() int { return tx.chat.last }
func (tx *Tx) FromIndex(index int) []Event {
	shown := tx.chat.shown
	i := len(shown)
	for i > 0 && shown[i-1].index >= index {
		i--
	}
	return export(shown[i:])
}

// Heard notes a sign of life of the visitor, which starts the silence limit again.
func (tx *Tx) Heard() { tx.chat.heardLocked() }

// Connected notes a connection of the visitor that lives: while there is one he is not silent. Disconnected notes
// its end.
func (tx *Tx) Connected() { tx.chat.connections++ }

// Disconnected notes the end of a connection. With the last one the silence limit starts.
func (tx *Tx) Disconnected() {
	if tx.chat.connections--; tx.chat.connections == 0 {
		tx.chat.heardLocked()
	}
}

// Active notes that there is activity in the chat, which starts the idle times again.
func (tx *Tx) Active() { tx.chat.activeLocked() }

// Add adds an event of the visitor: of e count Type, Text, MessageType, Content, UserData and Attributes, which the
// chat takes over. A line or an address is activity; a line ends the visitor's typing.
func (tx *Tx) Add(e Event) {
	c := tx.chat
	switch e.Type {
	case Message:
		c.visitor.typing, c.visitor.preview = false, ""
		c.activeLocked()
	case PushURL:
		c.activeLocked()
	case TypingStarted, TypingStopped:
		c.visitor.typing, c.visitor.preview = e.Type == TypingStarted, e.Text
	}
	c.addLocked(&event{
		kind: e.Type, from: c.visitor, text: e.Text, format: e.MessageType, content: e.Content,
		userData: e.UserData, attributes: e.Attributes,
	})
}

// Preview notes what the visitor has typed and not sent.
func (tx *Tx) Preview(text string) {
	if c := tx.chat; !c.ended && c.visitor.preview != text {
		c.visitor.preview = text
		c.wakeLocked()
	}
}

// Rename changes the visitor's nickname.
func (tx *Tx) Rename(nickname string) {
	tx.chat.visitor.nickname = nickname
	tx.chat.addLocked(&event{kind: NicknameUpdated, from: tx.chat.visitor})
}

// Attach merges attached data.
func (tx *Tx) Attach(userData map[string]string) {
	if len(userData) == 0 {
		return
	}
	c := tx.chat
	if c.userData == nil {
		c.userData = map[string]string{}
	}
	for key, value := range userData {
		c.userData[key] = value
	}
	c.wakeLocked()
}

// Read notes that the visitor has read up to an index.
func (tx *Tx) Read(index int) {
	tx.chat.readUpTo = max(tx.chat.readUpTo, index)
	tx.chat.wakeLocked()
}

// End ends the chat.
func (tx *Tx) End(reason EndReason) {
	if reason == EndedByBadKey && !tx.chat.ended {
		tx.chat.putOut = true
	}
	tx.chat.endLocked(reason)
}

// Upload gives the visitor's file to everybody. Of f count Name, ContentType, Data and UserData, which the chat takes over.
func (tx *Tx) Upload(f File) File {
	tx.chat.activeLocked()
	return tx.chat.storeLocked(tx.chat.visitor, f).File
}

// File returns a file that has not been deleted. Its data are not to be changed.
func (tx *Tx) File(id string) (File, bool) {
	if f := tx.chat.findFile(id); f != nil {
		return f.File, true
	}
	return File{}, false
}

// DeleteFile deletes a file of the visitor's own. It reports whether there was one.
func (tx *Tx) DeleteFile(id string) bool {
	f := tx.chat.findFile(id)
	if f == nil || f.from != tx.chat.visitor {
		return false
	}
	tx.chat.deleteFileLocked(tx.chat.visitor, f)
	return true
}

// chatLock guards a chat. When it is given back, the faces are told of what has changed meanwhile.
type chatLock struct {
	sync.Mutex
	chat *Chat
}

func (l *chatLock) Unlock() {
	for c := l.chat; c.dirty; {
		c.dirty = false
		for _, f := range c.server.opts.Faces {
			f.Changed(&Tx{c})
		}
	}
	l.Mutex.Unlock()
}
