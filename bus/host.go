package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// Plugin is code with a namespace of its own on a bus.
type Plugin interface {
	// Namespace returns the plugin's name, the same each time.
	Namespace() string
	// Start gets the plugin's one handle to the bus. It registers commands,
	// declares events, subscribes, and returns when the plugin can serve; it
	// must not keep ctx, which is for the start alone. Own commands work at
	// once, those of others wait until Start has returned. If it returns an
	// error or panics, the bus takes back all that was registered, and the plugin
	// takes back the rest.
	Start(ctx context.Context, c *Client) error
}

// Stopper is a plugin with something to put in order before it is taken down.
type Stopper interface {
	// Stop is called once, if Start succeeded, before anything of the plugin
	// is taken from the bus: it may still publish and call. It must end the
	// plugin's goroutines and settle its open commands. What it returns is
	// handed to whoever unloads or closes.
	Stop(ctx context.Context) error
}

// Requirer is a plugin that needs others.
type Requirer interface {
	// Requires returns the namespaces that must be started before this one.
	// They are stopped after it.
	Requires() []string
}

// Start starts plugins, each after those it requires, otherwise in the order
// given. If one fails, those that this call has started are stopped again in
// reverse order and nothing of any of them is left on the bus. It returns
// [ErrStart] with the cause, [ErrNilHandler] for a nil plugin, [ErrBadName],
// [ErrNameTaken], [ErrUnknownPlugin] for a requirement that is nowhere, or
// [ErrClosed].
func (b *Bus) Start(ctx context.Context, plugins ...Plugin) error {
	order, err := b.startOrder(plugins)
	if err != nil {
		return err
	}
	var started []*Client
	for _, p := range order {
		c, err := b.startOne(ctx, p)
		if err != nil {
			for _, c := range slices.Backward(started) {
				err = errors.Join(err, b.unload(context.WithoutCancel(ctx), c))
			}
			return err
		}
		started = append(started, c)
	}
	return nil
}

func (b *Bus) startOne(ctx context.Context, p Plugin) (*Client, error) {
	ns := p.Namespace()
	c, err := b.register(ns, p)
	if err != nil {
		return nil, err
	}
	b.log.Info("plugin starts", "plugin", ns)
	sctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.life, func() { cancel(context.Cause(c.life)) })
	err = contain(func() error { return p.Start(sctx, c) })
	stop()
	cancel(context.Canceled)
	if err == nil {
		c.started.Store(true)
		if c.claimed.Load() { // taken down meanwhile, perhaps by somebody who has not seen it started
			err = errors.Join(c.gone("start "+ns), c.stopPlugin(ctx))
		}
	}
	if err != nil {
		wctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
		defer cancel()
		return nil, errors.Join(ErrStart.because("start "+ns, err, ""), b.unload(wctx, c))
	}
	c.Ready()
	return c, nil
}

// cleanUp bounds the waits that nobody gave a deadline: for the handlers of a
// failed start, and those asked for from inside a handler.
const cleanUp = 5 * time.Second

// contain runs f and turns a panic into an error with the stack.
func contain(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = ErrPanic.because("", fmt.Errorf("%v\n%s", p, debug.Stack()), "")
		}
	}()
	return f()
}

// startOrder sorts plugins by what they require, keeping the given order where
// that allows it.
func (b *Bus) startOrder(plugins []Plugin) ([]Plugin, error) {
	byName := map[string]Plugin{}
	for _, p := range plugins {
		if p == nil {
			return nil, ErrNilHandler.with("start", "pass a plugin")
		}
		if byName[p.Namespace()] != nil {
			return nil, ErrNameTaken.with("start "+p.Namespace(), "two plugins have this namespace")
		}
		byName[p.Namespace()] = p
	}
	var order []Plugin
	done := map[string]bool{}
	var visit func(p Plugin, path []string) error
	visit = func(p Plugin, path []string) error {
		ns := p.Namespace()
		if slices.Contains(path, ns) {
			return ErrStart.with("start "+ns, "plugins require each other: "+strings.Join(append(path, ns), " -> "))
		}
		if done[ns] {
			return nil
		}
		if r, ok := p.(Requirer); ok {
			for _, need := range r.Requires() {
				if q := byName[need]; q != nil {
					if err := visit(q, append(path, ns)); err != nil {
						return err
					}
				} else if b.client(need) == nil {
					return ErrUnknownPlugin.with("start "+ns, "it requires "+need+", which is neither given nor registered")
				}
			}
		}
		done[ns] = true
		order = append(order, p)
		return nil
	}
	for _, p := range plugins {
		if err := visit(p, nil); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// Unload takes the plugin with that namespace off the running bus. It lets the
// plugin stop, refuses its commands, ends its subscriptions and its handlers'
// contexts, lets its mailbox run empty, and waits. After that nothing of the
// plugin runs, every command it was given has its one outcome, its retained
// values are forgotten, and the namespace is free. Subscriptions of others to
// its events stay.
//
// If ctx ends first, Unload returns [ErrStillRunning] with a list; the plugin
// is off the bus all the same, and no further handler of it starts. Called from
// a handler of the plugin it leaves that handler out of the wait, and drops
// what waits in its mailbox. It returns [ErrUnknownPlugin] if there is none.
func (b *Bus) Unload(ctx context.Context, namespace string) error {
	c := b.client(namespace)
	if c == nil {
		if b.closing.Load() {
			return ErrClosed.with("unload "+namespace, "")
		}
		return ErrUnknownPlugin.with("unload "+namespace, didYouMean(namespace, b.namespaces()))
	}
	return b.unload(ctx, c)
}

// unload takes one plugin off the bus.
func (b *Bus) unload(ctx context.Context, c *Client) error {
	return b.shutDown(ctx, []*Client{c}, ErrStopped)
}

// shutDown takes clients down together, in the order given: it lets the
// plugins stop while everything works, then ends their handlers, lets the
// mailboxes run empty, and waits. Clients that somebody else is taking down
// already are only waited for.
func (b *Bus) shutDown(ctx context.Context, all []*Client, why *Error) error {
	ctx, cancel := waitContext(ctx)
	defer cancel()
	var errs []error
	var clients, others []*Client
	for _, c := range all {
		if !c.claimed.CompareAndSwap(false, true) {
			others = append(others, c)
			continue
		}
		clients = append(clients, c)
		errs = append(errs, c.stopPlugin(ctx))
	}
	for _, c := range clients {
		c.state.Store(stateStopping)
		c.flag(flagDown, true)
		c.gate.reject(c.gone)
		c.dropCommands()
		b.unwatch(func(h *Hook) bool { return h.owner == c }, nil)
		if why == ErrStopped {
			c.detachAll() // nothing new for it; what is queued is still handled
		}
		c.end(why.with("", ""))
	}
	err := b.waitQuiet(ctx, clients)
	for _, c := range clients {
		c.state.Store(stateStopped)
		c.kill()
	}
	errs = append(errs, err, b.waitInline(ctx, clients))
	b.remove(clients)
	for _, c := range clients {
		close(c.down)
		b.log.Info("plugin stopped", "plugin", c.namespace)
	}
	me := selfOf(ctx)
	for _, c := range others {
		if me.inside(c) || me.inline && c.inlined.Load() {
			continue // whoever takes it down waits for the handler that asks here
		}
		select {
		case <-c.down:
		case <-ctx.Done():
			errs = append(errs, ctxError("wait until "+c.namespace+" has stopped", ctx))
		}
	}
	return errors.Join(errs...)
}

// waitContext is the context to wait with. One that belongs to a handler may
// be ended by the very shutdown it asks for, so only its deadline counts, and
// without one the wait is bounded by cleanUp.
func waitContext(ctx context.Context) (context.Context, context.CancelFunc) {
	if !insideBus(ctx) {
		return ctx, func() {}
	}
	at, ok := ctx.Deadline()
	if !ok {
		at = time.Now().Add(cleanUp)
	}
	return context.WithDeadline(context.WithoutCancel(ctx), at)
}

// stopPlugin calls the plugin's Stop, once, if its Start has succeeded. A Stop
// that does not end with ctx is left behind.
func (c *Client) stopPlugin(ctx context.Context) error {
	s, ok := c.plugin.(Stopper)
	if !ok || !c.started.Load() || !c.halted.CompareAndSwap(false, true) {
		return nil
	}
	done := make(chan error, 1)
	go func() {
		var err error = ErrPanic.with("", "Stop ended its goroutine") // unless contain returns
		defer func() { done <- err }()
		err = contain(func() error { return s.Stop(ctx) })
	}()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("stop %s: %w", c.namespace, err)
		}
		return nil
	case <-ctx.Done():
		e := ErrStillRunning.because("stop", context.Cause(ctx), "Stop must return when its context ends")
		e.Text = "still running: Stop of " + c.namespace
		return e
	}
}

func (c *Client) dropCommands() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, k := range c.commands {
		c.bus.commands.drop(name, k)
	}
}

func (c *Client) subscriptions() []*Subscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]*Subscription, 0, len(c.subs))
	for s := range c.subs {
		list = append(list, s)
	}
	return list
}

// detachAll takes the client's subscriptions out of routing; what waits in the
// mailbox stays.
func (c *Client) detachAll() {
	for _, s := range c.subscriptions() {
		c.bus.detach(s)
	}
}

// kill makes sure that no mailbox handler starts any more, and that nobody
// waits for room.
func (c *Client) kill() {
	for _, s := range c.subscriptions() {
		s.Unsubscribe()
	}
	for _, mb := range c.allBoxes() {
		mb.release()
	}
}

// self is what a wait must leave out: the handlers it was called from.
type self struct {
	mailboxes map[*mailbox]bool
	commands  map[*command]int64
	inline    bool
}

func selfOf(ctx context.Context) self {
	me := self{map[*mailbox]bool{}, map[*command]int64{}, false}
	for s := range scopes(ctx) {
		switch {
		case s.mailbox:
			me.mailboxes[cmp.Or(s.box, s.client.box)] = true
		case s.inline:
			me.inline = true
		case s.command != nil:
			me.commands[s.command]++
		}
	}
	return me
}

// inside reports whether one of the handlers is c's.
func (me self) inside(c *Client) bool {
	for k := range me.commands {
		if k.owner == c {
			return true
		}
	}
	return slices.ContainsFunc(c.allBoxes(), func(mb *mailbox) bool { return me.mailboxes[mb] })
}

// waitQuiet waits until no handler of the clients runs and their mailboxes are
// empty; what one publishes while it drains, another handles.
func (b *Bus) waitQuiet(ctx context.Context, clients []*Client) error {
	me := selfOf(ctx)
	for {
		before := batches(clients)
		for _, c := range clients {
			for !c.quiet(me) {
				select {
				case <-c.wake:
				case <-ctx.Done():
					return stillRunning(clients, me, ctx)
				}
			}
		}
		// Who is quiet again and has taken nothing in work between the two looks
		// was quiet all the time.
		busy := slices.ContainsFunc(clients, func(c *Client) bool { return !c.quiet(me) })
		if !busy && batches(clients) == before {
			return nil
		}
	}
}

// batches counts what the mailboxes have ever taken in work.
func batches(clients []*Client) (n uint64) {
	for _, c := range clients {
		for _, mb := range c.allBoxes() {
			mb.mu.Lock()
			n += mb.batch
			mb.mu.Unlock()
		}
	}
	return n
}

func (c *Client) quiet(me self) bool {
	for _, mb := range c.allBoxes() {
		if !mb.idle(me.mailboxes[mb]) {
			return false
		}
	}
	return len(c.busyCommands(me)) == 0
}

func (c *Client) busyCommands(me self) (names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, k := range c.commands {
		if k.running.Load() > me.commands[k] {
			names = append(names, "command "+name)
		}
	}
	if c.hooks.running.Load() > me.commands[c.hooks] {
		names = append(names, c.hooks.name)
	}
	return names
}

// stillRunning lists what has not stopped.
func stillRunning(clients []*Client, me self, ctx context.Context) error {
	var list []string
	for _, c := range clients {
		list = append(list, c.busyCommands(me)...)
		for _, mb := range c.allBoxes() {
			mb.mu.Lock()
			if mb.running && !me.mailboxes[mb] {
				list = append(list, fmt.Sprintf("subscriber %s with %d more events waiting", mb.busyLocked(), mb.waiting+mb.taken-int(mb.pos.Load())))
			}
			mb.mu.Unlock()
		}
	}
	slices.Sort(list)
	e := ErrStillRunning.because("stop", context.Cause(ctx), "handlers must return when their context ends")
	e.Text = "still running: " + strings.Join(list, "; ")
	return e
}

// waitInline waits until no publish can call an inline handler of the clients
// any more.
func (b *Bus) waitInline(ctx context.Context, clients []*Client) error {
	if selfOf(ctx).inline || !slices.ContainsFunc(clients, func(c *Client) bool { return c.inlined.Load() }) {
		return nil
	}
	if err := b.readers.wait(ctx, 0); err != nil {
		e := ErrStillRunning.because("stop", err, "inline handlers must return quickly")
		e.Text = "still running: a publish that calls inline subscribers"
		return e
	}
	return nil
}

// remove frees the namespaces.
func (b *Bus) remove(clients []*Client) {
	for _, c := range clients {
		b.mu.Lock()
		c.latent.Store(nil) // topics that are made from now on are no longer its own
		b.mu.Unlock()
		for _, o := range c.events.all() {
			b.undeclare(o)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range clients {
		delete(b.clients, c.namespace)
		b.order = slices.DeleteFunc(b.order, func(x *Client) bool { return x == c })
	}
}

// undeclare makes the topic of a plugin that is gone what it was before it
// came: a name that others may be subscribed to, or nothing.
func (b *Bus) undeclare(o *outlet) {
	t := o.topic()
	t.retain.Lock()
	t.value, t.has, t.rev = nil, false, 0
	t.mu.Lock()
	if t.stray {
		b.strays.Add(-1)
	}
	t.declared, t.cached, t.stray, t.keeps, t.doc = false, false, false, false, ""
	typed := slices.ContainsFunc(t.subs, func(s *Subscription) bool {
		_, untyped := s.typed.(func(context.Context, Event[any]))
		return !untyped
	})
	if !typed {
		t.kind = kindOf[any]{} // the next plugin may declare another
	}
	t.shut()
	t.rebuild()
	t.mu.Unlock()
	t.retain.Unlock()
	b.collect(t)
}
