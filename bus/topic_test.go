package bus_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

func TestTopicsAreForgottenAfterUnsubscribe(t *testing.T) {
	for name, wild := range map[string]bool{"alone": false, "beside a wildcard": true} {
		t.Run(name, func(t *testing.T) {
			b := bus.New(nil)
			c := register(t, b, "C")
			if wild {
				subscribeName(t, c, "*", func(context.Context, bus.Event[any]) {}, bus.Inline())
			}
			before := bus.Topics(b)
			for i := range 1000 {
				s := subscribeName(t, c, "A.x"+strconv.Itoa(i), func(context.Context, bus.Event[any]) {})
				s.Unsubscribe()
			}
			assert.Equal(t, before, bus.Topics(b))
		})
	}
}

// Publishing ever new undeclared names does not grow memory, and works.
func TestUndeclaredNamesAreBounded(t *testing.T) {
	b := bus.New(nil)
	a, c := register(t, b, "A"), register(t, b, "C")
	n := 0
	subscribeName(t, c, "A.*", func(context.Context, bus.Event[any]) { n++ }, bus.Inline())
	const names = bus.MaxUndeclared + 500
	for i := range names {
		require.NoError(t, a.Publish(t.Context(), "x"+strconv.Itoa(i), i))
	}
	assert.Equal(t, names, n)
	assert.LessOrEqual(t, bus.Topics(b), bus.MaxUndeclared)
	// A late subscriber to a name that is no longer remembered is served.
	got := 0
	subscribeName(t, c, "A.x"+strconv.Itoa(names-1), func(context.Context, bus.Event[any]) { got++ }, bus.Inline())
	require.NoError(t, a.Publish(t.Context(), "x"+strconv.Itoa(names-1), 1))
	assert.Equal(t, 1, got)
}

// One name per request (a reply address) is a common use: subscribe, publish,
// unsubscribe.
func TestNamesForOneUseAreBounded(t *testing.T) {
	b := bus.New(nil)
	a, c := register(t, b, "A"), register(t, b, "C")
	n := 0
	for i := range bus.MaxUndeclared + 1000 {
		name := "reply." + strconv.Itoa(i)
		s := subscribeName(t, c, "A."+name, func(context.Context, bus.Event[any]) { n++ }, bus.Inline())
		require.NoError(t, a.Publish(t.Context(), name, i))
		s.Unsubscribe()
	}
	assert.Equal(t, bus.MaxUndeclared+1000, n)
	assert.LessOrEqual(t, bus.Topics(b), bus.MaxUndeclared)
}

// Loading and unloading plugins leaves nothing, not even the type of an event.
func TestNothingIsLeftOfAnUnloadedPlugin(t *testing.T) {
	b := bus.New(nil)
	before := bus.Topics(b)
	for i := range 100 {
		ns := "P" + strconv.Itoa(i)
		c := readyClient(t, b, ns)
		p := bind(t, c, bus.NewEvent[int](ns+".typed", ""))
		require.NoError(t, p.Republish(t.Context(), i))
		require.NoError(t, c.Publish(t.Context(), "undeclared", i))
		require.NoError(t, c.RegisterCommand("x", func(context.Context, any) (any, error) { return nil, nil }))
		subscribeName(t, c, "*", func(context.Context, bus.Event[any]) {})
		subscribeName(t, c, "Other.x"+strconv.Itoa(i), func(context.Context, bus.Event[any]) {}, bus.Inline())
		require.NoError(t, b.Unload(t.Context(), ns))
	}
	assert.Equal(t, before, bus.Topics(b))
	c := register(t, b, "P1")
	bind(t, c, bus.NewEvent[string]("P1.typed", "")) // another type than before
}

// The subscriptions of others to an unloaded plugin's events stay.
func TestSubscriptionsOutliveThePublisher(t *testing.T) {
	b := bus.New(nil)
	c := register(t, b, "C")
	var typed, untyped, wild list[any]
	subscribe(t, c, noteState, func(_ context.Context, e bus.Event[note]) { typed.add(e.Data.N) }, bus.Inline())
	subscribeName(t, c, "Notes.state", func(_ context.Context, e bus.Event[any]) { untyped.add(e.Data.(note).N) }, bus.Inline())
	subscribeName(t, c, "Notes.*", func(_ context.Context, e bus.Event[any]) {
		if n, ok := e.Data.(note); ok {
			wild.add(n.N)
		}
	}, bus.Inline())
	for i := range 3 {
		p := bind(t, readyClient(t, b, "Notes"), noteState)
		require.NoError(t, p.Republish(t.Context(), note{N: i}))
		require.NoError(t, b.Unload(t.Context(), "Notes"))
		late := 0
		subscribe(t, c, noteState, func(context.Context, bus.Event[note]) { late++ }, bus.Inline()).Unsubscribe()
		assert.Zero(t, late, "the retained value has gone with its plugin")
	}
	for _, l := range []*list[any]{&typed, &untyped, &wild} {
		assert.Equal(t, []any{0, 1, 2}, l.get())
	}
}
