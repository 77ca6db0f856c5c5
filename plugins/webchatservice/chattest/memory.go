package chattest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// Memory is a chat server in memory with a driver that reaches it without a network: the reference
// that the suite is checked against, and a far side for tests of a service. It pushes; it numbers
// lines; it implements [Server]. All methods may be called at once.
type Memory struct {
	opts MemoryOptions

	mu          sync.Mutex // guards everything below
	changed     chan struct{}
	chats       map[string]*memoryChat
	partitioned bool
	cuts        int // partitions so far: a connection compares it to know that it was cut
	loseAnswer  bool
	refuse      *chat.ServerError
	delay       time.Duration
}

// MemoryOptions are the ways in which a Memory can be another kind of wire.
type MemoryOptions struct {
	// Unconfirmed: receipts do not confirm, as on CometD. Only the transcript does.
	Unconfirmed bool
}

// memoryChat is one chat; Memory.mu guards it.
type memoryChat struct {
	session chat.Session
	lines   []chat.Message
	data    map[string]any
	notices []string
	typing  bool
	ended   bool
	endedBy chat.EndReason
	parties map[string]string // name to id
	visitor chat.Party
	status  []int // status codes to give out, one event each
	files   []*memoryFile
	read    int64 // index of the last line that the visitor has read
	// What becomes of the next lines, and what became of lines so far.
	withhold, forget int
	withheld         map[int64]bool // in the transcript, but not given out
	forgotten        map[int64]bool // nowhere any more
}

// NewMemory returns a server with no chats. nil options are the zero ones.
func NewMemory(opts *MemoryOptions) *Memory {
	m := &Memory{changed: make(chan struct{}), chats: make(map[string]*memoryChat)}
	if opts != nil {
		m.opts = *opts
	}
	return m
}

// MemoryFeatures is what the driver of a [NewMemory] with zero options can do.
func MemoryFeatures() Features {
	return Features{
		Confirms: true, Indexes: true, ClientID: true, Resumes: true, Types: true, Updates: true, Notifies: true,
		Files: true, Refetches: true, Pushes: true, Renames: true, MarksRead: true,
	}
}

// Driver returns a driver that talks to this server.
func (m *Memory) Driver() chat.Driver { return &memoryDriver{m: m} }

// Factory returns a factory named "memory" that makes drivers for this server, whatever the
// configuration.
func (m *Memory) Factory() chat.Factory {
	return chat.Factory{
		Name:    "memory",
		Matches: func(chat.Config) bool { return true },
		New:     func(chat.Config, chat.Options) (chat.Driver, error) { return m.Driver(), nil },
	}
}

// wakeLocked tells all who wait that something changed.
func (m *Memory) wakeLocked() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// appendLocked adds a line to the transcript of c.
func (m *Memory) appendLocked(c *memoryChat, msg chat.Message) chat.Message {
	msg.Index, msg.HasIndex = int64(len(c.lines)+1), true
	msg.Time = time.Now().UTC().Truncate(time.Millisecond)
	raw, err := json.Marshal(map[string]any{
		"index": msg.Index, "type": msg.Kind, "text": msg.Text, "messageType": msg.Label, "utcTime": msg.Time.UnixMilli(),
		"from": map[string]any{"nickname": msg.From.Name, "participantId": msg.From.ID, "type": msg.From.Role},
	})
	if err != nil {
		panic(fmt.Sprintf("chattest: a line of plain strings and numbers does not encode: %v", err))
	}
	msg.Raw = raw
	c.lines = append(c.lines, msg)
	switch {
	case c.forget > 0:
		c.forget--
		c.forgotten[msg.Index] = true
	case c.withhold > 0:
		c.withhold--
		c.withheld[msg.Index] = true
	}
	m.wakeLocked()
	return msg
}

// partyLocked returns the party of that name, making it known if it is new.
func (c *memoryChat) partyLocked(name string, role chat.Role) chat.Party {
	id, ok := c.parties[name]
	if !ok {
		id = strconv.Itoa(len(c.parties) + 1)
		c.parties[name] = id
	}
	return chat.Party{ID: id, Role: role, Name: name}
}

func (m *Memory) line(chatID, name string, role chat.Role, kind chat.MessageKind, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c, ok := m.chats[chatID]; ok && !c.ended {
		m.appendLocked(c, chat.Message{Kind: kind, From: c.partyLocked(name, role), Text: text})
	}
}

// AgentJoin lets an agent join. On a chat that is over or unknown the desk's methods do nothing.
func (m *Memory) AgentJoin(chatID, name string) {
	m.line(chatID, name, chat.RoleAgent, chat.KindParticipantJoined, "")
}

// AgentSay sends a line of an agent.
func (m *Memory) AgentSay(chatID, name, text string) {
	m.line(chatID, name, chat.RoleAgent, chat.KindMessage, text)
}

// AgentTyping lets an agent begin or cease to type.
func (m *Memory) AgentTyping(chatID, name string, on bool) {
	kind := chat.KindTypingStopped
	if on {
		kind = chat.KindTypingStarted
	}
	m.line(chatID, name, chat.RoleAgent, kind, "")
}

// AgentLeave lets an agent leave. The chat goes on.
func (m *Memory) AgentLeave(chatID, name string) {
	m.line(chatID, name, chat.RoleAgent, chat.KindParticipantLeft, "")
}

// Say sends a line of any kind and role, for what the other methods do not have.
func (m *Memory) Say(chatID, name string, role chat.Role, kind chat.MessageKind, text string) {
	m.line(chatID, name, role, kind, text)
}

// EndChat ends the chat from the server's side.
func (m *Memory) EndChat(chatID string) { m.EndChatBy(chatID, chat.EndServer) }

// EndChatBy ends the chat for a reason.
func (m *Memory) EndChatBy(chatID string, by chat.EndReason) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c, ok := m.chats[chatID]; ok && !c.ended {
		c.ended, c.endedBy = true, by
		m.wakeLocked()
	}
}

// Status makes the server say statusCode code once to each connection of the chat.
func (m *Memory) Status(chatID string, code int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c, ok := m.chats[chatID]; ok {
		c.status = append(c.status, code)
		m.wakeLocked()
	}
}

// Withhold keeps the next n lines of the chat from Receive: the transcript has them, and Refetch and Resume
// bring them.
func (m *Memory) Withhold(chatID string, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c, ok := m.chats[chatID]; ok {
		c.withhold = n
	}
}

// Forget loses the next n lines of the chat for good: they have indices, and nothing brings them.
func (m *Memory) Forget(chatID string, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c, ok := m.chats[chatID]; ok {
		c.forget = n
	}
}

// ChangeAlias gives the chat another alias, as a fail-over of the server does.
func (m *Memory) ChangeAlias(chatID, alias string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c, ok := m.chats[chatID]; ok {
		c.session.Alias = alias
		m.wakeLocked()
	}
}

// Chats returns how many chats were started so far.
func (m *Memory) Chats() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.chats)
}

// VisitorLines returns the visitor's messages, in order.
func (m *Memory) VisitorLines(chatID string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var texts []string
	if c, ok := m.chats[chatID]; ok {
		for _, l := range c.lines {
			if l.Kind == chat.KindMessage && l.From.Role == chat.RoleClient {
				texts = append(texts, l.Text)
			}
		}
	}
	return texts
}

// VisitorTyping reports whether the visitor is seen typing.
func (m *Memory) VisitorTyping(chatID string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.chats[chatID]
	return ok && c.typing
}

// UserData returns what is attached to the chat, as text.
func (m *Memory) UserData(chatID string) map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	data := make(map[string]string)
	if c, ok := m.chats[chatID]; ok {
		for k, v := range c.data {
			data[k] = fmt.Sprint(v)
		}
	}
	return data
}

// Notices returns the visitor's custom notices, in order.
func (m *Memory) Notices(chatID string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c, ok := m.chats[chatID]; ok {
		return slices.Clone(c.notices)
	}
	return nil
}

// Ended reports whether the chat is over.
func (m *Memory) Ended(chatID string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.chats[chatID]
	return ok && c.ended
}

// Partition cuts every connection and refuses new ones, until Heal.
func (m *Memory) Partition() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.partitioned = true
	m.cuts++
	m.wakeLocked()
}

// Heal ends Partition.
func (m *Memory) Heal() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.partitioned = false
	m.wakeLocked()
}

// LoseAnswer does the next request and loses the answer.
func (m *Memory) LoseAnswer() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.loseAnswer = true
}

// Refuse refuses the next request with this error.
func (m *Memory) Refuse(code, advice string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refuse = &chat.ServerError{Code: code, Advice: advice}
}

// Delay makes each request take d.
func (m *Memory) Delay(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.delay = d
}

// Close does nothing: a Memory starts no goroutines.
func (m *Memory) Close() {}

var (
	_ Server     = (*Memory)(nil)
	_ FileServer = (*Memory)(nil)
	_ ReadServer = (*Memory)(nil)
)
