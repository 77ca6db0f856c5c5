package bus

import (
	"context"
	"errors"
	"maps"
	"slices"
)

// loading is one run of the loader; everybody who needs the plugin waits for it.
type loading struct {
	namespace string
	done      chan struct{}
	err       error
}

// load brings a plugin that is not registered by way of Options.Loader, once
// for all who ask at the same time (CXBus loads it twice; cxbus 5). It returns
// the client, or nil if there is no loader for it.
func (b *Bus) load(ctx context.Context, namespace, op string) (*Client, error) {
	if b.opts.Loader == nil || namespace == ownNamespace || b.closing.Load() {
		return nil, nil
	}
	b.mu.Lock()
	if b.closing.Load() { // Close waits for the loaders there are
		b.mu.Unlock()
		return nil, ErrClosed.with(op, "")
	}
	f := b.loads[namespace]
	if f == nil {
		f = &loading{namespace: namespace, done: make(chan struct{})}
		if b.loads == nil {
			b.loads = map[string]*loading{}
		}
		b.loads[namespace] = f
		go b.runLoader(f)
	}
	b.mu.Unlock()
	for t := taskOf(ctx); t != nil; t = t.outer {
		if t.load == f {
			return nil, ErrSelfWait.with(op, "the loader that brings "+namespace+" asks for it")
		}
	}
	waitingScope(ctx)
	select {
	case <-f.done:
	case <-b.life.Done():
	case <-ctx.Done():
		return nil, ctxError(op, ctx)
	}
	if b.closing.Load() { // what the loader answers does not matter any more
		return nil, ErrClosed.with(op, "")
	}
	if f.err != nil {
		return nil, ErrUnknownPlugin.because(op, f.err, "the loader could not bring "+namespace)
	}
	if c := b.client(namespace); c != nil {
		return c, nil
	}
	return nil, ErrUnknownPlugin.because(op, errors.New("the loader returned without registering it"), "")
}

func (b *Bus) runLoader(f *loading) {
	f.err = ErrPanic.with("load "+f.namespace, "the loader ended its goroutine") // unless contain returns
	defer func() {
		b.mu.Lock()
		delete(b.loads, f.namespace)
		b.mu.Unlock()
		close(f.done)
	}()
	f.err = contain(func() error { return b.opts.Loader(task{load: f}.within(b.life), b, f.namespace) })
}

// waitLoader waits until no loader runs, besides the one that asks. Their context has ended, so that they are given no
// longer than cleanUp.
func (b *Bus) waitLoader(ctx context.Context) error {
	me := taskOf(ctx)
	ctx, cancel := waitContext(ctx)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, cleanUp)
	defer cancel()
	b.mu.Lock()
	loads := slices.Collect(maps.Values(b.loads))
	b.mu.Unlock()
	for _, f := range loads {
		if me != nil && me.load == f {
			continue
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return ctxError("wait for the loader of "+f.namespace, ctx)
		}
	}
	return nil
}
