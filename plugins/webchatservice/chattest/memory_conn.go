package chattest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"sync"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

type memoryDriver struct{ m *Memory }

// Open implements [chat.Driver].
func (d *memoryDriver) Open(ctx context.Context, r chat.Request) (chat.Conn, error) {
	var c *memoryChat
	_, err := d.m.request(ctx, nil, "open", func() {
		n := len(d.m.chats) + 1
		c = &memoryChat{
			session: chat.Session{
				ID: fmt.Sprintf("chat-%d", n), UserID: fmt.Sprintf("user-%d", n), Alias: "1",
				SecureKey: chat.NewSecret(fmt.Sprintf("memory-secure-key-%d", n)),
				Refresh:   chat.NewSecret(fmt.Sprintf("memory-refresh-key-%d", n)),
				Expires:   time.UnixMilli(time.Now().Add(24 * time.Hour).UnixMilli()).UTC(),
			},
			caps: d.m.capabilities(), numbers: make(map[string]int64),
			data: maps.Clone(r.UserData), parties: make(map[string]string),
		}
		if c.data == nil {
			c.data = make(map[string]any)
		}
		name := r.Nickname
		if name == "" {
			name = r.FirstName + " " + r.LastName
		}
		d.m.chats[c.session.ID] = c
		c.visitor = c.partyLocked(name, chat.RoleClient)
		d.m.appendLocked(c, chat.Message{Kind: chat.KindParticipantJoined, From: c.visitor, Own: true})
	})
	if err != nil {
		return nil, err
	}
	return newMemoryConn(d.m, c, 1, 0), nil
}

// Resume implements [chat.Resumer].
func (d *memoryDriver) Resume(ctx context.Context, r chat.ResumeRequest) (chat.Conn, error) {
	d.m.mu.Lock()
	c, ok := d.m.chats[r.Session.ID]
	known := ok && c.session.SecureKey == r.Session.SecureKey
	d.m.mu.Unlock()
	if !known {
		c = &memoryChat{ended: true}
	}
	if _, err := d.m.request(ctx, c, "resume", func() {}); err != nil {
		return nil, err
	}
	d.m.mu.Lock()
	from, read := c.numberLocked(r.From), c.numberLocked(r.Known)
	if r.Tail > 0 {
		if from = max(int64(len(c.lines)-r.Tail), 0); read > 0 {
			from = min(from, read)
		}
	}
	d.m.mu.Unlock()
	return newMemoryConn(d.m, c, from+1, read), nil
}

// request carries out one request: it waits, fails as it was told to, and calls do, with m.mu held, at
// the moment when the server accepts it. c is nil for a request that starts a chat.
func (m *Memory) request(ctx context.Context, c *memoryChat, op string, do func()) (chat.Receipt, error) {
	m.mu.Lock()
	delay, cuts := m.delay, m.cuts
	if err := ctx.Err(); err != nil {
		m.mu.Unlock()
		return chat.Receipt{}, &chat.Error{Outcome: chat.NotSent, Code: chat.CodeCanceled, Op: op, Text: "given up before it was sent", Err: err}
	}
	if m.partitioned {
		m.mu.Unlock()
		return chat.Receipt{}, &chat.Error{Outcome: chat.NotSent, Code: chat.CodeNetwork, Op: op, Text: "network is down"}
	}
	if delay > 0 {
		m.mu.Unlock()
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return chat.Receipt{}, &chat.Error{Code: chat.CodeCanceled, Op: op, Text: "given up while waiting for the answer", Err: ctx.Err()}
		}
		m.mu.Lock()
	}
	defer m.mu.Unlock()
	lost := m.loseAnswer
	m.loseAnswer = false
	refused := m.refuse
	m.refuse = nil
	switch {
	case m.cuts != cuts:
		return chat.Receipt{}, &chat.Error{Code: chat.CodeNetwork, Op: op, Text: "connection broke before the answer"}
	case c != nil && c.ended:
		return chat.Receipt{}, &chat.Error{Outcome: chat.Gone, Code: chat.CodeEnded, Op: op, Text: "the chat is over"}
	case refused != nil:
		return chat.Receipt{}, &chat.Error{
			Outcome: chat.Rejected, Code: chat.CodeRefused, Op: op,
			Text: "server refused: code " + refused.Code, Errors: []chat.ServerError{*refused},
		}
	}
	do()
	if lost {
		return chat.Receipt{}, &chat.Error{Code: chat.CodeNetwork, Op: op, Text: "connection broke before the answer"}
	}
	return chat.Receipt{Confirmed: !m.opts.Unconfirmed, Answer: chat.JSON(`{"statusCode":0}`)}, nil
}

// memoryConn is a chat.Conn on a Memory.
type memoryConn struct {
	m    *Memory
	c    *memoryChat
	turn chan struct{} // holds one token: the right to make a request
	life context.Context
	stop context.CancelFunc
	once sync.Once

	// Guarded by m.mu.
	reader  memoryReader
	read    chat.Position // where the reader stands as of the last event
	signs   int           // signs of the server given out
	session chat.Session
	caps    chat.Capabilities
	cuts    int  // m.cuts when the connection was whole
	first   bool // nothing was given out yet
	over    bool // the end was given out
}

// newMemoryConn returns a connection whose lines begin at that number.
func newMemoryConn(m *Memory, c *memoryChat, first, known int64) *memoryConn {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := &memoryConn{
		m: m, c: c, turn: make(chan struct{}, 1), session: c.session, caps: c.caps, cuts: m.cuts, first: true, signs: len(c.signs),
		reader: memoryReader{
			m: m, c: c, first: first, known: known, live: int64(len(c.lines) + 1), low: first, high: first - 1, given: make(map[int64]bool),
		},
	}
	k.read = k.reader.position()
	k.life, k.stop = context.WithCancel(context.Background())
	return k
}

// request takes its turn and makes one request under ctx and the connection's life, if the chat can have it.
func (k *memoryConn) request(ctx context.Context, op string, can func(chat.Capabilities) bool, do func()) (chat.Receipt, error) {
	if !can(k.Capabilities()) {
		return chat.Receipt{}, chat.Unsupported(op)
	}
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return chat.Receipt{}, &chat.Error{Outcome: chat.NotSent, Code: chat.CodeCanceled, Op: op, Text: "given up before it was sent", Err: ctx.Err()}
	case <-k.life.Done():
		return chat.Receipt{}, closedError(op)
	}
	if k.life.Err() != nil {
		return chat.Receipt{}, closedError(op)
	}
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	defer context.AfterFunc(k.life, cancel)()
	receipt, err := k.m.request(ctx, k.c, op, do)
	if err != nil && k.life.Err() != nil {
		return receipt, &chat.Error{Outcome: chat.OutcomeOf(err), Code: chat.CodeClosed, Op: op, Text: "connection was closed", Err: err}
	}
	return receipt, err
}

func closedError(op string) error {
	return &chat.Error{Outcome: chat.NotSent, Code: chat.CodeClosed, Op: op, Text: "connection was closed"}
}

// ownLocked returns the visitor's party.
func (k *memoryConn) ownLocked() chat.Party { return k.c.visitor }

// Send implements [chat.Conn].
func (k *memoryConn) Send(ctx context.Context, a chat.Action) (chat.Receipt, error) {
	switch a.Kind {
	case chat.ActionMessage:
		label := a.MessageType
		if label == "" {
			label = "text"
		}
		id := ""
		can := func(c chat.Capabilities) bool { return a.Reply == nil || c.CanReply(a.Reply.Kind) }
		receipt, err := k.request(ctx, "send", can, func() {
			k.c.typing = false
			if a.Reply != nil {
				k.c.replies = append(k.c.replies, *a.Reply)
			}
			id = k.m.appendLocked(k.c, chat.Message{
				Kind: chat.KindMessage, From: k.ownLocked(), Own: true, Text: a.Text, Label: label, ClientID: a.ClientID,
			}).ID
		})
		if err == nil && k.m.opts.Echo {
			receipt.ID = id
		}
		return receipt, err
	case chat.ActionEnd:
		return k.request(ctx, "end", always, func() {
			k.m.appendLocked(k.c, chat.Message{Kind: chat.KindParticipantLeft, From: k.ownLocked(), Own: true})
			k.c.ended, k.c.endedBy = true, chat.EndVisitor
		})
	}
	return chat.Receipt{}, &chat.Error{Outcome: chat.NotSent, Code: chat.CodeInvalid, Op: "send", Text: fmt.Sprintf("unknown action %d", a.Kind)}
}

// Typing implements [chat.Typer].
func (k *memoryConn) Typing(ctx context.Context, on bool, preview string) (chat.Receipt, error) {
	kind := chat.KindTypingStopped
	if on {
		kind = chat.KindTypingStarted
	}
	return k.request(ctx, "typing", types, func() {
		k.c.typing = on
		k.m.appendLocked(k.c, chat.Message{Kind: kind, From: k.ownLocked(), Own: true, Text: preview})
	})
}

// UpdateUserData implements [chat.DataUpdater].
func (k *memoryConn) UpdateUserData(ctx context.Context, data map[string]any) (chat.Receipt, error) {
	return k.request(ctx, "user data", updates, func() { maps.Copy(k.c.data, data) })
}

// CustomNotice implements [chat.Notifier].
func (k *memoryConn) CustomNotice(ctx context.Context, text string, attributes json.RawMessage) (chat.Receipt, error) {
	return k.request(ctx, "notice", notifies, func() {
		k.c.notices = append(k.c.notices, text)
		k.m.appendLocked(k.c, chat.Message{Kind: chat.KindCustomNotice, From: k.ownLocked(), Own: true, Text: text, Attributes: chat.JSON(attributes)})
	})
}

// Receive implements [chat.Conn].
func (k *memoryConn) Receive(ctx context.Context) (chat.Event, error) {
	for {
		k.m.mu.Lock()
		ev, done, wait, err := k.takeLocked(ctx)
		changed := k.m.changed
		k.m.mu.Unlock()
		if done {
			return ev, err
		}
		var due <-chan time.Time
		if wait > 0 {
			timer := time.NewTimer(wait)
			defer timer.Stop()
			due = timer.C
		}
		select {
		case <-changed:
		case <-due:
		case <-ctx.Done():
		case <-k.life.Done():
		}
	}
}

// takeLocked returns the next event or error, whether there is one, and if not how long to wait for lines that are on
// their way.
func (k *memoryConn) takeLocked(ctx context.Context) (ev chat.Event, done bool, wait time.Duration, err error) {
	switch {
	case k.life.Err() != nil:
		return ev, true, 0, closedError("receive")
	case k.over:
		return ev, true, 0, io.EOF
	case ctx.Err() != nil:
		return ev, true, 0, &chat.Error{Code: chat.CodeCanceled, Op: "receive", Text: "given up", Err: ctx.Err()}
	case k.m.partitioned:
		return ev, true, 0, &chat.Error{Outcome: chat.NotSent, Code: chat.CodeNetwork, Op: "receive", Text: "network is down"}
	}
	reached := k.first || k.cuts != k.m.cuts // to be told even when there is nothing else to tell
	ev.Earlier = k.first && k.reader.first > 1
	k.first, k.cuts = false, k.m.cuts
	if k.signs < len(k.c.signs) {
		k.signs++
		return chat.Event{Unavailable: k.c.signs[k.signs-1], Earlier: ev.Earlier, Position: k.read}, true, 0, nil
	}
	ev.Messages, wait = k.reader.next(time.Now())
	k.read = k.reader.position()
	ev.Position = k.read
	if wait == 0 { // the end comes behind all lines
		ev.Ended, ev.EndedBy = k.c.ended, k.c.endedBy
		k.over = ev.Ended
	}
	if k.session != k.c.session {
		k.session = k.c.session
		s := k.session
		ev.Session = &s
	}
	if !k.caps.Equal(k.c.caps) {
		k.caps = k.c.caps
		caps := k.caps
		ev.Capabilities = &caps
	}
	ev.Raw = chat.JSON(`{"statusCode":0}`)
	return ev, reached || len(ev.Messages) > 0 || ev.Ended || ev.Session != nil || ev.Capabilities != nil, wait, nil
}

// Session implements [chat.Conn].
func (k *memoryConn) Session() chat.Session {
	k.m.mu.Lock()
	defer k.m.mu.Unlock()
	return k.session
}

// Position implements [chat.Conn].
func (k *memoryConn) Position() chat.Position {
	k.m.mu.Lock()
	defer k.m.mu.Unlock()
	return k.read
}

// Capabilities implements [chat.Conn].
func (k *memoryConn) Capabilities() chat.Capabilities {
	k.m.mu.Lock()
	defer k.m.mu.Unlock()
	return k.c.caps
}

// Close implements [chat.Conn].
func (k *memoryConn) Close() error {
	k.once.Do(k.stop)
	return nil
}

// PushURL implements [chat.URLPusher].
func (k *memoryConn) PushURL(ctx context.Context, address string) (chat.Receipt, error) {
	return k.request(ctx, "push URL", pushes, func() {
		k.m.appendLocked(k.c, chat.Message{Kind: chat.KindPushURL, From: k.ownLocked(), Own: true, Text: address})
	})
}

// UpdateNickname implements [chat.Renamer].
func (k *memoryConn) UpdateNickname(ctx context.Context, nickname string) (chat.Receipt, error) {
	return k.request(ctx, "nickname", renames, func() {
		k.c.visitor.Name = nickname
		k.m.appendLocked(k.c, chat.Message{Kind: chat.KindNicknameUpdated, From: k.ownLocked(), Own: true})
	})
}

// MarkRead implements [chat.ReadMarker].
func (k *memoryConn) MarkRead(ctx context.Context, upTo chat.Position) (chat.Receipt, error) {
	return k.request(ctx, "read receipt", reads, func() { k.c.read = max(k.c.read, k.c.numberLocked(upTo)) })
}

// ResetIdle implements [chat.IdleResetter].
func (k *memoryConn) ResetIdle(ctx context.Context) (chat.Receipt, error) {
	return k.request(ctx, "reset idle", resets, func() { k.c.resets++ })
}

// Refetch implements [chat.Refetcher].
func (k *memoryConn) Refetch(ctx context.Context, from, to chat.Position) (found []chat.Message, err error) {
	_, err = k.request(ctx, "refetch", refetches, func() {
		if to == (chat.Position{}) {
			to = k.read
		}
		found = k.reader.refetch(k.c.numberLocked(from), k.c.numberLocked(to))
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// History implements [chat.Historian].
func (k *memoryConn) History(ctx context.Context, before chat.Position, n int) (p chat.Page, err error) {
	_, err = k.request(ctx, "history", hasHistory, func() {
		number := k.reader.first
		if before != (chat.Position{}) {
			number = max(k.c.numberLocked(before), 1)
		}
		p = k.reader.history(number, n)
	})
	if err != nil {
		return chat.Page{}, err
	}
	return p, nil
}

// What a request needs of the capabilities of the chat.
func always(chat.Capabilities) bool       { return true }
func types(c chat.Capabilities) bool      { return c.Typing }
func updates(c chat.Capabilities) bool    { return c.UserData }
func notifies(c chat.Capabilities) bool   { return c.Notices }
func pushes(c chat.Capabilities) bool     { return c.URLs }
func renames(c chat.Capabilities) bool    { return c.Nicknames }
func reads(c chat.Capabilities) bool      { return c.ReadMarks }
func resets(c chat.Capabilities) bool     { return c.IdleReset }
func refetches(c chat.Capabilities) bool  { return c.Refetch }
func hasHistory(c chat.Capabilities) bool { return c.History }

var (
	_ chat.Resumer     = (*memoryDriver)(nil)
	_ chat.Conn        = (*memoryConn)(nil)
	_ chat.Typer       = (*memoryConn)(nil)
	_ chat.DataUpdater = (*memoryConn)(nil)
	_ chat.Notifier    = (*memoryConn)(nil)
	_ chat.URLPusher   = (*memoryConn)(nil)
	_ chat.Renamer     = (*memoryConn)(nil)
	_ chat.ReadMarker  = (*memoryConn)(nil)
	_ chat.Refetcher   = (*memoryConn)(nil)
	_ chat.Historian   = (*memoryConn)(nil)

	_ chat.IdleResetter = (*memoryConn)(nil)
	_ chat.Filer        = (*memoryConn)(nil)
)
