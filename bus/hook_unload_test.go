package bus_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

// Nothing of a plugin runs after Unload: it waits for hooks under way, and those
// that come later are left out.
func TestUnloadWaitsForHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		owner, err := b.Register("Owner")
		require.NoError(t, err)
		guard, err := b.Register("Guard")
		require.NoError(t, err)
		require.NoError(t, owner.RegisterCommand("do", func(context.Context, any) (any, error) { return "done", nil }))
		owner.Ready()
		var over time.Time
		_, err = guard.Before("Owner.do", func(ctx context.Context, call *bus.Call[any]) error {
			assert.Equal(t, "App", bus.Commander(ctx))
			<-ctx.Done()
			time.Sleep(time.Minute)
			over = time.Now()
			return nil
		})
		require.NoError(t, err)
		app, err := b.Register("App")
		require.NoError(t, err)
		f := make(chan error, 1)
		go func() {
			_, err := app.Call(t.Context(), "Owner.do", nil)
			f <- err
		}()
		synctest.Wait()
		require.NoError(t, b.Unload(t.Context(), "Guard"))
		assert.False(t, over.IsZero(), "the hook still ran")
		require.NoError(t, <-f)
		out, err := app.Call(t.Context(), "Owner.do", nil)
		require.NoError(t, err)
		assert.Equal(t, "done", out)
		require.NoError(t, b.Close(t.Context()))
	})
}

// A subscription that drops gets what is refused to others of its mailbox.
func TestDroppingSubscriptionsMissNoOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(&bus.Options{MailboxSoft: 1, MailboxHard: 2, SlowAfter: -1})
		c, err := b.Register("Notes")
		require.NoError(t, err)
		hold := make(chan struct{})
		_, err = c.Subscribe("Notes.hold", func(context.Context, bus.Event[any]) { <-hold })
		require.NoError(t, err)
		var last any
		_, err = c.Subscribe("Notes.n", func(context.Context, bus.Event[any]) {})
		require.NoError(t, err)
		_, err = c.Subscribe("Notes.n", func(_ context.Context, e bus.Event[any]) { last = e.Data }, bus.LatestOnly())
		require.NoError(t, err)
		require.NoError(t, c.Publish(c.Context(), "hold", nil))
		synctest.Wait()
		overflows := 0
		for n := range 10 {
			if c.Publish(c.Context(), "n", n) != nil {
				overflows++
			}
		}
		assert.Equal(t, 8, overflows)
		close(hold)
		require.NoError(t, c.Flush(t.Context()))
		assert.Equal(t, 9, last)
		require.NoError(t, b.Close(t.Context()))
	})
}

// Hooks and taps see what clients do that came after them.
func TestHooksSeeLaterClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		early, err := b.Register("Early")
		require.NoError(t, err)
		var seen []string
		_, err = early.Tap(func(_ context.Context, r bus.Record) { seen = append(seen, r.Kind+" "+r.Name) })
		require.NoError(t, err)
		late, err := b.Register("Late")
		require.NoError(t, err)
		require.NoError(t, late.RegisterCommand("do", func(context.Context, any) (any, error) { return nil, nil }))
		_, err = late.Call(context.Background(), "do", nil)
		require.NoError(t, err)
		require.NoError(t, late.Publish(context.Background(), "done", 1))
		synctest.Wait()
		assert.Equal(t, []string{"command Late.do", "result Late.do", "event Late.done"}, seen)
		require.NoError(t, b.Close(t.Context()))
	})
}
