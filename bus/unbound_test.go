package bus_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

var (
	Greet  = bus.NewCommand[string, string]("Greeter.greet", "Greets somebody.")
	Thanks = bus.NewEvent[string]("Greeter.thanked", "Somebody said thanks.")
)

// A plugin and its caller without a handle: for those who call and publish now and then.
func ExampleCommandOf_Call() {
	ctx := context.Background()
	b := bus.New(nil)
	greeter, _ := b.Register("Greeter")
	_ = bus.Handle(greeter, Greet, func(ctx context.Context, name string) (string, error) {
		return "Hello " + name, Thanks.Publish(ctx, greeter, name)
	})
	greeter.Ready()

	app, _ := b.Register("App")
	thanked := bus.Events(ctx, app, Thanks, bus.Once())
	fmt.Println(Greet.Call(ctx, app, "Ada"))
	for e := range thanked {
		fmt.Println(e.Name(), e.Data)
	}
	_ = b.Close(ctx)
	// Output:
	// Hello Ada <nil>
	// Greeter.thanked Ada
}

func ExampleEvents() {
	ctx := context.Background()
	b := bus.New(nil)
	greeter, _ := b.Register("Greeter")
	app, _ := b.Register("App")
	events := bus.Events(ctx, app, Thanks) // begins here
	for _, name := range []string{"Ada", "Grace", "Joan"} {
		_ = Thanks.Publish(ctx, greeter, name)
	}
	for e := range events {
		fmt.Println(e.Data)
		if e.Data == "Grace" {
			break // and ends here
		}
	}
	_ = b.Close(ctx)
	// Output:
	// Ada
	// Grace
}

// What needs no Bind is checked as if it did.
func TestUnboundChecks(t *testing.T) {
	log := &logs{}
	bubble(t, &bus.Options{Logger: newLogger(log)}, func(t *testing.T, b *bus.Bus) {
		ctx := t.Context()
		a, c := register(t, b, "Notes"), register(t, b, "C")
		_, err := bus.NewCommand[int, int]("add", "").Call(ctx, c, 1)
		require.ErrorIs(t, err, bus.ErrBadName)
		_, err = bus.NewCommand[int, int]("add", "").Go(ctx, c, 1).Result(ctx)
		require.ErrorIs(t, err, bus.ErrBadName)
		_, err = bus.NewCommand[int, int]("Nobody.add", "").Call(ctx, c, 1)
		require.ErrorIs(t, err, bus.ErrUnknownPlugin)
		require.NoError(t, bus.Handle(a, addNote, func(_ context.Context, in note) (int, error) { return in.N, nil }))
		a.Ready()
		_, err = bus.NewCommand[int, int]("Notes.add", "").Call(ctx, c, 1)
		require.ErrorIs(t, err, bus.ErrWrongType)
		n, err := addNote.Call(ctx, c, note{N: 3})
		require.NoError(t, err)
		assert.Equal(t, 3, n)
		n, err = addNote.Go(ctx, c, note{N: 4}).Result(ctx)
		require.NoError(t, err)
		assert.Equal(t, 4, n)

		require.ErrorIs(t, noteAdded.Publish(ctx, c, note{}), bus.ErrNotOwner)
		require.ErrorIs(t, bus.NewEvent[int]("added", "").Publish(ctx, a, 1), bus.ErrBadName)
		require.NoError(t, noteAdded.Publish(ctx, a, note{}))
		require.ErrorIs(t, bus.NewEvent[int]("Notes.added", "").Publish(ctx, a, 1), bus.ErrWrongType)
		require.NoError(t, noteState.Republish(ctx, a, note{N: 5}))
		require.ErrorIs(t, noteState.Republish(ctx, c, note{}), bus.ErrNotOwner)
		assert.Equal(t, []string{"Notes.added", "Notes.ready", "Notes.state"}, eventsOf(c, "Notes"), "what was published is declared")
		for e := range bus.Events(ctx, c, noteState) {
			assert.True(t, e.Retained())
			assert.Equal(t, 5, e.Data.N)
			break
		}
		for range bus.Events(ctx, c, bus.NewEvent[int]("Notes.added", "")) {
			t.Error("there is no such event")
		}
		require.Len(t, log.find("no events"), 1)
		assert.Contains(t, log.find("no events")[0]["error"], "wrong type")
		require.NoError(t, b.Unload(ctx, "C"))
		for range bus.Events(ctx, c, noteAdded) {
			t.Error("C is gone")
		}
		assert.Len(t, log.find("no events"), 1)
	})
}

func eventsOf(c *bus.Client, ns string) (names []string) {
	for _, e := range c.Registry()[ns].Events {
		names = append(names, e.Name)
	}
	return names
}

// A loop ends with its context and with the client, and its subscription with the loop.
func TestTypedEventsEnd(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		a, c := register(t, b, "Notes"), register(t, b, "C")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan string, 2)
		for name, loop := range map[string]context.Context{"context": ctx, "client": t.Context()} {
			events := bus.Events(loop, c, noteAdded)
			go func() {
				for range events {
				}
				ended <- name
			}()
		}
		require.NoError(t, noteAdded.Publish(t.Context(), a, note{}))
		synctest.Wait()
		assert.Empty(t, ended)
		assert.Len(t, a.Subscribers()["Notes.added"], 2)
		cancel()
		assert.Equal(t, "context", <-ended)
		assert.Len(t, a.Subscribers()["Notes.added"], 1)
		require.NoError(t, b.Unload(t.Context(), "C"))
		assert.Equal(t, "client", <-ended)
	})
}

// Publishing without a handle allocates nothing either.
func TestUnboundAllocations(t *testing.T) {
	b := bus.New(nil)
	a, c := readyClient(t, b, "Notes"), register(t, b, "C")
	require.NoError(t, bus.Handle(a, addNote, func(_ context.Context, in note) (int, error) { return in.N, nil }))
	subscribe(t, c, noteAdded, func(context.Context, bus.Event[note]) {}, bus.Inline())
	var err error
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() {
		err = errors.Join(err, noteAdded.Publish(context.Background(), a, note{}))
	}), 1.0, "the name of the topic")
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = addNote.Call(context.Background(), c, note{}) }), 1.0, "the handle")
	require.NoError(t, err)
}

// What is still in the mailbox when the bus closes is handled, and its handler publishes by the description as by a handle.
func TestUnboundWhileStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		greeter, err := b.Register("Greeter")
		require.NoError(t, err)
		_, err = Thanks.Bind(greeter)
		require.NoError(t, err)
		app, err := b.Register("App")
		require.NoError(t, err)
		asked := bus.NewEvent[string]("App.asked", "Somebody asked.")
		_, err = bus.Subscribe(greeter, asked, func(ctx context.Context, e bus.Event[string]) {
			<-ctx.Done() // the bus closes
			assert.NoError(t, Thanks.Publish(ctx, greeter, e.Data))
			assert.ErrorIs(t, Thanks.Publish(context.Background(), greeter, "nobody's"), bus.ErrClosed)
		})
		require.NoError(t, err)
		var got []string
		_, err = bus.Subscribe(app, Thanks, func(_ context.Context, e bus.Event[string]) { got = append(got, e.Data) })
		require.NoError(t, err)
		require.NoError(t, asked.Publish(t.Context(), app, "one"))
		require.NoError(t, asked.Publish(t.Context(), app, "two"))
		require.NoError(t, b.Close(t.Context()))
		assert.Equal(t, []string{"one", "two"}, got)
	})
}
