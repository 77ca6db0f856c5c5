package bus_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

// textOf is a command whose handler answers with what it got.
var textOf = bus.NewCommand[*note, string]("Notes.text", "Gives the text of a note.")

// echo makes the plugin Notes with textOf and, by name, the command echo.
func echo(t *testing.T, b *bus.Bus) *bus.Client {
	t.Helper()
	c := register(t, b, "Notes")
	require.NoError(t, bus.Handle(c, textOf, func(_ context.Context, in *note) (string, error) { return in.Text, nil }))
	require.NoError(t, c.RegisterCommand("echo", func(_ context.Context, in any) (any, error) { return in, nil }))
	return c
}

func TestHookSeesTheCall(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		echo(t, b).Ready()
		guard, app := register(t, b, "Guard"), register(t, b, "App")
		var seen []bus.Call[*note]
		var who string
		hook, err := bus.Before(guard, textOf, func(ctx context.Context, call *bus.Call[*note]) error {
			seen = append(seen, *call)
			who = bus.Commander(ctx)
			return nil
		})
		require.NoError(t, err)
		assert.Equal(t, "Notes.text", hook.Command())
		in := &note{Text: "x"}
		out, err := caller(t, app, textOf).Call(t.Context(), in)
		require.NoError(t, err)
		assert.Equal(t, "x", out)
		require.Len(t, seen, 1)
		assert.Equal(t, "Notes.text", seen[0].Command)
		assert.Equal(t, "App", seen[0].Commander)
		assert.Equal(t, "App", who)
		assert.Equal(t, in, seen[0].In)
		assert.NotSame(t, in, seen[0].In, "a copy")

		// By name, with a map: the typed hook gets it decoded. From the owner itself too.
		out2, err := app.Call(t.Context(), "Notes.text", map[string]any{"Text": "map"})
		require.NoError(t, err)
		assert.Equal(t, "map", out2)
		require.Len(t, seen, 2)
		assert.Equal(t, "map", seen[1].In.Text)
	})
}

// What one hook leaves is what the next one and the handler get; the caller's
// input stays as it was.
func TestHookChangesTheInput(t *testing.T) {
	type named []string
	type labels map[string]int
	tests := map[string]struct {
		in     any
		change func(in any) any
		want   any
		still  any
	}{
		"map":     {map[string]any{"a": 1}, func(in any) any { in.(map[string]any)["a"] = 2; return in }, map[string]any{"a": 2}, map[string]any{"a": 1}},
		"raw":     {json.RawMessage(`[1]`), func(in any) any { in.(json.RawMessage)[1] = '2'; return in }, json.RawMessage(`[2]`), json.RawMessage(`[1]`)},
		"pointer": {&note{N: 1}, func(in any) any { in.(*note).N = 2; return in }, &note{N: 2}, &note{N: 1}},
		"slice":   {named{"a"}, func(in any) any { in.(named)[0] = "b"; return in }, named{"b"}, named{"a"}},
		"a map":   {labels{"a": 1}, func(in any) any { in.(labels)["b"] = 2; return in }, labels{"a": 1, "b": 2}, labels{"a": 1}},
		"struct":  {note{N: 1}, func(in any) any { n := in.(note); n.N = 2; return n }, note{N: 2}, note{N: 1}},
		"nothing": {nil, func(in any) any { return in }, nil, nil},
		"no map":  {labels(nil), func(in any) any { return in }, labels(nil), labels(nil)},
		"other":   {"a", func(any) any { return 7 }, 7, "a"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, b *bus.Bus) {
				c := echo(t, b)
				c.Ready()
				_, err := c.Before("Notes.echo", func(_ context.Context, call *bus.Call[any]) error {
					call.In = test.change(call.In)
					return nil
				})
				require.NoError(t, err)
				var next any
				_, err = c.Before("Notes.echo", func(_ context.Context, call *bus.Call[any]) error {
					next = call.In
					return nil
				})
				require.NoError(t, err)
				out, err := register(t, b, "App").Call(t.Context(), "Notes.echo", test.in)
				require.NoError(t, err)
				assert.Equal(t, test.want, out)
				assert.Equal(t, test.want, next)
				assert.Equal(t, test.still, test.in)
			})
		})
	}
}

func TestHookLeavesTheWrongType(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		c := echo(t, b)
		c.Ready()
		ran := false
		_, err := bus.Before(c, textOf, func(context.Context, *bus.Call[*note]) error { ran = true; return nil })
		require.NoError(t, err)
		_, err = c.Call(t.Context(), "Notes.text", map[string]any{"Nonsense": 1})
		assert.ErrorIs(t, err, bus.ErrWrongType, "a typed hook needs the input type")
		assert.False(t, ran)
		_, err = c.Before("Notes.text", func(_ context.Context, call *bus.Call[any]) error { call.In = 7; return nil })
		require.NoError(t, err)
		_, err = c.Call(t.Context(), "Notes.text", &note{})
		require.ErrorIs(t, err, bus.ErrWrongType)
		assert.True(t, ran)
	})
}

// Hooks run in the order in which they were added, whosever they are; the first
// error ends the chain and is the reason of the veto.
func TestHookOrderAndVeto(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		c := echo(t, b)
		c.Ready()
		other, app := register(t, b, "Other"), register(t, b, "App")
		var ran []string
		var veto error
		add := func(c *bus.Client, name string) *bus.Hook {
			h, err := c.Before("Notes.echo", func(context.Context, *bus.Call[any]) error {
				ran = append(ran, name)
				if name == "second" {
					return veto
				}
				return nil
			})
			require.NoError(t, err)
			return h
		}
		add(other, "first")
		second := add(c, "second")
		add(other, "third")
		_, err := app.Call(t.Context(), "Notes.echo", 1)
		require.NoError(t, err)
		assert.Equal(t, []string{"first", "second", "third"}, ran)

		ran, veto = nil, errOops
		_, err = app.Call(t.Context(), "Notes.echo", 1)
		require.ErrorIs(t, err, bus.ErrVetoed)
		require.ErrorIs(t, err, errOops)
		assert.Equal(t, "Notes.echo: Command was cancelled by a 'before' function.: oops (by a hook of Notes)", err.Error())
		assert.Equal(t, []string{"first", "second"}, ran)

		_, err = app.Go(t.Context(), "Notes.echo", 1).Result(t.Context())
		require.ErrorIs(t, err, bus.ErrVetoed, "futures too")

		ran = nil
		second.Remove()
		second.Remove()
		_, err = app.Call(t.Context(), "Notes.echo", 1)
		require.NoError(t, err)
		assert.Equal(t, []string{"first", "third"}, ran)

		ran = nil
		require.NoError(t, b.Unload(t.Context(), "Other"))
		_, err = app.Call(t.Context(), "Notes.echo", 1)
		require.NoError(t, err)
		assert.Empty(t, ran, "hooks go with their owner")
		assert.Empty(t, b.Debugger().Hooks)
	})
}

func TestHookPanics(t *testing.T) {
	log := &logs{}
	bubble(t, &bus.Options{Logger: newLogger(log)}, func(t *testing.T, b *bus.Bus) {
		c := echo(t, b)
		c.Ready()
		var incidents list[bus.Incident]
		subscribe(t, c, bus.HandlerPanicked, func(_ context.Context, e bus.Event[bus.Incident]) { incidents.add(e.Data) })
		guard := register(t, b, "Guard")
		hook, err := bus.Before(guard, textOf, func(context.Context, *bus.Call[*note]) error { panic(errOops) })
		require.NoError(t, err)
		_, err = caller(t, c, textOf).Call(t.Context(), &note{})
		require.ErrorIs(t, err, bus.ErrPanic)
		require.ErrorIs(t, err, errOops)
		synctest.Wait()
		assert.Equal(t, []bus.Incident{{Plugin: "Guard", Name: "Notes.text", Text: "before hook panicked"}}, incidents.get())
		require.Len(t, log.find("before hook panicked"), 1)
		assert.Contains(t, log.find("before hook panicked")[0]["stack"], "hook_test.go")
		hook.Remove()
		_, err = caller(t, c, textOf).Call(t.Context(), &note{})
		require.NoError(t, err)
	})
}

// A hook may be there before the plugin, and runs before the call waits for it.
func TestHookBeforeThePlugin(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		app := register(t, b, "App")
		var ran list[string]
		_, err := app.Before("Notes.echo", func(_ context.Context, call *bus.Call[any]) error {
			ran.add(call.In.(string))
			if call.In == "no" {
				return errOops
			}
			call.In = "hooked " + call.In.(string)
			return nil
		})
		require.NoError(t, err)
		_, err = app.Call(t.Context(), "Notes.echo", "early")
		require.ErrorIs(t, err, bus.ErrUnknownPlugin)
		c := echo(t, b)
		f, g := app.Go(t.Context(), "Notes.echo", "one"), app.Go(t.Context(), "Notes.echo", "no")
		called := make(chan any)
		go func() {
			out, _ := app.Call(t.Context(), "Notes.echo", "two")
			called <- out
		}()
		synctest.Wait()
		assert.Equal(t, []string{"early", "one", "no", "two"}, ran.get())
		_, err = g.Result(t.Context())
		require.ErrorIs(t, err, bus.ErrVetoed, "a veto does not wait")
		c.Ready()
		out, err := f.Result(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "hooked one", out)
		assert.Equal(t, "hooked two", <-called)
		assert.Equal(t, 4, ran.len(), "hooks run once for each call")
	})
}

func TestHookOnTypedFuture(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		c := register(t, b, "Notes")
		var order []int
		require.NoError(t, bus.HandleAsync(c, addNote, func(_ context.Context, in note, d *bus.Deferred[int]) {
			order = append(order, in.N)
			d.Notify("half")
			time.AfterFunc(time.Second, func() { d.Resolve(in.N) })
		}))
		c.Ready()
		_, err := bus.Before(c, addNote, func(_ context.Context, call *bus.Call[note]) error { call.In.N *= 10; return nil })
		require.NoError(t, err)
		k := caller(t, register(t, b, "App"), addNote)
		var futures []*bus.Future[int]
		for n := range 3 {
			futures = append(futures, k.Go(t.Context(), note{N: n}))
		}
		assert.Equal(t, []int{0, 10, 20}, order, "an async handler has run when Go returns, in order")
		var progress []any
		for v := range futures[1].Progress(t.Context()) {
			progress = append(progress, v)
		}
		assert.Equal(t, []any{"half"}, progress)
		for n, f := range futures {
			out, err := f.Result(t.Context())
			require.NoError(t, err)
			assert.Equal(t, 10*n, out)
		}
	})
}

// A hook that calls its own command ends in an error, not in a full stack.
func TestHookCallsItsOwnCommand(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		c := echo(t, b)
		c.Ready()
		ran := 0
		_, err := c.Before("Notes.echo", func(ctx context.Context, call *bus.Call[any]) error {
			ran++
			_, err := c.Call(ctx, "echo", call.In)
			return err
		})
		require.NoError(t, err)
		_, err = c.Call(context.Background(), "echo", nil)
		require.ErrorIs(t, err, bus.ErrTooDeep)
		assert.Equal(t, 64, ran)
	})
}

func TestHookRefusals(t *testing.T) {
	b := bus.New(nil)
	c := register(t, b, "App")
	ok := func(context.Context, *bus.Call[any]) error { return nil }
	_, err := c.Before("Notes.echo", nil)
	assert.ErrorIs(t, err, bus.ErrNilHandler)
	_, err = bus.Before[*note, string](c, textOf, nil)
	assert.ErrorIs(t, err, bus.ErrNilHandler)
	for _, name := range []string{"", "echo", "Notes.*.b", "Notes.a.b", "Notes.", "Notes.a*"} {
		_, err = c.Before(name, ok)
		assert.ErrorIs(t, err, bus.ErrBadName, name)
	}
	gone := register(t, b, "Gone")
	require.NoError(t, b.Unload(t.Context(), "Gone"))
	_, err = gone.Before("Notes.echo", ok)
	assert.ErrorIs(t, err, bus.ErrStopped)
	require.NoError(t, b.Close(t.Context()))
	_, err = c.Before("Notes.echo", ok)
	assert.ErrorIs(t, err, bus.ErrClosed)
}
