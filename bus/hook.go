package bus

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"runtime/debug"
	"slices"
)

// watch is who looks on at commands and events: immutable once stored. The bus
// holds none while nobody does, which is all that unused hooks cost.
type watch struct {
	hooks map[string][]*Hook // by full command name or pattern, in order
	wild  []*Hook            // of hooks, those with a pattern
	taps  []*tap
}

// Call is a command about to run, as a before hook sees it, and a handler of commands of any name.
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
	command string  // full name or pattern
	pattern pattern // if it is one
	isWild  bool
	seq     uint64 // order
	run     func(ctx context.Context, call *Call[any]) error
}

// Remove takes the hook away; a call that has begun may still run it. Removing
// it again does nothing. A hook goes with its owner, too.
func (h *Hook) Remove() { h.owner.bus.unwatch(func(x *Hook) bool { return x == h }, nil) }

// Command returns the full name of the command the hook is on, or the pattern.
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
			return &undecoded{err}
		}
		typed := &Call[In]{call.Command, call.Commander, in}
		err = h(ctx, typed)
		call.In = typed.In
		return err
	})
}

// undecoded is the error of an input that is not what the command takes: the mistake of the caller, not a veto.
type undecoded struct{ error }

// Before is the function [Before] by the full name of a command, or for all commands that fit a pattern as
// [Client.Subscribe] takes it. In is of the command's input type, whatever form the caller gave; while the command is
// not registered yet, or if it takes anything, In is what the caller gave: a map, raw JSON, nil or any other value.
// What h leaves there must be of the input type, a map, raw JSON or nil.
func (c *Client) Before(command string, h func(ctx context.Context, call *Call[any]) error) (*Hook, error) {
	if h == nil {
		return nil, ErrNilHandler.with("before "+command, "pass a function")
	}
	hook := &Hook{owner: c, command: command, run: h, isWild: wild(command)}
	var err error
	if hook.isWild {
		hook.pattern, err = parsePattern(command)
	} else {
		err = checkFull(command, checkCommand)
	}
	if err != nil {
		return nil, err
	}
	c.bus.mu.Lock()
	defer c.bus.mu.Unlock()
	if err := c.usable("before " + command); err != nil {
		return nil, err
	}
	c.bus.seq++
	hook.seq = c.bus.seq
	w := c.bus.copyWatch()
	w.hooks[command] = append(slices.Clone(w.hooks[command]), hook)
	if hook.isWild {
		w.wild = append(w.wild, hook)
	}
	c.bus.setWatch(w)
	return hook, nil
}

// copyWatch returns a copy to change; mu is held.
func (b *Bus) copyWatch() *watch {
	w := &watch{hooks: map[string][]*Hook{}}
	if old := b.watch.Load(); old != nil {
		maps.Copy(w.hooks, old.hooks)
		w.wild, w.taps = slices.Clone(old.wild), slices.Clone(old.taps)
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
	if hook != nil {
		w.wild = slices.DeleteFunc(w.wild, hook)
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

// on returns the hooks on a command, in order.
func (w *watch) on(full string) []*Hook {
	list := w.hooks[full]
	if len(w.wild) == 0 {
		return list
	}
	list = slices.Clone(list)
	for _, h := range w.wild {
		if h.pattern.matches(full) {
			list = append(list, h)
		}
	}
	slices.SortFunc(list, func(a, b *Hook) int { return cmp.Compare(a.seq, b.seq) })
	return list
}

// before runs the hooks on a command and returns the input for the handler. All hooks see one shape of it, so that a
// hook that checks inputs cannot be passed by giving another: the input type, once the command is registered.
func (w *watch) before(ctx context.Context, c *Client, full string, in any) (any, error) {
	hooks := w.on(full)
	if len(hooks) == 0 {
		return in, nil
	}
	ns, _, _ := splitName(full)
	if k := c.bus.command(full, ns); k != nil {
		var err error
		if in, err = k.h.accept(in); err != nil {
			return nil, err
		}
	}
	for _, h := range hooks {
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
	sc := &scope{Context: ctx, client: h.owner, command: k, commander: from, lineage: lineageOf(ctx), depth: 1}
	if outer := waitingScope(ctx); outer != nil {
		if int(outer.depth) >= h.owner.bus.opts.MaxDepth {
			k.end()
			return ErrTooDeep.with("before "+h.command, "the hook calls its own command?")
		}
		sc.depth = outer.depth + 1
	}
	returned := false
	defer func() {
		sc.end()
		k.end()
		incident := Incident{Plugin: h.owner.namespace, Name: h.command, Text: "before hook panicked"}
		if p := recover(); p != nil {
			h.owner.bus.report(HandlerPanicked, incident, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = panicError("before "+h.command, p)
		} else if !returned { // runtime.Goexit: the caller's goroutine ends
			incident.Text = "before hook ended its goroutine"
			h.owner.bus.report(HandlerPanicked, incident, "command", call.Command)
		}
	}()
	err = h.run(sc, call)
	returned = true
	var u *undecoded
	if errors.As(err, &u) {
		return u.error
	}
	if err != nil {
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
