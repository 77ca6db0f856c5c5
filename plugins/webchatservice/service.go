package webchatservice

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// Section is the name of the plugin's section in a configuration.
const Section = "webchat"

// Options is what a [Service] needs from the world. The zero value of each field is its default.
type Options struct {
	// Drivers are the wires at hand, such as wires.All(): the one that the configuration selects is used.
	Drivers []chat.Factory
	// Driver is the wire, made by the program. The configuration then says nothing of wires: their options in it are named
	// in a log record and have no effect. Drivers, HTTPClient, Dial, Headers, Authorization and the group network must be
	// empty, or Start fails: the driver has all of that. Closing idle connections is its owner's business. Without Drivers
	// and Driver no chat can start.
	Driver chat.Driver
	// Config is the webchat section. nil means that the bus is asked for it
	// ([bus.Client.ConfigureFrom]), over the defaults. It is not changed.
	Config *Config
	// Store keeps sessions, so that they can be restored. nil means that a session ends with the
	// service.
	Store Store
	// SessionKey names this visitor's record in Store. "" is a name like others.
	SessionKey string
	// HTTPClient makes the requests: proxy, TLS and the like are its business, and the group network of the
	// configuration must be empty. nil means one that is made after that group. Many services
	// of one program should share one.
	HTTPClient *http.Client
	// Dial opens network connections where HTTPClient is nil, and those of sockets. nil means the
	// network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Masks hide what they match in the texts of messages, wherever these are published, given out
	// or logged, besides those of webchat.masks. What is sent to the server stays as it is.
	Masks []*regexp.Regexp

	// Headers go with every request. Authorization needs webchat.enableCustomHeader, as in the
	// vendor's service, where it comes from main.header. What a server shows of their values is hidden.
	Headers map[string]chat.Secret

	// Authorization gives requests their header Authorization, and another one when the server
	// refuses it. nil means none but that of Headers.
	Authorization *chat.Authorization

	// Credentials sign the visitor in, on wires whose visitors do: they go with each chat that is started or taken
	// up again. Their type is the driver's. nil means none; drivers whose visitors do not sign in ignore them.
	Credentials any

	// OutboxLimit is how many messages may wait at once. 0 means 100.
	OutboxLimit int
	// OutboxAge is how long one may wait. 0 means 5 min.
	OutboxAge time.Duration
	// SettleWithin is how long the transcript may take to show a message whose request broke,
	// before it is called unknown; counted anew after an interruption. 0 means 15 s.
	SettleWithin time.Duration
	// AgentTypingLimit is how long an agent is believed to type without a further sign. 0 means
	// 30 s.
	AgentTypingLimit time.Duration
	// InactivityLimit ends a chat, with reason idle, in which neither side has said anything for so
	// long. 0 means what the configuration says (webchat.inactivityLimit), by default never: the server
	// has a limit of its own.
	InactivityLimit time.Duration
	// EndAfterAgents ends a chat, with reason agent, that its last agent left so long ago; a transfer takes
	// less. It is for long-lived chats, which the server keeps open. 0 means never.
	EndAfterAgents time.Duration
	// GiveUpAfter is how long the server may be out of reach before the session is called lost.
	// 0 means 30 min.
	GiveUpAfter time.Duration
}

// Service is the plugin. Its methods are called by the bus; everything else goes through commands
// and events.
type Service struct {
	opts Options
	deps deps

	mu       sync.Mutex // guards what follows
	client   *bus.Client
	cfg      Config // with defaults, and without Wire, which may hold secrets
	drivers  drivers
	userData map[string]any
	routing  map[string]any // interactionData for the next session
	cur      *session       // the last one; nil before the first
	restore  *restoring
	stopped  bool
}

// New returns a service for one bus. nil means the zero Options, with which no chat can start.
func New(opts *Options) *Service {
	s := &Service{}
	if opts != nil {
		s.opts = *opts
	}
	return s
}

// Namespace implements [bus.Plugin].
func (s *Service) Namespace() string { return Namespace }

// Start implements [bus.Plugin]. It declares the events, registers the commands and takes the
// configuration; a wrong one is an error that matches [ErrInvalidConfig] or [ErrInvalidTransport].
func (s *Service) Start(_ context.Context, c *bus.Client) error {
	if err := s.opts.check(); err != nil {
		return err
	}
	var cfg Config
	if s.opts.Config != nil {
		cfg = *s.opts.Config
	} else {
		cfg = DefaultConfig(s.opts.Drivers...) // many services of one program have no need for it
		if err := c.ConfigureFrom(Section, &cfg); err != nil {
			return err
		}
	}
	s.client = c
	s.deps = deps{
		events: &eventQueue{ctx: c.Context(), publish: (&publisher{client: c, log: c.Logger()}).publish},
		store:  newSessionStore(s.opts.Store, s.opts.SessionKey),
		log:    c.Logger(),
		limits: limits{
			outbox:       or(s.opts.OutboxLimit, 100),
			outboxAge:    or(s.opts.OutboxAge, 5*time.Minute),
			settleWithin: or(s.opts.SettleWithin, 15*time.Second),
			giveUp:       or(s.opts.GiveUpAfter, 30*time.Minute),
			typing:       or(s.opts.AgentTypingLimit, 30*time.Second),
			agentsLeft:   max(s.opts.EndAfterAgents, 0),
		},
		hooks:   &hooks{},
		caps:    &capabilities{},
		maxText: new(atomic.Int64),
	}
	s.drivers = drivers{opts: &s.opts, log: c.Logger(), current: s.opts.Driver}
	if err := s.accept(cfg, false); err != nil {
		return err
	}
	return c.Declare(manifest, s)
}

// or returns v, or def where v is not positive.
func or[N int | time.Duration](v, def N) N {
	if v <= 0 {
		return def
	}
	return v
}

// Stop implements [bus.Stopper]. A session is ended on the server; or left to be restored, where there is a [Store],
// unless it is being ended already or still starting. Stop waits for all goroutines of the service, for as long as ctx
// lives.
func (s *Service) Stop(ctx context.Context) error {
	s.mu.Lock()
	s.stopped = true
	cur, idle := s.cur, s.drivers.idle
	s.mu.Unlock()
	var err error
	if cur != nil {
		if s.opts.Store != nil {
			cur.release(ctx)
		}
		if !cur.current().Final() { // also one that has not begun yet
			_, err = cur.end(ctx)
			if errors.Is(err, ErrNoSession) {
				err = nil
			}
		}
		if waited := cur.close(ctx); waited != nil {
			err = fmt.Errorf("chat session still ends: %w", waited)
		}
	}
	if hung := s.deps.store.wait(ctx); hung != nil {
		err = errors.Join(err, fmt.Errorf("store still works: %w", hung))
	}
	for _, c := range idle {
		c.CloseIdleConnections()
	}
	return err
}

// live returns the session, if the server knows it.
func (s *Service) live(op string) (*session, error) {
	s.mu.Lock()
	cur := s.cur
	s.mu.Unlock()
	if cur == nil || !cur.current().live() {
		return nil, failure(ErrNoSession, op, nil, "")
	}
	return cur, nil
}

// last returns the session or, after its end, the last one; nil before the first.
func (s *Service) last() *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cur
}

var (
	_ bus.Plugin  = (*Service)(nil)
	_ bus.Stopper = (*Service)(nil)
)
