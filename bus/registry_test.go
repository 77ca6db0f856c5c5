package bus_test

import (
	"context"
	"log/slog"
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

func TestRegistryIsASnapshot(t *testing.T) {
	b := bus.New(nil)
	a, c := register(t, b, "Notes"), readyClient(t, b, "C")
	require.NoError(t, bus.Handle(a, addNote, func(context.Context, note) (int, error) { return 0, nil }))
	require.NoError(t, bus.HandleAsync(a, bus.NewCommand[any, string]("Notes.a", "First."), func(context.Context, any, *bus.Deferred[string]) {}))
	require.NoError(t, bind(t, a, noteState).Republish(t.Context(), note{}))
	bind(t, a, noteAdded)
	require.NoError(t, a.RegisterEvents("any"))
	require.NoError(t, a.Publish(t.Context(), "undeclared", 1))
	first := c.Registry()
	require.Len(t, first, 2)
	assert.Equal(t, "Notes", a.Namespace())
	typ := reflect.TypeFor[note]()
	assert.Equal(t, bus.PluginInfo{
		Namespace: "Notes",
		State:     "starting",
		Commands: []bus.CommandInfo{
			{Name: "Notes.a", Doc: "First.", In: reflect.TypeFor[any](), Out: reflect.TypeFor[string](), Async: true},
			{Name: "Notes.add", Doc: addNote.Doc(), In: typ, Out: reflect.TypeFor[int]()},
		},
		Events: []bus.EventInfo{
			{Name: "Notes.added", Doc: noteAdded.Doc(), Type: typ},
			{Name: "Notes.any", Type: reflect.TypeFor[any]()},
			{Name: "Notes.state", Doc: noteState.Doc(), Type: typ, Revision: 1, Retained: note{}},
		},
	}, first["Notes"])
	first["Notes"].Commands[0].Name = "changed"
	delete(first, "C")
	a.Ready()
	again := c.Registry()
	assert.Equal(t, "Notes.a", again["Notes"].Commands[0].Name)
	assert.Equal(t, "ready", again["Notes"].State)
	assert.Equal(t, "ready", again["C"].State)
	assert.Contains(t, again["Notes"].Events, bus.EventInfo{Name: "Notes.ready", Doc: "The plugin accepts commands (retained).", Type: reflect.TypeFor[struct{}](), Revision: 1, Retained: struct{}{}})
}

// Namespaces match exactly, each subscription counts, wildcards do too.
func TestSubscribers(t *testing.T) {
	b := bus.New(nil)
	a, c := register(t, b, "A"), register(t, b, "C")
	ab := register(t, b, "AB")
	h := func(context.Context, bus.Event[any]) {}
	subscribeName(t, c, "A.x", h)
	subscribeName(t, ab, "A.x", h, bus.Inline())
	s := subscribeName(t, c, "A.x", h)
	subscribeName(t, c, "AB.x", h)
	subscribeName(t, a, "A.*", h)
	assert.Equal(t, map[string][]string{"A.x": {"C", "AB", "C", "A"}}, a.Subscribers())
	assert.Equal(t, map[string][]string{"AB.x": {"C"}}, ab.Subscribers())
	assert.Empty(t, c.Subscribers())
	s.Unsubscribe()
	assert.Equal(t, map[string][]string{"A.x": {"C", "AB", "A"}}, a.Subscribers())
}

func TestClientLogger(t *testing.T) {
	l := &logs{}
	b := bus.New(&bus.Options{Logger: slog.New(l)})
	register(t, b, "A").Logger().Info("hello", "n", 1)
	assert.Equal(t, []map[string]string{{"plugin": "A", "n": "1"}}, l.find("hello"))
	register(t, bus.New(nil), "A").Logger().Info("to nobody")
}

func TestOptionsAreNotChanged(t *testing.T) {
	var zero bus.Options
	b := bus.New(&zero)
	register(t, b, "A").Ready()
	assert.Equal(t, bus.Options{}, zero)
}
