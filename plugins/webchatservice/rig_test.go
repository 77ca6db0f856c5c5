package webchatservice_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
)

// rig is a bus with the service, an application on it, and what the application was told.
type rig struct {
	t   *testing.T
	bus *bus.Bus
	svc *webchatservice.Service
	app *bus.Client

	ears *bus.Subscription // of the application, to all events
	real bool              // it does not run in a bubble

	mu     sync.Mutex
	events []bus.Event[any]
}

// newRig must be called in a bubble. stop ends the bus; the bubble checks that nothing is left.
func newRig(t *testing.T, opts *webchatservice.Options) *rig {
	t.Helper()
	return openRig(t, opts, false)
}

// newRigInRealTime is newRig for tests that need real time. take then has what has come so far.
func newRigInRealTime(t *testing.T, opts *webchatservice.Options) *rig {
	t.Helper()
	return openRig(t, opts, true)
}

func openRig(t *testing.T, opts *webchatservice.Options, realTime bool) *rig {
	t.Helper()
	r := &rig{t: t, bus: bus.New(nil), svc: webchatservice.New(opts), real: realTime}
	var err error
	r.app, err = r.bus.Register("App")
	require.NoError(t, err)
	r.app.Ready()
	r.ears, err = r.app.Subscribe("WebChatService.*", func(_ context.Context, e bus.Event[any]) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.events = append(r.events, e)
	})
	require.NoError(t, err)
	require.NoError(t, r.bus.Start(t.Context(), r.svc))
	return r
}

func (r *rig) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(r.t, r.bus.Close(ctx))
}

// told returns the short names of the events so far, without those of the outbox, of requests and of the data store,
// and forgets them.
func (r *rig) told() []string {
	var names []string
	for _, e := range r.take() {
		switch name := strings.TrimPrefix(e.Name(), "WebChatService."); {
		case strings.HasPrefix(name, "data."):
		case name == "messageStateChanged", name == "ajaxResponse", name == "ready", name == "capabilitiesChanged":
		default:
			names = append(names, name)
		}
	}
	return names
}

// take returns the events so far and forgets them.
func (r *rig) take() []bus.Event[any] {
	if !r.real {
		synctest.Wait()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	events := r.events
	r.events = nil
	return events
}

// payload returns the data of the only event of that name among events.
func payload[T any](t *testing.T, events []bus.Event[any], name string) T {
	t.Helper()
	var found []T
	for _, e := range events {
		if e.Name() == "WebChatService."+name {
			found = append(found, e.Data.(T))
		}
	}
	require.Len(t, found, 1, "events %s", name)
	return found[0]
}

func call[In, Out any](r *rig, c bus.CommandOf[In, Out], in In) (Out, error) {
	r.t.Helper()
	caller, err := c.Bind(r.app)
	require.NoError(r.t, err)
	return caller.Call(r.t.Context(), in)
}

func start[In, Out any](r *rig, ctx context.Context, c bus.CommandOf[In, Out], in In) *bus.Future[Out] {
	r.t.Helper()
	caller, err := c.Bind(r.app)
	require.NoError(r.t, err)
	return caller.Go(ctx, in)
}

// begin starts a chat and forgets the events of it.
func (r *rig) begin() {
	r.t.Helper()
	_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
	require.NoError(r.t, err)
	r.take()
}

// setWire sets an option of the wire.
func setWire(opts *webchatservice.Options, name string, value any) {
	options := opts.Config.Wire.Reveal()
	options[name] = value
	opts.Config.Wire = webchatservice.NewWire(options)
}

func onMemory(m *chattest.Memory) *webchatservice.Options {
	return &webchatservice.Options{Driver: m.Driver()}
}

const id = "chat-1" // of the first chat of a Memory

// onRig makes a check of one on a service with a server in memory and a chat.
func onRig(f func(t *testing.T, r *rig, m *chattest.Memory)) func(t *testing.T) {
	return func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()
		r.begin()
		f(t, r, m)
	}
}

// onGMS makes a check of one on a service with a simulated GMS whose chats nobody answers, and a chat.
func onGMS(f func(t *testing.T, r *rig, sim *chatsim.Server)) func(t *testing.T) {
	return func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
		defer sim.Close()
		r := newRig(t, onSim(sim))
		defer r.stop()
		r.begin()
		f(t, r, sim)
	}
}

func send(r *rig, text string) error {
	_, err := call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: text})
	return err
}

func end(r *rig) error {
	_, err := call(r, webchatservice.EndChat, struct{}{})
	return err
}

// keysOf makes of what getSessionData gives what restore takes.
func keysOf(d webchatservice.SessionData) *webchatservice.SessionKeys {
	keys := webchatservice.SessionKeys(d)
	return &keys
}

func onLines(f func(t *testing.T, r *rig, say func(...chat.Message))) func(t *testing.T) {
	return func(t *testing.T) {
		fake := &fakeLines{chattest.NewMemory(nil).Driver(), make(chan chat.Event)}
		r := newRig(t, &webchatservice.Options{Driver: fake})
		defer r.stop()
		r.begin()
		f(t, r, func(lines ...chat.Message) {
			fake.lines <- chat.Event{Messages: lines}
			synctest.Wait()
		})
	}
}

// fakeLines is a wire that says what it is told to, line by line.
type fakeLines struct {
	chat.Driver
	lines chan chat.Event
}

func (f *fakeLines) Open(ctx context.Context, r chat.Request) (chat.Conn, error) {
	c, err := f.Driver.Open(ctx, r)
	return &fakeConn{Conn: c, lines: f.lines}, err
}

type fakeConn struct {
	chat.Conn
	lines chan chat.Event
	first bool
}

func (c *fakeConn) Receive(ctx context.Context) (chat.Event, error) {
	if !c.first {
		c.first = true
		return chat.Event{}, nil
	}
	select {
	case ev := <-c.lines:
		return ev, nil
	case <-ctx.Done():
		return chat.Event{}, &chat.Error{Code: chat.CodeCanceled, Err: ctx.Err()}
	}
}

// texts returns the texts of the messages among events, in order.
func texts(events []bus.Event[any]) []string {
	var out []string
	for _, e := range events {
		if d, ok := e.Data.(webchatservice.MessageReceivedData); ok {
			for _, m := range d.Messages {
				if m.Type == chat.KindMessage {
					out = append(out, m.Text)
				}
			}
		}
	}
	return out
}

func count(list []string, name string) (n int) {
	for _, s := range list {
		if s == name {
			n++
		}
	}
	return n
}

// printed is everything in every way it could be printed.
func printed(t *testing.T, events []bus.Event[any], rest ...any) string {
	t.Helper()
	var b strings.Builder
	show := func(v any) {
		fmt.Fprintf(&b, "%v %+v %#v %s\n", v, v, v, v)
		if _, door := v.(webchatservice.SessionData); !door {
			j, err := json.Marshal(v)
			require.NoError(t, err)
			b.Write(j)
		}
		if err, ok := v.(error); ok {
			b.WriteString(err.Error())
		}
		slog.New(slog.NewJSONHandler(&b, nil)).Info("shown", "value", v)
	}
	for _, e := range events {
		show(e.Data)
	}
	for _, v := range rest {
		if _, door := v.(webchatservice.SessionData); door {
			fmt.Fprintf(&b, "%v %+v %#v %s\n", v, v, v, v)
			continue
		}
		show(v)
	}
	return b.String()
}

// rigFor is a rig that ends with the test.
func rigFor(t *testing.T, opts *webchatservice.Options) *rig {
	t.Helper()
	r := newRig(t, opts)
	t.Cleanup(r.stop)
	return r
}

// memoryRig is a rig on a server in memory.
func memoryRig(t *testing.T) (*rig, *chattest.Memory) {
	t.Helper()
	m := chattest.NewMemory(nil)
	return rigFor(t, onMemory(m)), m
}

// simRig is a rig on a simulated GMS whose chats nobody answers, with a chat.
func simRig(t *testing.T, opts *chatsim.Options) (*rig, *chatsim.Server) {
	t.Helper()
	if opts == nil {
		opts = &chatsim.Options{}
	}
	opts.Script = chatsim.Nobody
	sim := simulator.New(opts)
	t.Cleanup(func() { _ = sim.Close() })
	r := rigFor(t, onSim(sim))
	r.begin()
	return r, sim
}

// bareRig is a rig on a wire that can do nothing that is optional, with a chat.
func bareRig(t *testing.T) *rig {
	t.Helper()
	fake := &fakeLines{chattest.NewMemory(nil).Driver(), make(chan chat.Event)}
	r := rigFor(t, &webchatservice.Options{Driver: fake})
	r.begin()
	return r
}

// by calls a command by name with JSON, as remote callers do.
func (r *rig) by(command, options string) error {
	_, err := r.app.Call(r.t.Context(), "WebChatService."+command, json.RawMessage(options))
	return err
}

// begin0 starts a chat and keeps the events of it.
func (r *rig) begin0() {
	r.t.Helper()
	_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
	require.NoError(r.t, err)
}

// all returns the short names of the vendor's events so far, and forgets them.
func (r *rig) all() []string {
	var names []string
	for _, e := range r.take() {
		if short := shortName(e.Name()); slices.Contains(vendorEvents, short) && short != "capabilitiesChanged" {
			names = append(names, short)
		}
	}
	return names
}

// lines returns the texts of the messages of a role in the transcript, and fails if an index comes
// twice or out of order.
func (r *rig) lines(role chat.Role) []string {
	r.t.Helper()
	tr, err := call(r, webchatservice.GetTranscript, struct{}{})
	require.NoError(r.t, err)
	var texts []string
	last := int64(0)
	for _, m := range tr.Messages {
		require.Greater(r.t, m.Index, last)
		last = m.Index
		if m.Type == chat.KindMessage && m.From.Type == role {
			texts = append(texts, m.Text)
		}
	}
	return texts
}
