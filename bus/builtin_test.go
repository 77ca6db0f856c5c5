package bus_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

func TestBuiltinCommands(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		c, app := echo(t, b), register(t, b, "App")
		ask := func(from *bus.Client, name string) any {
			out, err := from.Call(t.Context(), name, nil)
			require.NoError(t, err, name)
			return out
		}
		assert.Equal(t, []string{"Notes.echo", "Notes.text"}, ask(c, "COMMANDS"), "own ones need not wait")
		assert.Equal(t, []string{}, ask(c, "EVENTS"))
		assert.Equal(t, []string{}, ask(app, "App.COMMANDS"))
		f := app.Go(t.Context(), "Notes.EVENTS", nil)
		synctest.Wait()
		require.NoError(t, c.RegisterEvents("b", "a"))
		c.Ready()
		out, err := f.Result(t.Context())
		require.NoError(t, err)
		assert.Subset(t, out, []string{"Notes.a", "Notes.b"}, "others wait until the plugin is ready")
		assert.Equal(t, []string{"Notes.a", "Notes.b", "Notes.ready"}, ask(app, "Notes.EVENTS"))
		assert.Equal(t, []string{"Notes.echo", "Notes.text"}, ask(app, "Notes.COMMANDS"))
		assert.Nil(t, ask(app, "Notes.LOAD"))
		typed := caller(t, app, bus.NewCommand[any, []string]("Notes.COMMANDS", ""))
		names, err := typed.Call(t.Context(), nil)
		require.NoError(t, err)
		assert.Len(t, names, 2)
		for _, name := range []string{"COMMANDS", "EVENTS", "LOAD"} {
			assert.ErrorIs(t, c.RegisterCommand(name, func(context.Context, any) (any, error) { return nil, nil }), bus.ErrDuplicate, name)
		}
		_, err = app.Call(t.Context(), "Nobody.COMMANDS", nil)
		assert.ErrorIs(t, err, bus.ErrUnknownPlugin)
		require.NoError(t, b.Unload(t.Context(), "Notes"))
		_, err = app.Call(t.Context(), "Notes.COMMANDS", nil)
		assert.ErrorIs(t, err, bus.ErrUnknownPlugin)
		_, err = typed.Call(t.Context(), nil)
		assert.ErrorIs(t, err, bus.ErrUnknownPlugin)
	})
}

// The loader runs once for all who need the plugin at the same time, and again
// for those who come after it has failed.
func TestLoaderSingleFlight(t *testing.T) {
	var runs atomic.Int32
	var fail atomic.Bool
	fail.Store(true)
	opts := &bus.Options{Loader: func(_ context.Context, b *bus.Bus, namespace string) error {
		runs.Add(1)
		time.Sleep(time.Second)
		if fail.Load() {
			return errOops
		}
		c, err := b.Register(namespace)
		if err != nil {
			return err
		}
		go func() { // ready only later: the commands wait as for any plugin
			time.Sleep(time.Second)
			c.Ready()
		}()
		return bus.HandleAsync(c, bus.NewCommand[any, any](namespace+".echo", ""), func(_ context.Context, in any, d *bus.Deferred[any]) { d.Resolve(in) })
	}}
	bubble(t, opts, func(t *testing.T, b *bus.Bus) {
		app := register(t, b, "App")
		k := caller(t, app, bus.NewCommand[any, any]("Notes.echo", ""))
		var answers list[any]
		var errs list[error]
		all := func() {
			keep := func(out any, err error) {
				answers.add(out)
				errs.add(err)
			}
			for range 5 {
				go func() { keep(app.Call(t.Context(), "Notes.echo", "in")) }()
				go func() { keep(k.Call(t.Context(), "in")) }()
			}
			f, g := app.Go(t.Context(), "Notes.echo", "in"), k.Go(t.Context(), "in")
			keep(f.Result(t.Context()))
			keep(g.Result(t.Context()))
			synctest.Wait()
			keep(app.Go(t.Context(), "Notes.LOAD", nil).Result(t.Context()))
		}
		start := time.Now()
		all()
		assert.EqualValues(t, 2, runs.Load(), "once for the first twelve, once for LOAD after it")
		for _, err := range errs.get() {
			assert.ErrorIs(t, err, bus.ErrUnknownPlugin)
			assert.ErrorIs(t, err, errOops)
		}
		fail.Store(false)
		answers, errs = list[any]{}, list[error]{}
		all()
		assert.EqualValues(t, 3, runs.Load())
		for i, err := range errs.get() {
			assert.NoError(t, err)
			if i < 12 {
				assert.Equal(t, "in", answers.get()[i])
			}
		}
		assert.Len(t, answers.get(), 13)
		assert.Equal(t, 4*time.Second, time.Since(start))
	})
}

func TestLoaderFails(t *testing.T) {
	tests := map[string]struct {
		loader func(context.Context, *bus.Bus, string) error
		text   string
	}{
		"error":  {func(context.Context, *bus.Bus, string) error { return errOops }, "oops"},
		"panic":  {func(context.Context, *bus.Bus, string) error { panic("boom") }, "boom"},
		"Goexit": {func(context.Context, *bus.Bus, string) error { runtime.Goexit(); return nil }, "the loader ended its goroutine"},
		"nobody": {func(context.Context, *bus.Bus, string) error { return nil }, "the loader returned without registering it"},
		"other": {func(_ context.Context, b *bus.Bus, _ string) error {
			_, err := b.Register("Other")
			return err
		}, "the loader returned without registering it"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, &bus.Options{Loader: test.loader}, func(t *testing.T, b *bus.Bus) {
				app := register(t, b, "App")
				_, err := app.Call(t.Context(), "Notes.echo", nil)
				require.ErrorIs(t, err, bus.ErrUnknownPlugin)
				assert.ErrorContains(t, err, test.text)
			})
		})
	}
}

// Only commands to namespaces that nobody has make the loader run.
func TestLoaderIsAskedSparingly(t *testing.T) {
	asked := []string{}
	opts := &bus.Options{Loader: func(_ context.Context, _ *bus.Bus, namespace string) error {
		asked = append(asked, namespace)
		return errOops
	}}
	bubble(t, opts, func(t *testing.T, b *bus.Bus) {
		app := readyClient(t, b, "App")
		for _, name := range []string{"nothing", "App.nothing", "Bus.x", "Other..x", "Other.a.b", "*.x"} {
			_, err := app.Call(t.Context(), name, nil)
			require.Error(t, err)
		}
		subscribeName(t, app, "Other.x", func(context.Context, bus.Event[any]) {})
		assert.Empty(t, asked)
		_, err := app.Call(t.Context(), "Other.x", nil)
		require.Error(t, err)
		assert.Equal(t, []string{"Other"}, asked)
	})
}

// Callers need not wait for the loader; it goes on for the others.
func TestLoaderOutlivesItsCaller(t *testing.T) {
	opts := &bus.Options{Loader: func(ctx context.Context, b *bus.Bus, namespace string) error {
		time.Sleep(time.Minute)
		assert.NoError(t, ctx.Err())
		c, err := b.Register(namespace)
		if err == nil {
			c.Ready()
		}
		return err
	}}
	bubble(t, opts, func(t *testing.T, b *bus.Bus) {
		app := register(t, b, "App")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		f := app.Go(ctx, "Notes.LOAD", nil)
		_, err := app.Call(ctx, "Notes.LOAD", nil)
		assert.ErrorIs(t, err, bus.ErrTimeout)
		_, err = f.Result(t.Context())
		assert.ErrorIs(t, err, bus.ErrTimeout)
		_, err = app.Call(t.Context(), "Notes.LOAD", nil)
		assert.NoError(t, err)
	})
}

// Close ends the loader's context and waits for it; who waits for the plugin is
// told at once.
func TestCloseWhileLoading(t *testing.T) {
	var over atomic.Bool
	opts := &bus.Options{Loader: func(ctx context.Context, b *bus.Bus, namespace string) error {
		<-ctx.Done()
		time.Sleep(time.Second)
		_, err := b.Register(namespace)
		assert.ErrorIs(t, err, bus.ErrClosed)
		over.Store(true)
		return err
	}}
	bubble(t, opts, func(t *testing.T, b *bus.Bus) {
		app := register(t, b, "App")
		f := app.Go(context.Background(), "Notes.x", nil)
		errs := make(chan error, 2)
		go func() {
			_, err := app.Call(context.Background(), "Notes.x", nil)
			errs <- err
		}()
		go func() {
			_, err := f.Result(context.Background())
			errs <- err
		}()
		synctest.Wait()
		closed := make(chan error, 1)
		go func() { closed <- b.Close(context.Background()) }()
		synctest.Wait()
		for range 2 {
			assert.ErrorIs(t, <-errs, bus.ErrClosed)
		}
		assert.False(t, over.Load())
		require.NoError(t, <-closed)
		assert.True(t, over.Load())
		_, err := app.Call(context.Background(), "Notes.x", nil)
		assert.ErrorIs(t, err, bus.ErrClosed)
	})
}

func TestCloseDoesNotWaitForEverForTheLoader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		b := bus.New(&bus.Options{Loader: func(context.Context, *bus.Bus, string) error { <-hold; return nil }})
		f := register(t, b, "App").Go(context.Background(), "Notes.x", nil)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := b.Close(ctx)
		assert.ErrorIs(t, err, bus.ErrTimeout)
		assert.ErrorContains(t, err, "wait for the loader")
		close(hold)
		_, err = f.Result(t.Context())
		assert.ErrorIs(t, err, bus.ErrClosed)
	})
}

// A loader may start plugins that need one another, and call them.
func TestLoaderStartsAPlugin(t *testing.T) {
	opts := &bus.Options{Reserved: []string{"Notes"}, Loader: func(ctx context.Context, b *bus.Bus, namespace string) error {
		if namespace != "Notes" {
			return errors.New("no such thing")
		}
		return b.Start(ctx, loaded{})
	}}
	bubble(t, opts, func(t *testing.T, b *bus.Bus) {
		out, err := caller(t, register(t, b, "App"), textOf).Call(t.Context(), &note{Text: "x"})
		require.NoError(t, err)
		assert.Equal(t, "loaded x", out)
	})
}

type loaded struct{}

func (loaded) Namespace() string { return "Notes" }
func (loaded) Start(_ context.Context, c *bus.Client) error {
	return bus.Handle(c, textOf, func(_ context.Context, in *note) (string, error) { return "loaded " + in.Text, nil })
}
