package bus

import (
	"context"
	"iter"
	"sync/atomic"
	"time"
	"unsafe"
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
	chain           uint64 // correlation
	depth           int32  // commands in commands
	mailbox         bool   // a mailbox handler
	inline          bool   // an inline handler

	ended atomic.Bool            // the command has settled
	both  atomic.Pointer[joined] // made by the first Done
}

// joined is the context that ends with the caller's and with the plugin.
type joined struct {
	context.Context
	free func()
}

type (
	scopeKey       struct{}
	correlationKey struct{}
)

// Value answers for the scope itself, then for the caller's context.
func (s *scope) Value(key any) any {
	switch key.(type) {
	case scopeKey:
		return s
	case correlationKey:
		return s.chain
	}
	if both := s.both.Load(); both != nil {
		return both.Value(key)
	}
	// context.Cause and contexts derived from s look for the context that ends
	// it by a key of package context; all other keys are the caller's.
	if s.shared() || s.home().Err() != nil && s.Context.Err() == nil {
		if v := s.home().Value(key); v != nil {
			return v
		}
	}
	return s.Context.Value(key)
}

// shared reports whether s was made once, for all calls with
// context.Background().
func (s *scope) shared() bool { return isBackground(s.Context) }

// home is the life of the plugin whose code runs.
func (s *scope) home() context.Context { return s.client.life }

// Done is closed when the caller's context or the plugin ends, whichever is
// first. The context that joins the two is made when somebody asks for it.
func (s *scope) Done() <-chan struct{} {
	if s.shared() {
		return s.home().Done()
	}
	both := s.both.Load()
	if both == nil {
		both = s.join()
	}
	return both.Done()
}

func (s *scope) join() *joined {
	ctx, cancel := context.WithCancelCause(s.Context)
	stop := context.AfterFunc(s.home(), func() { cancel(context.Cause(s.home())) })
	both := &joined{ctx, func() { stop(); cancel(context.Canceled) }}
	if !s.both.CompareAndSwap(nil, both) {
		both.free()
		both = s.both.Load()
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
	if err := s.home().Err(); err != nil {
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
	if both := s.both.Load(); both != nil {
		both.free()
	}
}

// scopes walks the handlers that ctx is inside of, innermost first.
func scopes(ctx context.Context) iter.Seq[*scope] {
	return func(yield func(*scope) bool) {
		for ctx != nil {
			s, _ := ctx.Value(scopeKey{}).(*scope)
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
	_, ok := ctx.Value(scopeKey{}).(*scope)
	return ok
}

// Commander returns the namespace of the plugin that called the command whose
// handler got ctx, or "" outside a command handler. It is what permission
// checks use (cxbus 4).
func Commander(ctx context.Context) string {
	if s, _ := ctx.Value(scopeKey{}).(*scope); s != nil && s.commander != nil {
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
	if s, ok := ctx.(*scope); ok {
		return s.chain
	}
	if isBackground(ctx) {
		return 0
	}
	n, _ := ctx.Value(correlationKey{}).(uint64)
	return n
}

// isBackground reports whether ctx is context.Background(), which has nothing
// to say. Its dynamic type has one value, so comparing the types is enough, and
// cheaper than comparing the interfaces.
func isBackground(ctx context.Context) bool {
	return typeWord(&ctx) == background
}

var background = func() unsafe.Pointer { ctx := context.Background(); return typeWord(&ctx) }()

// payloadType returns the first word of an interface value, or nil for nil.
func payloadType(v *any) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(v)) }

// typeWord returns the first word of an interface value, which stands for its
// dynamic type.
func typeWord(ctx *context.Context) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(ctx)) }
