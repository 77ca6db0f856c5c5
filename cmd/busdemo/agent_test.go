package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
)

// console is a run of the program with somebody at its terminal, who types and reads.
type console struct {
	t      *testing.T
	stdin  *keyboard
	stop   context.CancelFunc // Ctrl-C
	status chan int
	stderr strings.Builder // to be read once it has ended

	mu      sync.Mutex // guards the rest
	text    string
	read    int
	changed chan struct{}
}

// open runs the program on a terminal.
func open(t *testing.T, args ...string) *console {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	c := &console{t: t, stdin: newKeyboard(), stop: stop, status: make(chan int, 1), changed: make(chan struct{})}
	// A busy machine takes its time.
	p := &program{stdin: c.stdin, stdout: c, stderr: &c.stderr, newSim: simulator.New, deskTime: time.Hour}
	go func() { c.status <- p.run(ctx, args) }()
	t.Cleanup(func() {
		stop()
		c.stdin.close()
	})
	return c
}

// keyboard is a standard input that takes what is typed before it is read.
type keyboard struct {
	mu     sync.Mutex // guards the rest
	more   *sync.Cond
	typed  []byte
	closed bool
}

func newKeyboard() *keyboard {
	k := &keyboard{}
	k.more = sync.NewCond(&k.mu)
	return k
}

func (k *keyboard) Read(b []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.typed) == 0 && !k.closed {
		k.more.Wait()
	}
	if len(k.typed) == 0 {
		return 0, io.EOF
	}
	n := copy(b, k.typed)
	k.typed = k.typed[n:]
	return n, nil
}

func (k *keyboard) enter(lines ...string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, l := range lines {
		k.typed = append(k.typed, l+"\n"...)
	}
	k.more.Broadcast()
}

func (k *keyboard) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	k.more.Broadcast()
}

func (c *console) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text += string(b)
	close(c.changed)
	c.changed = make(chan struct{})
	return len(b), nil
}

// see waits for a text, after what was seen before.
func (c *console) see(text string) {
	c.t.Helper()
	for {
		c.mu.Lock()
		i := strings.Index(c.text[c.read:], text)
		if i >= 0 {
			c.read += i + len(text)
			c.mu.Unlock()
			return
		}
		all, changed := c.text, c.changed
		c.mu.Unlock()
		select {
		case <-changed:
		case status := <-c.status:
			require.Fail(c.t, "it has ended", "status %d, without %q in:\n%s\n%s", status, text, all, c.stderr.String())
		}
	}
}

// shows waits for texts, wherever they are.
func (c *console) shows(texts ...string) {
	c.t.Helper()
	for _, text := range texts {
		c.mu.Lock()
		c.read = 0
		c.mu.Unlock()
		c.see(text)
	}
}

func (c *console) enter(lines ...string) { c.stdin.enter(lines...) }

// all is what was shown so far.
func (c *console) all() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text
}

// ends requires that the program ends with a status.
func (c *console) ends(status int) {
	c.t.Helper()
	require.Equal(c.t, status, <-c.status, c.stderr.String())
}

// openDesk runs a simulator with a desk, and returns the address of that, and a file that leads a visitor there.
func openDesk(t *testing.T) (desk, config string) {
	t.Helper()
	first, _ := serve(t, "--desk")
	var urls map[string]string
	require.NoError(t, json.Unmarshal([]byte(first), &urls))
	require.Regexp(t, `^http://127\.0\.0\.1:\d+/desk$`, urls["desk"])
	return urls["desk"], shipped(t, "gms-cometd.yaml", first)
}

// TestAgent holds a chat between two terminals.
func TestAgent(t *testing.T) {
	desk, config := openDesk(t)
	note := filepath.Join(t.TempDir(), "note.txt")
	require.NoError(t, os.WriteFile(note, []byte("a note"), 0o600))

	agent := open(t, "agent", "--desk", desk)
	agent.see("Ann sits at the desk")
	agent.enter("hello?", "/nod", "/help", "/chats", "/wait", "/join")
	agent.see("not done: you are in no chat")
	agent.see("not done: unknown command /nod")
	agent.see("/transfer NAME hands over")
	agent.see("there is no chat")
	agent.see("not done: you are in no chat")
	agent.see("waiting for a chat")

	visitor := open(t, "chat", "--config", config, "--name", "Vera")
	visitor.see("connected")
	agent.see("#1 Vera waits")
	agent.see("#1 Vera joined")
	agent.see("#1 Ann joined")
	visitor.see("* Ann (agent) joined")
	agent.enter("Good day", "/wait", "/type one mom")
	rest := []string{"/stop", "//slash", "/notice open", "/url http://example.net", "/whisper psst",
		"/file " + note, "/file /nowhere", "/notice", "/transfer Bob", "/join 7", "/join 1", "/chats"}
	agent.see("#1 Ann: Good day")
	visitor.see("Ann: Good day")
	visitor.enter("where is my parcel?")
	agent.see("#1 Vera: where is my parcel?")
	visitor.see("* Ann is typing") // it is not shown once she has said something
	agent.enter(rest...)
	visitor.see("Ann: /slash")
	visitor.see("notice for programs by Ann: open")
	visitor.see("Ann sent a link: http://example.net")
	visitor.see("Ann sent the file note.txt")
	agent.shows("Ann (whispers): psst", "not done: stat /nowhere", "not done: /notice wants something",
		"not done: there is no agent Bob", "not done: there is no chat 7", "#1 Vera: your chat") // answers may overtake events
	agent.enter("/end")
	agent.see("#1 Ann left")
	agent.see("#1 Vera is gone (agent)")
	visitor.see("the chat has ended (agent)")
	visitor.ends(exitOK)
	assert.NotContains(t, visitor.all(), "psst")
	agent.stdin.close()
	agent.ends(exitOK)
}

// TestAgentPiped: all orders are there at once, and what came of them is shown, although the last one ends the chat.
func TestAgentPiped(t *testing.T) {
	desk, config := openDesk(t)
	agent := open(t, "agent", "--desk", desk)
	agent.enter("/join", "Good day.", "A moment, please.", "/end")
	agent.stdin.close()
	visitor := open(t, "chat", "--config", config, "--name", "Vera")
	visitor.see("the chat has ended (agent)")
	visitor.ends(exitOK)
	agent.ends(exitOK)
	for _, want := range []string{"#1 Ann: Good day.", "#1 Ann: A moment, please.", "#1 Ann left"} {
		assert.Contains(t, agent.all(), want)
	}
}

// TestAgentTransfer hands a chat to another terminal, which says the last word with Ctrl-C.
func TestAgentTransfer(t *testing.T) {
	desk, config := openDesk(t)
	ann, bob := open(t, "agent", "--desk", desk, "--join"), open(t, "agent", "--desk", desk, "--name", "Bob")
	ann.see("Ann sits")
	bob.see("Bob sits")
	visitor := open(t, "chat", "--config", config, "--name", "Vera")
	ann.see("#1 Ann joined")
	bob.see("#1 Vera waits")
	bob.enter("/chats")
	bob.see("#1 Vera: ") // whether Ann is in it already is not said
	visitor.see("Ann (agent) joined")
	visitor.enter("hello")
	ann.see("Vera: hello")
	ann.enter("/transfer Bob")
	bob.see("#1 Vera: hello")
	bob.see("#1 Bob joined")
	bob.see("#1 Ann left")
	ann.see("#1 Ann left")
	bob.enter("I take over")
	visitor.see("Bob: I take over")
	bob.stop()
	bob.ends(exitInterrupted)
	assert.Empty(t, bob.stderr.String())
	visitor.see("* Bob (agent) left")
	ann.stop()
	ann.ends(exitInterrupted)
	visitor.enter("/end")
	visitor.ends(exitOK)
}

// TestAgentHostileText: what a visitor writes cannot do anything to the agent's terminal.
func TestAgentHostileText(t *testing.T) {
	desk, config := openDesk(t)
	agent := open(t, "agent", "--desk", desk, "--join")
	agent.see("sits")
	visitor := open(t, "chat", "--config", config, "--name", "V\x1b[31m\u202e")
	visitor.see("joined")
	visitor.enter("\x1b]0;title\x07\u009b31m\u202eevil\r\x00 end")
	agent.see("evil")
	visitor.enter("/end")
	visitor.ends(exitOK)
	agent.see("gone (visitor)")
	agent.stop()
	agent.ends(exitInterrupted)
	for _, r := range agent.all() {
		if r != '\n' && unsafeRune(r) {
			t.Fatalf("%q in %q", r, agent.all())
		}
	}
}

func TestAgentWithoutDesk(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	require.NoError(t, l.Close())
	trial{}.run(t, "agent", "--desk", "http://"+address+"/desk").assertLine(t, exitFailure, "no desk at http://"+address+"/desk", "refused", "busdemo sim --desk")

	first, _ := serve(t) // a simulator whose desk is closed
	var urls map[string]string
	require.NoError(t, json.Unmarshal([]byte(first), &urls))
	base := strings.TrimSuffix(urls["cometd"], "/genesys/cometd")
	trial{}.run(t, "agent", "--desk", base+"/desk").assertLine(t, exitFailure, "no desk at", "404")
}

// TestDeskGone: a simulator that ends is told of.
func TestDeskGone(t *testing.T) {
	first, stop := serve(t, "--desk")
	var urls map[string]string
	require.NoError(t, json.Unmarshal([]byte(first), &urls))
	agent := open(t, "agent", "--desk", urls["desk"])
	agent.see("sits")
	stop()
	agent.ends(exitFailure)
	assert.Contains(t, agent.stderr.String(), "busdemo: the desk is gone")
}

// TestDeskRefuses: the desk is for programs of this machine, and for orders that make sense.
func TestDeskRefuses(t *testing.T) {
	sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
	defer sim.Close()
	d := newDesk(sim)
	defer d.close()
	server := httptest.NewServer(d)
	defer server.Close()
	resp, err := sim.Client().Post(gmssim.URL(sim), "application/x-www-form-urlencoded", strings.NewReader("nickname=Vera"))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	chat := sim.Chats()[0].ID

	ann, err := sitDown(t.Context(), server.URL+deskPath, "Ann", time.Hour)
	require.NoError(t, err)
	defer ann.leave()
	assert.Equal(t, deskEvent{Chat: chat, Type: deskStarted, From: "Vera", Role: "Client"}, <-ann.events)
	assert.Equal(t, deskEvent{Chat: chat, Type: "ParticipantJoined", From: "Vera", Role: "Client"}, <-ann.events)

	ask := func(method, path, contentType, body string, change func(*http.Request)) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+deskPath+path, strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Content-Type", contentType)
		if change != nil {
			change(r)
		}
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer resp.Body.Close() //nolint:errcheck // it was only read from
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(b)
	}
	order := func(agent, do, text string) string {
		b, err := json.Marshal(deskOrder{Agent: agent, Chat: chat, Do: do, Text: text})
		require.NoError(t, err)
		return string(b)
	}
	const plain, asJSON = "text/plain", "application/json"
	for _, tt := range []struct {
		name, method, path, contentType, body string
		change                                func(*http.Request)
		status                                int
		want                                  string
	}{
		{"a web page", "POST", "/do", asJSON, order("Ann", "join", ""), func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") }, 403, "this machine"},
		{"a page's image", "GET", "/events?agent=Eve", "", "", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403, "this machine"},
		{"an address typed into a browser", "GET", "/events?agent=Eve", "", "", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "none") }, 403, "this machine"},
		{"a name for this machine", "GET", "/events?agent=Eve", "", "", func(r *http.Request) { r.Host = "evil.example:80" }, 403, "this machine"},
		{"a form", "POST", "/do", plain, order("Ann", "join", ""), nil, 415, "application/json"},
		{"no name", "GET", "/events", "", "", nil, 400, "name"},
		{"the same name", "GET", "/events?agent=Ann", "", "", nil, 409, "Ann already"},
		{"elsewhere", "GET", "/other", "", "", nil, 404, "the desk has"},
		{"nonsense", "POST", "/do", asJSON, "{", nil, 400, "cannot be read"},
		{"two orders", "POST", "/do", asJSON, order("Ann", "join", "") + order("Ann", "end", ""), nil, 400, "behind it"},
		{"unknown field", "POST", "/do", asJSON, `{"agnet":"Ann"}`, nil, 400, "agnet"},
		{"too long", "POST", "/do", asJSON, `{"text":"` + strings.Repeat("x", maxDeskBody) + `"}`, nil, 400, "too large"},
		{"nobody", "POST", "/do", asJSON, order("Eve", "join", ""), nil, 409, "no agent Eve"},
		{"not joined", "POST", "/do", asJSON, order("Ann", "say", "hello"), nil, 409, "join it first"},
		{"no chat", "POST", "/do", asJSON, `{"agent":"Ann","chat":"x","do":"join"}`, nil, 409, "no such chat"},
		{"join", "POST", "/do", asJSON, order("Ann", "join", ""), nil, 200, "{}"},
		{"join again", "POST", "/do", asJSON, order("Ann", "join", ""), nil, 409, "already"},
		{"unknown order", "POST", "/do", asJSON, order("Ann", "dance", ""), nil, 409, "dance"},
		{"say", "POST", "/do", asJSON, order("Ann", "say", "hello"), nil, 200, "{}"},
		{"end", "POST", "/do", asJSON, order("Ann", "end", ""), nil, 200, "{}"},
		{"ended", "POST", "/do", asJSON, order("Ann", "join", ""), nil, 409, "ended"},
	} {
		status, body := ask(tt.method, tt.path, tt.contentType, tt.body, tt.change)
		assert.Equal(t, tt.status, status, tt.name)
		assert.Contains(t, body, tt.want, tt.name)
		assert.True(t, json.Valid([]byte(body)), tt.name)
	}
	assert.Equal(t, []string{"hello"}, sim.Chats()[0].Lines(chatsim.Agent))
	assert.Equal(t, chatsim.EndedByAgent, sim.Chats()[0].Reason)
}

// TestDeskAgentVanishes: an agent whose program is killed leaves the chats.
func TestDeskAgentVanishes(t *testing.T) {
	sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
	defer sim.Close()
	d := newDesk(sim)
	defer d.close()
	server := httptest.NewServer(d)
	defer server.Close()
	resp, err := sim.Client().Post(gmssim.URL(sim), "application/x-www-form-urlencoded", strings.NewReader("nickname=Vera"))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	c, _ := sim.Chat(sim.Chats()[0].ID)
	ann, err := sitDown(t.Context(), server.URL+deskPath, "Ann", time.Hour)
	require.NoError(t, err)
	<-ann.events
	require.NoError(t, ann.do(t.Context(), deskOrder{Chat: c.ID(), Do: "join"}))
	require.NoError(t, ann.do(t.Context(), deskOrder{Chat: c.ID(), Do: "file", Name: "a.txt", ContentType: "text/plain", Data: []byte("x")}))
	ann.leave()
	for n := 0; ; n++ {
		e, err := c.Next(t.Context(), n)
		require.NoError(t, err)
		if e.Type == chatsim.ParticipantLeft {
			assert.Equal(t, "Ann", e.From.Nickname)
			break
		}
	}
	assert.True(t, bytes.Equal([]byte("x"), c.Snapshot().Files[0].Data))
}
