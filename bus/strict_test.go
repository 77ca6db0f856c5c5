package bus_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

const (
	undeclaredWarning = "subscribed to an event that its plugin does not declare"
	undeclaredLog     = "published an event that is not declared"
)

func ignore(context.Context, bus.Event[any]) {}

func TestStrictPublishing(t *testing.T) {
	bubble(t, &bus.Options{Strict: true}, func(t *testing.T, b *bus.Bus) {
		c := register(t, b, "Notes")
		got := 0
		subscribeName(t, c, "*", func(context.Context, bus.Event[any]) { got++ }, bus.Inline())
		for range 2 {
			err := c.Publish(t.Context(), "adde", note{})
			assert.ErrorIs(t, err, bus.ErrUndeclared)
			assert.ErrorIs(t, c.Republish(t.Context(), "adde", note{}), bus.ErrUndeclared)
			assert.ErrorIs(t, c.PublishDirect(t.Context(), "adde", note{}), bus.ErrUndeclared)
		}
		assert.Zero(t, got)
		p := bind(t, c, noteAdded)
		err := c.Publish(t.Context(), "adde", note{})
		require.ErrorIs(t, err, bus.ErrUndeclared)
		assert.Equal(t, "did you mean Notes.added?", hint(t, err))
		require.NoError(t, c.Publish(t.Context(), "added", note{}))
		require.NoError(t, p.Publish(t.Context(), note{}))
		assert.Equal(t, 2, got)
		require.NoError(t, c.RegisterEvents("adde"))
		require.NoError(t, c.Publish(t.Context(), "adde", note{}), "declared meanwhile")
		require.NoError(t, dataCount.Set(c, 1), "the data store declares its own events")
		c.Ready()
		assert.Equal(t, 5, got, "and so does Ready")
	})
}

func TestStrictSubscribing(t *testing.T) {
	bubble(t, &bus.Options{Strict: true}, func(t *testing.T, b *bus.Bus) {
		app := register(t, b, "App")
		c := register(t, b, "Notes")
		bind(t, c, noteAdded)
		topics := bus.Topics(b)
		early := subscribeName(t, app, "Notes.adde", ignore) // it may still come
		early.Unsubscribe()
		c.Ready()
		_, err := app.Subscribe("Notes.adde", ignore)
		require.ErrorIs(t, err, bus.ErrUndeclared)
		assert.Equal(t, "did you mean Notes.added?", hint(t, err))
		_, err = bus.Subscribe(app, noteGone, func(context.Context, bus.Event[note]) {})
		require.ErrorIs(t, err, bus.ErrUndeclared)
		_, err = app.WaitFor(t.Context(), "Notes.gone", nil)
		require.ErrorIs(t, err, bus.ErrUndeclared)
		_, err = app.Events(t.Context(), "Notes.gone")
		require.ErrorIs(t, err, bus.ErrUndeclared)
		assert.Equal(t, topics+1, bus.Topics(b), "nothing is left of them but ready")
		assert.Empty(t, b.Debugger().Subscriptions)

		// These may all come.
		for _, name := range []string{"Notes.added", "Notes.ready", "Notes.data.count", "Notes.data.a.b", "Notes.*", "Notes.gone.*", "*.gone", "Later.x", "App.x", "Bus.x"} {
			_, err := app.Subscribe(name, ignore)
			assert.NoError(t, err, name)
		}
		// A plugin that has declared nothing yet may do so later.
		readyClient(t, b, "Loose")
		subscribeName(t, app, "Loose.x", ignore)
	})
}

// What strict mode refuses is otherwise a line in the log, once.
func TestWarnings(t *testing.T) {
	log := &logs{}
	bubble(t, &bus.Options{Logger: newLogger(log)}, func(t *testing.T, b *bus.Bus) {
		app, c := register(t, b, "App"), register(t, b, "Notes")
		bind(t, c, noteAdded)
		early := subscribeName(t, app, "Notes.adde", ignore)
		subscribeName(t, app, "Notes.adde", ignore)
		subscribeName(t, app, "Notes.ready", ignore)
		subscribeName(t, app, "Notes.data.x", ignore)
		subscribeName(t, app, "Notes.*", ignore)
		subscribeName(t, app, "Notes.added", ignore)
		subscribeName(t, app, "Later.x", ignore)
		assert.Empty(t, log.find(undeclaredWarning), "it may still come")
		assert.False(t, undeclaredSubscriptions(b)["Notes.adde"])
		c.Ready()
		c.Ready()
		found := log.find(undeclaredWarning)
		require.Len(t, found, 1, "one line for each event")
		assert.Equal(t, early.String(), found[0]["subscriber"])
		assert.Equal(t, "subscribe Notes.adde: event is not declared (did you mean Notes.added?)", found[0]["error"])
		assert.Equal(t, map[string]bool{"Notes.adde": true}, undeclaredSubscriptions(b))

		late := subscribeName(t, app, "Notes.gone", ignore)
		found = log.find(undeclaredWarning)
		require.Len(t, found, 2)
		assert.Equal(t, late.String(), found[1]["subscriber"])
		assert.Equal(t, map[string]bool{"Notes.adde": true, "Notes.gone": true}, undeclaredSubscriptions(b))
		bind(t, c, noteGone)
		assert.False(t, undeclaredSubscriptions(b)["Notes.gone"], "declared late")

		for range 3 {
			require.NoError(t, c.Publish(t.Context(), "odd", 1))
		}
		found = log.find(undeclaredLog)
		require.Len(t, found, 1)
		assert.Equal(t, "Notes.odd", found[0]["event"])
	})
}

// undeclaredSubscriptions lists what is subscribed to in vain.
func undeclaredSubscriptions(b *bus.Bus) map[string]bool {
	m := map[string]bool{}
	for _, s := range b.Debugger().Subscriptions {
		if s.Undeclared {
			m[s.Event] = true
		}
	}
	return m
}

func TestReservedNamespaces(t *testing.T) {
	bubble(t, &bus.Options{Reserved: []string{"Notes"}}, func(t *testing.T, b *bus.Bus) {
		_, err := b.Register("Notes")
		require.ErrorIs(t, err, bus.ErrNameTaken)
		assert.Equal(t, "it is reserved for a plugin that the host starts", hint(t, err))
		register(t, b, "Notes2")
		require.NoError(t, b.Start(t.Context(), loaded{}))
		_, err = b.Register("Notes")
		assert.ErrorIs(t, err, bus.ErrNameTaken)
		_, err = b.Register("Bus")
		assert.ErrorIs(t, err, bus.ErrNameTaken, "the bus's own")
		assert.ErrorIs(t, b.Start(t.Context(), named("Bus")), bus.ErrNameTaken)
		assert.ErrorIs(t, b.Unload(t.Context(), "Bus"), bus.ErrUnknownPlugin)
	})
}

type named string

func (n named) Namespace() string                      { return string(n) }
func (named) Start(context.Context, *bus.Client) error { return nil }
