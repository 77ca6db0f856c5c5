package eventbus_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asaskevich/EventBus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/bus/eventbus"
)

// seen collects what arrives.
type seen struct {
	mu   sync.Mutex
	list []any
}

func (s *seen) add(v any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, v)
}

func (s *seen) all() []any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]any(nil), s.list...)
}

func TestBridgeBothWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, c, eb, _ := open(t)
		other, err := b.Register("Other")
		require.NoError(t, err)
		var events, calls seen
		_, err = other.Subscribe("Legacy.*", func(_ context.Context, e bus.Event[any]) { events.add(e.Data) })
		require.NoError(t, err)
		orig := EventBus.New()
		require.NoError(t, orig.Subscribe("a topic", func(v any) { calls.add(v) }))
		l, err := eventbus.Bridge(c, orig, "a topic", "pair", "silent")
		require.NoError(t, err)

		for i := range 100 {
			orig.Publish("a topic", i)
		}
		synctest.Wait()
		require.Len(t, events.all(), 100, "each once: nothing comes back")
		require.Len(t, calls.all(), 100)
		assert.Equal(t, 42, events.all()[42])

		for i := range 100 {
			eb.Publish("a topic", 100+i)
		}
		synctest.Wait()
		require.Len(t, events.all(), 200)
		require.Len(t, calls.all(), 200)
		assert.Equal(t, 142, calls.all()[142])

		orig.Publish("silent")
		orig.Publish("pair", "x", 1)
		orig.Publish("pair", nil)
		orig.Publish("elsewhere", 1)
		synctest.Wait()
		assert.Equal(t, []any{nil, eventbus.Args{"x", 1}, eventbus.Args{nil}}, events.all()[200:])

		require.NoError(t, l.Close(t.Context()))
		require.NoError(t, l.Close(t.Context()))
		orig.Publish("a topic", -1)
		eb.Publish("a topic", -2)
		synctest.Wait()
		assert.Len(t, events.all(), 204)
		assert.Len(t, calls.all(), 201)
		assert.True(t, orig.HasCallback("a topic"), "its own subscriber stays")
		assert.False(t, orig.HasCallback("pair"))
	})
}

func TestBridgeTopicsWithNil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, c, _, _ := open(t)
		other, err := b.Register("Other")
		require.NoError(t, err)
		var events seen
		_, err = other.Subscribe("Legacy.done", func(_ context.Context, e bus.Event[any]) { events.add(e.Data) })
		require.NoError(t, err)
		orig := EventBus.New()
		l, err := eventbus.BridgeTopics(c, orig, eventbus.Topic{Name: "done", Params: 2})
		require.NoError(t, err)
		orig.Publish("done", 10, nil)
		orig.Publish("done", nil, nil)
		require.NoError(t, l.Close(t.Context()))
		synctest.Wait()
		assert.Equal(t, []any{eventbus.Args{10, nil}, eventbus.Args{nil, nil}}, events.all())
	})
}

// TestBridgesClose: two bridges on one topic, of which each takes off its own
// handlers.
func TestBridgesClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, c1, _, _ := open(t)
		c2, err := b.Register("Second")
		require.NoError(t, err)
		var first, second seen
		_, err = watcher(t, b).Subscribe("Legacy.t", func(_ context.Context, e bus.Event[any]) { first.add(e.Data) })
		require.NoError(t, err)
		_, err = c2.Subscribe("Second.t", func(_ context.Context, e bus.Event[any]) { second.add(e.Data) })
		require.NoError(t, err)
		orig := EventBus.New()
		l1, err := eventbus.Bridge(c1, orig, "t")
		require.NoError(t, err)
		l2, err := eventbus.Bridge(c2, orig, "t")
		require.NoError(t, err)

		orig.Publish("t", 1)
		synctest.Wait()
		require.NoError(t, c1.Publish(t.Context(), "t", 2)) // from one namespace over the EventBus to the other
		synctest.Wait()
		assert.Equal(t, []any{1, 2}, first.all())
		assert.Equal(t, []any{1, 2}, second.all())

		require.NoError(t, l2.Close(t.Context()))
		orig.Publish("t", 3)
		synctest.Wait()
		assert.Equal(t, []any{1, 2, 3}, first.all())
		assert.Equal(t, []any{1, 2}, second.all())
		require.NoError(t, l1.Close(t.Context()))
		assert.False(t, orig.HasCallback("t"))
	})
}

func watcher(t *testing.T, b *bus.Bus) *bus.Client {
	t.Helper()
	c, err := b.Register("Watcher")
	require.NoError(t, err)
	return c
}

func TestBridgeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, eb, log := open(t)
		gate := make(chan struct{})
		var n atomic.Int64
		require.NoError(t, eb.Subscribe("t", func(int) { <-gate; n.Add(1) }))
		orig := EventBus.New()
		l, err := eventbus.Bridge(c, orig, "t")
		require.NoError(t, err)
		orig.Publish("t", 0)
		synctest.Wait() // it is on its way
		const limit, more = 1 << 16, 100
		for i := range limit + more {
			orig.Publish("t", i) // never waits
		}
		assert.Equal(t, uint64(more), l.Dropped())
		assert.Contains(t, log.String(), "bridge is full")

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.ErrorIs(t, l.Close(ctx), bus.ErrTimeout)
		close(gate)
		require.NoError(t, l.Close(t.Context()))
		assert.Equal(t, int64(1+limit), n.Load(), "what was taken is delivered")
	})
}

// TestBridgeLosesAndDoublesNothing: both sides publish at once.
func TestBridgeLosesAndDoublesNothing(t *testing.T) {
	_, c, eb, _ := open(t)
	orig := EventBus.New()
	const each = 300
	var ours, theirs [4][]int
	var mu sync.Mutex
	require.NoError(t, eb.SubscribeAsync("t", func(p, n int) { ours[p] = append(ours[p], n) }, true))
	require.NoError(t, orig.Subscribe("t", func(p, n int) {
		mu.Lock()
		defer mu.Unlock()
		theirs[p] = append(theirs[p], n)
	}))
	l, err := eventbus.Bridge(c, orig, "t")
	require.NoError(t, err)
	var wg sync.WaitGroup
	for p := range 4 {
		publish := eb.Publish
		if p%2 == 1 {
			publish = orig.Publish
		}
		wg.Go(func() {
			for n := range each {
				publish("t", p, n)
			}
		})
	}
	wg.Wait()
	require.NoError(t, c.Flush(t.Context())) // to the EventBus
	require.NoError(t, l.Close(t.Context())) // from it
	eb.WaitAsync()
	var want []int
	for n := range each {
		want = append(want, n)
	}
	mu.Lock()
	defer mu.Unlock()
	for p := range 4 {
		assert.Equal(t, want, ours[p])
		assert.Equal(t, want, theirs[p])
	}
}

func TestBridgeEndsWithItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, c, _, _ := open(t)
		orig := EventBus.New()
		_, err := eventbus.Bridge(c, orig, "t", "u")
		require.NoError(t, err)
		require.NoError(t, b.Unload(t.Context(), "Legacy"))
		assert.True(t, orig.HasCallback("t"))
		orig.Publish("t", 1)
		synctest.Wait()
		assert.False(t, orig.HasCallback("t"))
		assert.False(t, orig.HasCallback("u"))
		_, err = eventbus.Bridge(c, orig, "t")
		assert.ErrorIs(t, err, bus.ErrStopped)
	})
}

func TestBridgeToAnEventBusThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, eb, log := open(t)
		orig := EventBus.New()
		n := 0
		require.NoError(t, orig.Subscribe("t", func(v string) {
			if v == "bad" {
				panic("on purpose")
			}
			n++
		}))
		l, err := eventbus.Bridge(c, orig, "t")
		require.NoError(t, err)
		eb.Publish("t", "bad")
		eb.Publish("t", 1) // the original panics by itself
		eb.Publish("t", "good")
		require.NoError(t, c.Flush(t.Context()))
		assert.Equal(t, 1, n)
		assert.Contains(t, log.String(), "on purpose")
		require.NoError(t, l.Close(t.Context()))
	})
}

func TestBridgeToItself(t *testing.T) {
	_, c, eb, _ := open(t)
	_, err := eventbus.Bridge(c, eb, "t")
	assert.ErrorIs(t, err, eventbus.ErrItself)
	_, err = eventbus.Bridge(c, EventBus.New(), string(make([]byte, 300)))
	assert.ErrorIs(t, err, bus.ErrBadName)
}

// TestBridgeClosedFromItsOwnHandler: Close does not wait for who calls it.
func TestBridgeClosedFromItsOwnHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, eb, _ := open(t)
		orig := EventBus.New()
		l, err := eventbus.Bridge(c, orig, "t", "u")
		require.NoError(t, err)
		closed := false
		require.NoError(t, eb.Subscribe("t", func() {
			assert.NoError(t, l.Close(t.Context()))
			closed = true
		}))
		orig.Publish("t")
		synctest.Wait()
		assert.True(t, closed)
		assert.False(t, orig.HasCallback("u"))
	})
}

// TestBridgeWaitAsync: what an EventBus handler does behind the bridge runs in
// the client's mailbox, which WaitAsync would wait for.
func TestBridgeWaitAsync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, eb, log := open(t)
		orig := EventBus.New()
		waited := false
		require.NoError(t, orig.Subscribe("t", func() { eb.WaitAsync(); waited = true }))
		l, err := eventbus.Bridge(c, orig, "t")
		require.NoError(t, err)
		eb.Publish("t")
		require.NoError(t, c.Flush(t.Context()))
		assert.True(t, waited)
		assert.Contains(t, log.String(), "does not wait")
		require.NoError(t, l.Close(t.Context()))
	})
}
