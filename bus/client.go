package bus

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
)

// Client is a plugin's handle to the bus: CXBus's plugin interface (cxbus 3).
// Whoever holds it acts in its namespace; there is no other way to publish its
// events or handle its commands. All methods are safe for concurrent use and
// may be called from handlers.
type Client struct {
	bus      *Bus          // with flags and events what publishing needs
	flags    atomic.Uint32 // why publishing is not the ordinary case: flagDown, flagWatched
	state    atomic.Int32
	events   table[eventRoute]      // own events by short name
	routes   table[route]           // commands called by name
	claimed  atomic.Bool            // somebody takes the plugin down
	started  atomic.Bool            // Start has succeeded
	muted    atomic.Bool            // its handlers publish no more, though it is only stopping
	halted   atomic.Bool            // Stop was called
	inlined  atomic.Bool            // had an inline subscription
	declares atomic.Bool            // has declared events
	latent   atomic.Pointer[latent] // nil without a manifest

	namespace string
	removed   bool   // from the bus; guarded by bus.mu
	plugin    Plugin // nil for a client made by Register
	log       *slog.Logger

	gate    gate
	mailbox *mailbox

	life       context.Context // of the plugin
	end        context.CancelCauseFunc
	lifeCtx    *scope // what Context returns
	mailboxCtx *scope // of mailbox handlers
	inlineCtx  *scope // of inline handlers

	hooks *command // stands for the client's before hooks, where what runs is counted

	recheck chan struct{} // tells whoever takes the plugin down to look again
	down    chan struct{} // closed once the plugin is down

	mu           sync.Mutex // guards what follows
	subs         map[*Subscription]struct{}
	ownMailboxes map[*mailbox]struct{} // of iterators, taps and OwnMailbox
	commands     map[string]*command
}

// The states of a client, in the only order they can follow each other.
const (
	stateStarting int32 = iota // registered: others' commands wait
	stateReady
	stateStopping // commands are refused, handlers end
	stateStopped  // terminal
)

const (
	flagDown    = 1 << iota // the state is stateStopping or stateStopped
	flagWatched             // the bus has hooks or taps
)

// newClient makes a client; b.mu is held.
func newClient(b *Bus, namespace string, p Plugin) *Client {
	c := &Client{bus: b, namespace: namespace, plugin: p, log: b.pluginLog.With("plugin", namespace),
		recheck: make(chan struct{}, 1), down: make(chan struct{})}
	c.life, c.end = context.WithCancelCause(context.Background())
	c.lifeCtx = &scope{Context: context.Background(), client: c}
	c.mailboxCtx = &scope{Context: context.Background(), client: c, mailbox: true}
	c.inlineCtx = &scope{Context: context.Background(), client: c, inline: true}
	c.mailbox = &mailbox{client: c, soft: b.opts.MailboxSoft, hard: b.opts.MailboxHard}
	c.hooks = &command{name: "before hook of " + namespace, owner: c}
	c.gate.client = c
	c.flag(flagWatched, b.watch.Load() != nil)
	return c
}

// Namespace returns the plugin's name, the first part of all its names.
func (c *Client) Namespace() string { return c.namespace }

// Logger returns the bus's logger with the attribute plugin.
func (c *Client) Logger() *slog.Logger { return c.log }

// Context returns a context that lasts as long as the plugin. Its cause is
// [ErrStopped] or [ErrClosed]. Publishing with it never waits for a mailbox.
func (c *Client) Context() context.Context { return c.lifeCtx }

// Configure fills into, a pointer to the plugin's configuration with its
// defaults in it, from the section of the plugin's namespace, by
// [Options.Configure]. Without one, into keeps its defaults.
func (c *Client) Configure(into any) error { return c.ConfigureFrom(c.namespace, into) }

// ConfigureFrom is Configure for a plugin whose section has another name.
func (c *Client) ConfigureFrom(section string, into any) error {
	if c.bus.opts.Configure == nil {
		return nil
	}
	return c.bus.opts.Configure(section, into)
}

// Ready opens the plugin to the commands of others, runs those that waited, in
// call order, and republishes the event <Namespace>.ready with an empty
// payload, so that late subscribers learn of it too. A plugin that the host
// starts becomes ready when its Start returns. Calling Ready again does nothing.
func (c *Client) Ready() {
	returned := false
	defer func() {
		if !returned { // a handler ended this goroutine: another goes on
			go c.Ready()
		}
	}()
	c.becomeReady()
	returned = true
}

func (c *Client) becomeReady() {
	if !c.gate.release() {
		return
	}
	_, err := c.declare("ready", "The plugin accepts commands (retained).", kindOf[struct{}]{})
	if err == nil {
		err = c.Republish(c.lifeCtx, "ready", struct{}{})
	}
	if err != nil {
		c.log.Error("cannot publish ready", "error", err)
	}
	c.warnUndeclaredSubscriptions()
}

// flag sets or clears one of flags.
func (c *Client) flag(bit uint32, on bool) {
	if on {
		c.flags.Or(bit)
	} else {
		c.flags.And(^bit)
	}
}

func (c *Client) newMailbox() *mailbox {
	return &mailbox{client: c, soft: c.mailbox.soft, hard: c.mailbox.hard}
}

func (c *Client) addMailbox() *mailbox {
	mb := c.newMailbox()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rememberMailboxLocked(mb)
	return mb
}

func (c *Client) rememberMailboxLocked(mb *mailbox) {
	if c.ownMailboxes == nil {
		c.ownMailboxes = map[*mailbox]struct{}{}
	}
	c.ownMailboxes[mb] = struct{}{}
}

// dropMailbox forgets a mailbox once nothing of it runs.
func (c *Client) dropMailbox(mb *mailbox) {
	mb.mu.Lock()
	mb.forgotten = true
	running := mb.running
	mb.mu.Unlock()
	if running {
		return // the consumer comes here again
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.ownMailboxes, mb)
}

// allMailboxes returns every mailbox of the client, the handlers' first.
func (c *Client) allMailboxes() []*mailbox {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]*mailbox, 1, 1+len(c.ownMailboxes))
	list[0] = c.mailbox
	for mb := range c.ownMailboxes {
		list = append(list, mb)
	}
	return list
}

// gone is the error for a client that is no longer there.
func (c *Client) gone(op string) error {
	if c.bus.closing.Load() {
		return ErrClosed.with(op, "")
	}
	return ErrStopped.with(op, "the plugin "+c.namespace+" was unloaded")
}

// usable reports why the client can no longer add anything.
func (c *Client) usable(op string) error {
	if c.state.Load() >= stateStopping {
		return c.gone(op)
	}
	return nil
}

func (c *Client) hasLeft() bool { return c.removed }

// signalRecheck tells whoever takes the client down that something has ended.
func (c *Client) signalRecheck() {
	if c.state.Load() >= stateStopping {
		select {
		case c.recheck <- struct{}{}:
		default:
		}
	}
}
