package bus

import (
	"context"
	"errors"
)

// The commands that every plugin answers once it is ready (cxbus 3). A plugin
// cannot register them itself.
const (
	builtinCommands = "COMMANDS" // the full names of its commands, []string
	builtinEvents   = "EVENTS"   // the full names of its declared events, []string
	builtinLoad     = "LOAD"     // nothing; calling it makes [Options.Loader] bring the plugin
)

func isBuiltin(member string) bool {
	return member == builtinCommands || member == builtinEvents || member == builtinLoad
}

// builtin makes the built-in command of a plugin.
func (c *Client) builtin(member string) *command {
	h := &handler[any, any]{plain: func(context.Context, any) (any, error) {
		if member == builtinLoad {
			return nil, nil
		}
		names := []string{}
		info := c.info()
		if member == builtinCommands {
			for _, k := range info.Commands {
				names = append(names, k.Name)
			}
			return names, nil
		}
		for _, e := range info.Events {
			names = append(names, e.Name)
		}
		return names, nil
	}}
	k := &command{name: c.namespace + "." + member, owner: c, h: h}
	h.bindTo(k)
	return k
}

// flight is one run of the loader; everybody who needs the plugin waits for it.
type flight struct {
	done chan struct{}
	err  error
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
	f := b.flights[namespace]
	if f == nil {
		f = &flight{done: make(chan struct{})}
		if b.flights == nil {
			b.flights = map[string]*flight{}
		}
		b.flights[namespace] = f
		go b.fly(namespace, f)
	}
	b.mu.Unlock()
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

func (b *Bus) fly(namespace string, f *flight) {
	f.err = ErrPanic.with("load "+namespace, "the loader ended its goroutine") // unless contain returns
	defer func() {
		b.mu.Lock()
		delete(b.flights, namespace)
		b.mu.Unlock()
		close(f.done)
	}()
	f.err = contain(func() error { return b.opts.Loader(b.life, b, namespace) })
}
