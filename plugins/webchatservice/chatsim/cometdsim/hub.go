package cometdsim

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

func (o Options) withDefaults() Options {
	o.Timeout = cmp.Or(o.Timeout, 30*time.Second)
	o.MaxInterval = cmp.Or(o.MaxInterval, 10*time.Second)
	o.SessionsPerBrowser = cmp.Or(o.SessionsPerBrowser, 1)
	o.MultiSessionInterval = cmp.Or(o.MultiSessionInterval, 2*time.Second)
	o.SocketTimeout = cmp.Or(o.SocketTimeout, 5*time.Minute)
	o.Nodes = max(1, o.Nodes)
	o.Hosts = slices.Clone(o.Hosts)
	return o
}

// hub is the Bayeux sessions and the websockets that there are.
type hub struct {
	upgrader websocket.Upgrader
	running  sync.WaitGroup // websockets

	mu       sync.Mutex // taken last
	sessions map[string]*session
	sockets  map[*socket]struct{}
	held     map[string]int // connects held on long-polling, by browser
	turn     int            // of the nodes
	channels map[string]struct{}
	closed   bool
}

func newHub() *hub {
	return &hub{
		sessions: map[string]*session{}, sockets: map[*socket]struct{}{}, held: map[string]int{}, channels: map[string]struct{}{},
		upgrader: websocket.Upgrader{ReadBufferSize: 1 << 10, WriteBufferSize: 1 << 10, WriteBufferPool: &sync.Pool{}},
	}
}

// close ends all websockets and waits for them, and forgets the sessions.
func (h *hub) close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.breakSockets()
	h.running.Wait()
	h.forget()
}

// list returns the websockets there are.
func (h *hub) list() []*socket {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.sockets))
}

// breakSockets resets all websockets.
func (h *hub) breakSockets() {
	for _, s := range h.list() {
		s.reset()
	}
}

// forget drops all sessions.
func (h *hub) forget() int {
	h.mu.Lock()
	sessions := slices.Collect(maps.Values(h.sessions))
	h.mu.Unlock()
	for _, b := range sessions {
		b.drop(byExpiry)
	}
	return len(sessions)
}

func (h *hub) remove(b *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.sessions, b.id)
}

// created reports whether a channel is there. With create it makes it, as the first subscription does.
func (h *hub) created(channel string, create bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.channels[channel]
	if create && !ok && len(h.channels) < maxChannels {
		h.channels[channel] = struct{}{}
		ok = true
	}
	return ok
}

// maxChannels limits the memory that clients can make the server use.
const maxChannels = 10000

// tooMany counts a connect that is to be held on long-polling. With too many
// of the browser there it returns the advice to say so.
func (h *Face) tooMany(b *session) (json.RawMessage, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if limit := h.opts.SessionsPerBrowser; limit < 0 || h.held[b.browser] < limit {
		h.held[b.browser]++
		return nil, true
	}
	if h.opts.MultiSessionInterval <= 0 {
		return json.RawMessage(`{"multiple-clients":true,"reconnect":"none"}`), false
	}
	return marshal(map[string]any{
		"multiple-clients": true, "reconnect": "retry", "interval": h.opts.MultiSessionInterval.Milliseconds(),
		"timeout": h.opts.Timeout.Milliseconds(),
	}), false
}

func (h *hub) lessHeld(browser string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held[browser]--; h.held[browser] <= 0 {
		delete(h.held, browser)
	}
}

// advice is what handshake and connect replies carry (wire-gms D.5).
func (h *Face) advice() json.RawMessage {
	a := map[string]any{
		"reconnect": "retry", "interval": h.opts.Interval.Milliseconds(), "timeout": h.opts.Timeout.Milliseconds(),
	}
	if h.opts.TellMaxInterval {
		a["maxInterval"] = h.opts.MaxInterval.Milliseconds()
	}
	if len(h.opts.Hosts) > 0 {
		a["hosts"] = h.opts.Hosts
	}
	return marshal(a)
}

func marshal(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic("cometdsim: value does not encode: " + err.Error())
	}
	return b
}

func (h *Face) connectionTypes() []string {
	if h.opts.Quirks.NoWebsocket {
		return []string{"callback-polling", "long-polling"}
	}
	return []string{"websocket", "callback-polling", "long-polling"}
}

const (
	nodeCookie    = "NODE"
	browserCookie = "BAYEUX_BROWSER"
)

// node chooses the node that serves a request.
func (h *Face) node(w http.ResponseWriter, r *http.Request) int {
	if h.opts.Nodes == 1 {
		return 0
	}
	if c, err := r.Cookie(nodeCookie); err == nil && !h.opts.Quirks.NoAffinity {
		if n, err := strconv.Atoi(c.Value); err == nil && n >= 0 && n < h.opts.Nodes {
			return n
		}
	}
	h.mu.Lock()
	n := h.turn % h.opts.Nodes
	h.turn++
	h.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: nodeCookie, Value: strconv.Itoa(n), Path: "/", HttpOnly: true})
	return n
}
