package bus_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

// panicky is a plugin whose Start panics.
type panicky struct{ ran *int }

func (panicky) Namespace() string { return "Panicky" }
func (p panicky) Start(context.Context, *bus.Client) error {
	*p.ran++
	panic("start failed")
}

// Whatever panics, as often as it likes: it is contained and reported with its
// topic, its place and its stack, and whoever comes next is served.
func TestConductPanics(t *testing.T) {
	inProcess(t, func(t *testing.T) {
		n := soak(10_000)
		l := &logs{}
		b := bus.New(&bus.Options{Logger: newLogger(l)})
		a, c := readyClient(t, b, "Ping"), register(t, b, "C")
		p := bind(t, a, ping)
		var mail, inline, kept atomic.Int64
		bad := func(context.Context, bus.Event[int]) { panic("handler failed") }
		subscribe(t, c, ping, bad)
		subscribe(t, c, ping, func(context.Context, bus.Event[int]) { mail.Add(1) })
		subscribe(t, c, ping, bad, bus.Inline())
		subscribe(t, c, ping, func(context.Context, bus.Event[int]) { inline.Add(1) }, bus.Inline())
		subscribeName(t, c, "Ping.*", func(context.Context, bus.Event[any]) { panic("handler failed") })
		state := bind(t, a, bus.NewEvent[int]("Ping.state", ""))
		subscribeName(t, c, "Ping.state", func(context.Context, bus.Event[any]) { panic("handler failed") }, bus.Inline())
		subscribeName(t, c, "Ping.state", func(context.Context, bus.Event[any]) { kept.Add(1) }, bus.Inline())
		require.NoError(t, a.RegisterCommand("bad", func(context.Context, any) (any, error) { panic(errOops) }))
		require.NoError(t, bus.HandleAsync(a, bus.NewCommand[any, any]("Ping.worse", ""), func(context.Context, any, *bus.Deferred[any]) { panic("async failed") }))
		require.NoError(t, a.RegisterCommand("good", func(context.Context, any) (any, error) { return 1, nil }))
		for i := range n {
			require.NoError(t, p.Publish(t.Context(), i))
			require.NoError(t, state.Republish(t.Context(), i))
			_, err := c.Call(t.Context(), "Ping.bad", nil)
			require.ErrorIs(t, err, bus.ErrPanic)
			require.ErrorIs(t, err, errOops)
			_, err = c.Go(t.Context(), "Ping.bad", nil).Result(t.Context())
			require.ErrorIs(t, err, bus.ErrPanic)
			_, err = c.Call(t.Context(), "Ping.worse", nil)
			require.ErrorIs(t, err, bus.ErrPanic)
			_, err = c.Call(t.Context(), "Ping.good", nil)
			require.NoError(t, err)
			if i%100 == 0 {
				require.NoError(t, c.Flush(t.Context()))
			}
		}
		require.NoError(t, c.Flush(t.Context()))
		assert.EqualValues(t, n, mail.Load())
		assert.EqualValues(t, n, inline.Load())
		assert.EqualValues(t, n, kept.Load())
		reports := l.find("subscriber panicked")
		assert.Equal(t, 5*n+1, len(reports), "mailbox, inline, state, the pattern for both and for Ping.ready")
		for _, r := range reports[:10] {
			assert.Equal(t, "C", r["plugin"])
			assert.True(t, strings.HasPrefix(r["name"], "Ping."))
			assert.Contains(t, r["subscriber"], "_test.go:")
			assert.Contains(t, r["stack"], "TestConductPanics")
			assert.Equal(t, "handler failed", r["panic"])
		}
		assert.Equal(t, 3*n, len(l.find("command handler panicked")))
		require.NoError(t, b.Close(t.Context()))
	})
}

func TestConductHooksPanic(t *testing.T) {
	inProcess(t, func(t *testing.T) {
		n := soak(10_000)
		l := &logs{}
		b := bus.New(&bus.Options{Logger: newLogger(l)})
		a, c := readyClient(t, b, "A"), register(t, b, "C")
		ran := 0
		require.NoError(t, a.RegisterCommand("x", func(context.Context, any) (any, error) { ran++; return nil, nil }))
		hook, err := c.Before("A.x", func(context.Context, *bus.Call[any]) error { panic("hook failed") })
		require.NoError(t, err)
		for range n {
			_, err := c.Call(t.Context(), "A.x", nil)
			require.ErrorIs(t, err, bus.ErrPanic)
			_, err = c.Go(t.Context(), "A.x", nil).Result(t.Context())
			require.ErrorIs(t, err, bus.ErrPanic)
		}
		assert.Zero(t, ran)
		reports := l.find("before hook panicked")
		require.Equal(t, 2*n, len(reports))
		assert.Equal(t, "A.x", reports[0]["name"])
		assert.Contains(t, reports[0]["stack"], "TestConductHooksPanic")
		hook.Remove()
		_, err = c.Call(t.Context(), "A.x", nil)
		require.NoError(t, err)
		require.NoError(t, b.Close(t.Context()))
	})
}

func TestConductStartPanics(t *testing.T) {
	inProcess(t, func(t *testing.T) {
		n := soak(10_000)
		b := bus.New(nil)
		ran := 0
		for range n {
			err := b.Start(t.Context(), panicky{&ran})
			require.ErrorIs(t, err, bus.ErrStart)
			require.ErrorIs(t, err, bus.ErrPanic)
			require.ErrorContains(t, err, "conduct_panic_test.go", "the stack")
		}
		assert.Equal(t, n, ran)
		register(t, b, "Panicky") // nothing is left of it
		require.NoError(t, b.Close(t.Context()))
	})
}

// A tap that panics at everything gets everything, also while it is the one
// thing that is reported: its own panics cause no further records.
func TestConductTapPanics(t *testing.T) {
	inProcess(t, func(t *testing.T) {
		n := soak(10_000)
		l := &logs{}
		b := bus.New(&bus.Options{Logger: newLogger(l)})
		a, c := readyClient(t, b, "A"), register(t, b, "C")
		require.NoError(t, a.RegisterCommand("x", func(context.Context, any) (any, error) { return nil, nil }))
		var seen atomic.Int64
		_, err := c.Tap(func(context.Context, bus.Record) {
			seen.Add(1)
			panic("tap failed")
		})
		require.NoError(t, err)
		var second atomic.Int64
		_, err = c.Tap(func(context.Context, bus.Record) { second.Add(1) })
		require.NoError(t, err)
		for range n {
			_, err := c.Call(t.Context(), "A.x", nil)
			require.NoError(t, err)
			require.NoError(t, a.Publish(t.Context(), "e", 1))
		}
		require.NoError(t, b.Close(t.Context()))
		assert.EqualValues(t, 3*n, seen.Load())
		assert.EqualValues(t, 3*n, second.Load())
		assert.Equal(t, 3*n, len(l.find("subscriber panicked")))
	})
}

// A subscriber to everything that panics at everything does not feed on the
// reports of its own panics.
func TestConductPanicsAboutPanics(t *testing.T) {
	inProcess(t, func(t *testing.T) {
		for name, opts := range map[string][]bus.SubscribeOption{"mailbox": nil, "inline": {bus.Inline()}} {
			for _, event := range []string{"*", "Bus.*", "Bus.handlerPanicked"} {
				b := bus.New(nil)
				a, c, d := readyClient(t, b, "A"), register(t, b, "C"), register(t, b, "D")
				var seen atomic.Int64
				subscribeName(t, c, event, func(context.Context, bus.Event[any]) {
					seen.Add(1)
					panic("again")
				}, opts...)
				subscribeName(t, d, "A.e", func(context.Context, bus.Event[any]) { panic("once") }, opts...)
				require.NoError(t, a.Publish(t.Context(), "e", 1))
				require.NoError(t, b.Close(t.Context()))
				assert.Less(t, seen.Load(), int64(5), "%s %s", name, event)
			}
		}
	})
}

// A handler that ends its goroutine is one more accident that must not cost
// others their events.
func TestConductGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		a, c := readyClient(t, b, "A"), register(t, b, "C")
		require.NoError(t, a.Republish(t.Context(), "kept", 0))
		var got list[int]
		var own, after list[any]
		hold := make(chan struct{})
		subscribeName(t, c, "A.kept", func(_ context.Context, e bus.Event[any]) {
			own.add(e.Data)
			if e.Data == 1 {
				<-hold
				runtime.Goexit()
			}
		}, bus.Inline())
		subscribeName(t, c, "A.kept", func(_ context.Context, e bus.Event[any]) { after.add(e.Data) }, bus.Inline())
		subscribeName(t, c, "A.mail", func(_ context.Context, e bus.Event[any]) {
			got.add(e.Data.(int))
			if e.Data == 1 {
				runtime.Goexit()
			}
		})
		go apart(func() { assert.NoError(t, a.Republish(t.Context(), "kept", 1)) })
		synctest.Wait()
		require.NoError(t, a.Republish(t.Context(), "kept", 2)) // left to the call under way
		close(hold)
		synctest.Wait()
		assert.Equal(t, []any{0, 1, 2}, own.get())
		assert.Equal(t, []any{0, 1, 2}, after.get())
		for i := range 4 {
			require.NoError(t, a.Publish(t.Context(), "mail", i))
		}
		synctest.Wait()
		assert.Equal(t, numbers(4), got.get())
		_, err := c.Go(t.Context(), "A.none", nil).Result(t.Context())
		require.True(t, errors.Is(err, bus.ErrUnknownCommand))
		require.NoError(t, b.Close(t.Context()))
	})
}
