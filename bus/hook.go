package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"runtime/debug"
	"slices"
)

// watch is who looks on at commands and events: immutable once stored. The bus
// holds none while nobody does, which is all that unused hooks cost.
type watch struct {
	hooks map[string][]*Hook // by full command name, in order
	taps  []*tap
}

// Call is a command about to run, as a before hook sees it.
type Call[In any] struct {
	Command   string // full name
	Commander string // namespace of the caller
	// In is a shallow copy of the input. What the hook leaves here is what the
	// next hook and the handler get.
	In In
}

// Hook is the handle of one [Before].
type Hook struct {
	owner   *Client
	command string
	run     func(ctx context.Context, call *Call[any]) error
}

// Remove takes the hook away; a call that has begun may still run it. Removing
// it again does nothing. A hook goes with its owner, too.
func (h *Hook) Remove() { h.owner.bus.unwatch(func(x *Hook) bool { return x == h }, nil) }

// Command returns the full name of the command the hook is on.
func (h *Hook) Command() string { return h.command }

// Before runs h before each call of the command d, by whomever, in the caller's
// goroutine and before the call waits for a plugin that is not ready. h may
// change call.In. If it returns an error, the command does not run and the
// caller gets [ErrVetoed] with that error as its cause; CXBus cancels without a
// reason, also when a hook forgets to return (cxbus 6). Hooks run in the order
// in which they were added; the first error ends the chain. The plugin of the
// command need not exist yet. A panic in h rejects the command with [ErrPanic].
//
// It returns [ErrNilHandler], [ErrBadName], [ErrStopped] or [ErrClosed].
func Before[In, Out any](c *Client, d CommandOf[In, Out], h func(ctx context.Context, call *Call[In]) error) (*Hook, error) {
	if h == nil {
		return nil, ErrNilHandler.with("before "+d.name, "pass a function")
	}
	return c.Before(d.name, func(ctx context.Context, call *Call[any]) error {
		in, err := convert[In](d.name, call.In)
		if err != nil {
			return err
		}
		typed := &Call[In]{call.Command, call.Commander, in}
		err = h(ctx, typed)
		call.In = typed.In
		return err
	})
}

// Before is the function [Before] by the full name of a command. In is what the
// caller gave: the input type, a map, raw JSON or nil; what h leaves there must
// be one of these.
func (c *Client) Before(command string, h func(ctx context.Context, call *Call[any]) error) (*Hook, error) {
	if h == nil {
		return nil, ErrNilHandler.with("before "+command, "pass a function")
	}
	if err := checkFull(command, checkCommand); err != nil {
		return nil, err
	}
	hook := &Hook{owner: c, command: command, run: h}
	c.bus.mu.Lock()
	defer c.bus.mu.Unlock()
	if err := c.usable("before " + command); err != nil {
		return nil, err
	}
	w := c.bus.copyWatch()
	w.hooks[command] = append(slices.Clone(w.hooks[command]), hook)
	c.bus.setWatch(w)
	return hook, nil
}

// copyWatch returns a copy to change; mu is held.
func (b *Bus) copyWatch() *watch {
	w := &watch{hooks: map[string][]*Hook{}}
	if old := b.watch.Load(); old != nil {
		maps.Copy(w.hooks, old.hooks)
		w.taps = slices.Clone(old.taps)
	}
	return w
}

// unwatch removes the hooks and taps that the predicates pick.
func (b *Bus) unwatch(hook func(*Hook) bool, tapped func(*tap) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.watch.Load() == nil {
		return
	}
	w := b.copyWatch()
	for name, list := range w.hooks {
		if hook != nil {
			list = slices.DeleteFunc(slices.Clone(list), hook)
		}
		if w.hooks[name] = list; len(list) == 0 {
			delete(w.hooks, name)
		}
	}
	if tapped != nil {
		w.taps = slices.DeleteFunc(w.taps, tapped)
	}
	if len(w.hooks) == 0 && len(w.taps) == 0 {
		w = nil
	}
	b.setWatch(w)
}

// unwatchOf removes the hooks of clients that go down.
func (b *Bus) unwatchOf(clients []*Client) {
	going := make(map[*Client]bool, len(clients))
	for _, c := range clients {
		going[c] = true
	}
	b.unwatch(func(h *Hook) bool { return going[h.owner] }, nil)
}

// setWatch puts w in force; mu is held.
func (b *Bus) setWatch(w *watch) {
	if was := b.watch.Swap(w); (was == nil) == (w == nil) {
		return // the clients know
	}
	for _, c := range b.clients {
		c.flag(flagWatched, w != nil)
	}
	if b.self != nil {
		b.self.flag(flagWatched, w != nil)
	}
}

// before runs the hooks on a command and returns the input for the handler.
func (w *watch) before(ctx context.Context, c *Client, full string, in any) (any, error) {
	for _, h := range w.hooks[full] {
		call := &Call[any]{full, c.namespace, shallow(in)}
		if err := h.call(ctx, c, call); err != nil {
			return nil, err
		}
		in = call.In
	}
	return in, nil
}

func (h *Hook) call(ctx context.Context, from *Client, call *Call[any]) (err error) {
	k := h.owner.hooks
	if k.begin() != nil {
		return nil // its owner is going
	}
	sc := &scope{Context: ctx, client: h.owner, command: k, commander: from, chain: Correlation(ctx), depth: 1}
	if outer := waitingScope(ctx); outer != nil {
		sc.depth = outer.depth + 1
	}
	if int(sc.depth) > h.owner.bus.opts.MaxDepth {
		k.end()
		return ErrTooDeep.with("before "+h.command, "the hook calls its own command?")
	}
	defer func() {
		sc.end()
		k.end()
		if p := recover(); p != nil {
			h.owner.bus.report(HandlerPanicked, Incident{Plugin: h.owner.namespace, Name: h.command, Text: "before hook panicked"},
				"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = panicError("before "+h.command, p)
		}
	}()
	if err := h.run(sc, call); err != nil {
		return ErrVetoed.because(h.command, err, "by a hook of "+h.owner.namespace)
	}
	return nil
}

// shallow copies a map, a slice or what a pointer points to, so that a hook
// that changes its input leaves the caller's alone.
func shallow(in any) any {
	switch v := in.(type) {
	case nil:
		return nil
	case map[string]any:
		return maps.Clone(v)
	case json.RawMessage:
		return slices.Clone(v)
	}
	v := reflect.ValueOf(in)
	switch v.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice:
		if v.IsNil() {
			return in
		}
	}
	switch v.Kind() {
	case reflect.Pointer:
		c := reflect.New(v.Type().Elem())
		c.Elem().Set(v.Elem())
		return c.Convert(v.Type()).Interface()
	case reflect.Map:
		c := reflect.MakeMapWithSize(v.Type(), v.Len())
		for key, val := range v.Seq2() {
			c.SetMapIndex(key, val)
		}
		return c.Interface()
	case reflect.Slice:
		c := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(c, v)
		return c.Interface()
	}
	return in
}
