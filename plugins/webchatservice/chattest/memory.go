package chattest

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// Memory is a chat server in memory with a driver that reaches it without a network: the reference
// that the suite is checked against, and a far side for tests of a service. It pushes; its options make it wires of
// different kinds. It implements [Server] and the interfaces that extend that, except [AuthServer]. All methods may be
// called at once.
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
	// Unconfirmed: receipts do not confirm. Only the transcript does.
	Unconfirmed bool
	// IDs: lines are named, and have no numbers.
	IDs bool
	// Echo: receipts for messages have the id of the line that comes back.
	Echo bool
	// Window is how long the driver holds lines back that overtook others, to give them out in order. 0 means that it
	// gives out each line as it arrives.
	Window time.Duration
	// Content: lines may have structured content, which can be answered.
	Content bool
}

// memoryChat is one chat; Memory.mu guards it.
type memoryChat struct {
	session chat.Session
	caps    chat.Capabilities
	lines   []memoryLine
	numbers map[string]int64 // of lines, by their ids
	data    map[string]any
	notices []string
	replies []chat.Reply
	typing  bool
	ended   bool
	endedBy chat.EndReason
	parties map[string]string // name to id
	visitor chat.Party
	signs   []bool // whether the server is available, to be told: one event each
	files   []*memoryFile
	read    int64 // number of the last line that the visitor has read
	resets  int   // of the idle timer
	// What becomes of the next lines.
	withhold, forget, hold int
	held                   time.Duration
}

// NewMemory returns a server with no chats. nil options are the zero ones.
func NewMemory(opts *MemoryOptions) *Memory {
	m := &Memory{changed: make(chan struct{}), chats: make(map[string]*memoryChat)}
	if opts != nil {
		m.opts = *opts
	}
	return m
}

// MemoryFeatures is what the driver of a [NewMemory] with these options can do. nil options are the zero ones.
func MemoryFeatures(opts *MemoryOptions) Features {
	m := NewMemory(opts)
	return Features{
		Confirms: !m.opts.Unconfirmed, Indexes: !m.opts.IDs, ClientID: true, LineID: m.opts.Echo, Resumes: true,
		Capabilities: m.capabilities(), Holes: true, Disorder: m.opts.Window, ChangesCapabilities: true,
	}
}

// capabilities is what can be done in a new chat.
func (m *Memory) capabilities() chat.Capabilities {
	c := chat.Capabilities{
		Files: true, History: true, Refetch: true, Typing: true, UserData: true, Notices: true, URLs: true, Nicknames: true,
		ReadMarks: true, IdleReset: true,
	}
	if m.opts.Content {
		c.Replies = []chat.ReplyKind{chat.ReplyCard, chat.ReplyDatePicker, chat.ReplyForm, chat.ReplyListPicker, chat.ReplyQuickReply}
	}
	return c
}

// Driver returns a driver that talks to this server.
func (m *Memory) Driver() chat.Driver { return &memoryDriver{m: m} }

// wakeLocked tells all who wait that something changed.
func (m *Memory) wakeLocked() {
	close(m.changed)
	m.changed = make(chan struct{})
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

// Unavailable makes the server say once to each connection of the chat that it is not available, or that it is.
func (m *Memory) Unavailable(chatID string, yes bool) {
	m.change(chatID, func(c *memoryChat) { c.signs = append(c.signs, yes) })
}

// ChangeAlias gives the chat another alias, as a fail-over of the server does.
func (m *Memory) ChangeAlias(chatID, alias string) {
	m.change(chatID, func(c *memoryChat) { c.session.Alias = alias })
}

// AllowFiles implements [CapabilityServer].
func (m *Memory) AllowFiles(chatID string, allowed bool) {
	m.change(chatID, func(c *memoryChat) { c.caps.Files = allowed })
}

// SetCapabilities changes what can be done in the chat.
func (m *Memory) SetCapabilities(chatID string, change func(*chat.Capabilities)) {
	m.change(chatID, func(c *memoryChat) { change(&c.caps) })
}

// change changes a chat and tells its connections. Of one that is unknown it changes nothing.
func (m *Memory) change(chatID string, f func(c *memoryChat)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c, ok := m.chats[chatID]; ok {
		f(c)
		m.wakeLocked()
	}
}

// Replies returns the visitor's answers to structured content, in order.
func (m *Memory) Replies(chatID string) []chat.Reply {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c, ok := m.chats[chatID]; ok {
		return slices.Clone(c.replies)
	}
	return nil
}

// IdleResets returns how often the visitor's side has stopped the idle timer.
func (m *Memory) IdleResets(chatID string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c, ok := m.chats[chatID]; ok {
		return c.resets
	}
	return 0
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
	_ HoleServer = (*Memory)(nil)

	_ DisorderServer   = (*Memory)(nil)
	_ ContentServer    = (*Memory)(nil)
	_ CapabilityServer = (*Memory)(nil)
)
