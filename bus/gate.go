package bus

import (
	"context"
	"slices"
	"sync"
	"time"
)

// A gate makes the commands of other plugins wait until its plugin is ready (cxbus 10, row 3). They wait in call order.
// Options.BufferLimit bounds how many wait, Options.BufferTimeout how long each of them waits. A gate opens once and
// stays open. If the plugin is taken down first, the gate rejects what waits and never opens.
type gate struct {
	client *Client

	mu      sync.Mutex // guards what follows
	opening bool       // release is running the commands that waited
	open    bool       // commands no longer wait
	shut    bool       // the plugin was taken down: nothing waits any more
	waiting []*waiting // in call order
}

// waiting is one command that waits. Exactly one of four things ends its wait: the gate opens, BufferTimeout has passed,
// the caller's context ends, or the plugin is taken down.
type waiting struct {
	name string
	run  func(err error) // called once, with no lock held
	stop []func() bool   // stop the timer and the watch on the caller's context
}

// queue makes a command wait. It returns false if the gate is open or the plugin was taken down: then it has not taken
// the command, and the caller goes on with it. If queue returns true, run is called once: with nil when the plugin is
// ready, else with the reason why the command cannot run. run may be called before queue returns.
func (g *gate) queue(ctx context.Context, name string, run func(error)) bool {
	g.mu.Lock()
	if g.open || g.shut {
		g.mu.Unlock()
		return false
	}
	limit := g.client.bus.opts.BufferLimit
	if len(g.waiting) >= limit {
		g.mu.Unlock()
		run(ErrNotReady.with(name, itoa(limit)+" commands wait for "+g.client.namespace+" already; "+g.remedy()))
		return true
	}
	w := &waiting{name: name, run: run}
	g.waiting = append(g.waiting, w)
	timeout := g.client.bus.opts.BufferTimeout
	t := time.AfterFunc(timeout, func() {
		g.settle(w, ErrNotReady.with(name, g.client.namespace+" did not become ready within "+timeout.String()+"; "+g.remedy()))
	})
	w.stop = append(w.stop, t.Stop)
	if ctx.Done() != nil {
		w.stop = append(w.stop, context.AfterFunc(ctx, func() { g.settle(w, ctxError(name, ctx)) }))
	}
	g.mu.Unlock()
	g.client.bus.log.Warn("command waits until the plugin is ready", "command", name, "plugin", g.client.namespace)
	return true
}

// remedy says what makes the plugin ready.
func (g *gate) remedy() string {
	if g.client.plugin == nil {
		return "call Ready on the client of " + g.client.namespace
	}
	return "the Start of " + g.client.namespace + " has not returned"
}

// settle ends the wait of one command with an error, unless something else has ended it.
func (g *gate) settle(w *waiting, err error) {
	g.mu.Lock()
	i := slices.Index(g.waiting, w)
	if i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
	}
	g.mu.Unlock()
	if i >= 0 {
		w.end(err)
	}
}

// end ends the wait. Whoever calls it has taken w out of the list.
func (w *waiting) end(err error) {
	for _, stop := range w.stop {
		stop()
	}
	w.run(err)
}

// wait is queue for a caller that waits itself. When it returns nil, the command may run. Callers come out of wait in
// call order.
func (g *gate) wait(ctx context.Context, name string) error {
	waitingScope(ctx)
	done := make(chan error, 1)
	if !g.queue(ctx, name, func(err error) { done <- err }) {
		return nil
	}
	return <-done // queue ends the wait when ctx ends
}

// release runs the commands that wait, in call order, and then opens the gate. A command that comes meanwhile waits
// behind the others, so that the order holds. release reports false if it was called before.
func (g *gate) release() bool {
	g.mu.Lock()
	again := g.opening
	g.opening = true
	g.mu.Unlock()
	if !again {
		defer func() { // if a handler ends this goroutine, the next call of release goes on
			g.mu.Lock()
			defer g.mu.Unlock()
			g.opening = g.open
		}()
	}
	for !again {
		g.mu.Lock()
		if len(g.waiting) == 0 {
			g.open = true
			g.client.state.CompareAndSwap(stateStarting, stateReady)
			g.mu.Unlock()
			return true
		}
		w := g.waiting[0]
		g.waiting = g.waiting[1:]
		g.mu.Unlock()
		w.end(nil)
	}
	return false
}

// reject ends the wait of all commands with err. No command waits afterwards.
func (g *gate) reject(err func(op string) error) {
	g.mu.Lock()
	list := g.waiting
	g.waiting = nil
	g.shut = true
	g.mu.Unlock()
	for _, w := range list {
		w.end(err(w.name))
	}
}

// names lists the commands that wait, by name.
func (g *gate) names() (list []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, w := range g.waiting {
		list = append(list, w.name)
	}
	return list
}
