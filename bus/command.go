package bus

import (
	"context"
	"fmt"
	"reflect"
	"runtime/debug"
	"sync/atomic"
)

// CommandOf describes a command: its full name, its meaning, and in In and Out
// what it takes and gives. A description is immutable and belongs in a package
// variable; any number of buses share it. The plugin that owns the namespace
// handles it with [Handle] or [HandleAsync]; anybody calls it through Bind or
// by name.
type CommandOf[In, Out any] struct{ name, doc string }

// NewCommand describes the command with the full name name ("WebChat.open").
// doc says in one sentence what it does. A malformed name is reported by the
// first Bind or Handle.
func NewCommand[In, Out any](name, doc string) CommandOf[In, Out] {
	return CommandOf[In, Out]{name, doc}
}

// Name returns the full name.
func (d CommandOf[In, Out]) Name() string { return d.name }

// Doc returns the sentence on what the command does.
func (d CommandOf[In, Out]) Doc() string { return d.doc }

// Bind returns a handle for c to call the command with. The plugin that
// handles it need not exist yet. It returns [ErrBadName].
func (d CommandOf[In, Out]) Bind(c *Client) (*Caller[In, Out], error) {
	if err := checkFull(d.name, checkCommand); err != nil {
		return nil, err
	}
	return &Caller[In, Out]{client: c, name: d.name}, nil
}

// Caller calls one command for one client. It is safe for concurrent use.
type Caller[In, Out any] struct {
	client *Client
	name   string
	route  atomic.Pointer[route]
}

// Call runs the command and returns its result. A plain handler runs in the
// caller's goroutine and gets a context that ends with ctx or with its plugin,
// and with the call; for an async handler Call waits for the settlement, no longer
// than ctx lives. A plugin that is not ready yet buffers the call, bounded in
// number and time. The error is the handler's own, or [ErrUnknownPlugin],
// [ErrUnknownCommand], [ErrNotReady], [ErrWrongType] (declared with other
// types), [ErrStopped], [ErrClosed], [ErrPanic], [ErrCancelled] or
// [ErrTimeout].
func (k *Caller[In, Out]) Call(ctx context.Context, in In) (Out, error) {
	if k.client.flags.Load()&flagWatched != 0 {
		if w := k.client.bus.watch.Load(); w != nil {
			out, err := k.client.callWatched(ctx, w, k.name, in)
			if err != nil {
				var zero Out
				return zero, err
			}
			return decode[Out]("result of "+k.name, out, true)
		}
	}
	r := k.route.Load()
	if r == nil || r.cmd.owner.state.Load() >= stateStopping {
		var err error
		if r, err = k.client.routeTo(ctx, k.name); err != nil {
			var zero Out
			return zero, err
		}
		k.route.Store(r)
	}
	if h, ok := r.cmd.h.(*handler[In, Out]); ok && r.as == "" {
		return h.call(ctx, r, in)
	}
	out, err := r.cmd.h.callAny(ctx, r, in)
	if err != nil {
		var zero Out
		return zero, err
	}
	return decode[Out]("result of "+k.name, out, true)
}

// Go starts the command and returns at once. An async handler has run when Go
// returns, in the caller's goroutine, so commands started one after the other
// reach it in that order; a plain handler gets a goroutine of its own and no
// order is promised. ctx stays in force until the command settles.
func (k *Caller[In, Out]) Go(ctx context.Context, in In) *Future[Out] {
	if k.client.flags.Load()&flagWatched != 0 {
		if w := k.client.bus.watch.Load(); w != nil {
			return (*Future[Out])(k.client.goWatched(ctx, w, k.name, in))
		}
	}
	r := k.route.Load()
	if r == nil || r.cmd.owner.state.Load() >= stateStopping {
		var owner *Client
		var err error
		if r, owner, err = k.client.find(k.name, false); r == nil {
			return goLate[Out](ctx, k.client, owner, k.name, in, err)
		}
		k.route.Store(r)
	}
	if h, ok := r.cmd.h.(*handler[In, Out]); ok && r.as == "" {
		return h.start(ctx, r, in)
	}
	return (*Future[Out])(r.cmd.h.startAny(ctx, r, in))
}

// Handle makes h the handler of the command d of c's namespace. What h returns
// settles the command. h runs in the caller's goroutine and may overlap itself
// and everything else of the plugin. Its context ends with the plugin; for a
// call made with any other context than context.Background() it ends with the
// caller's too, and when h has returned. A panic in h becomes [ErrPanic].
//
// A plugin that stands for one elsewhere handles commands whose names it does
// not know: a description with the name "Namespace.*" and [Call] of any as
// its input gets the commands of the namespace that nothing else handles.
//
// It returns [ErrNilHandler], [ErrBadName], [ErrNotOwner], [ErrDuplicate],
// [ErrStopped] or [ErrClosed].
func Handle[In, Out any](c *Client, d CommandOf[In, Out], h func(ctx context.Context, in In) (Out, error)) error {
	if h == nil {
		return ErrNilHandler.with("handle "+d.name, "pass a function")
	}
	return c.handle(d.name, d.doc, &handler[In, Out]{plain: h})
}

// HandleAsync makes h the handler of the command d of c's namespace. h must
// not block; it settles d, the token of this one call, now or later. Commands
// that one caller starts with Go reach h in that order. The context lives until
// the command settles. If h panics, the command is rejected with [ErrPanic];
// if the plugin stops first, with [ErrStopped].
//
// It returns what [Handle] returns.
func HandleAsync[In, Out any](c *Client, d CommandOf[In, Out], h func(ctx context.Context, in In, d *Deferred[Out])) error {
	if h == nil {
		return ErrNilHandler.with("handle "+d.name, "pass a function")
	}
	return c.handle(d.name, d.doc, &handler[In, Out]{async: h})
}

// A command is a registered one. It never changes; unloading its plugin takes
// it out of the bus's table.
type command struct {
	name    string
	doc     string
	owner   *Client
	h       commandHandler
	running atomic.Int64 // handlers at work
}

// commandHandler is a handler[In, Out] to those who know only its name.
type commandHandler interface {
	callAny(ctx context.Context, r *route, in any) (any, error)
	startAny(ctx context.Context, r *route, in any) *Future[any]
	types() (in, out reflect.Type)
	// accept turns an input into the handler's type.
	accept(in any) (any, error)
	isAsync() bool
	// takesCall reports whether the handler takes commands of any name.
	takesCall() bool
	bindTo(*command)
}

// handler has one of the two functions.
type handler[In, Out any] struct {
	cmd   *command
	plain func(context.Context, In) (Out, error)
	async func(context.Context, In, *Deferred[Out])
}

func (h *handler[In, Out]) types() (in, out reflect.Type) {
	return reflect.TypeFor[In](), reflect.TypeFor[Out]()
}
func (h *handler[In, Out]) accept(in any) (any, error) { return convert[In](h.cmd.name, in) }
func (h *handler[In, Out]) takesCall() bool {
	return reflect.TypeFor[In]() == reflect.TypeFor[Call[any]]()
}
func (h *handler[In, Out]) isAsync() bool     { return h.async != nil }
func (h *handler[In, Out]) bindTo(c *command) { h.cmd = c }

// A route is how one client reaches one command.
type route struct {
	cmd  *command
	ctx  *scope // for calls made with context.Background()
	mine bool   // the caller owns the command: it need not be ready
	as   string // the name called, if the command is the one for all names
}

// input is what the handler gets of what the caller gave.
func (r *route) input(in any) any {
	if r.as == "" {
		return in
	}
	return Call[any]{r.as, r.ctx.commander.namespace, in}
}

// begin counts a handler in; it fails if the plugin is going.
func (k *command) begin() error {
	if mustLook(k.running.Add(1)) && tooDeep() {
		k.end()
		return ErrTooDeep.with(k.name, "commands call each other in a circle?")
	}
	if k.owner.state.Load() >= stateStopping {
		return k.refuse()
	}
	return nil
}

func (k *command) refuse() error {
	k.end()
	return k.owner.gone(k.name)
}

// end counts it out.
func (k *command) end() {
	k.running.Add(-1)
	k.owner.signalRecheck() // whoever unloads from a handler waits for all but one
}

// scopeFor returns the context for a handler, and whether it must be ended: a
// call made with context.Background() gets the route's own, any other one of
// its own.
func (r *route) scopeFor(ctx context.Context) (*scope, bool, error) {
	if isBackground(ctx) {
		return r.ctx, false, nil
	}
	if ctx.Err() != nil {
		return nil, false, ctxError(r.cmd.name, ctx)
	}
	b := r.cmd.owner.bus
	s := &scope{Context: ctx, client: r.cmd.owner, command: r.cmd, commander: r.ctx.commander, depth: 1}
	var outer *scope
	outer, s.lineage = waitingLineage(ctx)
	if outer != nil {
		if int(outer.depth) >= b.opts.MaxDepth {
			return nil, false, ErrTooDeep.with(r.cmd.name, "commands call each other in a circle?")
		}
		s.depth = outer.depth + 1
	}
	if int(s.depth) > b.opts.MaxDepth {
		return nil, false, ErrTooDeep.with(r.cmd.name, "commands call each other in a circle?")
	}
	if s.chain == 0 {
		s.chain = b.ids.Add(1)
	}
	return s, true, nil
}

func (h *handler[In, Out]) callAny(ctx context.Context, r *route, in any) (any, error) {
	in = r.input(in)
	v, ok := in.(In)
	if !ok {
		var err error
		if v, err = convert[In](r.cmd.name, in); err != nil {
			return nil, err
		}
	}
	out, err := h.call(ctx, r, v)
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (h *handler[In, Out]) call(ctx context.Context, r *route, in In) (out Out, err error) {
	k := h.cmd
	// The short way of the most frequent call: BenchmarkCommand, and "command by name" of bus/bench, take a seventh longer
	// without it.
	if h.async == nil && isBackground(ctx) {
		if n := k.running.Add(1); !mustLook(n) {
			if s := k.owner.state.Load(); s == stateReady || s == stateStarting && r.mine {
				return h.invoke(r.ctx, in)
			}
		}
		k.end()
	}
	if !r.mine && k.owner.state.Load() == stateStarting {
		if err := k.owner.gate.wait(ctx, k.name); err != nil {
			return out, err
		}
	}
	if h.async != nil {
		d := &Deferred[Out]{}
		d.f.cmd = k
		h.run(ctx, r, in, d, false) // not start: the gate may still be opening for others
		return (*Future[Out])(d).Result(ctx)
	}
	if err := k.begin(); err != nil {
		return out, err
	}
	sc, own, err := r.scopeFor(ctx)
	if err != nil {
		k.end()
		return out, err
	}
	if own {
		defer sc.end()
	}
	return h.invoke(sc, in)
}

// invoke runs a plain handler that has been counted in.
func (h *handler[In, Out]) invoke(sc *scope, in In) (out Out, err error) {
	normal := false
	defer func() {
		h.cmd.end()
		if !normal {
			if p := recover(); p != nil {
				err = h.cmd.panicked(p)
			} else { // runtime.Goexit: the caller's goroutine ends
				h.cmd.owner.bus.report(HandlerPanicked, Incident{Plugin: h.cmd.owner.namespace, Name: h.cmd.name, Text: "command handler ended its goroutine"})
			}
		}
	}()
	out, err = h.plain(sc, in)
	normal = true
	return out, err
}

func (h *handler[In, Out]) startAny(ctx context.Context, r *route, in any) *Future[any] {
	in = r.input(in)
	v, ok := in.(In)
	if !ok {
		var err error
		if v, err = convert[In](r.cmd.name, in); err != nil {
			return failedFuture[any](err)
		}
	}
	return (*Future[any])(h.start(ctx, r, v))
}

// start begins a command and returns its future.
func (h *handler[In, Out]) start(ctx context.Context, r *route, in In) *Future[Out] {
	d := &Deferred[Out]{}
	d.f.cmd = h.cmd
	owner := h.cmd.owner
	if !r.mine && owner.state.Load() == stateStarting {
		if owner.gate.queue(ctx, h.cmd.name, func(err error) {
			if err != nil {
				d.f.settle(nil, err)
				return
			}
			h.run(ctx, r, in, d, true)
		}) {
			return (*Future[Out])(d)
		}
	}
	h.run(ctx, r, in, d, false)
	return (*Future[Out])(d)
}

// run runs the handler for d: an async one here, a plain one in a goroutine.
// Somebody may already wait for d if waited is set.
func (h *handler[In, Out]) run(ctx context.Context, r *route, in In, d *Deferred[Out], waited bool) {
	if err := h.cmd.begin(); err != nil {
		d.f.settle(nil, err)
		return
	}
	sc, own, err := r.scopeFor(ctx)
	if err != nil {
		h.cmd.end()
		d.f.settle(nil, err)
		return
	}
	var end *scope
	if own {
		end = sc
	}
	if waited {
		d.f.begin(end, h.async != nil)
	} else {
		d.f.scope, d.f.endsWithPlugin = end, h.async != nil
	}
	if h.async == nil {
		go func() {
			defer func() { h.contain(d, recover()) }()
			out, err := h.plain(sc, in)
			if err != nil {
				d.Reject(err)
				return
			}
			d.Resolve(out)
		}()
		return
	}
	h.invokeAsync(sc, in, d)
}

// invokeAsync runs an async handler that has been counted in.
func (h *handler[In, Out]) invokeAsync(sc *scope, in In, d *Deferred[Out]) {
	returned := false
	defer func() {
		if returned { // it settles d when it likes
			h.cmd.end()
			return
		}
		h.contain(d, recover())
	}()
	h.async(sc, in, d)
	returned = true
}

// contain counts the handler out and rejects d, unless it has been settled:
// the handler panicked with p or ended its goroutine.
func (h *handler[In, Out]) contain(d *Deferred[Out], p any) {
	defer h.cmd.end()
	if p != nil {
		d.Reject(h.cmd.panicked(p))
		return
	}
	d.Reject(ErrPanic.with(h.cmd.name, "the handler ended its goroutine"))
}

// panicked reports a contained panic and returns the error for the caller.
func (k *command) panicked(p any) error {
	k.owner.bus.report(HandlerPanicked, Incident{Plugin: k.owner.namespace, Name: k.name, Text: "command handler panicked"},
		"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	return panicError(k.name, p)
}
