package chatsim

import (
	"cmp"
	"encoding/json"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const cometdRoot = "/genesys/cometd"

// CometDOptions are the settings of the Bayeux server (wire-gms D.3). The zero
// value of each field is the default.
type CometDOptions struct {
	// Timeout is how long a connect is held. Default 30 s.
	Timeout time.Duration
	// Interval is how long clients shall wait between connects. Default 0.
	Interval time.Duration
	// MaxInterval is how long a session outlives its last answered connect,
	// besides Interval. Default 10 s.
	MaxInterval time.Duration
	// TellMaxInterval puts MaxInterval into the advice.
	TellMaxInterval bool
	// Hosts are put into the advice.
	Hosts []string
	// SessionsPerBrowser is how many connects are held for one
	// BAYEUX_BROWSER cookie on long-polling. Default 1, negative for no limit.
	SessionsPerBrowser int
	// MultiSessionInterval is the interval that a connect above that limit is
	// advised. Default 2 s; negative refuses it.
	MultiSessionInterval time.Duration
	// SocketTimeout is how long a websocket may be silent. Default 5 min.
	SocketTimeout time.Duration
	// Nodes is how many servers stand behind the address. They share the
	// chats; a Bayeux session is known to the one that it was made on. The
	// cookie NODE leads a client back to it; who does not send the cookie
	// gets the next node at each request. Default 1, and no such cookie.
	Nodes int
}

func (o CometDOptions) withDefaults() CometDOptions {
	o.Timeout = cmp.Or(o.Timeout, 30*time.Second)
	o.MaxInterval = cmp.Or(o.MaxInterval, 10*time.Second)
	o.SessionsPerBrowser = cmp.Or(o.SessionsPerBrowser, 1)
	o.MultiSessionInterval = cmp.Or(o.MultiSessionInterval, 2*time.Second)
	o.SocketTimeout = cmp.Or(o.SocketTimeout, 5*time.Minute)
	o.Nodes = max(1, o.Nodes)
	o.Hosts = slices.Clone(o.Hosts)
	return o
}

// hub is the Bayeux server: the sessions and the websockets there are.
type hub struct {
	server   *Server
	opts     CometDOptions
	upgrader websocket.Upgrader
	running  sync.WaitGroup // websockets

	mu       sync.Mutex // taken last
	sessions map[string]*bayeuxSession
	sockets  map[*socket]struct{}
	held     map[string]int // connects held on long-polling, by browser
	turn     int            // of the nodes
	closed   bool
}

func newHub(s *Server) *hub {
	h := &hub{
		server: s, opts: s.opts.CometD.withDefaults(),
		sessions: map[string]*bayeuxSession{}, sockets: map[*socket]struct{}{}, held: map[string]int{},
	}
	h.upgrader = websocket.Upgrader{
		ReadBufferSize: 1 << 10, WriteBufferSize: 1 << 10, WriteBufferPool: &sync.Pool{},
		CheckOrigin: func(r *http.Request) bool {
			origin := r.Header.Get("Origin")
			return origin == "" || len(s.opts.Origins) == 0 || slices.Contains(s.opts.Origins, origin)
		},
	}
	return h
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

// breakSockets resets all websockets.
func (h *hub) breakSockets() {
	h.mu.Lock()
	sockets := make([]*socket, 0, len(h.sockets))
	for s := range h.sockets {
		sockets = append(sockets, s)
	}
	h.mu.Unlock()
	for _, s := range sockets {
		s.reset()
	}
}

// forget drops all sessions.
func (h *hub) forget() int {
	h.mu.Lock()
	sessions := make([]*bayeuxSession, 0, len(h.sessions))
	for _, b := range h.sessions {
		sessions = append(sessions, b)
	}
	h.mu.Unlock()
	for _, b := range sessions {
		b.drop(byExpiry)
	}
	return len(sessions)
}

func (h *hub) remove(b *bayeuxSession) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.sessions, b.id)
}

// tooMany counts a connect that is to be held on long-polling. With too many
// of the browser there it returns the advice to say so.
func (h *hub) tooMany(b *bayeuxSession) (json.RawMessage, bool) {
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
func (h *hub) advice() json.RawMessage {
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
		panic("chatsim: value does not encode: " + err.Error())
	}
	return b
}

func (h *hub) connectionTypes() []string {
	if h.server.opts.Quirks.NoWebsocket {
		return []string{"callback-polling", "long-polling"}
	}
	return []string{"websocket", "callback-polling", "long-polling"}
}

// carrier is what brought a message.
type carrier struct {
	node    int
	browser string  // the cookie, "" without one
	sock    *socket // nil on long-polling
	// trusted says that there were credentials in the header, or that none
	// are asked for.
	trusted bool
}

func (c carrier) name() string {
	if c.sock != nil {
		return "websocket"
	}
	return "long-polling"
}

// find returns the session of a message, as far as the carrier may use it.
func (h *hub) find(id string, via carrier) *bayeuxSession {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.sessions[id]
	switch {
	case b == nil || b.node != via.node:
		return nil
	case via.sock == nil && b.browser != via.browser && !h.server.opts.Quirks.NoBrowserCookie:
		return nil // wire-gms B.1
	}
	return b
}

// serveCometD is the Bayeux end point: every path below the root, either
// carrier.
func (s *Server) serveCometD(w http.ResponseWriter, r *http.Request) {
	if path := strings.TrimPrefix(r.URL.Path, cometdRoot); path != "" && path[0] != '/' {
		http.NotFound(w, r)
		return
	}
	x := &exchange{server: s, w: w, r: r, log: Request{
		Time: time.Now(), Wire: "cometd", Method: r.Method, Path: r.URL.Path, Header: redactHeader(r.Header),
	}}
	s.cors(w, r)
	upgrade := websocket.IsWebSocketUpgrade(r) && !s.opts.Quirks.NoWebsocket
	switch {
	case r.Method == http.MethodOptions:
		w.WriteHeader(http.StatusNoContent)
	case s.ctx.Err() != nil:
		x.plain(http.StatusServiceUnavailable)
	case s.opts.Quirks.NoCometD:
		x.plain(http.StatusNotFound)
	case r.Method != http.MethodPost && !upgrade:
		x.send(http.StatusBadRequest, "text/html; charset=utf-8", []byte("Unknown Bayeux Transport"))
	case !x.trusted():
	default:
		via := carrier{node: s.hub.node(w, r), trusted: s.opts.User == "" || r.Header.Get("Authorization") != ""}
		if c, err := r.Cookie(browserCookie); err == nil {
			via.browser = c.Value
		}
		if upgrade && r.Method == http.MethodGet {
			x.upgrade(via)
		} else {
			x.longPoll(via)
		}
	}
}

// trusted refuses wrong credentials. None at all may still come with a message
// (wire-gms B.1).
func (x *exchange) trusted() bool {
	o := &x.server.opts
	if x.r.Header.Get("Authorization") == "" {
		if o.APIKey == "" || equal(x.r.Header.Get("apikey"), o.APIKey) || equal(x.r.Header.Get("x-api-key"), o.APIKey) {
			return true
		}
	}
	return x.authorized()
}

const (
	nodeCookie    = "NODE"
	browserCookie = "BAYEUX_BROWSER"
)

// node chooses the node that serves a request.
func (h *hub) node(w http.ResponseWriter, r *http.Request) int {
	if h.opts.Nodes == 1 {
		return 0
	}
	if c, err := r.Cookie(nodeCookie); err == nil && !h.server.opts.Quirks.NoAffinity {
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

// incoming is one message on its way through the server.
type incoming struct {
	*bayeuxMessage
	log   Request
	form  *form
	bad   *Error // what is wrong with data
	fault *Fault // never nil
}

// prepare looks at the messages of one transport unit and takes a fault for
// each.
func (h *hub) prepare(messages []bayeuxMessage, log Request) []*incoming {
	ins := make([]*incoming, len(messages))
	for i := range messages {
		in := &incoming{bayeuxMessage: &messages[i], log: log, fault: &Fault{}}
		in.log.Op = in.Channel
		if !strings.HasPrefix(in.Channel, "/meta/") {
			in.form, in.log.Op, in.bad = readData(in.Data)
			in.log.Params, in.log.UserData = redactParams(in.form.values), in.form.userData
			if c := h.server.chatOf(in.form); c != nil {
				in.log.Chat = c.id
			}
		}
		if f := h.server.faults.take(in.log); f != nil {
			in.fault, in.log.Faulty = f, true
		}
		ins[i] = in
	}
	return ins
}

// broken says why messages that are JSON are not for this server: HTTP 500, or
// 1011 (wire-gms D.3).
func broken(messages []bayeuxMessage) bool {
	return len(messages) == 0 || len(messages) > 1 && slices.ContainsFunc(messages, func(m bayeuxMessage) bool {
		return m.Channel == metaHandshake
	})
}

// handle answers one message. With a hold the reply comes later. The session
// is nil if there is none.
func (h *hub) handle(in *incoming, via carrier, alone bool) (*bayeuxReply, *bayeuxSession, *hold) {
	reply := in.reply()
	if in.Channel == metaHandshake {
		b := h.handshake(in, via, reply)
		in.fault.alter(reply)
		return reply, b, nil
	}
	b := h.find(in.ClientID, via)
	var held *hold
	switch {
	case in.Channel == "":
		reply.fail("400::channel missing")
	case b == nil || in.fault.Elsewhere:
		reply.unknown()
	case in.fault.Unsuccessful != "" && !in.fault.Accept: // alter says so
	case in.Channel == metaConnect:
		reply, held = b.connect(in.bayeuxMessage, via, alone, in.fault)
		if held != nil {
			return nil, b, held
		}
	default:
		b.touch()
		h.message(b, in, via, reply)
	}
	in.fault.alter(reply)
	return reply, b, nil
}

func (h *hub) message(b *bayeuxSession, in *incoming, via carrier, reply *bayeuxReply) {
	switch {
	case in.Channel == metaSubscribe, in.Channel == metaUnsubscribe:
		if _, text := in.subscriptions(); text != "" {
			reply.fail(text)
		}
		reply.Subscription = in.Subscription
	case in.Channel == metaDisconnect:
		b.drop(byDisconnect)
	case strings.HasPrefix(in.Channel, "/meta/") || !strings.HasPrefix(in.Channel, "/"):
		reply.fail("403:denied_by_security_policy:create denied")
	case strings.HasPrefix(in.Channel, chatChannel):
		if !via.trusted && !h.server.knows(in.Data) {
			reply.fail("403:denied_by_security_policy:publish denied")
			return
		}
		operate := func() { h.operate(b, in) }
		if in.fault.Late > 0 {
			h.server.later(in.fault.Late, operate)
			return
		}
		operate()
	}
}

// handshake is /meta/handshake (wire-gms D.2).
func (h *hub) handshake(in *incoming, via carrier, reply *bayeuxReply) *bayeuxSession {
	switch {
	case in.fault.Unsuccessful != "" && !in.fault.Accept:
		return nil
	case h.server.opts.Quirks.StrictHandshake && (in.Version == "" || !slices.ContainsFunc(in.ConnectionTypes, func(t string) bool {
		return slices.Contains(h.connectionTypes(), t)
	})):
		reply.Advice = json.RawMessage(`{"reconnect":"none"}`)
		reply.fail("403::Handshake denied")
		return nil
	}
	browser := via.browser
	if browser == "" {
		browser = h.server.keys.pick(base36, 16)
	}
	b := &bayeuxSession{
		hub: h, id: h.server.keys.pick(base36, 26), browser: browser, node: via.node,
		acks: in.Ext != nil && string(in.Ext.Ack) == "true" && !h.server.opts.Quirks.NoAcks, batchNo: 1,
		carrier: via.name(), attached: map[*Chat]struct{}{},
	}
	reply.ClientID, reply.Version, reply.MinimumVersion = b.id, "1.0", "1.0"
	reply.ConnectionTypes, reply.Advice = h.connectionTypes(), h.advice()
	if b.acks {
		reply.Ext = json.RawMessage(`{"ack":true}`)
	}
	b.mu.Lock()
	b.answeredLocked()
	b.mu.Unlock()
	h.mu.Lock()
	h.sessions[b.id] = b
	closed := h.closed
	h.mu.Unlock()
	if closed {
		b.drop(byExpiry)
	}
	return b
}

const base36 = "0123456789abcdefghijklmnopqrstuvwxyz"

// longPoll is a POST (wire-gms D.4).
func (x *exchange) longPoll(via carrier) {
	s := x.server
	body, status := x.bayeuxBody()
	if status != 0 {
		x.bare(status)
		return
	}
	messages, err := parseBayeux(body)
	switch {
	case err == errNotJSON:
		x.bare(http.StatusBadRequest)
		return
	case err != nil || broken(messages):
		x.bare(http.StatusInternalServerError)
		return
	}
	ins := s.hub.prepare(messages, x.log)
	x.logs = nil
	x.fault = &Fault{}
	for _, in := range slices.Backward(ins) {
		x.logs = append(x.logs, in.log)
		if in.log.Faulty {
			x.fault = in.fault // the first one has the request
		}
	}
	slices.Reverse(x.logs)
	fault := x.fault
	if fault.Drop == DropBefore {
		x.abort()
	}
	if !x.wait(fault.Delay) {
		x.abort()
	}
	if fault.Status != 0 && !fault.Accept {
		x.replace()
		return
	}
	answer, status := x.answerAll(ins, via)
	defer answer.release()
	if fault.Late > 0 {
		x.abort()
	}
	if fault.DelayAnswer > 0 || fault.Drop == DropAfter {
		answer.release() // what the message has caused does not wait for a reply that is late
	}
	if !x.wait(fault.DelayAnswer) {
		x.abort()
	}
	switch {
	case fault.Drop == DropAfter:
		x.abort()
	case fault.Status != 0:
		x.replace()
	case status != http.StatusOK:
		x.bare(status)
	default:
		x.send(http.StatusOK, "application/json;charset=UTF-8", batch(answer.messages...))
		_ = http.NewResponseController(x.w).Flush() // before what follows the replies
	}
}

// postAnswer is what a POST is answered with.
type postAnswer struct {
	messages [][]byte
	corked   *bayeuxSession
}

// release lets deliveries go. A second call does nothing.
func (a *postAnswer) release() {
	if a.corked != nil {
		a.corked.uncork()
		a.corked = nil
	}
}

// answerAll handles the messages of a POST, in order, and waits for the end of
// a held connect.
func (x *exchange) answerAll(ins []*incoming, via carrier) (*postAnswer, int) {
	h := x.server.hub
	if len(ins) == 1 && (ins[0].Channel == metaConnect || ins[0].Channel == metaHandshake) {
		return x.answerMeta(ins[0], via)
	}
	a := &postAnswer{}
	mark := 0
	b := h.find(ins[0].ClientID, via)
	if b != nil {
		mark, a.corked = b.cork(), b
	}
	var replies [][]byte
	for _, in := range ins {
		reply, _, _ := h.handle(in, via, false)
		replies = append(replies, reply.encode())
	}
	if b != nil && !b.onlyWithConnect() {
		b.mu.Lock()
		if x.server.opts.Quirks.DeliverFirst {
			mark = len(b.queue)
		}
		a.messages = b.takeLocked(mark)
		b.mu.Unlock()
	}
	a.messages = append(a.messages, replies...)
	return a, http.StatusOK
}

// answerMeta is answerAll for a handshake or a connect that came alone.
func (x *exchange) answerMeta(in *incoming, via carrier) (*postAnswer, int) {
	h := x.server.hub
	reply, b, held := h.handle(in, via, true)
	if held != nil {
		select {
		case <-held.done:
		case <-x.r.Context().Done():
			b.giveUp(held)
			x.abort()
		case <-x.server.ctx.Done():
			b.giveUp(held)
			x.abort()
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		messages, status := b.heldAnswerLocked(held)
		return &postAnswer{messages: messages}, status
	}
	a := &postAnswer{}
	switch {
	case in.Channel == metaHandshake:
		if reply.Successful && via.browser == "" {
			http.SetCookie(x.w, &http.Cookie{Name: browserCookie, Value: b.browser, Path: "/", HttpOnly: true})
		}
	case b != nil && reply.Successful:
		b.mu.Lock()
		a.messages = b.takeLocked(len(b.queue))
		b.mu.Unlock()
	}
	a.messages = append(a.messages, reply.encode())
	return a, http.StatusOK
}

// bare answers with a status and nothing else.
func (x *exchange) bare(status int) { x.send(status, "text/html; charset=utf-8", nil) }

// bayeuxBody reads the body of a POST; a status other than 0 refuses it.
func (x *exchange) bayeuxBody() ([]byte, int) {
	s := x.server
	media, _, err := mime.ParseMediaType(cmp.Or(x.r.Header.Get("Content-Type"), "application/json"))
	if err != nil {
		return nil, http.StatusInternalServerError
	}
	body, err := readAtMost(x.r.Body, s.opts.MaxBody)
	switch {
	case err == errBodySize:
		x.w.Header().Set("Connection", "close")
		return nil, http.StatusRequestEntityTooLarge
	case err != nil:
		return nil, http.StatusBadRequest
	}
	switch media {
	case "application/json", "text/json":
		return body, 0
	case "application/x-www-form-urlencoded":
		f, err := parseURLEncoded(string(body))
		if err != nil {
			return nil, http.StatusBadRequest
		}
		return []byte(f.get("message")), 0
	}
	return nil, http.StatusInternalServerError
}
