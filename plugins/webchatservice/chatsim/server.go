package chatsim

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// ErrClosed is returned by [Desk.Next] and [Chat.Next] once the server is
// closed.
var ErrClosed = errors.New("chatsim: server closed")

// Options changes a [Server]. The zero value of each field is the default.
type Options struct {
	// Network is where the server listens, at Host. Default: a network of
	// its own, closed with the server.
	Network *Network
	// Host is the server's address on the network, "host" or "host:port".
	// Default "sim.test", port 80.
	Host string
	// Faces are the wires that the server speaks, each with its own options. Without any nobody can reach
	// it: the package simulator makes a server that speaks them all.
	Faces []Face
	// Script plays the agents. Default [Scripted] with its defaults.
	Script Script
	// SilenceLimit is flex-disconnect-timeout: a visitor who has made no
	// request for so long is put out and his chat ends; while a Bayeux
	// session is attached to the chat he is not silent. Default 45 s,
	// negative for no limit. Long-lived chats have none.
	SilenceLimit time.Duration
	// IdleAlert is how long nothing may be said before the idle alert.
	// Default 0: never. [UsualIdleAlert] is what servers come with.
	IdleAlert time.Duration
	// IdleClose is the time from the idle alert to the end of the chat.
	// Default [UsualIdleClose].
	IdleClose time.Duration
	// AsyncIdleAlert and AsyncIdleClose are the same for long-lived chats.
	// Default 0: never, and [UsualAsyncIdleClose].
	AsyncIdleAlert, AsyncIdleClose time.Duration
	// MaxBody is how many bytes a request without a file may have.
	// Default 256 KiB.
	MaxBody int64
	// BodyTimeout is how long a client may take to send a request's body. Default 2 min, negative for no limit.
	BodyTimeout time.Duration
	// Origins are the web origins that may call from a browser. Default: all.
	Origins []string
	// Seed, if not 0, makes ids and keys the same in each run.
	Seed uint64
	// Keep is how many ended chats, and how many requests, are remembered.
	// Default 10,000 of each.
	Keep int
}

// Server is a simulated chat server with its agents. See the package comment.
// All methods are safe for concurrent use.
type Server struct {
	opts    Options
	network *Network
	own     bool // network is the server's to close
	host    string
	client  *http.Client
	handler http.Handler
	keys    *keygen
	faults  Faults
	log     requestLog

	http   *http.Server
	serve  sync.WaitGroup // the accept loop
	conns  sync.WaitGroup // connections of the in-memory listener
	work   sync.WaitGroup // scripts and late requests
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex // taken after a chat's mu, never before it
	closed  bool
	seq     int
	chats   map[string]*Chat
	tokens  map[string]*Chat // by what lets clients in
	ended   []*Chat          // oldest first
	arrived []*Chat          // not yet returned by Desk.Next
	arrival chan struct{}    // closed at the next arrival, nil while nobody waits
	open    map[net.Conn]struct{}
}

// New starts a server on an in-memory network; nil means defaults. Close it.
// It panics if Options.Host is taken on the network or malformed, and if two faces have one name.
func New(opts *Options) *Server {
	s := &Server{chats: map[string]*Chat{}, tokens: map[string]*Chat{}, open: map[net.Conn]struct{}{}}
	if opts != nil {
		s.opts = *opts
	}
	o := &s.opts
	o.Host = cmp.Or(o.Host, "sim.test")
	o.Faces = slices.Clone(o.Faces)
	o.Origins = slices.Clone(o.Origins)
	if o.Script == nil {
		o.Script = Scripted(nil)
	}
	o.SilenceLimit = cmp.Or(o.SilenceLimit, 45*time.Second)
	o.IdleClose = cmp.Or(o.IdleClose, UsualIdleClose)
	o.AsyncIdleClose = cmp.Or(o.AsyncIdleClose, UsualAsyncIdleClose)
	o.MaxBody = cmp.Or(o.MaxBody, 256<<10)
	o.BodyTimeout = cmp.Or(o.BodyTimeout, 2*time.Minute)
	o.Keep = cmp.Or(o.Keep, 10000)
	s.log.keep = o.Keep
	s.keys = newKeygen(o.Seed)
	s.ctx, s.cancel = context.WithCancel(context.Background())

	s.network = o.Network
	if s.network == nil {
		s.network, s.own = NewNetwork(), true
	}
	s.host = o.Host
	address := o.Host
	if _, _, err := net.SplitHostPort(address); err != nil {
		address = net.JoinHostPort(address, "80")
	}
	l, err := s.network.Listen(address)
	if err != nil {
		panic(err.Error())
	}
	s.client = s.network.Client()
	s.handler = s.openFaces()
	s.http = &http.Server{
		Handler:     s.handler,
		BaseContext: func(net.Listener) context.Context { return s.ctx },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
		ConnState: s.connState,
		ErrorLog:  log.New(io.Discard, "", 0), // broken connections are what it is for
	}
	s.serve.Go(func() { _ = s.http.Serve(l) })
	return s
}

// Close ends the server: connections, scripts and requests under way. It
// returns when they are gone. A second call does nothing.
//
// Requests that came through Handler from another HTTP server are asked to end
// but not waited for; close that server too. A [Script] must not call Close,
// which waits for it.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	_ = s.http.Close()
	s.serve.Wait()
	for _, f := range s.opts.Faces {
		f.Close()
	}
	s.conns.Wait()
	s.work.Wait()
	for _, c := range s.list() {
		c.mu.Lock()
		c.stopTimersLocked()
		c.mu.Unlock()
	}
	s.client.CloseIdleConnections()
	if s.own {
		return s.network.Close()
	}
	return nil
}

// Handler returns the HTTP handler of all wires, to be mounted at the root of
// any HTTP server.
func (s *Server) Handler() http.Handler { return s.handler }

// Faces returns the wires that the server speaks.
func (s *Server) Faces() []Face { return slices.Clone(s.opts.Faces) }

// BaseURLs returns the addresses that clients are configured with if Handler is served at hostport, as the faces name
// them: "gms" is "http://HOSTPORT/genesys/2/chat/customer-support".
func (s *Server) BaseURLs(hostport string) map[string]string {
	urls := map[string]string{}
	for _, f := range s.opts.Faces {
		maps.Copy(urls, f.BaseURLs(hostport))
	}
	return urls
}

// URL returns an address of BaseURLs on the in-memory network, "" if no face has one of this name.
func (s *Server) URL(name string) string { return s.BaseURLs(s.host)[name] }

// Client returns an HTTP client that reaches the server over its in-memory
// network; each call returns the same one.
func (s *Server) Client() *http.Client { return s.client }

// DialContext dials on the server's network, see [Network.DialContext].
func (s *Server) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return s.network.DialContext(ctx, network, address)
}

// Network returns the network the server listens on.
func (s *Server) Network() *Network { return s.network }

// Faults returns the fault switchboard.
func (s *Server) Faults() *Faults { return &s.faults }

// Desk returns the place where Go code takes chats.
func (s *Server) Desk() *Desk { return &Desk{server: s} }

// Requests returns what was asked of the server so far, oldest first, as far
// as it remembers (Options.Keep). CORS preflights are not among them.
func (s *Server) Requests() []Request { return s.log.list() }

// Chat returns the chat with this id.
func (s *Server) Chat(id string) (*Chat, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.chats[id]
	return c, ok
}

// Chats returns the state of every chat remembered, in order of their start.
func (s *Server) Chats() []Snapshot {
	chats := s.list()
	snapshots := make([]Snapshot, len(chats))
	for i, c := range chats {
		snapshots[i] = c.Snapshot()
	}
	return snapshots
}

// Restart breaks every connection of the in-memory listener and every
// websocket, and forgets what the faces know of their clients. With memory, the chats go on
// (a failover); without, the server has never heard of them.
// It is reachable again at once: for time in between use [Network.Refuse].
func (s *Server) Restart(memory bool) {
	s.mu.Lock()
	conns := make([]net.Conn, 0, len(s.open))
	for c := range s.open {
		conns = append(conns, c)
	}
	var lost []*Chat
	if !memory {
		for _, c := range s.chats {
			lost = append(lost, c)
		}
		clear(s.chats)
		clear(s.tokens)
		s.ended, s.arrived = nil, nil
	}
	s.mu.Unlock()
	for _, c := range conns {
		Reset(c)
	}
	for _, f := range s.opts.Faces {
		f.Restart(memory)
	}
	for _, c := range lost {
		c.End()
	}
}

func (s *Server) list() []*Chat {
	s.mu.Lock()
	defer s.mu.Unlock()
	chats := make([]*Chat, 0, len(s.chats))
	for _, c := range s.chats {
		chats = append(chats, c)
	}
	slices.SortFunc(chats, func(a, b *Chat) int { return a.seq - b.seq })
	return chats
}

// enter makes a chat, with the visitor in it, and lets the script in.
func (s *Server) enter(e Entry) (*Chat, error) {
	ctx, cancel := context.WithCancel(s.ctx)
	c := &Chat{
		server: s, id: s.keys.chatID(), token: e.Token, service: e.Service, started: time.Now(), form: e.Visitor,
		userData: e.UserData, async: e.Async, index: e.Index, ctx: ctx, cancel: cancel,
	}
	c.mu.chat = c
	c.mu.Lock() // before anybody can find the chat; s.mu comes after it
	defer c.mu.Unlock()
	c.visitor = c.joinLocked(cmp.Or(e.Nickname, e.Visitor.Nickname), Client, false, false, false)
	if e.Prepare != nil {
		e.Prepare(&Tx{c})
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		cancel()
		return nil, ErrClosed
	}
	c.heardLocked()
	c.activeLocked()
	s.seq++
	c.seq = s.seq
	s.chats[c.id] = c
	if c.token != "" {
		s.tokens[c.token] = c
	}
	s.arrived = append(s.arrived, c)
	if s.arrival != nil {
		close(s.arrival)
		s.arrival = nil
	}
	s.work.Go(func() { s.opts.Script(ctx, c) })
	return c, nil
}

// retire notes that a chat has ended and forgets the oldest ended ones. Called
// with the chat's lock held.
func (s *Server) retire(c *Chat) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.chats[c.id] != c {
		return
	}
	s.ended = append(s.ended, c)
	for len(s.ended) > s.opts.Keep {
		old := s.ended[0]
		s.ended = s.ended[1:]
		delete(s.chats, old.id)
		delete(s.tokens, old.token)
		if i := slices.Index(s.arrived, old); i >= 0 {
			s.arrived = slices.Delete(s.arrived, i, i+1)
		}
	}
}

// later runs f once d has passed, unless the server is closed before.
func (s *Server) later(d time.Duration, f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.work.Go(func() {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			f()
		case <-s.ctx.Done():
		}
	})
}

func (s *Server) connState(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.conns.Add(1)
		s.mu.Lock()
		s.open[c] = struct{}{}
		closed := s.closed
		s.mu.Unlock()
		if closed { // accepted while Close was closing the others
			Reset(c)
		}
	case http.StateClosed, http.StateHijacked:
		s.mu.Lock()
		delete(s.open, c)
		s.mu.Unlock()
		s.conns.Done()
	}
}

// connKey is the context key of a request's connection.
type connKey struct{}

// Reset breaks a connection so that the other end sees a reset (RST), in memory and over TCP.
func Reset(c net.Conn) {
	switch c := c.(type) {
	case *conn:
		c.reset()
	case *net.TCPConn:
		_ = c.SetLinger(0)
		_ = c.Close()
	case nil:
	default:
		_ = c.Close()
	}
}
