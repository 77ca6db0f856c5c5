package eventbus_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/bus/eventbus"
)

func TestSyncRunsInThePublisher(t *testing.T) {
	_, _, eb, _ := open(t)
	n := 0 // without a mutex: the race detector would tell
	require.NoError(t, eb.Subscribe("t", func() { n++ }))
	for i := range 10 {
		eb.Publish("t")
		require.Equal(t, i+1, n)
	}
}

func TestAsyncHandlersDoNotHoldEachOtherUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, eb, _ := open(t)
		gate := make(chan struct{})
		var got []int
		require.NoError(t, eb.SubscribeAsync("t", func(int) { <-gate }, true))
		require.NoError(t, eb.SubscribeAsync("t", func(n int) { got = append(got, n) }, true))
		require.NoError(t, eb.SubscribeAsync("open", func() { close(gate) }, true))
		for n := range 5 {
			eb.Publish("t", n) // does not wait, where a transactional one of the original does
		}
		synctest.Wait()
		assert.Equal(t, []int{0, 1, 2, 3, 4}, got)
		eb.Publish("open")
		eb.WaitAsync()
	})
}

func TestWaitAsync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, eb, _ := open(t)
		var done atomic.Int32
		// Each stage publishes to one that subscribed before it, so that waiting
		// for each mailbox once would not do.
		for i := range 10 {
			require.NoError(t, eb.SubscribeAsync(fmt.Sprint("stage ", i), func() {
				time.Sleep(time.Second)
				done.Add(1)
				if i > 0 {
					eb.Publish(fmt.Sprint("stage ", i-1))
				}
			}, false))
		}
		require.NoError(t, eb.SubscribeOnceAsync("stage 9", func() { time.Sleep(time.Minute); done.Add(1) }))
		eb.Publish("stage 9")
		eb.WaitAsync()
		assert.Equal(t, int32(11), done.Load())

		require.NoError(t, eb.SubscribeAsync("slow", func() { time.Sleep(time.Hour) }, false))
		eb.Publish("slow")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.ErrorIs(t, eb.WaitAsyncErr(ctx), bus.ErrTimeout)
		eb.WaitAsync()
		eb.WaitAsync()
	})
}

func TestWaitAsyncFromItself(t *testing.T) {
	_, _, eb, log := open(t)
	var err error
	require.NoError(t, eb.SubscribeAsync("t", func() {
		func() { eb.WaitAsync() }()
		err = eb.WaitAsyncErr(context.Background())
	}, true))
	eb.Publish("t")
	eb.WaitAsync()
	assert.ErrorIs(t, err, bus.ErrSelfWait)
	assert.Contains(t, log.String(), "does not wait")
}

func TestUnsubscribeAsync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, eb, _ := open(t)
		n := 0
		fn := func() { n++; time.Sleep(time.Second) }
		require.NoError(t, eb.SubscribeAsync("t", fn, true))
		for range 5 {
			eb.Publish("t")
		}
		synctest.Wait()
		require.NoError(t, eb.Unsubscribe("t", fn))
		eb.WaitAsync()
		assert.Equal(t, 1, n, "what is queued is dropped, what runs is waited for")
	})
}

func TestOnceAsyncEndsWithPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, eb, _ := open(t)
		var got []int
		for range 2 {
			require.NoError(t, eb.SubscribeOnceAsync("t", func(n int) { time.Sleep(time.Second); got = append(got, n) }))
			assert.True(t, eb.HasCallback("t"))
			eb.Publish("t", 1)
			assert.False(t, eb.HasCallback("t"), "though it has yet to be called")
			eb.Publish("t", 2)
			eb.WaitAsync()
		}
		assert.Equal(t, []int{1, 1}, got)
	})
}

func TestFlood(t *testing.T) {
	_, _, eb, _ := open(t)
	const chain, wide = 20_000, 20_000
	var got []int
	require.NoError(t, eb.SubscribeAsync("t", func(n int) {
		got = append(got, n)
		if n == 0 {
			for i := range wide {
				eb.Publish("t", chain+i)
			}
		}
		if n < chain {
			eb.Publish("u", n)
		}
	}, true))
	require.NoError(t, eb.SubscribeAsync("u", func(n int) { eb.Publish("t", n+1) }, false))
	eb.Publish("t", 0)
	eb.WaitAsync()
	assert.Len(t, got, chain+1+wide)
	assert.Zero(t, eb.Failures())
}

func TestMailboxLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(&bus.Options{MailboxSoft: 4, MailboxHard: 16, SlowAfter: -1})
		c, err := b.Register("Legacy")
		require.NoError(t, err)
		eb := eventbus.Wrap(c)
		gate := make(chan struct{})
		var got []int
		require.NoError(t, eb.SubscribeAsync("t", func(n int) { <-gate; got = append(got, n) }, true))
		eb.Publish("t", 0)
		synctest.Wait() // it runs, the mailbox is empty
		for n := 1; n <= 4; n++ {
			require.NoError(t, eb.PublishErr(t.Context(), "t", n))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.ErrorIs(t, eb.PublishErr(ctx, "t", -1), bus.ErrTimeout, "with a context of one's own it waits")
		for n := 5; n <= 20; n++ {
			eb.Publish("t", n) // up to the hard limit
		}
		assert.Equal(t, uint64(4), eb.Failures())
		close(gate)
		require.NoError(t, b.Close(t.Context()))
		assert.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, got)
	})
}

// TestTraffic: lasting handlers miss nothing, in order, while others come and
// go on the same topics.
func TestTraffic(t *testing.T) {
	_, _, eb, _ := open(t)
	const publishers, each = 4, 500
	var last [publishers]int
	var sync4 atomic.Int64
	require.NoError(t, eb.SubscribeAsync("t", func(p, n int) {
		if n == last[p]+1 {
			last[p] = n
		}
	}, true))
	require.NoError(t, eb.Subscribe("t", func(_, _ int) { sync4.Add(1) }))
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for n := range each {
				eb.Publish("t", p, n+1)
			}
		})
		wg.Go(func() {
			for range each / 5 {
				fn := func(a, b int) { last := a + b; _ = last + p }
				assert.NoError(t, eb.Subscribe("t", fn))
				assert.NoError(t, eb.SubscribeOnce("t", func(...any) {}))
				assert.NoError(t, eb.SubscribeOnceAsync("t", func(...any) {}))
				eb.HasCallback("t")
				assert.NoError(t, eb.Unsubscribe("t", fn))
			}
		})
	}
	wg.Wait()
	eb.WaitAsync()
	assert.Equal(t, [publishers]int{each, each, each, each}, last)
	assert.Equal(t, int64(publishers*each), sync4.Load())
	assert.Zero(t, eb.Failures())
}
