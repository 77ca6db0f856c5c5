package bus_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

// TestEventRouteOfAGonePlugin holds that a publish that was under way while its
// plugin went calls nobody who has left since, and everybody who has come.
func TestEventRouteOfAGonePlugin(t *testing.T) {
	b := bus.New(nil)
	defer func() { require.NoError(t, b.Close(context.Background())) }()
	opened := bus.NewEvent[int]("WebChat.opened", "The widget has opened.")
	first, err := b.Register("WebChat")
	require.NoError(t, err)
	old, err := opened.Bind(first)
	require.NoError(t, err)
	again, err := opened.Bind(first)
	require.NoError(t, err)
	assert.Same(t, old, again, "a client has one handle of an event, which is kept up to date")

	listener, err := b.Register("Listener")
	require.NoError(t, err)
	var left, stayed, came []int
	add := func(list *[]int) func(context.Context, bus.Event[int]) {
		return func(_ context.Context, e bus.Event[int]) { *list = append(*list, e.Data) }
	}
	leaving, err := bus.Subscribe(listener, opened, add(&left), bus.Inline())
	require.NoError(t, err)
	_, err = bus.Subscribe(listener, opened, add(&stayed), bus.Inline())
	require.NoError(t, err)
	require.NoError(t, old.Publish(context.Background(), 1))

	require.NoError(t, b.Unload(context.Background(), "WebChat"))
	require.ErrorIs(t, old.Publish(context.Background(), 2), bus.ErrStopped)
	second, err := b.Register("WebChat")
	require.NoError(t, err)
	next, err := opened.Bind(second)
	require.NoError(t, err)
	require.NotSame(t, old, next)

	require.NoError(t, leaving.UnsubscribeWait(context.Background()))
	_, err = bus.Subscribe(listener, opened, add(&came), bus.Inline())
	require.NoError(t, err)
	require.NoError(t, bus.PublishLate(old, 3))
	require.NoError(t, next.Publish(context.Background(), 4))
	require.NoError(t, second.Publish(context.Background(), "opened", 5))
	assert.Equal(t, []int{1}, left)
	assert.Equal(t, []int{1, 3, 4, 5}, stayed)
	assert.Equal(t, []int{3, 4, 5}, came)
}
