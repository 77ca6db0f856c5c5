package bus_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

// both runs a test for mailbox and inline subscriptions.
func both(t *testing.T, f func(t *testing.T, opts ...bus.SubscribeOption)) {
	t.Run("mailbox", func(t *testing.T) { synctest.Test(t, func(t *testing.T) { f(t) }) })
	t.Run("inline", func(t *testing.T) { synctest.Test(t, func(t *testing.T) { f(t, bus.Inline()) }) })
}

func TestUnsubscribeEndsExactlyOne(t *testing.T) {
	both(t, func(t *testing.T, opts ...bus.SubscribeOption) {
		b := bus.New(nil)
		p, c := bind(t, register(t, b, "Notes"), noteAdded), register(t, b, "C")
		var got list[int]
		var subs []*bus.Subscription
		for i := range 3 { // three closures of one literal
			subs = append(subs, subscribe(t, c, noteAdded, func(context.Context, bus.Event[note]) { got.add(i) }, opts...))
		}
		publish := func() {
			require.NoError(t, p.Publish(t.Context(), note{}))
			synctest.Wait()
		}
		publish()
		subs[1].Unsubscribe()
		subs[1].Unsubscribe()
		publish()
		subs[0].Unsubscribe()
		publish()
		assert.Equal(t, []int{0, 1, 2, 0, 2, 2}, got.get())
	})
}

func TestUnsubscribeFromInside(t *testing.T) {
	both(t, func(t *testing.T, opts ...bus.SubscribeOption) {
		b := bus.New(nil)
		p, c := bind(t, register(t, b, "Notes"), noteAdded), register(t, b, "C")
		n, others := 0, 0
		var s *bus.Subscription
		s = subscribe(t, c, noteAdded, func(ctx context.Context, _ bus.Event[note]) {
			n++
			s.Unsubscribe()
			assert.NoError(t, s.UnsubscribeWait(ctx), "does not wait for itself")
		}, opts...)
		subscribe(t, c, noteAdded, func(context.Context, bus.Event[note]) { others++ }, opts...)
		for range 10 {
			require.NoError(t, p.Publish(t.Context(), note{}))
		}
		synctest.Wait()
		assert.Equal(t, 1, n)
		assert.Equal(t, 10, others)
	})
}

// One handler ends another's subscription: nothing queued for it is delivered.
func TestUnsubscribeDropsWhatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		p, c := bind(t, register(t, b, "Notes"), noteAdded), register(t, b, "C")
		n := 0
		var other *bus.Subscription
		subscribe(t, c, noteAdded, func(context.Context, bus.Event[note]) { other.Unsubscribe() })
		other = subscribe(t, c, noteAdded, func(context.Context, bus.Event[note]) { n++ })
		for range 10 {
			require.NoError(t, p.Publish(t.Context(), note{}))
		}
		synctest.Wait()
		assert.Zero(t, n)
	})
}

// No call starts after Unsubscribe returned, though events wait.
func TestUnsubscribeWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		p, c := bind(t, register(t, b, "Notes"), noteAdded), register(t, b, "C")
		n := 0
		s := subscribe(t, c, noteAdded, func(context.Context, bus.Event[note]) {
			n++
			time.Sleep(time.Minute)
		})
		for range 10 {
			require.NoError(t, p.Publish(t.Context(), note{}))
		}
		synctest.Wait()
		start := time.Now()
		s.Unsubscribe()
		assert.Equal(t, start, time.Now(), "never waits")
		require.NoError(t, s.UnsubscribeWait(t.Context()))
		assert.InDelta(t, time.Minute, time.Since(start), float64(time.Second))
		time.Sleep(time.Hour)
		assert.Equal(t, 1, n)
	})
}

func TestUnsubscribeWait(t *testing.T) {
	both(t, func(t *testing.T, opts ...bus.SubscribeOption) {
		b := bus.New(nil)
		p, c := bind(t, register(t, b, "Notes"), noteAdded), register(t, b, "C")
		var running atomic.Bool
		s := subscribe(t, c, noteAdded, func(context.Context, bus.Event[note]) {
			running.Store(true)
			time.Sleep(time.Minute)
			running.Store(false)
		}, opts...)
		go func() { _ = p.Publish(context.Background(), note{}) }()
		synctest.Wait()
		assert.True(t, running.Load())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, s.UnsubscribeWait(ctx), bus.ErrTimeout)
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		require.ErrorIs(t, s.UnsubscribeWait(ctx), bus.ErrCancelled)
		require.NoError(t, s.UnsubscribeWait(t.Context()))
		assert.False(t, running.Load())
		require.NoError(t, p.Publish(t.Context(), note{}))
		synctest.Wait()
		assert.False(t, running.Load())
	})
}

// Steady publishing does not keep UnsubscribeWait waiting.
func TestUnsubscribeWaitUnderLoad(t *testing.T) {
	b := bus.New(nil)
	p, c := bind(t, register(t, b, "Notes"), noteAdded), register(t, b, "C")
	subscribe(t, c, noteAdded, func(context.Context, bus.Event[note]) {}, bus.Inline())
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				_ = p.Publish(context.Background(), note{})
			}
		})
	}
	for range 100 {
		var torn atomic.Bool
		s := subscribe(t, c, noteAdded, func(context.Context, bus.Event[note]) {
			if torn.Load() {
				t.Error("called after UnsubscribeWait returned")
			}
		}, bus.Inline())
		require.NoError(t, s.UnsubscribeWait(t.Context()))
		torn.Store(true)
	}
	stop.Store(true)
	wg.Wait()
}

// The same for mailboxes.
func TestUnsubscribeWaitUnderLoadMailbox(t *testing.T) {
	b := bus.New(nil)
	p, c := bind(t, register(t, b, "Notes"), noteAdded), register(t, b, "C")
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for !stop.Load() {
			_ = p.Publish(context.Background(), note{})
		}
	})
	for range 100 {
		torn := false // no lock: UnsubscribeWait is enough
		s := subscribe(t, c, noteAdded, func(context.Context, bus.Event[note]) {
			if torn {
				t.Error("called after UnsubscribeWait returned")
			}
		})
		require.NoError(t, s.UnsubscribeWait(t.Context()))
		torn = true
	}
	stop.Store(true)
	wg.Wait()
}

// Lasting subscribers miss nothing and see nothing twice while others come and
// go.
func TestSubscribersComeAndGoWhilePublishing(t *testing.T) {
	b := bus.New(nil)
	a, c := register(t, b, "Notes"), register(t, b, "C")
	p := bind(t, a, noteAdded)
	var mailbox, inline, wild list[int]
	subscribe(t, c, noteAdded, func(_ context.Context, e bus.Event[note]) { mailbox.add(e.Data.N) })
	subscribe(t, c, noteAdded, func(_ context.Context, e bus.Event[note]) { inline.add(e.Data.N) }, bus.Inline())
	subscribeName(t, c, "Notes.*", func(_ context.Context, e bus.Event[any]) { wild.add(e.Data.(note).N) })
	var stop atomic.Bool
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for !stop.Load() {
				var s, w *bus.Subscription
				if i%2 == 0 {
					s, _ = bus.Subscribe(c, noteAdded, func(context.Context, bus.Event[note]) {}, bus.Inline())
					w, _ = c.Subscribe("*", func(context.Context, bus.Event[any]) {})
				} else {
					s, _ = c.Subscribe("Notes.added", func(context.Context, bus.Event[any]) {})
					w, _ = c.Subscribe("Notes.*", func(context.Context, bus.Event[any]) {}, bus.Inline())
				}
				w.Unsubscribe()
				s.Unsubscribe()
			}
		})
	}
	const n = 5000
	for i := range n {
		if i%2 == 0 {
			require.NoError(t, p.Publish(t.Context(), note{N: i}))
		} else {
			require.NoError(t, a.Publish(t.Context(), "added", note{N: i}))
		}
	}
	stop.Store(true)
	wg.Wait()
	require.NoError(t, c.Flush(t.Context()))
	for _, l := range []*list[int]{&mailbox, &inline, &wild} {
		assert.Equal(t, numbers(n), l.get())
	}
}

func TestSubscriptionNames(t *testing.T) {
	b := bus.New(nil)
	c := register(t, b, "C")
	s, err := c.Subscribe("Notes.*", func(context.Context, bus.Event[any]) {})
	require.NoError(t, err)
	assert.Equal(t, "Notes.*", s.Event())
	assert.Regexp(t, `^C/Notes\.\* \(.*unsubscribe_test\.go:\d+\)$`, s.String())
	s, err = bus.Subscribe(c, noteAdded, func(context.Context, bus.Event[note]) {})
	require.NoError(t, err)
	assert.Equal(t, "Notes.added", s.Event())
	assert.Regexp(t, `^C/Notes\.added \(.*unsubscribe_test\.go:\d+\)$`, s.String())
}

func TestOnce(t *testing.T) {
	both(t, func(t *testing.T, opts ...bus.SubscribeOption) {
		b := bus.New(nil)
		p, c := bind(t, register(t, b, "Notes"), noteAdded), register(t, b, "C")
		var got list[int]
		subscribe(t, c, noteAdded, func(_ context.Context, e bus.Event[note]) { got.add(e.Data.N) }, append(opts, bus.Once())...)
		for i := range 10 {
			require.NoError(t, p.Publish(t.Context(), note{N: i}))
		}
		synctest.Wait()
		assert.Equal(t, []int{0}, got.get())
	})
}
