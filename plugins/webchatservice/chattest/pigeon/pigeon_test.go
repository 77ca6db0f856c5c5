package pigeon_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/bus/busconfig"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest/pigeon"
)

func TestConformance(t *testing.T) {
	chattest.Run(t, chattest.Harness{
		New:      func(t *testing.T) chattest.Server { return newLoft(t) },
		Features: chattest.Features{Confirms: true, Indexes: true},
	})
}

// The manual shows the driver, all of it, and it is short enough to be read at once.
func TestManualShowsIt(t *testing.T) {
	source, err := os.ReadFile("pigeon.go")
	require.NoError(t, err)
	manual, err := os.ReadFile("../../../../docs/drivers.md")
	require.NoError(t, err)
	assert.Contains(t, string(manual), "\n```go\n"+string(source)+"```\n", "docs/drivers.md has another text")
	assert.Less(t, strings.Count(string(source), "\n"), 150)
}

// A service that has the factory takes the wire's options from a file and from the environment, and refuses what they cannot
// be, without a change anywhere.
func TestService(t *testing.T) {
	section := func(text string, environ ...string) (webchatservice.Config, error) {
		cfg := webchatservice.DefaultConfig(pigeon.Factory())
		file, err := busconfig.Load(&busconfig.Options{File: "webchat.yaml", Data: []byte(text), Environ: environ})
		require.NoError(t, err)
		return cfg, file.Section(webchatservice.Section).Decode(&cfg)
	}
	const file = "webchat:\n  transport:\n    type: pigeon-v1\n    loft: loft.test:4711\n    rest: 200\n"
	synctest.Test(t, func(t *testing.T) {
		l := newLoft(t)
		defer l.Close()
		cfg, err := section(file, "CXBUS_WEBCHAT_TRANSPORT_REST=300")
		require.NoError(t, err)
		b := bus.New(nil)
		app, err := b.Register("App")
		require.NoError(t, err)
		require.NoError(t, b.Start(t.Context(), webchatservice.New(&webchatservice.Options{
			Drivers: []chat.Factory{pigeon.Factory()}, Config: &cfg, Dial: l.dial,
		})))
		_, err = app.Call(t.Context(), "WebChatService.startChat", webchatservice.StartChatIn{Nickname: "Ada"})
		require.NoError(t, err)
		_, err = app.Call(t.Context(), "WebChatService.sendMessage", webchatservice.SendMessageIn{Message: "coo"})
		require.NoError(t, err)
		assert.Equal(t, []string{"coo"}, l.VisitorLines("chat-1"))
		asked := l.Asked()
		time.Sleep(30 * time.Second)
		assert.InDelta(t, 100, l.Asked()-asked, 1, "the variable wins over the file")
		require.NoError(t, b.Close(context.Background()))
		assert.True(t, l.Ended("chat-1"))
	})
	for text, want := range map[string]string{
		file + "    flihgt: 1\n":    "webchat.yaml:6: webchat.transport.flihgt: unknown option; did you mean webchat.transport.flight?",
		file + "    flight: soon\n": "webchat.yaml:6: webchat.transport.flight: is text; want a number of ms, at least 1",
		file + "    flight: 0\n":    "webchat.yaml:6: webchat.transport.flight: 0 is out of range; want a number of ms, at least 1",
	} {
		_, err := section(text)
		assert.EqualError(t, err, want)
	}
}

// loft is the server of the wire, in memory.
type loft struct {
	t      *testing.T
	closed chan struct{}
	flying sync.WaitGroup

	mu          sync.Mutex // guards what follows
	chats       map[string]*visit
	down        chan struct{} // closed while the network is down
	partitioned bool
	loseAnswer  bool
	refuse      *chat.ServerError
	delay       time.Duration
	asked       int // how often somebody asked for lines
}

// visit is a chat.
type visit struct {
	key, name string
	data      map[string]string
	lines     []map[string]any
	said      []string
	over      *chat.EndReason
}

func newLoft(t *testing.T) *loft {
	return &loft{t: t, closed: make(chan struct{}), chats: map[string]*visit{}, down: make(chan struct{})}
}

func (l *loft) Driver() chat.Driver {
	d, err := pigeon.New(pigeon.Config{Loft: "loft.test:4711", Flight: chattest.Timeout}, &chat.Options{Dial: l.dial})
	require.NoError(l.t, err)
	return d
}

// dial is the network to the loft.
func (l *loft) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if l.partitioned {
		return nil, &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
	}
	near, far := net.Pipe()
	down := l.down
	l.flying.Go(func() {
		defer far.Close() //nolint:errcheck // a pipe
		var n []json.RawMessage
		if json.NewDecoder(far).Decode(&n) != nil {
			return
		}
		if answer := l.take(n, down); answer != nil {
			_ = json.NewEncoder(far).Encode(answer) // the pigeon may be gone
		}
	})
	return near, nil
}

// take carries out a note; a nil answer is one that is lost.
func (l *loft) take(n []json.RawMessage, down chan struct{}) map[string]any {
	var op, id, key string
	var note struct {
		Name, Text string
		Data       map[string]any
		End        bool
		After      int
	}
	for i, into := range []any{&op, &id, &key, &note} {
		require.NoError(l.t, json.Unmarshal(n[i], into))
	}
	l.mu.Lock()
	delay := l.delay
	if op == "receive" {
		delay = 0
	}
	l.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-down:
		return nil
	case <-l.closed:
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if refused := l.refuse; refused != nil && op != "receive" {
		l.refuse = nil
		return map[string]any{"errors": []chat.ServerError{*refused}}
	}
	v := l.chats[id]
	answer := map[string]any{}
	switch {
	case op == "open":
		id = fmt.Sprintf("chat-%d", len(l.chats)+1)
		v = &visit{key: "key-of-" + id, name: note.Name, data: map[string]string{}}
		for name, value := range note.Data {
			v.data[name] = fmt.Sprint(value)
		}
		l.chats[id] = v
		v.add(chat.RoleClient, v.name, chat.KindParticipantJoined, "")
		answer["chat"], answer["key"] = id, v.key
	case v == nil || v.key != key:
		answer["over"] = chat.EndServer
	case op == "receive":
		l.asked++
		answer["lines"] = v.lines[note.After:]
		if v.over != nil {
			answer["over"] = *v.over
		}
	case v.over != nil:
		answer["over"] = *v.over
	case note.End:
		v.over = new(chat.EndReason)
		*v.over = chat.EndVisitor
	default:
		v.said = append(v.said, note.Text)
		v.add(chat.RoleClient, v.name, chat.KindMessage, note.Text)
	}
	if l.loseAnswer && op != "receive" {
		l.loseAnswer = false
		return nil
	}
	return answer
}

func (v *visit) add(role chat.Role, name string, kind chat.MessageKind, text string) {
	v.lines = append(v.lines, map[string]any{
		"kind": kind, "text": text, "time": time.Now().UTC().Truncate(time.Millisecond), "from": chat.Party{ID: name, Role: role, Name: name},
	})
}

// agent adds a line of an agent.
func (l *loft) agent(id, name string, kind chat.MessageKind, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.chats[id].add(chat.RoleAgent, name, kind, text)
}

func (l *loft) AgentJoin(id, name string)      { l.agent(id, name, chat.KindParticipantJoined, "") }
func (l *loft) AgentSay(id, name, text string) { l.agent(id, name, chat.KindMessage, text) }
func (l *loft) AgentLeave(id, name string)     { l.agent(id, name, chat.KindParticipantLeft, "") }
func (l *loft) AgentTyping(id, name string, on bool) {
	l.agent(id, name, map[bool]chat.MessageKind{true: chat.KindTypingStarted, false: chat.KindTypingStopped}[on], "")
}

// of returns what get gets of a chat.
func of[T any](l *loft, id string, get func(*visit) T) T {
	l.mu.Lock()
	defer l.mu.Unlock()
	return get(l.chats[id])
}

func (l *loft) Chats() int { l.mu.Lock(); defer l.mu.Unlock(); return len(l.chats) }
func (l *loft) Asked() int { l.mu.Lock(); defer l.mu.Unlock(); return l.asked }
func (l *loft) VisitorLines(id string) []string {
	return of(l, id, func(v *visit) []string { return v.said })
}
func (l *loft) Ended(id string) bool { return of(l, id, func(v *visit) bool { return v.over != nil }) }
func (l *loft) UserData(id string) map[string]string {
	return of(l, id, func(v *visit) map[string]string { return v.data })
}
func (l *loft) VisitorTyping(string) bool { return false }
func (l *loft) Notices(string) []string   { return nil }

func (l *loft) EndChat(id string) {
	of(l, id, func(v *visit) bool {
		v.over = cmp.Or(v.over, new(chat.EndReason))
		*v.over = chat.EndServer
		return true
	})
}

func (l *loft) set(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

func (l *loft) Partition() { l.set(func() { l.partitioned = true; close(l.down) }) }
func (l *loft) Heal() {
	l.set(func() {
		if l.partitioned {
			l.partitioned, l.down = false, make(chan struct{})
		}
	})
}
func (l *loft) LoseAnswer() { l.set(func() { l.loseAnswer = true }) }
func (l *loft) Refuse(code, advice string) {
	l.set(func() { l.refuse = &chat.ServerError{Code: code, Advice: advice} })
}
func (l *loft) Delay(d time.Duration) { l.set(func() { l.delay = d }) }

func (l *loft) Close() {
	close(l.closed)
	l.flying.Wait()
}

var _ chattest.Server = (*loft)(nil)
