package bus_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

// plugin is a plugin made of functions; nil ones do nothing.
type plugin struct {
	name     string
	requires []string
	start    func(context.Context, *bus.Client) error
	stop     func(context.Context) error
	log      *list[string] // gets "+name" and "-name"
}

func (p *plugin) Namespace() string  { return p.name }
func (p *plugin) Requires() []string { return p.requires }
func (p *plugin) Start(ctx context.Context, c *bus.Client) error {
	if p.log != nil {
		p.log.add("+" + p.name)
	}
	if p.start != nil {
		return p.start(ctx, c)
	}
	return nil
}

func (p *plugin) Stop(ctx context.Context) error {
	if p.log != nil {
		p.log.add("-" + p.name)
	}
	if p.stop != nil {
		return p.stop(ctx)
	}
	return nil
}

func TestPluginsStartInOrderAndStopInReverse(t *testing.T) {
	var log list[string]
	b := bus.New(nil)
	require.NoError(t, b.Start(t.Context(),
		&plugin{name: "A", requires: []string{"C", "B"}, log: &log},
		&plugin{name: "B", requires: []string{"D"}, log: &log},
		&plugin{name: "C", log: &log},
		&plugin{name: "D", log: &log},
		&plugin{name: "E", log: &log},
	))
	require.NoError(t, b.Start(t.Context(), &plugin{name: "F", requires: []string{"A"}, log: &log}))
	require.NoError(t, b.Close(t.Context()))
	assert.Equal(t, "+C +D +B +A +E +F -F -E -A -B -D -C", strings.Join(log.get(), " "))
}

func TestPluginIsReadyAfterStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		c := register(t, b, "C")
		var early *bus.Future[any]
		p := &plugin{name: "A", start: func(_ context.Context, a *bus.Client) error {
			require.NoError(t, a.RegisterCommand("x", func(context.Context, any) (any, error) { return "done", nil }))
			early = c.Go(t.Context(), "A.x", nil)
			synctest.Wait()
			select {
			case <-early.Done():
				t.Error("the plugin is not ready yet")
			default:
			}
			out, err := a.Call(t.Context(), "x", nil)
			assert.Equal(t, "done", out)
			return err
		}}
		require.NoError(t, b.Start(t.Context(), p))
		out, err := early.Result(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "done", out)
		assert.Equal(t, "ready", c.Registry()["A"].State)
	})
}

func TestStartRefusals(t *testing.T) {
	ok := func(name string, requires ...string) *plugin { return &plugin{name: name, requires: requires} }
	for name, tt := range map[string]struct {
		plugins []bus.Plugin
		is      error
		says    string
	}{
		"nil":                   {[]bus.Plugin{ok("A"), nil}, bus.ErrNilHandler, "pass a plugin"},
		"malformed":             {[]bus.Plugin{ok("A.B")}, bus.ErrBadName, "no dot"},
		"empty":                 {[]bus.Plugin{ok("")}, bus.ErrBadName, "empty"},
		"twice":                 {[]bus.Plugin{ok("A"), ok("A")}, bus.ErrNameTaken, "A"},
		"taken":                 {[]bus.Plugin{ok("A"), ok("Taken")}, bus.ErrNameTaken, "Taken"},
		"requirement missing":   {[]bus.Plugin{ok("A", "Nowhere")}, bus.ErrUnknownPlugin, "it requires Nowhere"},
		"requires itself":       {[]bus.Plugin{ok("A", "A")}, bus.ErrStart, "A -> A"},
		"cycle of three":        {[]bus.Plugin{ok("X", "A"), ok("A", "B"), ok("B", "C"), ok("C", "A")}, bus.ErrStart, "A -> B -> C -> A"},
		"requirement registers": {[]bus.Plugin{ok("A", "Taken"), ok("B", "nope")}, bus.ErrUnknownPlugin, "nope"},
	} {
		t.Run(name, func(t *testing.T) {
			b := bus.New(nil)
			c := register(t, b, "Taken")
			err := b.Start(t.Context(), tt.plugins...)
			require.ErrorIs(t, err, tt.is)
			assert.Contains(t, err.Error(), tt.says)
			assert.Len(t, c.Registry(), 1, "nothing was left behind")
		})
	}
}

func TestFailedStartLeavesNothingBehind(t *testing.T) {
	fails := map[string]func() error{
		"error": func() error { return errOops },
		"panic": func() error { panic("boom") },
	}
	for name, fail := range fails {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := bus.New(nil)
				c := register(t, b, "C")
				var log list[string]
				var a *bus.Client
				buffered := make(chan error, 1)
				got := 0
				before := bus.Topics(b)
				bad := &plugin{name: "Notes", requires: []string{"First"}, log: &log, start: func(ctx context.Context, client *bus.Client) error {
					a = client
					require.NoError(t, bus.Handle(a, addNote, func(context.Context, note) (int, error) { return 1, nil }))
					require.NoError(t, bind(t, a, noteState).Republish(ctx, note{N: 1}))
					subscribeName(t, a, "*", func(context.Context, bus.Event[any]) { got++ })
					subscribe(t, a, noteAdded, func(context.Context, bus.Event[note]) { got++ }, bus.Inline())
					go func() { buffered <- second(c.Call(context.Background(), "Notes.add", nil)) }()
					synctest.Wait()
					got = 0
					return fail()
				}}
				err := b.Start(t.Context(), &plugin{name: "First", log: &log}, bad, &plugin{name: "Never", log: &log})
				require.ErrorIs(t, err, bus.ErrStart)
				assert.Contains(t, err.Error(), "start Notes")
				if name == "error" {
					require.ErrorIs(t, err, errOops)
				} else {
					require.ErrorIs(t, err, bus.ErrPanic)
					assert.Contains(t, err.Error(), "boom")
				}
				assert.Equal(t, []string{"+First", "+Notes", "-First"}, log.get(), "Stop only of what started")
				require.ErrorIs(t, <-buffered, bus.ErrStopped)
				assert.Len(t, c.Registry(), 1)
				require.ErrorIs(t, second(c.Call(t.Context(), "Notes.add", nil)), bus.ErrUnknownPlugin)
				require.ErrorIs(t, a.Publish(t.Context(), "x", 1), bus.ErrStopped)
				require.ErrorIs(t, second(a.Subscribe("A.x", func(context.Context, bus.Event[any]) {})), bus.ErrStopped)
				require.ErrorIs(t, a.RegisterCommand("y", func(context.Context, any) (any, error) { return nil, nil }), bus.ErrStopped)
				subscribe(t, c, noteState, func(context.Context, bus.Event[note]) { got++ }, bus.Inline()).Unsubscribe()
				again := readyClient(t, b, "Notes")
				require.NoError(t, again.Publish(t.Context(), "added", note{}))
				synctest.Wait()
				assert.Zero(t, got)
				require.NoError(t, b.Unload(t.Context(), "Notes"))
				assert.Equal(t, before, bus.Topics(b))
			})
		})
	}
}

func TestStartContextIsForTheStartAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		var kept context.Context
		require.NoError(t, b.Start(context.WithValue(t.Context(), userKey{}, 1), &plugin{name: "A", start: func(ctx context.Context, _ *bus.Client) error {
			kept = ctx
			assert.Equal(t, 1, ctx.Value(userKey{}))
			return ctx.Err()
		}}))
		require.Error(t, kept.Err())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := b.Start(ctx, &plugin{name: "B", start: func(ctx context.Context, _ *bus.Client) error {
			<-ctx.Done()
			return ctx.Err()
		}})
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// Close ends a start under way; only a plugin that has started all the same is
// stopped.
func TestCloseDuringStart(t *testing.T) {
	for name, result := range map[string]error{"heeds its context": errOops, "starts all the same": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := bus.New(nil)
				var log list[string]
				started := make(chan error)
				go func() {
					started <- b.Start(t.Context(), &plugin{name: "A", log: &log, start: func(ctx context.Context, _ *bus.Client) error {
						<-ctx.Done()
						assert.ErrorIs(t, context.Cause(ctx), bus.ErrClosed)
						return result
					}})
				}()
				synctest.Wait()
				require.NoError(t, b.Close(t.Context()))
				require.ErrorIs(t, <-started, bus.ErrStart)
				want := []string{"+A"}
				if result == nil {
					want = append(want, "-A")
				}
				assert.Equal(t, want, log.get())
			})
		})
	}
}

// Whatever the moment, a plugin whose Start succeeded is stopped exactly once,
// any other never.
func TestCloseRacesStart(t *testing.T) {
	for range 300 {
		b := bus.New(nil)
		var log list[string]
		done := make(chan error)
		go func() { done <- b.Start(context.Background(), &plugin{name: "A", log: &log}) }()
		require.NoError(t, b.Close(context.Background()))
		<-done
		if len(log.get()) > 0 { // it was registered in time
			assert.Equal(t, []string{"+A", "-A"}, log.get())
		}
	}
}

func TestStopWorksWhileEverythingStillDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		c := readyClient(t, b, "C")
		require.NoError(t, c.RegisterCommand("x", func(context.Context, any) (any, error) { return 1, nil }))
		var last list[any]
		subscribeName(t, c, "A.last", func(_ context.Context, e bus.Event[any]) { last.add(e.Data) })
		var a *bus.Client
		require.NoError(t, b.Start(t.Context(), &plugin{name: "A",
			start: func(_ context.Context, client *bus.Client) error { a = client; return nil },
			stop: func(ctx context.Context) error {
				_, err := a.Call(ctx, "C.x", nil)
				return errors.Join(err, a.Publish(ctx, "last", 1), a.Context().Err())
			}}))
		require.NoError(t, b.Close(t.Context()))
		assert.Equal(t, []any{1}, last.get())
	})
}

func TestStopErrorsAreReturned(t *testing.T) {
	b := bus.New(nil)
	require.NoError(t, b.Start(t.Context(),
		&plugin{name: "A", stop: func(context.Context) error { return errOops }},
		&plugin{name: "B", stop: func(context.Context) error { panic("boom") }}))
	err := b.Close(t.Context())
	require.ErrorIs(t, err, errOops)
	require.ErrorIs(t, err, bus.ErrPanic)
	assert.Contains(t, err.Error(), "stop A: oops")
	assert.Contains(t, err.Error(), "stop B")
	assert.Contains(t, err.Error(), "boom")
}

func TestUnload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		c := register(t, b, "C")
		var log list[string]
		p := &plugin{name: "A", log: &log, start: func(_ context.Context, a *bus.Client) error {
			return a.RegisterCommand("x", func(context.Context, any) (any, error) { return 1, nil })
		}}
		require.NoError(t, b.Start(t.Context(), p))
		k := caller(t, c, bus.NewCommand[any, any]("A.x", ""))
		_, err := k.Call(t.Context(), nil)
		require.NoError(t, err)
		require.NoError(t, b.Unload(t.Context(), "A"))
		assert.Equal(t, []string{"+A", "-A"}, log.get())
		require.ErrorIs(t, second(k.Call(t.Context(), nil)), bus.ErrUnknownPlugin)
		err = b.Unload(t.Context(), "c")
		require.ErrorIs(t, err, bus.ErrUnknownPlugin)
		assert.Equal(t, "did you mean C?", hint(t, err))
		require.NoError(t, b.Start(t.Context(), p), "the namespace is free")
		_, err = k.Call(t.Context(), nil)
		require.NoError(t, err, "a bound handle finds the new one")
		require.NoError(t, b.Close(t.Context()))
		require.ErrorIs(t, b.Unload(t.Context(), "A"), bus.ErrClosed)
		require.ErrorIs(t, b.Start(t.Context(), p), bus.ErrClosed)
	})
}

// Every command that an unloaded plugin was given has exactly one outcome.
func TestUnloadWithCommandsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		a, c := readyClient(t, b, "A"), register(t, b, "C")
		running := 0
		require.NoError(t, bus.Handle(a, bus.NewCommand[int, int]("A.plain", ""), func(ctx context.Context, in int) (int, error) {
			<-ctx.Done()
			time.Sleep(time.Millisecond)
			return in, nil
		}))
		require.NoError(t, bus.HandleAsync(a, bus.NewCommand[int, int]("A.async", ""), func(context.Context, int, *bus.Deferred[int]) { running++ }))
		var fs []*bus.Future[any]
		for i := range 500 {
			fs = append(fs, c.Go(context.Background(), "A.plain", i), c.Go(context.Background(), "A.async", i))
		}
		synctest.Wait()
		require.NoError(t, b.Unload(t.Context(), "A"))
		for i, f := range fs {
			out, err := f.Result(t.Context())
			if i%2 == 0 {
				require.NoError(t, err)
				assert.Equal(t, i/2, out)
			} else {
				require.ErrorIs(t, err, bus.ErrStopped)
			}
		}
	})
}

func TestConfigure(t *testing.T) {
	b := bus.New(nil)
	cfg := struct{ N int }{5}
	require.NoError(t, register(t, b, "A").Configure(&cfg))
	assert.Equal(t, 5, cfg.N, "defaults stay")
	asked := ""
	b = bus.New(&bus.Options{Configure: func(ns string, into any) error {
		asked = ns
		into.(*struct{ N int }).N = 6
		return errOops
	}})
	c := register(t, b, "A")
	require.ErrorIs(t, c.Configure(&cfg), errOops)
	assert.Equal(t, "A", asked)
	assert.Equal(t, 6, cfg.N)
	require.ErrorIs(t, c.ConfigureFrom("other", &cfg), errOops)
	assert.Equal(t, "other", asked)
}
