package bus

import (
	"context"
	"iter"
	"sync/atomic"
	"time"
)

// A scope is a context of the bus: a plugin's life, one of its mailbox or
// inline handlers, or one command. It lets the bus know who is calling it from
// inside a handler. Scopes are made once per plugin and caller; a command
// called with a context of its own gets one for the occasion.
type scope struct {
	context.Context          // the caller's; Background for those made once
	client          *Client  // whose code runs
	box             *mailbox // the handler's, if it is not its plugin's
	command         *command
	commander       *Client
	lineage               // of the command; what its handler does inherits from it
	depth           int16 // commands in commands
	mailbox         bool  // a mailbox handler
	inline          bool  // an inline handler

	ended  atomic.Bool                   // the command has settled
	joined atomic.Pointer[joinedContext] // made by the first Done
}

// joinedContext is the context that ends with the caller's and with the plugin.
type joinedContext struct {
	context.Context
	free func()
}

type scopeKey struct{}

// Value answers for the scope itself, then for the caller's context.
func (s *scope) Value(key any) any {
	switch key.(type) {
	case scopeKey, lineageKey:
		return s
	}
	if both := s.joined.Load(); both != nil {
		return both.Value(key)
	}
	// context.Cause and contexts derived from s look for the context that ends
	// it by a key of package context; all other keys are the caller's.
	if s.shared() || s.pluginLife().Err() != nil && s.Context.Err() == nil {
		if v := s.pluginLife().Value(key); v != nil {
			return v
		}
	}
	return s.Context.Value(key)
}

// shared reports whether s was made once, for all calls with
// context.Background().
func (s *scope) shared() bool { return isBackground(s.Context) }

// pluginLife is the life of the plugin whose code runs.
func (s *scope) pluginLife() context.Context { return s.client.life }

// Done is closed when the caller's context or the plugin ends, whichever is
// first. The context that joins the two is made when somebody asks for it.
func (s *scope) Done() <-chan struct{} {
	if s.shared() {
		return s.pluginLife().Done()
	}
	both := s.joined.Load()
	if both == nil {
		both = s.joinContexts()
	}
	return both.Done()
}

func (s *scope) joinContexts() *joinedContext {
	ctx, cancel := context.WithCancelCause(s.Context)
	stop := context.AfterFunc(s.pluginLife(), func() { cancel(context.Cause(s.pluginLife())) })
	both := &joinedContext{ctx, func() { stop(); cancel(context.Canceled) }}
	if !s.joined.CompareAndSwap(nil, both) {
		both.free()
		both = s.joined.Load()
	}
	if s.ended.Load() { // end may have come before it could see both
		both.free()
	}
	return both
}

// Err is the reason why Done is closed.
func (s *scope) Err() error {
	if err := s.Context.Err(); err != nil {
		return err
	}
	if err := s.pluginLife().Err(); err != nil {
		return err
	}
	if s.ended.Load() {
		return context.Canceled
	}
	return nil
}

// Deadline is the caller's.
func (s *scope) Deadline() (time.Time, bool) { return s.Context.Deadline() }

// end releases what Done made; the command has settled.
func (s *scope) end() {
	s.ended.Store(true)
	if both := s.joined.Load(); both != nil {
		both.free()
	}
}

// scopes walks the handlers that ctx is inside of, innermost first.
func scopes(ctx context.Context) iter.Seq[*scope] {
	return func(yield func(*scope) bool) {
		for ctx != nil {
			s := waitingScope(ctx)
			if s == nil || !yield(s) {
				return
			}
			ctx = s.Context
		}
	}
}

// insideBus reports whether ctx comes from the bus. Publishing with such a
// context never waits: the handler that publishes may be what the full mailbox
// is waiting for.
func insideBus(ctx context.Context) bool {
	return waitingScope(ctx) != nil
}

// Commander returns the namespace of the plugin that called the command whose
// handler got ctx, or "" outside a command handler. It is what permission
// checks use (cxbus 4).
func Commander(ctx context.Context) string {
	if s := scopeOf(ctx); s != nil && s.commander != nil {
		return s.commander.namespace
	}
	return ""
}

// Correlation returns the number of the chain that ctx belongs to, or 0 if it
// is not in one. A chain begins with a command called with a context of the
// caller's own (or with any command, while a tap is on) and goes on through the
// commands that are called and the events that are published with a
// handler's context. It is what a trace is put together by.
func Correlation(ctx context.Context) uint64 {
	return lineageOf(ctx).chain
}
