package bus

import (
	"context"
	"slices"
	"sync"
	"time"
)

// A gate holds the commands that other plugins call before a plugin is ready,
// in call order, bounded in number and time (cxbus 10, row 3). It opens once,
// or the plugin is taken down first.
type gate struct {
	client *Client

	mu      sync.Mutex // guards what follows
	opening bool
	open    bool
	shut    bool // taken down
	waiting []*waiting
}

// waiting is one buffered command. Exactly one of opening, expiry, the
// caller's context and taking down settles it.
type waiting struct {
	name string
	run  func(err error) // called once, with no lock held
	stop []func() bool
}

// queue takes a command if the gate is still closed; it returns false if the
// command can run now. run is called once: with nil when the plugin is ready,
// else with the reason.
func (g *gate) queue(ctx context.Context, name string, run func(error)) bool {
	g.mu.Lock()
	if g.open || g.shut {
		g.mu.Unlock()
		return false
	}
	limit := g.client.bus.opts.BufferLimit
	if len(g.waiting) >= limit {
		g.mu.Unlock()
		run(ErrNotReady.with(name, itoa(limit)+" commands wait for "+g.client.namespace+" already"))
		return true
	}
	w := &waiting{name: name, run: run}
	g.waiting = append(g.waiting, w)
	timeout := g.client.bus.opts.BufferTimeout
	t := time.AfterFunc(timeout, func() {
		g.settle(w, ErrNotReady.with(name, g.client.namespace+" did not become ready within "+timeout.String()))
	})
	w.stop = append(w.stop, t.Stop)
	if ctx.Done() != nil {
		w.stop = append(w.stop, context.AfterFunc(ctx, func() { g.settle(w, ctxError(name, ctx)) }))
	}
	g.mu.Unlock()
	g.client.bus.log.Warn("command waits until the plugin is ready", "command", name, "plugin", g.client.namespace)
	return true
}

// settle ends one entry with an error.
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

func (w *waiting) end(err error) {
	for _, stop := range w.stop {
		stop()
	}
	w.run(err)
}

// wait is queue for a caller that waits: when it returns nil the command may
// run. Callers are let go in call order.
func (g *gate) wait(ctx context.Context, name string) error {
	done := make(chan error, 1)
	if !g.queue(ctx, name, func(err error) { done <- err }) {
		return nil
	}
	return <-done // the entry honours ctx itself
}

// release runs what waits, in call order, and then opens the gate: what comes
// meanwhile queues up behind. It reports false if it was called before.
func (g *gate) release() bool {
	g.mu.Lock()
	again := g.opening
	g.opening = true
	g.mu.Unlock()
	if !again {
		defer func() { // a handler that ends its goroutine leaves the rest to another call
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

// reject ends what waits with err and lets nothing more wait.
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

// names lists what waits.
func (g *gate) names() (list []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, w := range g.waiting {
		list = append(list, w.name)
	}
	return list
}
