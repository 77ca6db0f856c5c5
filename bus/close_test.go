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

func TestEverythingIsRefusedAfterClose(t *testing.T) {
	b := bus.New(nil)
	a, c := readyClient(t, b, "Notes"), readyClient(t, b, "C")
	p := bind(t, a, noteAdded)
	k := caller(t, c, addNote)
	require.NoError(t, bus.Handle(a, addNote, func(context.Context, note) (int, error) { return 1, nil }))
	_, err := k.Call(t.Context(), note{})
	require.NoError(t, err)
	s := subscribe(t, c, noteAdded, func(context.Context, bus.Event[note]) {})
	require.NoError(t, b.Close(t.Context()))
	ctx := t.Context()
	for name, err := range map[string]error{
		"publish":           p.Publish(ctx, note{}),
		"publish by name":   a.Publish(ctx, "added", nil),
		"publish new":       a.Publish(ctx, "new", nil),
		"publish direct":    p.PublishDirect(ctx, note{}),
		"republish":         p.Republish(ctx, note{}),
		"republish by name": a.Republish(ctx, "added", nil),
		"call":              second(k.Call(ctx, note{})),
		"call by name":      second(c.Call(ctx, "Notes.add", nil)),
		"call unknown":      second(c.Call(ctx, "Nobody.add", nil)),
		"call own":          second(a.Call(ctx, "add", nil)),
		"go":                second(k.Go(ctx, note{}).Result(ctx)),
		"go by name":        second(c.Go(ctx, "Notes.add", nil).Result(ctx)),
		"subscribe":         second(bus.Subscribe(c, noteAdded, func(context.Context, bus.Event[note]) {})),
		"subscribe by name": second(c.Subscribe("Notes.*", func(context.Context, bus.Event[any]) {})),
		"wait for":          second(c.WaitFor(ctx, "Notes.added", nil)),
		"bind":              second(noteGone.Bind(a)),
		"declare":           a.RegisterEvents("x"),
		"handle":            a.RegisterCommand("x", func(context.Context, any) (any, error) { return nil, nil }),
		"register":          second(b.Register("New")),
		"register again":    second(b.Register("C")),
		"start":             b.Start(ctx, &plugin{name: "P"}),
	} {
		assert.ErrorIs(t, err, bus.ErrClosed, name)
	}
	s.Unsubscribe()
	a.Ready()
	p.ClearRetained()
	require.NoError(t, c.Flush(ctx))
	require.NoError(t, s.UnsubscribeWait(ctx))
	assert.Empty(t, c.Registry())
}

func TestCloseDeliversWhatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		p, c := bind(t, register(t, b, "Notes"), noteAdded), register(t, b, "C")
		var got list[int]
		subscribe(t, c, noteAdded, func(_ context.Context, e bus.Event[note]) {
			time.Sleep(time.Second)
			got.add(e.Data.N)
		})
		for i := range 100 {
			require.NoError(t, p.Publish(t.Context(), note{N: i}))
		}
		require.NoError(t, b.Close(t.Context()))
		assert.Equal(t, numbers(100), got.get())
	})
}

// What one plugin publishes while it drains, another still handles.
func TestCloseDrainsAcrossPlugins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		a, c, d := register(t, b, "A"), register(t, b, "C"), register(t, b, "D")
		n := 0
		subscribeName(t, c, "A.x", func(ctx context.Context, _ bus.Event[any]) {
			time.Sleep(time.Second)
			assert.NoError(t, c.Publish(ctx, "y", 1))
		})
		subscribeName(t, d, "C.y", func(context.Context, bus.Event[any]) {
			time.Sleep(time.Second)
			n++
		})
		for range 5 {
			require.NoError(t, a.Publish(t.Context(), "x", 1))
		}
		require.NoError(t, b.Close(t.Context()))
		assert.Equal(t, 5, n)
	})
}

func TestCloseWaitsForHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		a, c := readyClient(t, b, "Notes"), register(t, b, "C")
		var ended list[string]
		slow := func(name string, ctx context.Context) {
			<-ctx.Done()
			time.Sleep(time.Second)
			ended.add(name)
		}
		require.NoError(t, a.RegisterCommand("x", func(ctx context.Context, _ any) (any, error) { slow("command", ctx); return nil, nil }))
		subscribe(t, c, noteAdded, func(ctx context.Context, _ bus.Event[note]) { slow("mailbox", ctx) })
		subscribe(t, c, noteGone, func(ctx context.Context, _ bus.Event[note]) { slow("inline", ctx) }, bus.Inline())
		go a.Call(context.Background(), "x", nil)
		require.NoError(t, a.Publish(t.Context(), "added", note{}))
		go a.Publish(context.Background(), "gone", note{})
		synctest.Wait()
		require.NoError(t, b.Close(t.Context()))
		assert.ElementsMatch(t, []string{"command", "mailbox", "inline"}, ended.get())
	})
}

func TestCloseListsWhatStillRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		a, c := readyClient(t, b, "Notes"), register(t, b, "C")
		stop := make(chan struct{})
		after := 0
		require.NoError(t, a.RegisterCommand("hang", func(context.Context, any) (any, error) { <-stop; return nil, nil }))
		subscribe(t, c, noteAdded, func(_ context.Context, e bus.Event[note]) {
			if e.Data.N > 0 {
				after++
			}
			<-stop
		})
		subscribe(t, c, noteGone, func(context.Context, bus.Event[note]) { <-stop }, bus.Inline())
		f := c.Go(context.Background(), "Notes.hang", nil)
		for i := range 4 {
			require.NoError(t, a.Publish(t.Context(), "added", note{N: i}))
			synctest.Wait()
		}
		go a.Publish(context.Background(), "gone", note{})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		err := b.Close(ctx)
		assert.Equal(t, time.Minute, time.Since(start))
		require.ErrorIs(t, err, bus.ErrStillRunning)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Contains(t, err.Error(), "command Notes.hang")
		assert.Contains(t, err.Error(), "C/Notes.added (")
		assert.Contains(t, err.Error(), "with 3 more events waiting")
		assert.Contains(t, err.Error(), "a publish that calls inline subscribers")
		assert.Equal(t, err, b.Close(t.Context()), "a second Close returns what the first did")
		close(stop)
		_, err = f.Result(t.Context())
		require.NoError(t, err)
		synctest.Wait()
		assert.Zero(t, after, "no further handler starts")
	})
}

func TestCloseTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		p, c := bind(t, register(t, b, "Notes"), noteAdded), register(t, b, "C")
		subscribe(t, c, noteAdded, func(context.Context, bus.Event[note]) { time.Sleep(time.Minute) })
		require.NoError(t, p.Publish(t.Context(), note{}))
		first := make(chan error)
		go func() { first <- b.Close(context.Background()) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, b.Close(ctx), bus.ErrTimeout)
		start := time.Now()
		require.NoError(t, b.Close(t.Context()))
		assert.Equal(t, 59*time.Second, time.Since(start), "the second waits for the first")
		require.NoError(t, <-first)
		require.NoError(t, b.Close(t.Context()))
	})
}

// closers are the places of a handler that closes the bus.
var closers = map[string]func(t *testing.T, b *bus.Bus, h func(context.Context)){
	"mailbox": func(t *testing.T, b *bus.Bus, h func(context.Context)) {
		a := register(t, b, "A")
		subscribeName(t, a, "A.x", func(ctx context.Context, _ bus.Event[any]) { h(ctx) })
		require.NoError(t, a.Publish(t.Context(), "x", 1))
	},
	"inline": func(t *testing.T, b *bus.Bus, h func(context.Context)) {
		a := register(t, b, "A")
		subscribeName(t, a, "A.x", func(ctx context.Context, _ bus.Event[any]) { h(ctx) }, bus.Inline())
		require.NoError(t, a.Publish(t.Context(), "x", 1))
	},
	"inline on retained": func(t *testing.T, b *bus.Bus, h func(context.Context)) {
		a := register(t, b, "A")
		require.NoError(t, a.Republish(t.Context(), "x", 1))
		subscribeName(t, a, "A.x", func(ctx context.Context, _ bus.Event[any]) { h(ctx) }, bus.Inline())
	},
	"command": func(t *testing.T, b *bus.Bus, h func(context.Context)) {
		a, c := readyClient(t, b, "A"), register(t, b, "C")
		require.NoError(t, a.RegisterCommand("x", func(ctx context.Context, _ any) (any, error) { h(ctx); return nil, nil }))
		_, err := c.Call(t.Context(), "A.x", nil)
		require.NoError(t, err)
	},
	"async command": func(t *testing.T, b *bus.Bus, h func(context.Context)) {
		a, c := readyClient(t, b, "A"), register(t, b, "C")
		require.NoError(t, bus.HandleAsync(a, bus.NewCommand[any, any]("A.x", ""), func(ctx context.Context, _ any, d *bus.Deferred[any]) {
			d.Resolve(nil)
			h(ctx)
		}))
		_, err := c.Call(t.Context(), "A.x", nil)
		require.NoError(t, err)
	},
	"command in a mailbox": func(t *testing.T, b *bus.Bus, h func(context.Context)) {
		a, c := readyClient(t, b, "A"), register(t, b, "C")
		require.NoError(t, a.RegisterCommand("x", func(ctx context.Context, _ any) (any, error) { h(ctx); return nil, nil }))
		subscribeName(t, c, "A.y", func(ctx context.Context, _ bus.Event[any]) { _, _ = c.Call(ctx, "A.x", nil) })
		require.NoError(t, a.Publish(t.Context(), "y", 1))
	},
}

// Closing from a handler, with the handler's context, does not wait for it.
func TestCloseFromAHandler(t *testing.T) {
	for name, in := range closers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := bus.New(nil)
				start := time.Now()
				called := 0
				in(t, b, func(ctx context.Context) {
					called++
					assert.NoError(t, b.Close(ctx))
				})
				synctest.Wait()
				require.NoError(t, b.Close(t.Context()))
				assert.Less(t, time.Since(start), time.Second)
				assert.Equal(t, 1, called)
			})
		})
	}
}

func TestUnloadFromAHandler(t *testing.T) {
	for name, in := range closers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := bus.New(nil)
				start := time.Now()
				called := 0
				in(t, b, func(ctx context.Context) {
					called++
					assert.NoError(t, b.Unload(ctx, "A"))
				})
				synctest.Wait()
				require.NoError(t, b.Close(t.Context()))
				assert.Less(t, time.Since(start), time.Second)
				assert.Equal(t, 1, called)
			})
		})
	}
}

// Closing from a handler drops what waits in its own mailbox, and drains the
// others.
func TestCloseFromAMailboxHandlerDropsItsQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		p, c, d := bind(t, register(t, b, "Notes"), noteAdded), register(t, b, "C"), register(t, b, "D")
		mine, others := 0, 0
		all := make(chan struct{})
		subscribe(t, c, noteAdded, func(ctx context.Context, _ bus.Event[note]) {
			mine++
			<-all
			assert.NoError(t, b.Close(ctx))
		})
		subscribe(t, d, noteAdded, func(context.Context, bus.Event[note]) { others++ })
		for i := range 10 {
			require.NoError(t, p.Publish(t.Context(), note{N: i}))
		}
		close(all)
		synctest.Wait()
		require.NoError(t, b.Close(t.Context()))
		assert.Equal(t, 1, mine)
		assert.Equal(t, 10, others)
	})
}

func TestCloseWhilePublishing(t *testing.T) {
	for range 50 {
		b := bus.New(nil)
		p, c := bind(t, register(t, b, "Notes"), noteAdded), register(t, b, "C")
		var got list[int]
		subscribe(t, c, noteAdded, func(_ context.Context, e bus.Event[note]) { got.add(e.Data.N) })
		sent := make(chan int)
		go func() {
			n := 0
			for p.Publish(context.Background(), note{N: n}) == nil {
				n++
			}
			sent <- n
		}()
		require.NoError(t, b.Close(t.Context()))
		n := <-sent
		assert.GreaterOrEqual(t, n, got.len())
		assert.Equal(t, numbers(got.len()), got.get(), "in order and without a gap")
	}
}
