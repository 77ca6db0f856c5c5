package bayeux_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/bayeux"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
)

// fields is a Bayeux message as the server sees it.
type fields map[string]any

// server is a Bayeux server in memory that does what it is told: a small one, which has no rule of a chat in it. It keeps
// sessions, holds connects for 30 s, and pushes.
type server struct {
	t       *testing.T
	network *chatsim.Network
	http    http.Server
	raw     func(key string, rw *bufio.ReadWriter) // if set, has each websocket before it is one; set before the first

	mu       sync.Mutex // guards what follows
	took     []fields   // messages that came
	cookies  []string   // of each POST
	sessions map[string]*session
	count    int
	sockets  []*websocket.Conn
	pings    int
	// answer, if set, may change the reply to a message. Status, if it returns one, is answered to a POST.
	answer func(in, reply fields)
	status func(in fields) int
}

// session is what the server keeps of a client.
type session struct {
	queue   []fields      // pushed, and not taken yet
	release chan struct{} // ends the connect that is held; nil: none is

}

const (
	handshake  = "/meta/handshake"
	connect    = "/meta/connect"
	disconnect = "/meta/disconnect"
)

// client is a Bayeux client under test with what it told.
type client struct {
	*bayeux.Client
	server *server

	mu     sync.Mutex // guards what follows
	told   []string   // Connected, Disconnected, Failed, and data
	failed []time.Time
	waiter func() // what Waiting returns
	full   chan struct{}
}

// run opens a bubble with a server and a client on this carrier.
func run(t *testing.T, websockets bool, f func(t *testing.T, s *server, c *client)) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{t: t, network: chatsim.NewNetwork(), sessions: make(map[string]*session)}
		l, err := s.network.Listen("bayeux.test:80")
		require.NoError(t, err)
		s.http.Handler = s
		var serving sync.WaitGroup
		serving.Go(func() { _ = s.http.Serve(l) })
		jar := bayeux.NewJar()
		transport := &http.Transport{DialContext: s.network.DialContext}
		c := &client{server: s}
		o := &bayeux.Options{Jar: jar, Timeout: 3 * time.Second, Logger: slog.New(slog.DiscardHandler), Names: bayeux.Names{Timeout: "timeout"}}
		if websockets {
			o.Dialer = bayeux.NewDialer("http://bayeux.test/cometd", &bayeux.DialerOptions{Dial: s.network.DialContext})
		}
		c.Client = bayeux.New(plainHTTP{"http://bayeux.test/cometd", &http.Client{Transport: transport, Jar: jar}}, c, o)
		t.Cleanup(func() {
			c.Close()
			s.dropSockets()
			_ = s.http.Close()
			transport.CloseIdleConnections()
			_ = s.network.Close()
			serving.Wait()
		})
		f(t, s, c)
	})
}

// both runs f over each carrier.
func both(t *testing.T, f func(t *testing.T, s *server, c *client)) {
	for name, websockets := range map[string]bool{"Websocket": true, "LongPolling": false} {
		t.Run(name, func(t *testing.T) { run(t, websockets, f) })
	}
}

// ServeHTTP implements [http.Handler].
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.raw != nil && websocket.IsWebSocketUpgrade(r) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err == nil {
			defer conn.Close() //nolint:errcheck // it is at its end
			s.raw(r.Header.Get("Sec-WebSocket-Key"), rw)
		}
		return
	}
	if websocket.IsWebSocketUpgrade(r) {
		conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err == nil {
			s.mu.Lock()
			s.sockets = append(s.sockets, conn)
			s.mu.Unlock()
			s.serveSocket(conn)
		}
		return
	}
	body, err := io.ReadAll(r.Body)
	var unit []fields
	if err != nil || json.Unmarshal(body, &unit) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.cookies = append(s.cookies, r.Header.Get("Cookie"))
	s.mu.Unlock()
	var out []fields
	for _, in := range unit {
		s.mu.Lock()
		status := s.status
		s.mu.Unlock()
		if status != nil {
			if code := status(in); code != 0 {
				w.WriteHeader(code)
				return
			}
		}
		reply, ses := s.handle(in)
		if in["channel"] == handshake && !strings.Contains(r.Header.Get("Cookie"), "BAYEUX_BROWSER") {
			s.mu.Lock()
			s.count++
			http.SetCookie(w, &http.Cookie{Name: "BAYEUX_BROWSER", Value: strconv.Itoa(s.count), Path: "/"})
			s.mu.Unlock()
			http.SetCookie(w, &http.Cookie{Name: "NODE", Value: "1", Path: "/"})
		}
		if in["channel"] == connect && ses != nil {
			s.hold(r.Context(), ses, in, false)
			s.mu.Lock()
			out = append(out, ses.queue...)
			ses.queue = nil
			s.mu.Unlock()
		}
		out = append(out, reply)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out)
}

// serveSocket is ServeHTTP for a websocket.
func (s *server) serveSocket(conn *websocket.Conn) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var held sync.WaitGroup
	defer held.Wait()
	var writing sync.Mutex
	pong := conn.PingHandler()
	conn.SetPingHandler(func(data string) error {
		s.set(func() { s.pings++ })
		return pong(data)
	})
	write := func(all ...fields) {
		writing.Lock()
		defer writing.Unlock()
		_ = conn.WriteJSON(all)
	}
	for {
		var unit []fields
		if err := conn.ReadJSON(&unit); err != nil {
			cancel()
			return
		}
		for _, in := range unit {
			reply, ses := s.handle(in)
			if in["channel"] == connect && ses != nil {
				held.Go(func() {
					for s.hold(ctx, ses, in, true) {
						s.mu.Lock()
						queue := ses.queue
						ses.queue = nil
						s.mu.Unlock()
						for _, m := range queue {
							write(m)
						}
					}
					write(reply)
				})
				continue
			}
			write(reply)
		}
	}
}

// handle takes a message in, and returns the reply and the sender's session.
func (s *server) handle(in fields) (reply fields, ses *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took = append(s.took, in)
	id, _ := in["clientId"].(string)
	ses = s.sessions[id]
	reply = fields{"id": in["id"], "channel": in["channel"], "successful": true}
	switch {
	case in["channel"] == handshake:
		s.count++
		id = fmt.Sprint("client", s.count)
		s.sessions[id] = new(session)
		reply["clientId"], reply["advice"] = id, fields{"reconnect": "retry", "interval": 0, "timeout": 30000}
	case ses == nil:
		reply["successful"], reply["error"] = false, "402::Unknown client"
	case in["channel"] == disconnect:
		delete(s.sessions, id)
		if ses.release != nil {
			close(ses.release)
			ses.release = nil
		}
	}
	if s.answer != nil {
		s.answer(in, reply)
	}
	if reply["successful"] != true {
		ses = nil
	}
	return reply, ses
}

// hold holds a connect, and reports whether there is something to push on a websocket, which does not end it.
func (s *server) hold(ctx context.Context, ses *session, in fields, socket bool) bool {
	if advice, _ := in["advice"].(map[string]any); advice != nil && advice["timeout"] == 0.0 {
		return false
	}
	s.mu.Lock()
	if len(ses.queue) > 0 {
		s.mu.Unlock()
		return socket
	}
	release := make(chan struct{})
	ses.release = release
	s.mu.Unlock()
	timer := time.NewTimer(30 * time.Second)
	defer timer.Stop()
	select {
	case <-release:
		return socket && ctx.Err() == nil && s.known(ses)
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

func (s *server) known(ses *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.sessions {
		if k == ses {
			return true
		}
	}
	return false
}

// push pushes data to all sessions.
func (s *server) push(data ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ses := range s.sessions {
		for _, d := range data {
			ses.queue = append(ses.queue, fields{"channel": "/news", "data": d})
		}
		if ses.release != nil {
			close(ses.release)
			ses.release = nil
		}
	}
}

// forget forgets all sessions.
func (s *server) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, ses := range s.sessions {
		delete(s.sessions, id)
		if ses.release != nil {
			close(ses.release)
			ses.release = nil
		}
	}
}

func (s *server) dropSockets() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conn := range s.sockets {
		_ = conn.Close()
	}
	s.sockets = nil
}

// set changes what the server does.
func (s *server) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// messages returns how many messages came on a channel.
func (s *server) messages(channel string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.took {
		if m["channel"] == channel {
			n++
		}
	}
	return n
}

// Deliver implements [bayeux.Handler].
func (c *client) Deliver(channel string, data []byte) {
	assert.Equal(c.server.t, "/news", channel)
	c.tell(string(data))
}

// Waiting implements [bayeux.Handler].
func (c *client) Waiting() func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.waiter
	c.waiter = nil
	return f
}

// AwaitRoom implements [bayeux.Handler].
func (c *client) AwaitRoom() bool {
	c.mu.Lock()
	full := c.full
	c.mu.Unlock()
	if full == nil {
		return false
	}
	select {
	case <-full:
	case <-c.Done():
	}
	return true
}

// Connected implements [bayeux.Handler].
func (c *client) Connected() { c.tell("connected") }

// Disconnected implements [bayeux.Handler].
func (c *client) Disconnected() { c.tell("disconnected") }

// Failed implements [bayeux.Handler].
func (c *client) Failed(e *chat.Error) {
	c.tell("failed " + e.Code)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = append(c.failed, time.Now())
}

// Secrets implements [bayeux.Handler].
func (c *client) Secrets() []chat.Secret { return []chat.Secret{chat.NewSecret("geheim-0123456789")} }

func (c *client) tell(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = append(c.told, what)
}

// take returns what was told since the last time, once everything has come to rest.
func (c *client) take() []string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	told := c.told
	c.told = nil
	return told
}

// await makes Waiting return f once.
func (c *client) await(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiter = f
}
