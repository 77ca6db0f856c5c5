package bus_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

func TestRetainedEventIsReplayed(t *testing.T) {
	both(t, func(t *testing.T, opts ...bus.SubscribeOption) {
		b := bus.New(nil)
		p, c := bind(t, register(t, b, "Notes"), noteState), register(t, b, "C")
		before := time.Now()
		require.NoError(t, p.Republish(t.Context(), note{N: 1}))
		require.NoError(t, p.Republish(t.Context(), note{N: 2}))
		time.Sleep(time.Hour)
		var got list[bus.Event[note]]
		subscribe(t, c, noteState, func(_ context.Context, e bus.Event[note]) { got.add(e) }, opts...)
		synctest.Wait()
		require.NoError(t, p.Republish(t.Context(), note{N: 3}))
		require.NoError(t, p.Publish(t.Context(), note{N: 4}))
		synctest.Wait()
		type row struct {
			n        int
			retained bool
			revision uint64
		}
		var rows []row
		for _, e := range got.get() {
			rows = append(rows, row{e.Data.N, e.Retained(), e.Revision()})
			assert.Equal(t, "Notes.state", e.Name())
			assert.Equal(t, "Notes", e.Publisher())
		}
		assert.Equal(t, []row{{2, true, 2}, {3, false, 3}, {4, false, 0}}, rows)
		assert.Equal(t, before, got.get()[0].Time(), "the time of the republishing, not of the replay")
		// A plain publish does not change the retained value.
		late := 0
		subscribe(t, c, noteState, func(_ context.Context, e bus.Event[note]) { late = e.Data.N }, opts...)
		synctest.Wait()
		assert.Equal(t, 3, late)
	})
}

func TestRetainedEventSurvivesItsSubscribers(t *testing.T) {
	b := bus.New(nil)
	p, c := bind(t, register(t, b, "Notes"), noteState), register(t, b, "C")
	n := 0
	h := func(context.Context, bus.Event[note]) { n++ }
	subscribe(t, c, noteState, h, bus.Inline()).Unsubscribe()
	require.NoError(t, p.Republish(t.Context(), note{N: 1}))
	subscribe(t, c, noteState, h, bus.Inline()).Unsubscribe()
	subscribe(t, c, noteState, h, bus.Inline()).Unsubscribe()
	assert.Equal(t, 2, n)
}

func TestClearRetained(t *testing.T) {
	b := bus.New(nil)
	a, c := register(t, b, "Notes"), register(t, b, "C")
	p := bind(t, a, noteState)
	for _, clear := range []func(){p.ClearRetained, func() { a.ClearRetained("state") }} {
		require.NoError(t, p.Republish(t.Context(), note{N: 1}))
		clear()
		clear()
		s := subscribe(t, c, noteState, func(context.Context, bus.Event[note]) { t.Error("nothing is retained") }, bus.Inline())
		s.Unsubscribe()
	}
	a.ClearRetained("never was")
	var got list[uint64]
	subscribe(t, c, noteState, func(_ context.Context, e bus.Event[note]) { got.add(e.Revision()) }, bus.Inline())
	require.NoError(t, p.Republish(t.Context(), note{N: 2}))
	assert.Equal(t, []uint64{3}, got.get(), "revisions go on")
}

// Every kind of subscription gets the replay: typed, untyped, wildcard.
func TestRetainedMixes(t *testing.T) {
	both(t, func(t *testing.T, opts ...bus.SubscribeOption) {
		b := bus.New(nil)
		a, c := register(t, b, "Notes"), register(t, b, "C")
		require.NoError(t, a.Republish(t.Context(), "state", map[string]any{"N": 1}))
		untyped := 0
		subscribeName(t, c, "Notes.state", func(_ context.Context, e bus.Event[any]) {
			assert.Equal(t, map[string]any{"N": 1}, e.Data)
			untyped++
		}, opts...).Event()
		synctest.Wait()
		assert.Equal(t, 1, untyped)
		require.NoError(t, b.Unload(t.Context(), "C"))
		c = register(t, b, "C")
		var got list[any]
		subscribe(t, c, noteState, func(_ context.Context, e bus.Event[note]) { got.add(e.Data.N) }, opts...)
		subscribeName(t, c, "Notes.state", func(_ context.Context, e bus.Event[any]) { got.add(e.Retained()) }, opts...)
		subscribeName(t, c, "Notes.*", func(_ context.Context, e bus.Event[any]) { got.add(e.Revision()) }, opts...)
		synctest.Wait()
		assert.Equal(t, []any{1, true, uint64(1)}, got.get())
		require.NoError(t, a.Republish(t.Context(), "state", note{N: 2}))
		synctest.Wait()
		assert.Equal(t, []any{2, false, uint64(2)}, got.get()[3:])
	})
}

// Subscribing races republishing: each subscriber sees each value from its
// first on exactly once and in order, the first perhaps as the replay, and the
// last one is the one that is retained.
func TestSubscribeRacesRepublish(t *testing.T) {
	for _, inline := range []bool{false, true} {
		var opts []bus.SubscribeOption
		if inline {
			opts = append(opts, bus.Inline())
		}
		for range 500 {
			b := bus.New(nil)
			p, c := bind(t, register(t, b, "Notes"), noteState), register(t, b, "C")
			require.NoError(t, p.Republish(t.Context(), note{N: 1}))
			var wg sync.WaitGroup
			wg.Go(func() {
				for i := 2; i <= 5; i++ {
					_ = p.Republish(context.Background(), note{N: i})
				}
			})
			var typed, wild list[bus.Event[any]]
			subscribe(t, c, noteState, func(_ context.Context, e bus.Event[note]) {
				typed.add(bus.Event[any]{Data: e.Data.N})
				assert.EqualValues(t, e.Data.N, e.Revision())
			}, opts...)
			subscribeName(t, c, "*", func(_ context.Context, e bus.Event[any]) {
				wild.add(bus.Event[any]{Data: e.Data.(note).N})
			}, opts...)
			wg.Wait()
			require.NoError(t, b.Close(t.Context()))
			for _, l := range []*list[bus.Event[any]]{&typed, &wild} {
				all := l.get()
				require.NotEmpty(t, all)
				for i, e := range all {
					require.Equal(t, 5-len(all)+1+i, e.Data)
				}
			}
		}
	}
}

// Two republish at once: everybody sees the same order, which ends with the
// retained value.
func TestTwoRepublishAtOnce(t *testing.T) {
	for range 300 {
		b := bus.New(nil)
		p := bind(t, register(t, b, "Notes"), noteState)
		var seen [4]list[int]
		for i := range seen {
			c := register(t, b, string(rune('C'+i)))
			var opts []bus.SubscribeOption
			if i%2 == 0 {
				opts = append(opts, bus.Inline())
			}
			subscribe(t, c, noteState, func(_ context.Context, e bus.Event[note]) { seen[i].add(e.Data.N) }, opts...)
		}
		var wg sync.WaitGroup
		for who := range 2 {
			wg.Go(func() {
				for i := range 5 {
					assert.NoError(t, p.Republish(context.Background(), note{N: who*5 + i}))
				}
			})
		}
		wg.Wait()
		last := -1
		late := register(t, b, "Late")
		subscribe(t, late, noteState, func(_ context.Context, e bus.Event[note]) { last = e.Data.N }, bus.Inline())
		require.NoError(t, b.Close(t.Context()))
		want := seen[0].get()
		require.Len(t, want, 10)
		assert.Equal(t, last, want[9])
		for i := range seen {
			assert.Equal(t, want, seen[i].get())
		}
	}
}

// The inline calls of one subscription to a retained event never overlap, and a
// handler that republishes its own event gets it after it has returned.
func TestInlineOnRetainedDoesNotOverlap(t *testing.T) {
	b := bus.New(nil)
	p, c := bind(t, register(t, b, "Notes"), noteState), register(t, b, "C")
	require.NoError(t, p.Republish(t.Context(), note{N: 0}))
	inside, got := false, []int(nil) // no lock: the calls are one after the other
	subscribe(t, c, noteState, func(ctx context.Context, e bus.Event[note]) {
		assert.False(t, inside)
		inside = true
		got = append(got, e.Data.N)
		if e.Data.N < 100 {
			assert.NoError(t, p.Republish(ctx, note{N: e.Data.N + 1}))
		}
		inside = false
	}, bus.Inline())
	assert.Equal(t, numbers(101), got)
}

func TestInlineOnRetainedGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		p, c := bind(t, register(t, b, "Notes"), noteState), register(t, b, "C")
		var got list[int]
		subscribe(t, c, noteState, func(ctx context.Context, e bus.Event[note]) {
			got.add(e.Data.N)
			if e.Data.N == 1 {
				assert.NoError(t, p.Republish(ctx, note{N: 2})) // waits behind this call
				runtime.Goexit()
			}
			if e.Data.N == 2 {
				panic("boom")
			}
		}, bus.Inline())
		apart(func() { _ = p.Republish(t.Context(), note{N: 1}) })
		synctest.Wait()
		assert.Equal(t, []int{1, 2}, got.get(), "the last value seen is the one retained")
		require.NoError(t, p.Republish(t.Context(), note{N: 3}))
		assert.Equal(t, []int{1, 2, 3}, got.get())
		require.NoError(t, b.Close(t.Context()))
	})
}

func TestRepublishNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(&bus.Options{MailboxSoft: 1, MailboxHard: 5})
		p, c := bind(t, register(t, b, "Notes"), noteState), register(t, b, "C")
		stop := make(chan struct{})
		var got list[int]
		subscribe(t, c, noteState, func(_ context.Context, e bus.Event[note]) { <-stop; got.add(e.Data.N) })
		require.NoError(t, p.Republish(t.Context(), note{N: 0}))
		synctest.Wait()
		for i := range 5 {
			require.NoError(t, p.Republish(t.Context(), note{N: i + 1}))
		}
		require.ErrorIs(t, p.Republish(t.Context(), note{N: 6}), bus.ErrOverflow)
		close(stop)
		synctest.Wait()
		assert.Equal(t, numbers(6), got.get())
	})
}

// A subscription whose type the retained value does not fit is refused.
func TestRetainedOfAnotherType(t *testing.T) {
	b := bus.New(nil)
	a, c := register(t, b, "Notes"), register(t, b, "C")
	require.NoError(t, a.Republish(t.Context(), "state", "a string"))
	_, err := bus.Subscribe(c, noteState, func(context.Context, bus.Event[note]) {}, bus.Inline())
	require.ErrorIs(t, err, bus.ErrWrongType)
	require.NoError(t, a.Republish(t.Context(), "state", "another"), "the refused subscription changed nothing")
}
