package bus

import (
	"context"
	"errors"
	"slices"
	"strings"
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
	waitingScope(ctx)
	var order []Plugin
	var names []string
	err := contain(func() (err error) { // Namespace and Requires are the plugins' code
		order, err = b.startOrder(plugins)
		for _, p := range order {
			names = append(names, p.Namespace())
		}
		return err
	})
	if err != nil {
		return err
	}
	var started []*Client
	for i, p := range order {
		c, err := b.startOne(ctx, names[i], p)
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

func (b *Bus) startOne(ctx context.Context, ns string, p Plugin) (*Client, error) {
	c, err := b.register(ns, p)
	if err != nil {
		return nil, err
	}
	b.log.Debug("plugin starts", "plugin", ns)
	sctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.life, func() { cancel(context.Cause(c.life)) })
	err = runApart("Start", func() error { return p.Start(sctx, c) })
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
