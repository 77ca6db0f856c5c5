package bus_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

// closer is a Close.
type closer func() error

func (c closer) Close() error { return c() }

// standing is a plugin whose Stop needs what it stands on.
type standing struct{ stop func() }

func (standing) Namespace() string                        { return "Standing" }
func (standing) Start(context.Context, *bus.Client) error { return nil }
func (s standing) Stop(context.Context) error             { s.stop(); return nil }

// What the plugins stand on is closed after them, the last one first, once.
func TestClosersOrder(t *testing.T) {
	var order []string
	says := func(what string, err error) io.Closer {
		return closer(func() error { order = append(order, what); return err })
	}
	gone := errors.New("gone")
	closers := []io.Closer{
		says("store", nil), says("server", gone),
		closer(func() error { panic("at the end") }), closer(func() error { runtime.Goexit(); return nil }),
		says("last", nil),
	}
	b := bus.New(&bus.Options{Closers: closers})
	clear(closers) // the bus has a list of its own
	require.NoError(t, b.Start(t.Context(), standing{func() { order = append(order, "plugin") }}))
	err := b.Close(t.Context())
	require.ErrorIs(t, err, gone)
	require.ErrorIs(t, err, bus.ErrPanic)
	assert.ErrorContains(t, err, "at the end")
	assert.ErrorContains(t, err, "ended its goroutine")
	assert.Equal(t, []string{"plugin", "last", "server", "store"}, order)
	assert.Equal(t, err, b.Close(t.Context()))
	assert.Len(t, order, 4)
}

// A Close that does not return holds Bus.Close up no longer than its context lives.
func TestCloserHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		b := bus.New(&bus.Options{Closers: []io.Closer{closer(func() error { <-let; return nil })}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		err := b.Close(ctx)
		require.ErrorIs(t, err, bus.ErrStillRunning)
		assert.ErrorContains(t, err, "Options.Closers")
		assert.Equal(t, time.Second, time.Since(start))
		close(let)
	})
}
