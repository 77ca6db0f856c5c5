package bus_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

type userKey struct{}

// held runs a command with ctx whose handler hands its context out and waits.
func held(t *testing.T, b *bus.Bus, ctx context.Context) (hctx context.Context, release func() error) {
	t.Helper()
	a, c := readyClient(t, b, "A"), register(t, b, "C")
	out, stop := make(chan context.Context), make(chan struct{})
	require.NoError(t, bus.Handle(a, bus.NewCommand[int, int]("A.hold", ""), func(ctx context.Context, _ int) (int, error) {
		out <- ctx
		<-stop
		return 0, nil
	}))
	f := c.Go(ctx, "A.hold", nil)
	return <-out, func() error {
		close(stop)
		return second(f.Result(context.Background()))
	}
}

func TestHandlerContextHasTheCallersValuesAndDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := time.Now().Add(time.Hour)
		ctx, cancel := context.WithDeadline(context.WithValue(t.Context(), userKey{}, "ada"), at)
		defer cancel()
		hctx, release := held(t, bus.New(nil), ctx)
		assert.Equal(t, "ada", hctx.Value(userKey{}))
		d, ok := hctx.Deadline()
		assert.True(t, ok)
		assert.Equal(t, at, d)
		require.NoError(t, hctx.Err())
		require.NoError(t, release())
	})
}

func TestHandlerContextEndsWithTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		hctx, release := held(t, bus.New(nil), ctx)
		derived, stop := context.WithCancel(hctx)
		defer stop()
		cancel(errOops)
		<-hctx.Done()
		<-derived.Done()
		require.ErrorIs(t, hctx.Err(), context.Canceled)
		assert.Equal(t, errOops, context.Cause(hctx))
		assert.Equal(t, errOops, context.Cause(derived))
		require.NoError(t, release())
	})
}

func TestHandlerContextEndsWithTheCallersDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		hctx, release := held(t, bus.New(nil), ctx)
		<-hctx.Done()
		assert.Equal(t, time.Second, time.Since(start))
		require.ErrorIs(t, hctx.Err(), context.DeadlineExceeded)
		require.NoError(t, release())
	})
}

// The four kinds of context that a caller can give.
func callerContexts(t *testing.T) map[string]context.Context {
	cancellable, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return map[string]context.Context{
		"background":  context.Background(),
		"todo":        context.TODO(),
		"value":       context.WithValue(context.Background(), userKey{}, 1),
		"cancellable": cancellable,
	}
}

func TestHandlerContextEndsWithItsPlugin(t *testing.T) {
	for _, name := range []string{"background", "todo", "value", "cancellable"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := bus.New(nil)
				hctx, release := held(t, b, callerContexts(t)[name])
				unloaded := make(chan error)
				go func() { unloaded <- b.Unload(context.Background(), "A") }()
				synctest.Wait()
				require.ErrorIs(t, hctx.Err(), context.Canceled)
				require.ErrorIs(t, context.Cause(hctx), bus.ErrStopped)
				<-hctx.Done()
				derived, stop := context.WithCancel(hctx)
				defer stop()
				<-derived.Done()
				require.ErrorIs(t, context.Cause(derived), bus.ErrStopped)
				require.NoError(t, release())
				require.NoError(t, <-unloaded)
			})
		})
	}
}

func TestDerivedContextEndsWithThePlugin(t *testing.T) {
	for _, name := range []string{"background", "todo", "value", "cancellable"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := bus.New(nil)
				hctx, release := held(t, b, callerContexts(t)[name])
				derived, stop := context.WithTimeout(hctx, time.Hour)
				defer stop()
				closed := make(chan error)
				go func() { closed <- b.Close(context.Background()) }()
				<-derived.Done()
				require.ErrorIs(t, derived.Err(), context.Canceled)
				require.ErrorIs(t, context.Cause(derived), bus.ErrClosed)
				require.NoError(t, release())
				require.NoError(t, <-closed)
			})
		})
	}
}

// A context that is the call's own is done when the handler has returned. With
// context.Background() the handler shares one that lasts as long as its plugin.
func TestHandlerContextEndsWithTheCall(t *testing.T) {
	for _, name := range []string{"todo", "value", "cancellable"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hctx, release := held(t, bus.New(nil), callerContexts(t)[name])
				done := hctx.Done()
				require.NoError(t, hctx.Err())
				require.NoError(t, release())
				<-done
				require.ErrorIs(t, hctx.Err(), context.Canceled)
				<-hctx.Done()
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		hctx, release := held(t, bus.New(nil), context.Background())
		require.NoError(t, release())
		require.NoError(t, hctx.Err())
	})
}

func TestAsyncContextLivesUntilSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		a, c := readyClient(t, b, "A"), register(t, b, "C")
		var hctx context.Context
		var token *bus.Deferred[int]
		require.NoError(t, bus.HandleAsync(a, bus.NewCommand[int, int]("A.x", ""), func(ctx context.Context, _ int, d *bus.Deferred[int]) {
			hctx, token = ctx, d
		}))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		f := c.Go(ctx, "A.x", nil)
		require.NoError(t, hctx.Err())
		done := hctx.Done()
		token.Resolve(7)
		<-done
		require.ErrorIs(t, hctx.Err(), context.Canceled)
		out, err := f.Result(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 7, out)
	})
}

func TestClientContextLastsAsLongAsThePlugin(t *testing.T) {
	b := bus.New(nil)
	a, c := register(t, b, "A"), register(t, b, "C")
	require.NoError(t, a.Context().Err())
	require.NoError(t, b.Unload(t.Context(), "A"))
	<-a.Context().Done()
	require.ErrorIs(t, context.Cause(a.Context()), bus.ErrStopped)
	require.NoError(t, c.Context().Err())
	require.NoError(t, b.Close(t.Context()))
	<-c.Context().Done()
	require.ErrorIs(t, context.Cause(c.Context()), bus.ErrClosed)
}

// The context of an event handler is its own plugin's life, not the publisher's
// request.
func TestEventHandlerContext(t *testing.T) {
	for name, opts := range map[string][]bus.SubscribeOption{"mailbox": nil, "inline": {bus.Inline()}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := bus.New(nil)
				a, c := register(t, b, "Notes"), register(t, b, "C")
				p := bind(t, a, noteAdded)
				var hctx context.Context
				subscribe(t, c, noteAdded, func(ctx context.Context, _ bus.Event[note]) { hctx = ctx }, opts...)
				ctx, cancel := context.WithCancel(context.WithValue(t.Context(), userKey{}, 1))
				require.NoError(t, p.Publish(ctx, note{}))
				cancel()
				synctest.Wait()
				require.NoError(t, hctx.Err())
				assert.Nil(t, hctx.Value(userKey{}))
				require.NoError(t, b.Close(context.Background()))
				require.ErrorIs(t, context.Cause(hctx), bus.ErrClosed)
			})
		})
	}
}

func TestCommander(t *testing.T) {
	b := bus.New(nil)
	a, c, d := readyClient(t, b, "A"), readyClient(t, b, "C"), register(t, b, "D")
	require.NoError(t, a.RegisterCommand("who", func(ctx context.Context, _ any) (any, error) { return bus.Commander(ctx), nil }))
	require.NoError(t, c.RegisterCommand("ask", func(ctx context.Context, _ any) (any, error) { return c.Call(ctx, "A.who", nil) }))
	for _, ctx := range []context.Context{context.Background(), t.Context()} {
		for name, want := range map[string]string{"A.who": "D", "C.ask": "C"} {
			got, err := d.Call(ctx, name, nil)
			require.NoError(t, err)
			assert.Equal(t, want, got, name)
		}
	}
	got, err := a.Call(t.Context(), "who", nil)
	require.NoError(t, err)
	assert.Equal(t, "A", got)
	assert.Empty(t, bus.Commander(context.Background()))
	assert.Empty(t, bus.Commander(a.Context()))
}

func TestCallWithAnEndedContextDoesNotRun(t *testing.T) {
	b := bus.New(nil)
	a, c := readyClient(t, b, "A"), register(t, b, "C")
	ran := 0
	require.NoError(t, a.RegisterCommand("plain", func(context.Context, any) (any, error) { ran++; return nil, nil }))
	require.NoError(t, bus.HandleAsync(a, bus.NewCommand[any, any]("A.async", ""), func(_ context.Context, _ any, d *bus.Deferred[any]) { ran++; d.Resolve(nil) }))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, name := range []string{"A.plain", "A.async"} {
		_, err := c.Call(ctx, name, nil)
		require.ErrorIs(t, err, bus.ErrCancelled)
		require.ErrorIs(t, err, context.Canceled)
		_, err = c.Go(ctx, name, nil).Result(t.Context())
		require.ErrorIs(t, err, bus.ErrCancelled)
	}
	assert.Zero(t, ran)
	_, err := c.Call(t.Context(), "A.plain", nil)
	require.NoError(t, err)
}

// A wait inside a handler that ends because the plugin did says so.
func TestErrorsNameThePluginsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		a, c := readyClient(t, b, "A"), register(t, b, "C")
		var inner error
		require.NoError(t, a.RegisterCommand("wait", func(ctx context.Context, _ any) (any, error) {
			_, inner = a.WaitFor(ctx, "X.never", nil)
			return nil, inner
		}))
		f := c.Go(t.Context(), "A.wait", nil)
		synctest.Wait()
		require.NoError(t, b.Unload(t.Context(), "A"))
		require.ErrorIs(t, second(f.Result(t.Context())), bus.ErrStopped)
		require.ErrorIs(t, inner, bus.ErrStopped)
		assert.False(t, errors.Is(inner, bus.ErrCancelled))
	})
}
