package bus

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strings"
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
	events   table[outlet]          // own events by short name
	routes   table[route]           // commands called by name
	claimed  atomic.Bool            // somebody takes the plugin down
	started  atomic.Bool            // Start has succeeded
	halted   atomic.Bool            // Stop was called
	inlined  atomic.Bool            // had an inline subscription
	declares atomic.Bool            // has declared events
	latent   atomic.Pointer[latent] // nil without a manifest

	namespace string
	plugin    Plugin // nil for a client made by Register
	log       *slog.Logger

	gate gate
	box  *mailbox

	life      context.Context // of the plugin
	end       context.CancelCauseFunc
	lifeCtx   *scope // what Context returns
	boxCtx    *scope // of mailbox handlers
	inlineCtx *scope // of inline handlers

	hooks *command // stands for the client's before hooks, where what runs is counted

	wake chan struct{} // tells whoever takes the plugin down to look again
	down chan struct{} // closed once the plugin is down

	mu       sync.Mutex // guards what follows
	subs     map[*Subscription]struct{}
	boxes    []*mailbox // of iterators, taps and OwnMailbox
	commands map[string]*command
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
	c := &Client{bus: b, namespace: namespace, plugin: p, log: b.log.With("plugin", namespace),
		wake: make(chan struct{}, 1), down: make(chan struct{})}
	c.life, c.end = context.WithCancelCause(context.Background())
	c.lifeCtx = &scope{Context: context.Background(), client: c}
	c.boxCtx = &scope{Context: context.Background(), client: c, mailbox: true}
	c.inlineCtx = &scope{Context: context.Background(), client: c, inline: true}
	c.box = &mailbox{client: c, soft: b.opts.MailboxSoft, hard: b.opts.MailboxHard}
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
	c.warnOrphans()
}

// Call runs a command by name. A name without a dot is one of the client's own.
// in is the command's input type, a map[string]any or json.RawMessage that is
// decoded into it strictly, or nil for its zero value. See [Caller.Call].
func (c *Client) Call(ctx context.Context, name string, in any) (any, error) {
	if c.flags.Load()&flagWatched != 0 {
		if w := c.bus.watch.Load(); w != nil {
			return c.callWatched(ctx, w, name, in)
		}
	}
	if r := c.routes.known(name); r != nil && r.cmd.owner.state.Load() < stateStopping {
		return r.cmd.h.callAny(ctx, r, in)
	}
	return c.callPlain(ctx, name, in)
}

func (c *Client) callPlain(ctx context.Context, name string, in any) (any, error) {
	r := c.routes.get(name)
	if r == nil || r.cmd.owner.state.Load() >= stateStopping {
		var err error
		if r, err = c.routeTo(ctx, name); err != nil {
			return nil, err
		}
	}
	return r.cmd.h.callAny(ctx, r, in)
}

// Go starts a command by name. See [Client.Call] for name and in and
// [Caller.Go] for the rest.
func (c *Client) Go(ctx context.Context, name string, in any) *Future[any] {
	if c.flags.Load()&flagWatched != 0 {
		if w := c.bus.watch.Load(); w != nil {
			return c.goWatched(ctx, w, name, in)
		}
	}
	return c.goPlain(ctx, name, in)
}

func (c *Client) goPlain(ctx context.Context, name string, in any) *Future[any] {
	if r := c.routes.known(name); r != nil && r.cmd.owner.state.Load() < stateStopping {
		return r.cmd.h.startAny(ctx, r, in)
	}
	r, owner, err := c.find(name, false)
	if r == nil {
		return goLate[any](ctx, c, owner, name, in, err)
	}
	return r.cmd.h.startAny(ctx, r, in)
}

// Publish publishes one of the client's own events by its short name; the
// namespace is always added, so a plugin cannot publish in another's. An event
// that was not declared carries any payload. A declared one takes its payload
// type, a map or raw JSON that is decoded strictly, or nil for the zero value;
// anything else is [ErrWrongType]. See [Publisher.Publish] for the rest.
func (c *Client) Publish(ctx context.Context, event string, payload any) error {
	o := c.events.known(event)
	if o == nil {
		if o = c.events.get(event); o == nil {
			return c.publishNew(ctx, event, payload)
		}
	}
	if c.flags.Load() != 0 {
		if err := c.special(ctx, o.topic(), payload); err != nil {
			return err
		}
	}
	s := o.snap.Load()
	if s.idle != nil && s.idle == payloadType(&payload) {
		return nil
	}
	return s.list.publishAny(ctx, c.bus, o.meta, &o.snap, payload)
}

// publishOn is the second half of Publish, for those in less of a hurry.
func (c *Client) publishOn(ctx context.Context, t *topic, payload any) error {
	if c.flags.Load() != 0 {
		if err := c.special(ctx, t, payload); err != nil {
			return err
		}
	}
	return t.publishAny(ctx, payload)
}

// eventTopic returns the topic of an own event that is published by name.
func (c *Client) eventTopic(event string) (*topic, error) {
	if o := c.events.get(event); o != nil {
		return o.topic(), nil
	}
	t, err := c.ownTopic(event, false)
	if err != nil {
		return nil, err
	}
	return t, c.declaredOr(t)
}

// special is what publishing does when flags says so: it fails if the client is
// down, and lets taps see the event.
func (c *Client) special(ctx context.Context, t *topic, v any) error {
	if err := c.silenced(ctx, "publish ", t); err != nil {
		return err
	}
	if w := c.bus.watch.Load(); w != nil {
		w.event(ctx, t, v)
	}
	return nil
}

// silenced reports why the client can no longer publish. While it is taken down
// handlers still can, so that what they were doing comes to its end; others
// cannot, or mailboxes would never run empty.
func (c *Client) silenced(ctx context.Context, verb string, t *topic) error {
	switch c.state.Load() {
	case stateStopped:
		return c.gone(verb + t.name)
	case stateStopping:
		if s, _ := ctx.Value(scopeKey{}).(*scope); s == nil || s == c.lifeCtx {
			return c.gone(verb + t.name)
		}
	}
	return nil
}

// flag sets or clears one of flags.
func (c *Client) flag(bit uint32, on bool) {
	if on {
		c.flags.Or(bit)
	} else {
		c.flags.And(^bit)
	}
}

// PublishDirect is Publish as [Publisher.PublishDirect].
func (c *Client) PublishDirect(ctx context.Context, event string, payload any) error {
	if c.flags.Load()&flagWatched != 0 {
		t, err := c.eventTopic(event)
		if err != nil {
			return err
		}
		if t.unheard() {
			if err := c.silenced(ctx, "publish ", t); err != nil {
				return err
			}
			return t.publishAny(ctx, payload)
		}
	}
	return c.Publish(ctx, event, payload)
}

// Republish publishes and retains an own event by its short name. See
// [Publisher.Republish].
func (c *Client) Republish(ctx context.Context, event string, payload any) error {
	t, err := c.ownTopic(event, true)
	if err != nil {
		return err
	}
	if err := c.declaredOr(t); err != nil {
		return err
	}
	return t.republish(ctx, c, payload)
}

// ClearRetained forgets the retained value of an own event.
func (c *Client) ClearRetained(event string) {
	if o := c.events.get(event); o != nil {
		o.topic().clearRetained()
	}
}

// Subscribe calls h for every event whose full name is or fits name. In a
// pattern a final "*" stands for one or more parts, a leading "*" for exactly
// one, and "*" alone for everything. See the function [Subscribe] for the
// rest; a pattern sees each event once.
func (c *Client) Subscribe(name string, h func(ctx context.Context, e Event[any]), opts ...SubscribeOption) (*Subscription, error) {
	if h == nil {
		return nil, ErrNilHandler.with("subscribe "+name, "pass a function")
	}
	s := newSubscription(c, name, opts)
	setHandler(s, h)
	if err := c.subscribe(s); err != nil {
		return nil, err
	}
	return s, nil
}

// subscribe enters a subscription that takes any payload.
func (c *Client) subscribe(s *Subscription) error {
	if !wild(s.name) {
		if err := checkFull(s.name, checkEvent); err != nil {
			return err
		}
		return c.subscribeExact(s, s.name, kindOf[any]{})
	}
	p, err := parsePattern(s.name)
	if err != nil {
		return err
	}
	s.pattern, s.isWild = p, true
	if err := c.remember(s); err != nil {
		return err
	}
	if err := c.bus.subscribeWild(s); err != nil {
		s.Unsubscribe()
		return err
	}
	return nil
}

// Events returns the events of that name (or pattern) as an iterator. The
// subscription begins at once and has a mailbox of its own; it ends when the
// loop does, when ctx ends, or with the client. The loop body runs in the
// caller's goroutine; while it runs, further events wait as in any mailbox. It
// may be ranged over once. It returns what Subscribe returns.
func (c *Client) Events(ctx context.Context, event string, opts ...SubscribeOption) (iter.Seq[Event[any]], error) {
	ch := make(chan Event[any])
	over := make(chan struct{}) // closed when nobody takes events any more
	s := newSubscription(c, event, append(slices.Clone(opts), func(s *Subscription) { s.inline, s.apart = false, false }))
	s.box = c.addBox()
	var end func()
	setHandler(s, func(hctx context.Context, e Event[any]) {
		select {
		case ch <- e:
		case <-over:
		case <-hctx.Done():
		}
		if s.one {
			end()
		}
	})
	end = sync.OnceFunc(func() {
		close(over)
		s.Unsubscribe()
		c.dropBox(s.box)
	})
	if err := c.subscribe(s); err != nil {
		end()
		return nil, err
	}
	stop := context.AfterFunc(ctx, end)
	return func(yield func(Event[any]) bool) {
		defer end()
		defer stop()
		for {
			select {
			case e := <-ch:
				if !yield(e) {
					return
				}
			case <-over:
				return
			case <-c.life.Done():
				return
			}
		}
	}, nil
}

// WaitFor waits for the next event of that name (or pattern) that match
// accepts; a nil match accepts every one. A retained event counts at once.
// match runs in the publisher's goroutine and must be quick. It returns
// [ErrCancelled] or [ErrTimeout] when ctx ends, and what Subscribe returns.
func (c *Client) WaitFor(ctx context.Context, event string, match func(Event[any]) bool) (Event[any], error) {
	return c.waitFor(ctx, event, match)
}

func (c *Client) waitFor(ctx context.Context, event string, match func(Event[any]) bool) (Event[any], error) {
	got := make(chan Event[any], 1)
	s := newSubscription(c, event, []SubscribeOption{Inline()})
	s.calledThrough()
	setHandler(s, func(_ context.Context, e Event[any]) {
		if match == nil || match(e) {
			select {
			case got <- e:
			default: // an earlier one was taken
			}
		}
	})
	err := c.subscribe(s)
	if err != nil {
		return Event[any]{}, err
	}
	defer s.Unsubscribe()
	select {
	case e := <-got:
		return e, nil
	case <-c.life.Done():
		err = c.gone("wait for " + event)
	case <-ctx.Done():
		err = ctxError("wait for "+event, ctx)
	}
	select {
	case e := <-got: // it came at the last moment
		return e, nil
	default:
		return Event[any]{}, err
	}
}

// Flush waits until every event that was queued for the client's handlers
// before has been handled; iterators and taps are not waited for. It returns [ErrSelfWait] when called with the context of one of the
// client's own mailbox handlers, else [ErrCancelled] or [ErrTimeout]. Called
// from another handler it waits no longer than 5 s unless ctx has a deadline.
func (c *Client) Flush(ctx context.Context) error {
	if _, ok := ctx.Deadline(); !ok && insideBus(ctx) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cleanUp) // two handlers may wait for each other
		defer cancel()
	}
	for s := range scopes(ctx) {
		if s.mailbox && s.client == c {
			return ErrSelfWait.with("flush "+c.namespace, "call Flush from elsewhere")
		}
	}
	for _, mb := range c.allBoxes() {
		if mb != c.box && !mb.handlers {
			continue
		}
		if err := mb.flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) newBox() *mailbox {
	return &mailbox{client: c, soft: c.box.soft, hard: c.box.hard}
}

func (c *Client) addBox() *mailbox {
	mb := c.newBox()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.boxes = append(c.boxes, mb)
	return mb
}

// dropBox forgets a mailbox once nothing of it runs.
func (c *Client) dropBox(mb *mailbox) {
	mb.mu.Lock()
	mb.retired = true
	running := mb.running
	mb.mu.Unlock()
	if running {
		return // the consumer comes here again
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.boxes = slices.DeleteFunc(c.boxes, func(x *mailbox) bool { return x == mb })
}

// allBoxes returns every mailbox of the client, the handlers' first.
func (c *Client) allBoxes() []*mailbox {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*mailbox{c.box}, c.boxes...)
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

func (c *Client) subscribeExact(s *Subscription, name string, k kind) error {
	if err := c.remember(s); err != nil {
		return err
	}
	ns, _, _ := splitName(name)
	for {
		t := c.bus.topic(name, ns, true)
		if err := c.bus.orphan(t); err != nil {
			if c.bus.opts.Strict {
				s.Unsubscribe()
				return err
			}
			c.log.Warn("subscribed to an event that its plugin does not declare", "subscriber", s.String(), "error", err)
		}
		drain, ok, err := t.attach(s, k)
		drainAll(drain)
		if err != nil {
			s.Unsubscribe()
			return err
		}
		if ok {
			return nil
		}
	}
}

// remember notes a subscription so that it ends with the plugin.
func (c *Client) remember(s *Subscription) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.usable("subscribe " + s.name); err != nil {
		return err
	}
	if c.subs == nil {
		c.subs = map[*Subscription]struct{}{}
	}
	c.subs[s] = struct{}{}
	if s.apart {
		c.boxes = append(c.boxes, s.box)
	}
	if s.inline {
		c.inlined.Store(true)
	}
	return nil
}

func (c *Client) forget(s *Subscription) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.subs, s)
}

// declare makes an own event with a payload type.
func (c *Client) declare(member, doc string, k kind) (*outlet, error) {
	if err := c.usable("declare " + c.namespace + "." + member); err != nil {
		return nil, err
	}
	t, err := c.ownTopic(member, true)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	// Under mu: whoever takes the plugin down undeclares what is declared here.
	if err := c.usable("declare " + t.name); err != nil {
		return nil, err
	}
	if err := t.setKind(k); err != nil {
		return nil, err
	}
	t.declared = true
	if member != "ready" && !strings.HasPrefix(member, "data.") {
		c.declares.Store(true)
	}
	if t.doc == "" {
		t.doc = doc
	}
	o := t.outlet(c)
	t.rebuild()
	return o, nil
}

// ownTopic returns the topic of an own event that may not be declared. Unless
// it must last, the routes of no more than maxStrays such names are kept.
func (c *Client) ownTopic(member string, must bool) (*topic, error) {
	if err := checkEvent(member); err != nil {
		return nil, err
	}
	name := c.namespace + "." + member
	if c.state.Load() >= stateStopped {
		return nil, c.gone("publish " + name)
	}
	must = must || c.latentEvent(member) != nil
	for {
		t := c.bus.topics.get(name)
		if t == nil {
			keep := must || c.bus.strays.Load() < maxStrays
			if t = c.bus.topic(name, c.namespace, keep); !keep {
				return t, nil
			}
		}
		o, gone := t.hold(c, must)
		switch {
		case gone:
			continue
		case o != nil:
			c.events.put(member, o)
		default:
			c.bus.collect(t)
		}
		return t, nil
	}
}

// declaredOr reports that an own event is published undeclared.
func (c *Client) declaredOr(t *topic) error {
	t.mu.Lock()
	declared := t.declared
	t.mu.Unlock()
	switch {
	case declared:
		return nil
	case c.bus.opts.Strict:
		_, member, _ := splitName(t.name)
		if o := c.events.get(member); o != nil {
			c.events.drop(member, o)
		}
		return ErrUndeclared.with("publish "+t.name, didYouMean(t.name, c.eventNames()))
	}
	c.log.Debug("published an event that is not declared", "event", t.name)
	return nil
}

// eventNames returns the full names of the declared events.
func (c *Client) eventNames() (names []string) {
	for _, e := range c.info().Events {
		names = append(names, e.Name)
	}
	return names
}

// orphan reports that an event can never come: its plugin is ready, has
// declared its events, and this is not one of them.
func (b *Bus) orphan(t *topic) error {
	owner := b.client(t.namespace)
	if owner == nil || owner.state.Load() != stateReady || !owner.declares.Load() {
		return nil
	}
	_, member, _ := splitName(t.name)
	t.mu.Lock()
	declared := t.declared
	t.mu.Unlock()
	if declared || strings.HasPrefix(member, "data.") || member == "ready" {
		return nil
	}
	return ErrUndeclared.with("subscribe "+t.name, didYouMean(t.name, owner.eventNames()))
}

// warnOrphans tells of subscriptions that were made before c became ready and
// can never match.
func (c *Client) warnOrphans() {
	for _, t := range c.bus.topics.all() {
		if t.namespace != c.namespace {
			continue
		}
		t.mu.Lock()
		waiting := slices.DeleteFunc(slices.Clone(t.subs), func(s *Subscription) bool { return s.isWild })
		t.mu.Unlock()
		if len(waiting) == 0 {
			continue
		}
		if err := c.bus.orphan(t); err != nil {
			c.log.Warn("subscribed to an event that its plugin does not declare", "subscriber", waiting[0].String(), "error", err)
		}
	}
}

// hold marks the topic as held by c, its owner, which then keeps the outlet that
// is returned. An undeclared one is refused when there are too many. gone is set
// if the topic has left the table meanwhile.
func (t *topic) hold(c *Client, must bool) (o *outlet, gone bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone {
		return nil, true
	}
	if !t.cached && !t.declared && !must {
		if t.bus.strays.Add(1) > maxStrays {
			t.bus.strays.Add(-1)
			return nil, false
		}
		t.stray = true
	}
	t.cached = true
	return t.outlet(c), false
}

// handle registers a command.
func (c *Client) handle(name, doc string, h commandHandler) error {
	if err := checkFull(name, checkCommand); err != nil {
		return err
	}
	if ns, _, _ := splitName(name); ns != c.namespace {
		return ErrNotOwner.with("handle "+name, "only the client of "+ns+" can handle it")
	}
	k := &command{name: name, doc: doc, owner: c, h: h}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.usable("handle " + name); err != nil {
		return err
	}
	if _, member, _ := splitName(name); c.commands[name] != nil || c.inManifest(name) || isBuiltin(member) {
		return ErrDuplicate.with("handle "+name, "a command has one handler")
	}
	c.enterLocked(k)
	return nil
}

// enterLocked makes a command one that can be found.
func (c *Client) enterLocked(k *command) {
	k.h.bindTo(k)
	if c.commands == nil {
		c.commands = map[string]*command{}
	}
	c.commands[k.name] = k
	c.bus.commands.put(k.name, k)
}

// find finds a command by name. If its plugin is not ready and has not
// registered it, find returns the plugin alone: the command may come. For a
// call that the plugin's gate has let through, the plugin counts as ready.
func (c *Client) find(name string, released bool) (*route, *Client, error) {
	if released {
		r, owner, err := c.find(name, false)
		switch {
		case owner != nil:
			_, member, _ := splitName(name)
			return nil, nil, owner.noCommand(name, member)
		case r != nil:
			r = &route{cmd: r.cmd, ctx: r.ctx, mine: true}
		}
		return r, nil, err
	}
	if r := c.routes.get(name); r != nil && r.cmd.owner.state.Load() < stateStopping {
		return r, nil, nil
	}
	full := name
	ns, member, dotted := splitName(name)
	if !dotted {
		ns, member = c.namespace, name
		full = ns + "." + name
	}
	k := c.bus.command(full, ns)
	if k == nil {
		if err := checkFull(full, checkCommand); err != nil {
			return nil, nil, err
		}
		owner := c.bus.client(ns)
		if owner != nil && isBuiltin(member) {
			return c.keepRoute(name, owner.builtin(member)), nil, nil
		}
		switch {
		case owner == nil && c.bus.closing.Load():
			return nil, nil, ErrClosed.with("call "+full, "")
		case owner == nil && ns == c.namespace:
			return nil, nil, c.gone("call " + full)
		case owner == nil:
			return nil, nil, ErrUnknownPlugin.with("call "+full, didYouMean(ns, c.bus.namespaces()))
		case owner != c && owner.state.Load() == stateStarting:
			return nil, owner, nil
		}
		if k = c.bus.command(full, ns); k == nil { // it may have come just now
			return nil, nil, owner.noCommand(full, member)
		}
	}
	if k.owner.state.Load() >= stateStopping {
		return nil, nil, k.owner.gone("call " + full)
	}
	return c.keepRoute(name, k), nil, nil
}

func (c *Client) keepRoute(name string, k *command) *route {
	r := &route{cmd: k, mine: k.owner == c}
	r.ctx = &scope{Context: context.Background(), client: k.owner, command: k, commander: c, depth: 1}
	c.routes.put(name, r)
	return r
}

// routeTo is find for a caller that waits until the plugin is ready.
func (c *Client) routeTo(ctx context.Context, name string) (*route, error) {
	r, owner, err := c.find(name, false)
	if errors.Is(err, ErrUnknownPlugin) {
		ns, _, _ := splitName(name)
		if l, lerr := c.bus.load(ctx, ns, "call "+name); lerr != nil {
			return nil, lerr
		} else if l != nil {
			r, owner, err = c.find(name, false)
		}
	}
	if owner == nil {
		return r, err
	}
	if err := owner.gate.wait(ctx, name); err != nil {
		return nil, err
	}
	r, _, err = c.find(name, true)
	return r, err
}

// goLate starts a command that could not be found: it fails, waits for owner to
// become ready, or has the plugin loaded.
func goLate[Out any](ctx context.Context, c, owner *Client, name string, in any, err error) *Future[Out] {
	toLoad := errors.Is(err, ErrUnknownPlugin) && c.bus.opts.Loader != nil
	if err != nil && !toLoad {
		return failedFuture[Out](err)
	}
	d := &Future[any]{}
	f := &d.f
	f.cmd = &command{name: name, owner: c} // for errors alone
	start := func(err error) {
		var r *route
		switch {
		case err == nil && toLoad:
			r, err = c.routeTo(ctx, name)
		case err == nil:
			r, _, err = c.find(name, true)
		}
		if err != nil {
			f.settle(nil, err)
			return
		}
		r.cmd.h.startAny(ctx, r, in).f.forward(f)
	}
	switch {
	case toLoad:
		go start(nil) // it ends with ctx, or with the loader, which ends with the bus
	case !owner.gate.queue(ctx, name, start):
		start(nil)
	}
	return (*Future[Out])(d)
}

// noCommand is the error for a command that c does not have.
func (c *Client) noCommand(full, member string) error {
	if err := c.usable("call " + full); err != nil {
		return err
	}
	c.mu.Lock()
	names := slices.Collect(maps.Keys(c.commands))
	c.mu.Unlock()
	if l := c.latent.Load(); l != nil {
		names = slices.AppendSeq(names, maps.Keys(l.commands))
	}
	return ErrUnknownCommand.with("call "+full, didYouMean(c.namespace+"."+member, names))
}

// kick tells whoever takes the client down that something has ended.
func (c *Client) kick() {
	if c.state.Load() >= stateStopping {
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
}
