package bus

import (
	"context"
	"errors"
	"maps"
	"slices"
)

// Call runs a command by name. A name without a dot is one of the client's own.
// in is the command's input type, a map[string]any or json.RawMessage that is
// decoded into it strictly, or nil for its zero value. See [Caller.Call].
func (c *Client) Call(ctx context.Context, name string, in any) (any, error) {
	if c.flags.Load()&flagWatched != 0 {
		if w := c.bus.watch.Load(); w != nil {
			return c.callWatched(ctx, w, name, in)
		}
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
	if r := c.routes.get(name); r != nil && r.cmd.owner.state.Load() < stateStopping {
		return r.cmd.h.startAny(ctx, r, in)
	}
	r, owner, err := c.find(name, false)
	if r == nil {
		return goLate[any](ctx, c, owner, name, in, err)
	}
	return r.cmd.h.startAny(ctx, r, in)
}

// handle registers a command.
func (c *Client) handle(name, doc string, h commandHandler) error {
	ns, member, _ := splitName(name)
	check := checkCommand
	if member == anyCommand && h.takesCall() {
		check = func(string) error { return nil }
	}
	if err := checkFull(name, check); err != nil {
		return err
	}
	if ns != c.namespace {
		return ErrNotOwner.with("handle "+name, "only the client of "+ns+" can handle it")
	}
	k := &command{name: name, doc: doc, owner: c, h: h}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.usable("handle " + name); err != nil {
		return err
	}
	if c.commands[name] != nil || c.inManifest(name) || isBuiltin(member) {
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
			if r = c.routeToAny(owner, name); r == nil {
				_, member, _ := splitName(name)
				return nil, nil, owner.noCommand(name, member)
			}
			r.mine = true
		case r != nil:
			r = &route{cmd: r.cmd, ctx: r.ctx, mine: true, as: r.as}
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
	var k *command
	if member != anyCommand { // which nobody calls by that name
		k = c.bus.command(full, ns)
	}
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
			if r := c.routeToAny(owner, full); r != nil {
				return r, nil, nil
			}
			return nil, nil, owner.noCommand(full, member)
		}
	}
	if k.owner.state.Load() >= stateStopping {
		return nil, nil, k.owner.gone("call " + full)
	}
	return c.keepRoute(name, k), nil, nil
}

func (c *Client) keepRoute(name string, k *command) *route {
	r := c.newRoute(k)
	c.routes.put(name, r)
	return r
}

func (c *Client) newRoute(k *command) *route {
	r := &route{cmd: k, mine: k.owner == c}
	r.ctx = &scope{Context: context.Background(), client: k.owner, command: k, commander: c, depth: 1}
	return r
}

// anyCommand is the member part of the name under which a plugin handles the commands that nothing else of it handles.
const anyCommand = "*"

// routeToAny returns the route to owner's handler for commands that nothing else handles, nil if it has none. Routes of
// such names are not kept: there is no end of them.
func (c *Client) routeToAny(owner *Client, full string) *route {
	k := c.bus.commands.get(owner.namespace + "." + anyCommand)
	if k == nil {
		return nil
	}
	r := c.newRoute(k)
	r.as = full
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
	handed := false                        // another future settles f
	start := func(err error) {
		defer func() { // no more than a settlement too late, unless a handler or a loader has ended the goroutine
			if !f.settled.Load() && !handed {
				f.settle(nil, ErrPanic.with(name, "the handler ended its goroutine"))
			}
		}()
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
		g := r.cmd.h.startAny(ctx, r, in)
		handed = true
		g.f.forward(f)
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
