package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/bus/busconfig"
	"github.com/cxbus/cxbus/plugins/config"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/cometdsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmscometd"
	"github.com/cxbus/cxbus/plugins/webchatservice/wires"
)

// closeTimeout limits how long the program takes to put everything away.
const closeTimeout = 15 * time.Second

// stack is what the commands run on: a bus with WebChatService and Statistics on it, and the program's
// own client.
type stack struct {
	*outside
	options stackOptions
	bus     *bus.Bus
	client  *bus.Client
	events  *watch

	stopReloads func()
}

// outside is what a stack meets in the world, and what outlives it. Without a configured server there is an
// embedded one, on a network in memory.
type outside struct {
	sim       *chatsim.Server // nil when the chat server is another
	cable     *cable
	transport *http.Transport      // over the cable
	store     webchatservice.Store // nil for none
	figures   *Statistics
}

// stackOptions say how to build a stack.
type stackOptions struct {
	namespace string // of the program's own client
	file      string // configuration; "" for none
	transport string // of the embedded server; "" for the default
	keep      bool   // keep the session, for a successor
	agents    *chatsim.ScriptOptions
	trace     *trace // nil for none
}

// newStack builds a stack and starts its plugins. Whoever gets one closes it.
func (p *program) newStack(ctx context.Context, o stackOptions) (*stack, error) {
	out := &outside{figures: &Statistics{}}
	if o.keep {
		out.store = webchatservice.NewMemoryStore()
	}
	return p.buildStack(ctx, o, out)
}

// succeed closes the stack's bus, with its session left in the store, and builds another one in its place, as
// a program does that is started again. When that fails the old stack is still to be closed.
func (p *program) succeed(ctx context.Context, s *stack) (*stack, error) {
	if err := s.closeBus(ctx); err != nil {
		return nil, err
	}
	return p.buildStack(ctx, s.options, s.outside)
}

func (p *program) buildStack(ctx context.Context, o stackOptions, out *outside) (*stack, error) {
	s := &stack{outside: out, options: o, events: newWatch()}
	defaults := func() *webchatservice.Config {
		c := webchatservice.DefaultConfig(wires.All()...)
		if s.sim != nil {
			s.embedded(&c)
		}
		return &c
	}
	cfg, addressed, err := p.settings(o.file, defaults)
	if err != nil {
		return nil, err
	}
	switch {
	case out.cable != nil: // it is a successor
	case addressed:
		err = s.connect(new(net.Dialer).DialContext, chat.Secret{})
	default:
		s.sim = p.newSim(&chatsim.Options{Script: chatsim.Scripted(o.agents)})
		err = s.connect(s.sim.DialContext, chat.NewSecret("direct"))
	}
	if err != nil {
		return nil, err
	}
	service := &webchatservice.Options{
		Drivers: wires.All(), HTTPClient: &http.Client{Transport: s.transport}, Dial: s.cable.DialContext, Store: s.store,
		Headers: p.headers(),
	}
	s.bus = bus.New(&bus.Options{Logger: p.logger(), Configure: func(section string, into any) error {
		if c, ok := into.(*webchatservice.Config); ok && s.sim != nil {
			s.embedded(c)
		}
		return cfg.Configure(section, into)
	}})
	if err := s.start(ctx, o, cfg, webchatservice.New(service), s.figures); err != nil {
		return nil, together(err, s.close(ctx))
	}
	s.reloads(p)
	return s, nil
}

// settings reads the configuration, over defaults. addressed reports that it names a chat server, which a file
// must.
func (p *program) settings(file string, defaults func() *webchatservice.Config) (cfg *config.Plugin, addressed bool, err error) {
	load := func() (*busconfig.Config, error) { return busconfig.Load(&busconfig.Options{File: file}) }
	cfg, err = config.New(load, config.Section{
		Name: webchatservice.Section, Configure: webchatservice.Configure.Name(),
		Defaults: func() any { return defaults() },
	})
	if err != nil {
		return nil, false, err
	}
	webchat := defaults()
	if err := cfg.Configure(webchatservice.Section, webchat); err != nil {
		return nil, false, err
	}
	addressed = hasAddress(*webchat)
	if !addressed && file != "" {
		return nil, false, fmt.Errorf("%s: webchat.dataURL: is missing; set it to the root of a chat service, "+
			"such as http://127.0.0.1:8080/genesys/2/chat/customer-support, or leave --config out for the embedded one", file)
	}
	if webchat.EnableCustomHeader && p.authorization.IsZero() {
		return nil, false, fmt.Errorf("webchat.enableCustomHeader: set the environment variable %s to the value of the header "+
			`Authorization, such as "Bearer abc", or leave the option out`, authorizationVariable)
	}
	return cfg, addressed, nil
}

// headers returns what the program adds to requests where webchat.enableCustomHeader is set.
func (p *program) headers() map[string]chat.Secret {
	if p.authorization.IsZero() {
		return nil
	}
	return map[string]chat.Secret{"Authorization": p.authorization}
}

// connect puts a cable to dial, and a transport for all requests over it.
func (s *stack) connect(dial func(ctx context.Context, network, address string) (net.Conn, error), proxy chat.Secret) (err error) {
	s.cable = newCable(dial)
	s.transport, err = chat.NewTransport(chat.TransportOptions{Proxy: proxy, Dial: s.cable.DialContext})
	return err
}

// embedded points c to the embedded server.
func (s *stack) embedded(c *webchatservice.Config) {
	pointTo(s.sim, s.options.transport, c)
}

// pointTo points c to an embedded server.
func pointTo(sim *chatsim.Server, transport string, c *webchatservice.Config) {
	if transport == gmscometd.Name {
		c.CometD.Enabled = true
		c.Wire = webchatservice.NewWire(map[string]any{"cometD": map[string]any{
			"cometURL": cometdsim.URL(sim), "apiURL": cometdsim.FilesURL(sim), "channel": cometdsim.Channel(sim),
		}})
		return
	}
	// Nobody pays for requests in memory.
	c.Wire = webchatservice.NewWire(map[string]any{"dataURL": gmssim.URL(sim), "pollRateMin": 250, "pollRateMax": 1000})
}

// reloads reads the configuration again at each SIGHUP, until the stack is closed. A refused one is told
// on standard error, and the old one stays in force.
func (s *stack) reloads(p *program) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	s.stopReloads = func() { cancel(); <-done }
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-p.hangUp:
			}
			_, err := s.client.Call(ctx, config.Reload.Name(), nil)
			switch {
			case ctx.Err() != nil:
			case err != nil:
				p.complain(err)
			default:
				fmt.Fprintln(p.stderr, "busdemo: the configuration was read again, and counts from the next chat on")
			}
		}
	}()
}

func (s *stack) start(ctx context.Context, o stackOptions, plugins ...bus.Plugin) error {
	var err error
	if s.client, err = s.bus.Register(o.namespace); err != nil {
		return err
	}
	// Inline, and so in the order of publishing with what the program itself does; both only take
	// the event down, so that no publisher ever waits for a terminal.
	_, err = s.client.Subscribe("*", func(_ context.Context, e bus.Event[any]) {
		o.trace.event(e)
		s.events.add(e)
	}, bus.Inline(), bus.Timed())
	if err != nil {
		return err
	}
	for i := range plugins {
		if o.trace != nil {
			plugins[i] = &traced{plugins[i], o.trace}
		}
	}
	return s.bus.Start(ctx, plugins...)
}

// closeBus stops the plugins. It is not cut short by the end of ctx.
func (s *stack) closeBus(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if s.stopReloads != nil {
		s.stopReloads()
	}
	return s.bus.Close(ctx)
}

// close stops the plugins and the embedded server. It is not cut short by the end of ctx.
func (s *stack) close(ctx context.Context) error {
	err := s.closeBus(ctx)
	s.transport.CloseIdleConnections()
	if s.sim != nil {
		err = together(err, s.sim.Close())
	}
	return err
}

// hasAddress reports whether c names a chat server, or at least asks for a wire of its own.
func hasAddress(c webchatservice.Config) bool {
	wire := c.Wire.Reveal()
	set := func(option string) bool { return wire[option] != nil && wire[option] != "" }
	return set("dataURL") || set("serverURL") || c.CometD.Enabled || c.Transport.Type != ""
}

// traced is a plugin whose starting and stopping is traced.
type traced struct {
	bus.Plugin
	trace *trace
}

// Start implements bus.Plugin.
func (t *traced) Start(ctx context.Context, c *bus.Client) error {
	t.trace.plugin(t.Namespace(), "starting", nil)
	err := t.Plugin.Start(ctx, c)
	if err != nil {
		t.trace.plugin(t.Namespace(), "failed", err)
		return err
	}
	t.trace.plugin(t.Namespace(), "started", nil)
	return nil
}

// Requires implements bus.Requirer.
func (t *traced) Requires() []string {
	if r, ok := t.Plugin.(bus.Requirer); ok {
		return r.Requires()
	}
	return nil
}

// Stop implements bus.Stopper.
func (t *traced) Stop(ctx context.Context) error {
	t.trace.plugin(t.Namespace(), "stopping", nil)
	var err error
	if s, ok := t.Plugin.(bus.Stopper); ok {
		err = s.Stop(ctx)
	}
	t.trace.plugin(t.Namespace(), "stopped", err)
	return err
}

var (
	_ bus.Requirer = (*traced)(nil)
	_ bus.Stopper  = (*traced)(nil)
)
