package bus_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

func TestOwnMailbox(t *testing.T) {
	t.Run("a slow handler holds no other up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := bus.New(nil)
			c, err := b.Register("Plugin")
			require.NoError(t, err)
			var slow, quick, apart []any
			var n atomic.Int32
			_, err = c.Subscribe("Plugin.e", func(_ context.Context, e bus.Event[any]) {
				time.Sleep(time.Hour)
				n.Add(1)
				slow = append(slow, e.Data)
			}, bus.OwnMailbox())
			require.NoError(t, err)
			_, err = c.Subscribe("Plugin.e", func(_ context.Context, e bus.Event[any]) { quick = append(quick, e.Data) })
			require.NoError(t, err)
			_, err = c.Subscribe("Plugin.*", func(_ context.Context, e bus.Event[any]) { apart = append(apart, e.Data) }, bus.OwnMailbox())
			require.NoError(t, err)
			for i := range 3 {
				require.NoError(t, c.Publish(t.Context(), "e", i))
			}
			synctest.Wait()
			assert.Zero(t, n.Load())
			assert.Equal(t, []any{0, 1, 2}, quick)
			assert.Equal(t, quick, apart)
			require.NoError(t, c.Flush(t.Context()))
			assert.Equal(t, quick, slow, "Flush waits for every handler")
			require.NoError(t, b.Close(t.Context()))
		})
	})
	t.Run("inline it changes nothing", func(t *testing.T) {
		b := bus.New(nil)
		c, err := b.Register("Plugin")
		require.NoError(t, err)
		n := 0
		s, err := c.Subscribe("Plugin.e", func(context.Context, bus.Event[any]) { n++ }, bus.OwnMailbox(), bus.Inline())
		require.NoError(t, err)
		require.NoError(t, c.Publish(t.Context(), "e", nil))
		assert.Equal(t, 1, n)
		s.Unsubscribe()
		got := 0
		_, err = c.Subscribe("Plugin.e", func(context.Context, bus.Event[any]) { got++ })
		require.NoError(t, err)
		require.NoError(t, c.Publish(t.Context(), "e", nil))
		require.NoError(t, b.Close(t.Context()))
		assert.Equal(t, 1, got, "the plugin's own mailbox is still there")
	})
	t.Run("unsubscribing waits for others, not for itself", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := bus.New(nil)
			c, err := b.Register("Plugin")
			require.NoError(t, err)
			var running atomic.Bool
			var own, other *bus.Subscription
			own, err = c.Subscribe("Plugin.own", func(ctx context.Context, _ bus.Event[any]) {
				assert.NoError(t, own.UnsubscribeWait(ctx))
			}, bus.OwnMailbox())
			require.NoError(t, err)
			other, err = c.Subscribe("Plugin.other", func(context.Context, bus.Event[any]) {
				running.Store(true)
				time.Sleep(time.Second)
				running.Store(false)
			}, bus.OwnMailbox())
			require.NoError(t, err)
			_, err = c.Subscribe("Plugin.wait", func(ctx context.Context, _ bus.Event[any]) {
				assert.NoError(t, other.UnsubscribeWait(ctx))
				assert.False(t, running.Load())
			})
			require.NoError(t, err)
			require.NoError(t, c.Publish(t.Context(), "own", nil))
			require.NoError(t, c.Publish(t.Context(), "other", nil))
			synctest.Wait()
			require.True(t, running.Load())
			require.NoError(t, c.Publish(t.Context(), "wait", nil))
			require.NoError(t, c.Flush(t.Context()))
			require.NoError(t, b.Close(t.Context()))
		})
	})
	t.Run("unloading from its handler leaves that out of the wait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := bus.New(nil)
			c, err := b.Register("Plugin")
			require.NoError(t, err)
			var done atomic.Bool
			_, err = c.Subscribe("Plugin.slow", func(context.Context, bus.Event[any]) { time.Sleep(time.Second); done.Store(true) }, bus.OwnMailbox())
			require.NoError(t, err)
			var unloaded atomic.Bool
			_, err = c.Subscribe("Plugin.end", func(ctx context.Context, _ bus.Event[any]) {
				assert.NoError(t, b.Unload(ctx, "Plugin"))
				assert.True(t, done.Load(), "the other handler was waited for")
				unloaded.Store(true)
			}, bus.OwnMailbox())
			require.NoError(t, err)
			require.NoError(t, c.Publish(t.Context(), "slow", nil))
			require.NoError(t, c.Publish(t.Context(), "end", nil))
			time.Sleep(time.Minute)
			assert.True(t, unloaded.Load())
			require.NoError(t, b.Close(t.Context()))
		})
	})
	t.Run("flush from its handler is refused", func(t *testing.T) {
		b := bus.New(nil)
		c, err := b.Register("Plugin")
		require.NoError(t, err)
		var got error
		_, err = c.Subscribe("Plugin.e", func(ctx context.Context, _ bus.Event[any]) { got = c.Flush(ctx) }, bus.OwnMailbox())
		require.NoError(t, err)
		require.NoError(t, c.Publish(t.Context(), "e", nil))
		require.NoError(t, b.Close(t.Context()))
		assert.ErrorIs(t, got, bus.ErrSelfWait)
	})
}
