package webchatservice_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/boltstore"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmscometd"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmsrest"
)

// The variables of the environment that make this program a visitor's: a process of its own, which can be killed.
const (
	visitorWire = "CXBUS_TEST_VISITOR_WIRE" // a visitorConfig
	visitorFile = "CXBUS_TEST_VISITOR_FILE"
)

// visitorConfig is the configuration of such a process.
type visitorConfig struct {
	CometD bool           `json:"cometD"`
	Wire   map[string]any `json:"wire"`
}

func TestMain(m *testing.M) {
	if wire := os.Getenv(visitorWire); wire != "" {
		if err := beVisitor(wire, os.Getenv(visitorFile)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// told is a line of what a visitor's process says: an event, or what became of a command.
type told struct {
	Name   string          `json:"name"`
	Data   json.RawMessage `json:"data"`
	Failed string          `json:"failed"`
}

// order is a line of what it is told to do: a command, or "disk full", "disk roomy".
type order struct {
	Name string          `json:"name"`
	In   json.RawMessage `json:"in"`
}

// patient is a configuration for a machine that takes its time: no limit of the service's own is what ends something.
func patient(c visitorConfig) *webchatservice.Config {
	c.Wire["ajaxTimeout"] = 600_000
	return &webchatservice.Config{
		RestoreTimeout: 3_600_000, CometD: webchatservice.CometD{Enabled: c.CometD}, Wire: webchatservice.NewWire(c.Wire),
	}
}

// overREST is a configuration for the chat service at this address.
func overREST(url string) visitorConfig { return visitorConfig{Wire: map[string]any{"dataURL": url}} }

// beVisitor runs a bus with the service until stdin ends.
func beVisitor(wire, file string) (err error) {
	var c visitorConfig
	if err := json.Unmarshal([]byte(wire), &c); err != nil {
		return err
	}
	store, err := boltstore.Open(file, nil)
	if err != nil {
		return err
	}
	defer store.Close() //nolint:errcheck // the records are on the disk
	var mu sync.Mutex
	out := json.NewEncoder(os.Stdout)
	say := func(name string, data any, failed error) {
		line := told{Name: name}
		line.Data, _ = json.Marshal(data)
		if failed != nil {
			line.Failed = failed.Error()
		}
		mu.Lock()
		defer mu.Unlock()
		_ = out.Encode(line)
	}
	b := bus.New(nil)
	defer b.Close(context.Background()) //nolint:errcheck // of a process that ends
	app, err := b.Register("App")
	if err != nil {
		return err
	}
	app.Ready()
	if _, err = app.Subscribe("WebChatService.*", func(_ context.Context, e bus.Event[any]) {
		say(strings.TrimPrefix(e.Name(), "WebChatService."), e.Data, nil)
	}); err != nil {
		return err
	}
	if err := b.Start(context.Background(), webchatservice.New(&webchatservice.Options{
		Drivers: []chat.Factory{gmsrest.Factory(), gmscometd.Factory()}, Config: patient(c), Store: store, SessionKey: "Ada",
	})); err != nil {
		return err
	}
	signal.Ignore(syscall.SIGXFSZ) // that the disk is full is an error of the write
	var roomy syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &roomy); err != nil {
		return err
	}
	orders := bufio.NewScanner(os.Stdin)
	for orders.Scan() {
		var o order
		if err := json.Unmarshal(orders.Bytes(), &o); err != nil {
			return err
		}
		switch o.Name {
		case "disk full":
			full := roomy
			full.Cur = 1
			say(o.Name, nil, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full))
		case "disk roomy":
			say(o.Name, nil, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &roomy))
		default:
			f := app.Go(context.Background(), "WebChatService."+o.Name, o.In)
			go func() {
				result, err := f.Result(context.Background())
				say(o.Name+" settled", result, err)
			}()
		}
	}
	return orders.Err()
}

// visitor is such a process.
type visitor struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    *json.Encoder
	stdin interface{ Close() error }
	lines chan told
	seen  []told
}

func newVisitor(t *testing.T, url, file string) *visitor {
	t.Helper()
	return newVisitorOn(t, overREST(url), file)
}

func newVisitorOn(t *testing.T, c visitorConfig, file string) *visitor {
	t.Helper()
	wire, err := json.Marshal(c)
	require.NoError(t, err)
	v := &visitor{t: t, cmd: exec.Command(os.Args[0]), lines: make(chan told, 1000)}
	v.cmd.Env = append(os.Environ(), visitorWire+"="+string(wire), visitorFile+"="+file)
	v.cmd.Stderr = os.Stderr
	stdin, err := v.cmd.StdinPipe()
	require.NoError(t, err)
	v.in, v.stdin = json.NewEncoder(stdin), stdin
	stdout, err := v.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, v.cmd.Start())
	go func() {
		defer close(v.lines)
		for out := json.NewDecoder(stdout); ; {
			var line told
			if out.Decode(&line) != nil {
				return
			}
			v.lines <- line
		}
	}()
	return v
}

func (v *visitor) order(name string, in any) {
	v.t.Helper()
	data, err := json.Marshal(in)
	require.NoError(v.t, err)
	require.NoError(v.t, v.in.Encode(order{name, data}))
}

// await returns the first line that is named so and has text in it.
func (v *visitor) await(name, text string) told {
	v.t.Helper()
	for _, line := range v.seen {
		if line.is(name, text) {
			return line
		}
	}
	return v.next(name, text)
}

func (l told) is(name, text string) bool {
	return l.Name == name && strings.Contains(string(l.Data)+l.Failed, text)
}

// next returns the first such line from now on.
func (v *visitor) next(name, text string) told {
	v.t.Helper()
	for {
		line, ok := <-v.lines // which may take as long as the whole test may
		require.True(v.t, ok, "the visitor's process ended; waited for %s %q; it said %v", name, text, v.names())
		v.seen = append(v.seen, line)
		if line.is(name, text) {
			return line
		}
	}
}

// call orders a command and waits until it has resolved.
func (v *visitor) call(name string, in any) told {
	v.t.Helper()
	v.order(name, in)
	line := v.next(name+" settled", "")
	require.Empty(v.t, line.Failed)
	return line
}

func (v *visitor) names() (names []string) {
	for _, line := range v.seen {
		names = append(names, line.Name)
	}
	return names
}

func (v *visitor) count(name, text string) (n int) {
	for _, line := range v.seen {
		if line.is(name, text) {
			n++
		}
	}
	return n
}

// kill ends the process as kill -9 does.
func (v *visitor) kill() {
	v.t.Helper()
	require.NoError(v.t, v.cmd.Process.Signal(syscall.SIGKILL))
	for range v.lines { //nolint:revive // until the pipe has ended
	}
	require.Error(v.t, v.cmd.Wait())
}

// leave ends it in peace.
func (v *visitor) leave() {
	v.t.Helper()
	require.NoError(v.t, v.stdin.Close())
	for line := range v.lines {
		v.seen = append(v.seen, line)
	}
	require.NoError(v.t, v.cmd.Wait())
}

// kept waits until the file holds text, and nothing is written any more: pages are written before what makes them
// valid.
func kept(t *testing.T, file, text string) {
	t.Helper()
	var last []byte
	same := 0
	require.Eventually(t, func() bool {
		data, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(data, []byte(text)) || !bytes.Equal(data, last) {
			last, same = data, 0
			return false
		}
		same++
		return same == 20
	}, time.Hour, 10*time.Millisecond, "%q is in the store", text)
}

// onLoopback serves a simulator whose chats nobody answers by itself.
func onLoopback(t *testing.T) (sim *chatsim.Server, url, file string) {
	t.Helper()
	sim = simulator.New(&chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1})
	t.Cleanup(func() { require.NoError(t, sim.Close()) })
	front := httptest.NewServer(sim.Handler())
	t.Cleanup(front.Close)
	return sim, sim.BaseURLs(front.Listener.Addr().String())["gms"], filepath.Join(t.TempDir(), "sessions.db")
}

// A process that is killed in the middle of a chat, and started again, goes on with it: with the transcript, with what
// was not sent, with the message that was under way, and knowing how far the visitor had read.
func TestKilledProcessGoesOn(t *testing.T) {
	t.Parallel()
	sim, url, file := onLoopback(t)
	v := newVisitor(t, url, file)
	v.call("startChat", map[string]any{"nickname": "Ada"})
	c, ok := sim.Chat(sim.Chats()[0].ID)
	require.True(t, ok)
	ann, err := c.Join("Ann", chatsim.RoleAgent)
	require.NoError(t, err)
	hello := say(t, ann, "Hello Ada")[0]
	v.await("messageReceived", "Hello Ada")
	v.call("sendMessage", map[string]any{"message": "one"})
	v.await("messageReceived", `"one"`)
	kept(t, file, fmt.Sprintf(`"position":{"index":%d}`, hello.Index+2))

	_, err = boltstore.Open(file, nil) // which does not wait for the other process
	require.ErrorIs(t, err, boltstore.ErrLocked, "another process has it")

	// The server takes "two", and its answer never comes; it takes nothing more.
	sim.Faults().Add(chatsim.Fault{Op: "send", DelayAnswer: time.Hour})
	sim.Faults().Add(chatsim.Fault{Op: "send", Status: 503, Times: -1})
	for _, text := range []string{"two", "three", "three", "four"} {
		v.order("sendMessage", map[string]any{"message": text})
		v.await("messageStateChanged", text)
	}
	_, err = c.WaitLine(t.Context(), "two")
	require.NoError(t, err)
	kept(t, file, `"text":"four"`)
	v.kill()

	sim.Faults().Clear()
	say(t, ann, "still there?")
	v = newVisitor(t, url, file)
	assert.Contains(t, string(v.call("verifySession", nil).Data), "true")
	v.call("restore", nil)
	v.await("messageReceived", `"four"`)
	want := []string{"one", "two", "three", "three", "four"}
	assert.Equal(t, want, sim.Chats()[0].Lines(chatsim.Client), "once, in order")

	var restored webchatservice.RestoredData
	var first webchatservice.MessageReceivedData
	for _, line := range v.seen {
		switch {
		case line.Name == "restored":
			require.NoError(t, json.Unmarshal(line.Data, &restored))
		case line.Name == "messageReceived" && first.Messages == nil:
			require.NoError(t, json.Unmarshal(line.Data, &first))
		}
	}
	assert.True(t, first.Restoring)
	assert.Equal(t, restored.ReadMark, first.ReadMark)
	var read, unread []string
	for _, m := range first.Messages {
		switch {
		case m.Type != chat.KindMessage:
		case m.Index <= first.ReadMark:
			read = append(read, m.Text)
		default:
			unread = append(unread, m.Text)
		}
	}
	assert.Subset(t, read, []string{"Hello Ada", "one"})
	assert.Contains(t, unread, "still there?")
	var transcript webchatservice.Transcript
	require.NoError(t, json.Unmarshal(v.call("getTranscript", nil).Data, &transcript))
	var lines []string
	for _, m := range transcript.Messages {
		if m.Type == chat.KindMessage {
			lines = append(lines, m.Text)
		}
	}
	assert.Equal(t, []string{"Hello Ada", "one", "two", "still there?", "three", "three", "four"}, lines)
	for v.count("messageStateChanged", `"sent"`) < 4 {
		v.next("messageStateChanged", `"sent"`)
	}

	// The second life ends the chat, and a third finds nothing.
	v.call("endChat", nil)
	v.await("ended", "visitor")
	v.leave()
	v = newVisitor(t, url, file)
	v.order("restore", nil)
	assert.Contains(t, v.await("restore settled", "").Failed, "No chat session found to restore")
	v.leave()
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

// stopped stops the process, as SIGSTOP does, and waits until it is.
func (v *visitor) stopped() {
	v.t.Helper()
	require.NoError(v.t, v.cmd.Process.Signal(syscall.SIGSTOP))
	require.Eventually(v.t, func() bool {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", v.cmd.Process.Pid))
		return err == nil && bytes.Contains(status, []byte(") T "))
	}, 20*time.Second, time.Millisecond)
}

// A process that is stopped, and goes on later, has lost its connections meanwhile: it connects once again, and has missed
// nothing. In the suite the server breaks the connections, so that no minute has to pass; in the long run a minute does.
func TestStoppedProcessGoesOn(t *testing.T) {
	for _, w := range wireTable {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1})
			t.Cleanup(func() { require.NoError(t, sim.Close()) })
			front := httptest.NewServer(sim.Handler())
			t.Cleanup(front.Close)
			config := w.on(sim).Config
			wire := replaced(config.Wire.Reveal(), "http://sim.test", front.URL).(map[string]any)
			v := newVisitorOn(t, visitorConfig{CometD: config.CometD.Enabled, Wire: wire}, filepath.Join(t.TempDir(), "sessions.db"))
			v.call("startChat", map[string]any{"nickname": "Ada"})
			c := only(t, sim)
			ann, err := c.Join("Ann", chatsim.RoleAgent)
			require.NoError(t, err)
			v.call("sendMessage", map[string]any{"message": "one"})
			say(t, ann, "two")
			v.await("messageReceived", `"two"`)

			v.stopped()
			say(t, ann, "three")
			if soak() {
				<-time.After(time.Minute)
			} else {
				front.CloseClientConnections()
			}
			say(t, ann, "four")
			require.NoError(t, v.cmd.Process.Signal(syscall.SIGCONT))
			v.await("messageReceived", `"four"`)
			v.call("sendMessage", map[string]any{"message": "five"})
			v.await("messageReceived", `"five"`)
			v.call("endChat", nil)
			v.await("ended", "visitor")
			v.leave()

			var got []string
			for _, line := range v.seen {
				if line.Name != "messageReceived" {
					continue
				}
				var d webchatservice.MessageReceivedData
				require.NoError(t, json.Unmarshal(line.Data, &d))
				for _, m := range d.Messages {
					if m.Type == chat.KindMessage {
						got = append(got, m.Text)
					}
				}
			}
			assert.Equal(t, []string{"one", "two", "three", "four", "five"}, got, "each once, in order")
			assert.Equal(t, []string{"one", "five"}, c.Snapshot().Lines(chatsim.Client))
			assert.LessOrEqual(t, v.count("disconnected", ""), 1)
			assert.Equal(t, v.count("disconnected", ""), v.count("reconnected", ""))
			assert.Zero(t, v.count("sessionLost", ""))
		})
	}
}

// While the disk is full a chat goes on, with one event; and once there is room, the session is kept again.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	sim, url, file := onLoopback(t)
	v := newVisitor(t, url, file)
	v.call("startChat", map[string]any{"nickname": "Ada"})
	v.call("sendMessage", map[string]any{"message": "before"})
	v.await("messageReceived", "before")
	v.order("disk full", nil)
	require.Empty(t, v.await("disk full", "").Failed)
	for i := range 5 {
		text := fmt.Sprintf("while %d", i)
		v.call("sendMessage", map[string]any{"message": text})
		v.await("messageReceived", text)
	}
	v.order("disk roomy", nil)
	require.Empty(t, v.await("disk roomy", "").Failed)
	v.call("sendMessage", map[string]any{"message": "after"})
	v.await("messageReceived", "after")
	assert.Equal(t, 1, v.count("error", "webchat.store"), "one event")
	assert.Equal(t, 1, v.count("error", ""), "and no other")
	snapshot := sim.Chats()[0]
	kept(t, file, fmt.Sprintf(`"position":{"index":%d}`, snapshot.Events[len(snapshot.Events)-1].Index+1))
	v.kill()

	v = newVisitor(t, url, file)
	v.call("restore", nil)
	v.call("endChat", nil)
	v.leave()
	assert.Len(t, sim.Chats()[0].Lines(chatsim.Client), 7)
}

// A chat with everything over real sockets, and a store: in the end neither goroutine nor descriptor is left.
func TestNothingIsLeft(t *testing.T) {
	v := func(url, file string) {
		store, err := boltstore.Open(file, nil)
		require.NoError(t, err)
		b := bus.New(nil)
		app, err := b.Register("App")
		require.NoError(t, err)
		app.Ready()
		require.NoError(t, b.Start(t.Context(), webchatservice.New(&webchatservice.Options{
			Drivers: []chat.Factory{gmsrest.Factory()}, Config: patient(overREST(url)), Store: store,
		})))
		for _, c := range []struct {
			name string
			in   any
		}{
			{"startChat", webchatservice.StartChatIn{Nickname: "Ada"}},
			{"sendTyping", webchatservice.SendTypingIn{Message: "he"}},
			{"sendMessage", webchatservice.SendMessageIn{Message: "hello"}},
			{"sendFile", webchatservice.SendFileIn{Files: webchatservice.FileIn{Name: "a.txt", Content: strings.NewReader("hello"), Size: 5}}},
		} {
			_, err := app.Call(t.Context(), "WebChatService."+c.name, c.in)
			require.NoError(t, err, c.name)
		}
		require.NoError(t, b.Close(context.Background()))
		require.NoError(t, store.Close())
	}
	sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1})
	defer sim.Close() //nolint:errcheck // checked by what is left
	front := httptest.NewServer(sim.Handler())
	defer front.Close()
	url := sim.BaseURLs(front.Listener.Addr().String())["gms"]
	file := filepath.Join(t.TempDir(), "sessions.db")
	count := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return runtime.NumGoroutine() + len(fds)
	}
	v(url, file)
	front.CloseClientConnections()
	var before int
	require.Eventually(t, func() bool { n := count(); same := n == before; before = n; return same }, time.Hour, 20*time.Millisecond)
	for range 5 {
		v(url, file)
	}
	front.CloseClientConnections()
	require.Eventually(t, func() bool { return count() <= before }, time.Hour, 20*time.Millisecond)
}
