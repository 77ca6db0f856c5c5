package bus

import (
	"context"
	"log/slog"
)

// fencedHandler is the log handler of the program. Whatever goes wrong in it must not end what the bus is doing.
type fencedHandler struct {
	slog.Handler
	apart bool // a record is handled in a goroutine of its own, which may end
}

// newLoggers returns the logger for the bus itself and the one for plugins. The bus logs in the middle of its work,
// also in the goroutine of a mailbox: a handler that ends its goroutine must not end that one. What a plugin logs, it
// logs in a goroutine of its own.
func newLoggers(l *slog.Logger) (own, plugins *slog.Logger) {
	if l == nil {
		l = slog.Default()
	}
	return slog.New(fencedHandler{l.Handler(), true}), slog.New(fencedHandler{l.Handler(), false})
}

func (h fencedHandler) Enabled(ctx context.Context, level slog.Level) (on bool) {
	_ = contain(func() error {
		on = h.Handler.Enabled(ctx, level)
		return nil
	})
	return on
}

func (h fencedHandler) Handle(ctx context.Context, r slog.Record) error {
	handle := func() error { return h.Handler.Handle(ctx, r) }
	if h.apart {
		return runApart("the log handler", handle)
	}
	return contain(handle)
}

func (h fencedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.with(func() slog.Handler { return h.Handler.WithAttrs(attrs) })
}

func (h fencedHandler) WithGroup(name string) slog.Handler {
	return h.with(func() slog.Handler { return h.Handler.WithGroup(name) })
}

func (h fencedHandler) with(f func() slog.Handler) slog.Handler {
	next := h
	_ = contain(func() error {
		next.Handler = f()
		return nil
	})
	return next
}
