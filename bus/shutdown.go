package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Close ends the bus. It stops the plugins in the reverse order of their
// start, while everything still works, so that what they publish last is
// delivered; then it refuses new commands, subscriptions and all events but those
// that handlers still publish, ends every handler's context, lets the mailboxes run empty and waits for the handlers.
// Handlers that keep each other busy with events come to an end: a plugin whose mailbox does not run empty within 1,024 batches can
// publish no more.
// Whatever comes later gets [ErrClosed]. Last, it closes [Options.Closers].
//
// If ctx ends first, Close returns [ErrStillRunning] with a list of what has
// not stopped; no further handler starts. Called with a handler's own context
// it leaves that handler out of the wait; what waits in that handler's mailbox
// is dropped. A second Close waits for the first; called with the context of a Stop or of the loader, for which the first
// waits, it returns [ErrSelfWait].
func (b *Bus) Close(ctx context.Context) error {
	waitingScope(ctx)
	if !b.closing.CompareAndSwap(false, true) {
		if t := taskOf(ctx); t != nil {
			return ErrSelfWait.with("close", "Close waits for the Stop or the loader that asks here already")
		}
		select {
		case <-b.closed:
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.closeErr
		case <-ctx.Done():
			return ctxError("close", ctx)
		}
	}
	b.mu.Lock()
	order := slices.Clone(b.order.live())
	b.mu.Unlock()
	slices.Reverse(order)
	b.end()
	err := errors.Join(b.shutDown(ctx, order, ErrClosed), b.waitLoader(ctx), b.closeOwn(ctx))
	b.mu.Lock()
	b.closeErr = err
	b.watchdog.stopLocked()
	if b.self != nil {
		b.self.state.Store(stateStopped)
		b.self.flag(flagDown, true)
	}
	b.mu.Unlock()
	close(b.closed)
	return err
}

// closeOwn closes what was given to the bus to close, also when something still runs. A Close that does not return while
// ctx lives is left behind.
func (b *Bus) closeOwn(ctx context.Context) error {
	if len(b.opts.Closers) == 0 {
		return nil
	}
	ctx, cancel := waitContext(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		var errs []error
		for _, c := range slices.Backward(b.opts.Closers) {
			if err := runApart("Close", c.Close); err != nil {
				errs = append(errs, fmt.Errorf("close %T: %w", c, err))
			}
		}
		done <- errors.Join(errs...)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		e := ErrStillRunning.because("close", context.Cause(ctx), "a Close must return")
		e.Text = "still running: Close of Options.Closers"
		return e
	}
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
		if why == ErrStopped {
			c.detachAll() // nothing new for it; what is queued is still handled
		}
		c.end(why.with("", ""))
	}
	b.unwatchOf(clients)
	err := b.waitQuiet(ctx, clients)
	for _, c := range clients {
		c.state.Store(stateStopped)
		c.kill()
	}
	errs = append(errs, err, b.waitInline(ctx, clients))
	b.remove(clients)
	for _, c := range clients {
		close(c.down)
		b.log.Debug("plugin stopped", "plugin", c.namespace)
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

// cleanUp bounds the waits that nobody gave a deadline: for the handlers of a
// failed start, and those asked for from inside a handler.
const cleanUp = 5 * time.Second

// stopPlugin calls the plugin's Stop, once, if its Start has succeeded. A Stop
// that does not end with ctx is left behind.
func (c *Client) stopPlugin(ctx context.Context) error {
	s, ok := c.plugin.(Stopper)
	if !ok || !c.started.Load() || !c.halted.CompareAndSwap(false, true) {
		return nil
	}
	done := make(chan error, 1)
	inside := task{stop: c}.within(ctx)
	go func() { done <- runApart("Stop", func() error { return s.Stop(inside) }) }()
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
	for _, mb := range c.allMailboxes() {
		mb.release()
	}
}

// waitQuiet waits until no handler of the clients runs and their mailboxes are
// empty; what one publishes while it drains, another handles.
func (b *Bus) waitQuiet(ctx context.Context, clients []*Client) error {
	me := selfOf(ctx)
	for {
		before := batches(clients)
		for _, c := range clients {
			if !c.awaitQuiet(ctx, me) {
				return stillRunning(clients, me, ctx)
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
		for _, mb := range c.allMailboxes() {
			mb.mu.Lock()
			n += mb.batch
			mb.mu.Unlock()
		}
	}
	return n
}

// awaitQuiet waits until it has seen each mailbox of c idle once, and then no command at work. It reports false if ctx
// ended first. It looks at one mailbox until that one is idle, so that n mailboxes that end one by one cost n looks.
func (c *Client) awaitQuiet(ctx context.Context, me self) bool {
	wait := func(done func() bool) bool {
		for !done() {
			select {
			case <-c.recheck:
			case <-ctx.Done():
				return false
			}
		}
		return true
	}
	for _, mb := range c.allMailboxes() {
		if !wait(func() bool { return mb.idle(me.mailboxes[mb]) }) {
			return false
		}
	}
	return wait(func() bool { return len(c.busyCommands(me)) == 0 })
}

func (c *Client) quiet(me self) bool {
	for _, mb := range c.allMailboxes() {
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
		for _, mb := range c.allMailboxes() {
			mb.mu.Lock()
			if mb.running && !me.mailboxes[mb] {
				list = append(list, fmt.Sprintf("subscriber %s with %d more events waiting", mb.busyLocked(), mb.leftLocked()))
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
		c.removed = true
		b.order.leave()
	}
}

// undeclare makes the topic of a plugin that is gone what it was before it
// came: a name that others may be subscribed to, or nothing.
func (b *Bus) undeclare(o *eventRoute) {
	t := o.topic()
	t.retain.Lock()
	t.value, t.has, t.rev = nil, false, 0
	t.mu.Lock()
	if t.undeclared {
		b.undeclared.Add(-1)
	}
	t.declared, t.held, t.undeclared, t.retains, t.doc = false, false, false, false, ""
	typed := slices.ContainsFunc(t.subs.live(), func(s *Subscription) bool {
		_, untyped := s.typed.(func(context.Context, Event[any]))
		return !untyped
	})
	if !typed {
		t.kind = kindOf[any]{} // the next plugin may declare another
	}
	t.closeRoute()
	t.changed()
	t.mu.Unlock()
	t.retain.Unlock()
	b.collect(t)
}
