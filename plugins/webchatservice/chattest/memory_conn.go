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
			},
			data:    maps.Clone(r.UserData),
			parties: make(map[string]string), withheld: make(map[int64]bool), forgotten: make(map[int64]bool),
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
	return newMemoryConn(d.m, c, 1), nil
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
	return newMemoryConn(d.m, c, max(r.From.Index, 1)), nil
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
	return chat.Receipt{Confirmed: !m.opts.Unconfirmed, Answer: json.RawMessage(`{"statusCode":0}`)}, nil
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
	next    int64 // index of the next line to give out
	read    int64 // the same, as of the last event
	status  int   // status codes given out
	session chat.Session
	cuts    int            // m.cuts when the connection was whole
	first   bool           // nothing was given out yet
	live    int64          // lines from here on were not there when the connection was made
	fetched map[int64]bool // lines that Refetch returned before Receive did
	over    bool           // the end was given out
}

func newMemoryConn(m *Memory, c *memoryChat, next int64) *memoryConn {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := &memoryConn{m: m, c: c, turn: make(chan struct{}, 1), next: next, read: next, session: c.session, cuts: m.cuts, first: true}
	k.status, k.live, k.fetched = len(c.status), int64(len(c.lines)+1), make(map[int64]bool)
	k.life, k.stop = context.WithCancel(context.Background())
	return k
}

// request takes its turn and makes one request under ctx and the connection's life.
func (k *memoryConn) request(ctx context.Context, op string, do func()) (chat.Receipt, error) {
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
		return k.request(ctx, "send", func() {
			k.c.typing = false
			k.m.appendLocked(k.c, chat.Message{
				Kind: chat.KindMessage, From: k.ownLocked(), Own: true, Text: a.Text, Label: label, ClientID: a.ClientID,
			})
		})
	case chat.ActionEnd:
		return k.request(ctx, "end", func() {
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
	return k.request(ctx, "typing", func() {
		k.c.typing = on
		k.m.appendLocked(k.c, chat.Message{Kind: kind, From: k.ownLocked(), Own: true, Text: preview})
	})
}

// UpdateUserData implements [chat.DataUpdater].
func (k *memoryConn) UpdateUserData(ctx context.Context, data map[string]any) (chat.Receipt, error) {
	return k.request(ctx, "user data", func() { maps.Copy(k.c.data, data) })
}

// CustomNotice implements [chat.Notifier].
func (k *memoryConn) CustomNotice(ctx context.Context, text string, attributes json.RawMessage) (chat.Receipt, error) {
	return k.request(ctx, "notice", func() {
		k.c.notices = append(k.c.notices, text)
		k.m.appendLocked(k.c, chat.Message{Kind: chat.KindCustomNotice, From: k.ownLocked(), Own: true, Text: text, Attributes: attributes})
	})
}

// Receive implements [chat.Conn].
func (k *memoryConn) Receive(ctx context.Context) (chat.Event, error) {
	for {
		k.m.mu.Lock()
		ev, done, err := k.takeLocked(ctx)
		changed := k.m.changed
		k.m.mu.Unlock()
		if done {
			return ev, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
		case <-k.life.Done():
		}
	}
}

// takeLocked returns the next event or error, and whether there is one.
func (k *memoryConn) takeLocked(ctx context.Context) (ev chat.Event, done bool, err error) {
	switch {
	case k.life.Err() != nil:
		return ev, true, closedError("receive")
	case k.over:
		return ev, true, io.EOF
	case ctx.Err() != nil:
		return ev, true, &chat.Error{Code: chat.CodeCanceled, Op: "receive", Text: "given up", Err: ctx.Err()}
	case k.m.partitioned:
		return ev, true, &chat.Error{Outcome: chat.NotSent, Code: chat.CodeNetwork, Op: "receive", Text: "network is down"}
	}
	reached := k.first || k.cuts != k.m.cuts // to be told even when there is nothing else to tell
	k.first, k.cuts = false, k.m.cuts
	if k.status < len(k.c.status) {
		k.status++
		return chat.Event{StatusCode: k.c.status[k.status-1], Position: chat.Position{Index: k.read}}, true, nil
	}
	for _, l := range k.c.lines[min(int(k.next-1), len(k.c.lines)):] {
		withheld := k.c.withheld[l.Index] && l.Index >= k.live
		if !withheld && !k.c.forgotten[l.Index] && !k.fetched[l.Index] {
			ev.Messages = append(ev.Messages, l)
		}
		k.next = l.Index + 1
	}
	moved := k.next != k.read
	k.read = k.next
	ev.Position = chat.Position{Index: k.read}
	ev.Ended, ev.EndedBy = k.c.ended, k.c.endedBy
	k.over = ev.Ended
	if k.session != k.c.session {
		k.session = k.c.session
		s := k.session
		ev.Session = &s
	}
	ev.Raw = json.RawMessage(`{"statusCode":0}`)
	return ev, reached || moved || ev.Ended || ev.Session != nil, nil
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
	return chat.Position{Index: k.read}
}

// Close implements [chat.Conn].
func (k *memoryConn) Close() error {
	k.once.Do(k.stop)
	return nil
}

// PushURL implements [chat.URLPusher].
func (k *memoryConn) PushURL(ctx context.Context, address string) (chat.Receipt, error) {
	return k.request(ctx, "push URL", func() {
		k.m.appendLocked(k.c, chat.Message{Kind: chat.KindPushURL, From: k.ownLocked(), Own: true, Text: address})
	})
}

// UpdateNickname implements [chat.Renamer].
func (k *memoryConn) UpdateNickname(ctx context.Context, nickname string) (chat.Receipt, error) {
	return k.request(ctx, "nickname", func() {
		k.c.visitor.Name = nickname
		k.m.appendLocked(k.c, chat.Message{Kind: chat.KindNicknameUpdated, From: k.ownLocked(), Own: true})
	})
}

// MarkRead implements [chat.ReadMarker].
func (k *memoryConn) MarkRead(ctx context.Context, upTo chat.Position) (chat.Receipt, error) {
	return k.request(ctx, "read receipt", func() { k.c.read = max(k.c.read, upTo.Index-1) })
}

// Refetch implements [chat.Refetcher].
func (k *memoryConn) Refetch(ctx context.Context, from, to chat.Position) ([]chat.Message, error) {
	var found []chat.Message
	_, err := k.request(ctx, "refetch", func() {
		end := to.Index
		if end == 0 {
			end = k.read
		}
		for _, l := range k.c.lines {
			if l.Index >= from.Index && l.Index < end && !k.c.forgotten[l.Index] {
				found = append(found, l)
				k.fetched[l.Index] = true
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

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
	_ chat.Filer       = (*memoryConn)(nil)
)
