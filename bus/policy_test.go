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

// paused subscribes with a handler that waits for hold, once it has been given
// one event, and writes down what it gets.
func paused(t *testing.T, c *bus.Client, hold chan struct{}, opts ...bus.SubscribeOption) (*list[int], *bus.Subscription) {
	t.Helper()
	got := &list[int]{}
	s := subscribe(t, c, noteAdded, func(_ context.Context, e bus.Event[note]) {
		<-hold
		got.add(e.Data.N)
	}, opts...)
	return got, s
}

func TestDropPolicies(t *testing.T) {
	tests := map[string]struct {
		opt     bus.SubscribeOption
		want    []int // of 0 to 9, behind -1 that is being handled
		dropped uint64
	}{
		"oldest 3":   {bus.DropOldest(3), []int{-1, 7, 8, 9}, 7},
		"oldest 1":   {bus.DropOldest(1), []int{-1, 9}, 9},
		"oldest 0":   {bus.DropOldest(0), []int{-1, 9}, 9},
		"oldest 10":  {bus.DropOldest(10), append([]int{-1}, numbers(10)...), 0},
		"newest 3":   {bus.DropNewest(3), []int{-1, 0, 1, 2}, 7},
		"newest -1":  {bus.DropNewest(-1), []int{-1, 0}, 9},
		"newest 100": {bus.DropNewest(100), append([]int{-1}, numbers(10)...), 0},
		"latest":     {bus.LatestOnly(), []int{-1, 9}, 9},
	}
	for name, test := range tests {
		for _, apart := range []bool{false, true} {
			t.Run(name+map[bool]string{true: " in its own mailbox"}[apart], func(t *testing.T) {
				bubble(t, &bus.Options{MailboxSoft: 1, MailboxHard: 2, SlowAfter: -1}, func(t *testing.T, b *bus.Bus) {
					c, app := register(t, b, "Notes"), register(t, b, "App")
					hold := make(chan struct{})
					opts := []bus.SubscribeOption{test.opt}
					if apart {
						opts = append(opts, bus.OwnMailbox())
					}
					got, s := paused(t, app, hold, opts...)
					p := bind(t, c, noteAdded)
					start := time.Now()
					for n := -1; n < 10; n++ {
						require.NoError(t, p.Publish(t.Context(), note{N: n}), "publishers never wait for it")
						synctest.Wait()
					}
					assert.Equal(t, start, time.Now())
					assert.Equal(t, test.dropped, s.Dropped())
					for _, info := range b.Debugger().Subscriptions {
						assert.Equal(t, test.dropped, info.Dropped)
						assert.Positive(t, info.Limit)
					}
					close(hold)
					synctest.Wait()
					assert.Equal(t, test.want, got.get())

					// It starts anew.
					require.NoError(t, p.Publish(t.Context(), note{N: 10}))
					synctest.Wait()
					assert.Equal(t, append(test.want, 10), got.get())
				})
			})
		}
	}
}

// A dropping subscription beside an ordinary one of the same plugin: the latter
// misses nothing, and the order holds while nothing is dropped.
func TestDroppingKeepsOthersWhole(t *testing.T) {
	bubble(t, &bus.Options{SlowAfter: -1}, func(t *testing.T, b *bus.Bus) {
		c, app := register(t, b, "Notes"), register(t, b, "App")
		hold := make(chan struct{})
		all, _ := paused(t, app, hold)
		var order list[string]
		subscribe(t, app, noteGone, func(context.Context, bus.Event[note]) { order.add("gone") })
		last := subscribe(t, app, noteAdded, func(_ context.Context, e bus.Event[note]) { order.add(e.Data.Text) }, bus.DropOldest(2))
		added, gone := bind(t, c, noteAdded), bind(t, c, noteGone)
		require.NoError(t, added.Publish(t.Context(), note{N: -1, Text: "first"}))
		synctest.Wait()
		require.NoError(t, added.Publish(t.Context(), note{N: 0, Text: "a"}))
		require.NoError(t, gone.Publish(t.Context(), note{}))
		require.NoError(t, added.Publish(t.Context(), note{N: 1, Text: "b"}))
		close(hold)
		synctest.Wait()
		assert.Equal(t, []string{"first", "a", "gone", "b"}, order.get())

		hold2 := make(chan struct{})
		s := subscribe(t, app, noteGone, func(context.Context, bus.Event[note]) { <-hold2 })
		require.NoError(t, gone.Publish(t.Context(), note{}))
		synctest.Wait()
		s.Unsubscribe()
		order = list[string]{}
		for n, text := range []string{"c", "d", "e", "f"} {
			require.NoError(t, added.Publish(t.Context(), note{N: n + 2, Text: text}))
		}
		close(hold2)
		synctest.Wait()
		assert.Equal(t, []string{"e", "f"}, order.get(), "its own order holds")
		assert.Equal(t, uint64(2), last.Dropped())
		assert.Equal(t, []int{-1, 0, 1, 2, 3, 4, 5}, all.get())
	})
}

// What publishers from many goroutines see dropped and delivered adds up.
func TestDropsAreCountedExactly(t *testing.T) {
	b := bus.New(nil)
	c, app := register(t, b, "Notes"), register(t, b, "App")
	var delivered atomic.Uint64
	var subs []*bus.Subscription
	opts := []bus.SubscribeOption{bus.DropOldest(3), bus.DropNewest(3), bus.LatestOnly()}
	for _, o := range opts {
		subs = append(subs, subscribe(t, app, noteAdded, func(context.Context, bus.Event[note]) { delivered.Add(1) }, o))
	}
	subs = append(subs, subscribeName(t, app, "Notes.*", func(context.Context, bus.Event[any]) { delivered.Add(1) }, bus.DropOldest(2)))
	p := bind(t, c, noteAdded)
	const each = 500
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for n := range each {
				assert.NoError(t, p.Publish(context.Background(), note{N: n}))
			}
		})
	}
	wg.Wait()
	require.NoError(t, app.Flush(t.Context()))
	total := delivered.Load()
	for _, s := range subs {
		total += s.Dropped()
	}
	assert.EqualValues(t, 4*each*len(subs), total)
	require.NoError(t, b.Close(t.Context()))
}

// Once is once, however many publish at the same time.
func TestOnceUnderConcurrency(t *testing.T) {
	for name, opts := range map[string][]bus.SubscribeOption{
		"mailbox":     {bus.Once()},
		"inline":      {bus.Once(), bus.Inline()},
		"own mailbox": {bus.Once(), bus.OwnMailbox()},
		"latest only": {bus.Once(), bus.LatestOnly()},
	} {
		for _, kept := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", retained"}[kept], func(t *testing.T) {
				b := bus.New(nil)
				c, app := register(t, b, "Notes"), register(t, b, "App")
				p := bind(t, c, noteAdded)
				if kept {
					require.NoError(t, p.Republish(t.Context(), note{}))
				}
				const rounds = 50
				var calls [rounds]atomic.Int32
				for i := range rounds {
					start := make(chan struct{})
					var wg sync.WaitGroup
					for range 3 {
						wg.Go(func() {
							<-start
							assert.NoError(t, p.Publish(context.Background(), note{N: 1}))
						})
					}
					s := subscribe(t, app, noteAdded, func(context.Context, bus.Event[note]) { calls[i].Add(1) }, opts...)
					close(start)
					wg.Wait()
					require.NoError(t, app.Flush(t.Context()))
					s.Unsubscribe()
				}
				require.NoError(t, b.Close(t.Context()))
				for i := range calls {
					assert.EqualValues(t, 1, calls[i].Load())
				}
				assert.Empty(t, b.Debugger().Subscriptions)
			})
		}
	}
}

// A handler that publishes the event it waits for once is not called again.
func TestOncePublishesItsOwnEvent(t *testing.T) {
	for name, opt := range map[string]bus.SubscribeOption{"inline": bus.Inline(), "mailbox": bus.OwnMailbox()} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, b *bus.Bus) {
				c := register(t, b, "Notes")
				p := bind(t, c, noteAdded)
				n := 0
				subscribe(t, c, noteAdded, func(ctx context.Context, _ bus.Event[note]) {
					n++
					assert.NoError(t, p.Publish(ctx, note{}))
				}, bus.Once(), opt)
				require.NoError(t, p.Publish(t.Context(), note{}))
				synctest.Wait()
				assert.Equal(t, 1, n)
				assert.Empty(t, c.Subscribers())
			})
		})
	}
}

func TestOnceReplay(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		c := register(t, b, "Notes")
		p := bind(t, c, noteState)
		require.NoError(t, p.Republish(t.Context(), note{N: 1}))
		var got list[int]
		for _, opt := range []bus.SubscribeOption{bus.Inline(), bus.DropNewest(5)} {
			subscribe(t, c, noteState, func(_ context.Context, e bus.Event[note]) { got.add(e.Data.N) }, bus.Once(), opt)
		}
		synctest.Wait()
		require.NoError(t, p.Republish(t.Context(), note{N: 2}))
		synctest.Wait()
		assert.Equal(t, []int{1, 1}, got.get(), "the replay is the first event")
	})
}

func TestEvents(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		c, app := register(t, b, "Notes"), register(t, b, "App")
		p := bind(t, c, noteAdded)
		seq, err := app.Events(t.Context(), "Notes.added")
		require.NoError(t, err)
		for n := range 5 { // it began at once
			require.NoError(t, p.Publish(t.Context(), note{N: n}))
		}
		assert.Equal(t, map[string][]string{"Notes.added": {"App"}}, c.Subscribers())
		assert.Contains(t, b.Debugger().Subscriptions[0].Place, "policy_test.go:", "where Events was called")
		var got []int
		for e := range seq {
			assert.Equal(t, "Notes.added", e.Name())
			if got = append(got, e.Data.(note).N); len(got) == 3 {
				break
			}
		}
		assert.Equal(t, numbers(3), got)
		synctest.Wait()
		assert.Empty(t, c.Subscribers(), "breaking ends it")
		require.NoError(t, p.Publish(t.Context(), note{}))
		for range seq {
			assert.Fail(t, "it may be ranged over once")
		}
	})
}

// The loop ends with its context and with its client, also when nobody ranges,
// and then holds nothing up.
func TestEventsEnd(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		c, app := register(t, b, "Notes"), register(t, b, "App")
		p := bind(t, c, noteAdded)
		loop := func(ctx context.Context, name string, opts ...bus.SubscribeOption) chan int {
			seq, err := app.Events(ctx, name, opts...)
			require.NoError(t, err)
			n := make(chan int, 1)
			go func() {
				count := 0
				for range seq {
					count++
				}
				n <- count
			}()
			return n
		}
		ctx, cancel := context.WithCancel(t.Context())
		a, once, d := loop(ctx, "Notes.added"), loop(ctx, "Notes.*", bus.Once()), loop(context.Background(), "*", bus.Inline(), bus.OwnMailbox())
		_, err := app.Events(ctx, "Notes.added") // nobody ranges over this one
		require.NoError(t, err)
		_, err = app.Events(context.Background(), "Notes.added") // nor this
		require.NoError(t, err)
		for range 2 {
			require.NoError(t, p.Publish(t.Context(), note{}))
		}
		assert.Equal(t, 1, <-once)
		synctest.Wait()
		assert.Empty(t, a)
		require.NoError(t, app.Flush(t.Context()), "iterators are not waited for")
		cancel()
		assert.Equal(t, 2, <-a)
		synctest.Wait()
		assert.Equal(t, []string{"App", "App"}, c.Subscribers()["Notes.added"], "those of ctx have gone")
		assert.Empty(t, d)
		start := time.Now()
		require.NoError(t, b.Unload(t.Context(), "App"))
		assert.Equal(t, start, time.Now())
		assert.Equal(t, 2, <-d)

		_, err = app.Events(t.Context(), "Notes.added")
		assert.ErrorIs(t, err, bus.ErrStopped)
		for _, name := range []string{"", "Notes", "a.*.b"} {
			_, err = c.Events(t.Context(), name)
			assert.ErrorIs(t, err, bus.ErrBadName, name)
		}
		ended, err := c.Events(ctx, "Notes.added")
		require.NoError(t, err)
		for range ended {
			assert.Fail(t, "its context had ended")
		}
	})
}

// The loop body may be slow: events wait, or drop, as in any mailbox, and the
// plugin's handlers go on.
func TestEventsWhileTheLoopIsBusy(t *testing.T) {
	bubble(t, &bus.Options{MailboxSoft: 2, MailboxHard: 4, SlowAfter: -1}, func(t *testing.T, b *bus.Bus) {
		c, app := register(t, b, "Notes"), register(t, b, "App")
		p := bind(t, c, noteAdded)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		seq, err := app.Events(ctx, "Notes.added", bus.DropOldest(2))
		require.NoError(t, err)
		var handled list[int]
		subscribe(t, app, noteAdded, func(_ context.Context, e bus.Event[note]) { handled.add(e.Data.N) })
		publish := func(n int) {
			require.NoError(t, p.Publish(t.Context(), note{N: n}))
			synctest.Wait()
		}
		next, got := make(chan struct{}), list[int]{}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for e := range seq {
				got.add(e.Data.(note).N)
				<-next
			}
		}()
		for n := range 8 {
			publish(n)
		}
		assert.Equal(t, numbers(8), handled.get())
		assert.Equal(t, []int{0}, got.get())
		for range 4 {
			next <- struct{}{}
			synctest.Wait()
		}
		assert.Equal(t, []int{0, 1, 6, 7}, got.get(), "one was in work, one on its way, two waited")
		cancel()
		<-done

		// Without a drop option publishers wait.
		seq, err = app.Events(t.Context(), "Notes.added")
		require.NoError(t, err)
		tctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		var last error
		for n := 0; last == nil; n++ {
			last = p.Publish(tctx, note{N: n})
			synctest.Wait()
			require.Less(t, n, 10)
		}
		assert.ErrorIs(t, last, bus.ErrTimeout)
		n := 0
		for range seq {
			if n++; n == 3 {
				break
			}
		}
		require.NoError(t, p.Publish(t.Context(), note{}), "nobody is in the way any more")
	})
}
