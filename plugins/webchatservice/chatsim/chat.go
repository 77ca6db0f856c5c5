package chatsim

import (
	"context"
	"errors"
	"io"
	"maps"
	"time"
)

// ErrEnded is returned by the methods of [Chat] and [Seat] once the chat has
// ended.
var ErrEnded = errors.New("chatsim: chat has ended")

// ErrLeft is returned by the methods of [Seat] once its participant has left.
var ErrLeft = errors.New("chatsim: participant has left the chat")

// EndReason says what ended a chat.
type EndReason string

// The ways a chat ends.
const (
	EndedByVisitor EndReason = "visitor" // disconnect
	EndedByAgent   EndReason = "agent"   // Seat.End, or the last agent left
	EndedBySilence EndReason = "silence" // no request for Options.SilenceLimit
	EndedByIdle    EndReason = "idle"    // no activity for IdleAlert and IdleClose
	EndedByBadKey  EndReason = "key"     // put out for a wrong key
	EndedByServer  EndReason = "server"  // Chat.End, a fault, a restart without memory
)

// Chat is one conversation on a [Server]: who is in it, what was said, and a
// way to take part. Safe for concurrent use.
type Chat struct {
	server *Server
	seq    int // order of start, guarded by server.mu until published

	id, token string
	service   string
	started   time.Time
	form      Visitor
	async     bool
	index     func(Event) Indexing

	ctx    context.Context // ends with the chat
	cancel context.CancelFunc

	mu        chatLock
	dirty     bool          // the faces are to be told
	changed   chan struct{} // closed at the next change, nil while nobody waits
	all       []*event      // everything, hidden and unnumbered too, in order
	shown     []*event      // what the visitor can ask for by position, by rising index
	last      int           // highest index given
	visitor   *party
	parties   []*party
	userData  map[string]string
	readUpTo  int
	putOut    bool // the visitor was put out: silence, bad key
	ended     bool
	reason    EndReason
	silence   *time.Timer
	idle      *time.Timer
	idleUntil time.Time // when the chat closes, after an idle alert
	files     []*storedFile

	connections int         // of the visitor, that live
	values      map[any]any // of the faces
}

// Visitor is what a visitor gave with the start of a chat.
type Visitor struct {
	Nickname, FirstName, LastName, Email, Subject string
}

// Snapshot is the state of a chat at one moment. It shares nothing with the
// chat but the bytes of files.
type Snapshot struct {
	ID      string
	Service string
	Visitor Visitor
	// UserData is what start and updateData gave, merged.
	UserData map[string]string
	// Events is the transcript with what the visitor does not see.
	Events []Event
	// Parties is everybody who ever joined, in that order.
	Parties []Party
	// Preview is what the visitor has typed and not sent, as far as told.
	Preview string
	// Typing says that the visitor's last word about it was startTyping.
	Typing bool
	// ReadUpTo is the position of the last read receipt, 0 without one.
	ReadUpTo int
	// Async says that it is a long-lived chat (wire-gms C).
	Async bool
	Files []File
	// Started is when it began.
	Started time.Time
	// Ended says that it is over, and Reason why.
	Ended  bool
	Reason EndReason
}

// ID returns the chat's id on the wire.
func (c *Chat) ID() string { return c.id }

// Service returns what the visitor asked for: a chat service, a queue, a deployment.
func (c *Chat) Service() string { return c.service }

// Done is closed when the chat ends or the server is closed.
func (c *Chat) Done() <-chan struct{} { return c.ctx.Done() }

// Snapshot returns the state of the chat.
func (c *Chat) Snapshot() Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Snapshot{
		ID: c.id, Service: c.service, Visitor: c.form, UserData: maps.Clone(c.userData),
		Preview: c.visitor.preview, Typing: c.visitor.typing, ReadUpTo: c.readUpTo, Async: c.async,
		Files: c.listFiles(), Started: c.started, Ended: c.ended, Reason: c.reason,
	}
	for _, e := range c.all {
		s.Events = append(s.Events, e.export())
	}
	for _, p := range c.parties {
		s.Parties = append(s.Parties, p.export())
	}
	return s
}

// Lines returns the texts of the messages of the given kind of participant, in
// order: Lines(chatsim.Client) is what the server accepted from the visitor.
func (s Snapshot) Lines(from PartyType) []string {
	var lines []string
	for _, e := range s.Events {
		if e.Type == Message && e.From.Type == from && !e.Hidden {
			lines = append(lines, e.Text)
		}
	}
	return lines
}

// Next waits for the event after the first n ones, hidden and unnumbered ones
// included, and returns it: Next(ctx, 0) is the visitor's joining, Next(ctx, 1)
// what came then. After the last event of an ended chat it returns io.EOF, and
// [ErrClosed] once the server is closed.
func (c *Chat) Next(ctx context.Context, n int) (Event, error) {
	for {
		c.mu.Lock()
		if n < len(c.all) {
			e := c.all[n].export()
			c.mu.Unlock()
			return e, nil
		}
		ended, wait := c.ended, c.waitLocked()
		c.mu.Unlock()
		if ended {
			return Event{}, io.EOF
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return Event{}, ctx.Err()
		case <-c.server.ctx.Done():
			return Event{}, ErrClosed
		}
	}
}

// Changed returns a channel that is closed at the next change of the chat: an
// event, user data, what the visitor has typed and not sent, the end. To miss
// nothing, call it before looking.
func (c *Chat) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waitLocked()
}

// WaitLine waits until the visitor has sent a message with this text and
// returns the first one. Its errors are those of Next.
func (c *Chat) WaitLine(ctx context.Context, text string) (Event, error) {
	for n := 0; ; n++ {
		e, err := c.Next(ctx, n)
		if err != nil {
			return Event{}, err
		}
		if e.Type == Message && e.From.Type == Client && e.Text == text {
			return e, nil
		}
	}
}

// End ends the chat as the server does it when it is shut down: everybody is
// out.
func (c *Chat) End() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endLocked(EndedByServer)
}

// Forget removes the event with this index from the server's memory, so that
// the transcript has a hole that nothing fills. It reports whether there was
// one.
func (c *Chat) Forget(index int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, e := range c.shown {
		if e.index == index {
			c.shown = append(c.shown[:i:i], c.shown[i+1:]...)
			return true
		}
	}
	return false
}

// TakeOver has another server take the chat over that lacks the last events: so many of those that the visitor sees, and what
// came behind them. It gives their indices anew, to what comes next. Snapshots show both.
func (c *Chat) TakeOver(lost int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := max(len(c.shown)-lost, 0)
	if first == len(c.shown) {
		return
	}
	c.last = c.shown[first].index - 1
	c.shown = c.shown[:first]
}

// Alert gives the idle alert now, and closes the chat closeIn later unless
// there is activity before.
func (c *Chat) Alert(closeIn time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return ErrEnded
	}
	c.alertLocked(closeIn)
	return nil
}

// addLocked puts an event into the transcript.
func (c *Chat) addLocked(e *event) *event {
	e.time = time.Now()
	switch c.indexingLocked(e) {
	case Withheld:
		e.hidden = true
	case Skipped:
		e.hidden = true
		c.last++
	case Unnumbered:
	default:
		c.last++
		e.index = c.last
		c.shown = append(c.shown, e)
	}
	c.all = append(c.all, e)
	c.wakeLocked()
	return e
}

func (c *Chat) indexingLocked(e *event) Indexing {
	switch {
	case c.index != nil:
		return c.index(e.export())
	case e.hidden:
		return Withheld
	}
	return Numbered
}

func (c *Chat) wakeLocked() {
	c.dirty = true
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

func (c *Chat) waitLocked() <-chan struct{} {
	if c.changed == nil {
		c.changed = make(chan struct{})
	}
	return c.changed
}

// joinLocked brings in a participant. A routing strategy speaks without
// joining: silent makes no event.
func (c *Chat) joinLocked(nickname string, kind PartyType, bot, hidden, silent bool) *party {
	p := &party{nickname: nickname, id: len(c.parties) + 1, kind: kind, bot: bot, hidden: hidden, present: true}
	c.parties = append(c.parties, p)
	if !silent {
		c.addLocked(&event{kind: ParticipantJoined, from: p, hidden: hidden})
	}
	return p
}

func (c *Chat) leaveLocked(p *party) {
	if !p.present {
		return
	}
	p.present, p.typing, p.preview = false, false, ""
	c.addLocked(&event{kind: ParticipantLeft, from: p, hidden: p.hidden})
}

// staffedLocked says whether an agent or supervisor that the visitor sees is
// there.
func (c *Chat) staffedLocked() bool {
	for _, p := range c.parties {
		if p.present && !p.hidden && (p.kind == Agent || p.kind == Supervisor) {
			return true
		}
	}
	return false
}

// endLocked ends the chat. The visitor leaves last, except that a visitor who
// ended it leaves first.
func (c *Chat) endLocked(reason EndReason) {
	if c.ended {
		return
	}
	if reason == EndedByVisitor || reason == EndedBySilence || reason == EndedByBadKey {
		c.leaveLocked(c.visitor)
	}
	for _, p := range c.parties {
		if p != c.visitor && p.kind != External {
			c.leaveLocked(p)
		}
	}
	c.leaveLocked(c.visitor)
	for _, p := range c.parties {
		p.present = false
	}
	c.ended, c.reason = true, reason
	c.stopTimersLocked()
	c.wakeLocked()
	c.cancel()
	c.server.retire(c)
}

func (c *Chat) stopTimersLocked() {
	if c.silence != nil {
		c.silence.Stop()
	}
	if c.idle != nil {
		c.idle.Stop()
	}
}

// heardLocked notes a request of the visitor, which is what keeps him in. A long-lived chat has no such limit.
func (c *Chat) heardLocked() {
	limit := c.server.opts.SilenceLimit
	if limit < 0 || c.async || c.ended {
		return
	}
	if c.silence != nil {
		c.silence.Reset(limit)
		return
	}
	c.silence = time.AfterFunc(limit, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.ended || c.server.ctx.Err() != nil {
			return
		}
		if c.connections > 0 {
			c.silence.Reset(limit)
			return
		}
		c.putOut = true
		c.endLocked(EndedBySilence)
	})
}
