package bus_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

// tapped taps b and returns what the tap saw.
func tapped(t *testing.T, c *bus.Client) *list[bus.Record] {
	t.Helper()
	all := &list[bus.Record]{}
	_, err := c.Tap(func(_ context.Context, r bus.Record) { all.add(r) })
	require.NoError(t, err)
	return all
}

// brief names records by kind and name.
func brief(l *list[bus.Record]) (s []string) {
	for _, r := range l.get() {
		s = append(s, r.Kind+" "+r.Name)
	}
	return s
}

func TestTapSeesEverything(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		c := register(t, b, "Notes")
		require.NoError(t, bus.Handle(c, addNote, func(_ context.Context, in note) (int, error) {
			time.Sleep(3 * time.Second)
			if in.N < 0 {
				return 0, errOops
			}
			return in.N + 1, nil
		}))
		c.Ready()
		app, audit := register(t, b, "App"), register(t, b, "Audit")
		seen := tapped(t, audit)
		start := time.Now()

		k := caller(t, app, addNote)
		_, err := k.Call(t.Context(), note{N: 1})
		require.NoError(t, err)
		_, err = k.Go(t.Context(), note{N: -1}).Result(t.Context())
		require.ErrorIs(t, err, errOops)
		_, err = app.Call(t.Context(), "Notes.nothing", "x")
		require.ErrorIs(t, err, bus.ErrUnknownCommand)
		require.NoError(t, bind(t, c, noteAdded).Publish(t.Context(), note{N: 4}))
		require.NoError(t, c.Publish(t.Context(), "gone", "plain"))
		require.NoError(t, bind(t, c, noteState).Republish(t.Context(), note{N: 5}))
		require.NoError(t, c.Republish(t.Context(), "state", note{N: 6}))
		require.NoError(t, bus.NewData[int]("Notes.count", "").Set(c, 7))
		require.NoError(t, bus.NewData[int]("Notes.count", "").Set(c, 7))
		synctest.Wait()

		all := seen.get()
		assert.Equal(t, []string{"command Notes.add", "result Notes.add", "command Notes.add", "result Notes.add",
			"command Notes.nothing", "result Notes.nothing",
			"event Notes.added", "event Notes.gone", "event Notes.state", "event Notes.state", "event Notes.data.count"}, brief(seen))

		at := start
		for i, r := range all {
			switch r.Kind {
			case "command":
				assert.Equal(t, "App", r.By)
				assert.NotZero(t, r.ID)
				assert.Equal(t, r.ID, r.Correlation, "it begins the chain")
				assert.Zero(t, r.Duration)
				assert.NoError(t, r.Err)
				at = r.Time
			case "result":
				assert.Equal(t, "App", r.By)
				assert.Equal(t, all[i-1].ID, r.ID)
				assert.Equal(t, all[i-1].Correlation, r.Correlation)
				assert.Equal(t, r.Time.Sub(at), r.Duration)
			case "event":
				assert.Equal(t, "Notes", r.By)
				assert.Zero(t, r.Correlation)
				assert.Zero(t, r.ID)
			}
		}
		assert.Equal(t, note{N: 1}, all[0].Data)
		assert.Equal(t, 2, all[1].Data)
		assert.NoError(t, all[1].Err)
		assert.Equal(t, 3*time.Second, all[1].Duration)
		assert.Equal(t, start, all[0].Time)
		assert.ErrorIs(t, all[3].Err, errOops)
		assert.Equal(t, 3*time.Second, all[3].Duration)
		assert.ErrorIs(t, all[5].Err, bus.ErrUnknownCommand)
		assert.NotEqual(t, all[0].ID, all[2].ID)
		assert.Equal(t, note{N: 4}, all[6].Data)
		assert.Equal(t, "plain", all[7].Data)
		assert.Equal(t, []any{note{N: 5}, note{N: 6}}, []any{all[8].Data, all[9].Data})
		assert.Equal(t, 7, all[10].Data.(bus.DataChange).Value)
	})
}

// A tap sees what the handler will get, and what a hook vetoed.
func TestTapSeesHooks(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		c := echo(t, b)
		c.Ready()
		seen := tapped(t, c)
		_, err := c.Before("Notes.echo", func(_ context.Context, call *bus.Call[any]) error {
			if call.In == "no" {
				return errOops
			}
			call.In = "changed"
			return nil
		})
		require.NoError(t, err)
		_, err = c.Call(t.Context(), "echo", "in")
		require.NoError(t, err)
		_, err = c.Call(t.Context(), "echo", "no")
		require.Error(t, err)
		synctest.Wait()
		assert.Equal(t, []string{"command Notes.echo", "result Notes.echo", "result Notes.echo"}, brief(seen))
		assert.Equal(t, "changed", seen.get()[0].Data)
		assert.ErrorIs(t, seen.get()[2].Err, bus.ErrVetoed)
	})
}

// One number goes through nested commands, futures, hooks and events.
func TestCorrelation(t *testing.T) {
	for _, on := range []bool{false, true} {
		t.Run(fmt.Sprintf("tap %v", on), func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, b *bus.Bus) {
				c := register(t, b, "Notes")
				app := register(t, b, "App")
				var events, handlers list[uint64]
				subscribe(t, app, noteAdded, func(_ context.Context, e bus.Event[note]) { events.add(e.Correlation()) })
				subscribe(t, app, noteAdded, func(_ context.Context, e bus.Event[note]) { events.add(e.Correlation()) }, bus.Inline())
				subscribe(t, app, noteState, func(_ context.Context, e bus.Event[note]) { events.add(e.Correlation()) })
				added, state := bind(t, c, noteAdded), bind(t, c, noteState)
				require.NoError(t, c.RegisterCommand("outer", func(ctx context.Context, _ any) (any, error) {
					handlers.add(bus.Correlation(ctx))
					require.NoError(t, added.Publish(ctx, note{}))
					require.NoError(t, state.Republish(ctx, note{}))
					if _, err := c.Call(ctx, "inner", nil); err != nil {
						return nil, err
					}
					derived, cancel := context.WithCancel(ctx)
					defer cancel()
					return c.Go(derived, "inner", nil).Result(ctx)
				}))
				require.NoError(t, c.RegisterCommand("inner", func(ctx context.Context, _ any) (any, error) {
					handlers.add(bus.Correlation(ctx))
					return nil, c.Publish(ctx, "added", note{})
				}))
				c.Ready()
				require.NoError(t, c.RegisterCommand("background", func(ctx context.Context, _ any) (any, error) { return bus.Correlation(ctx), nil }))
				var seen *list[bus.Record]
				if on {
					seen = tapped(t, app)
					_, err := app.Before("Notes.inner", func(ctx context.Context, _ *bus.Call[any]) error {
						handlers.add(bus.Correlation(ctx))
						return nil
					})
					require.NoError(t, err)
				}
				for range 2 {
					events, handlers = list[uint64]{}, list[uint64]{}
					_, err := app.Call(t.Context(), "Notes.outer", nil)
					require.NoError(t, err)
					synctest.Wait()
					first := handlers.get()[0]
					assert.NotZero(t, first)
					for _, n := range append(events.get(), handlers.get()...) {
						assert.Equal(t, first, n)
					}
					assert.Equal(t, 7, events.len())
				}
				out, err := app.Call(context.Background(), "Notes.background", nil)
				require.NoError(t, err)
				if !on {
					assert.Equal(t, uint64(0), out, "it would cost an allocation")
					return
				}
				assert.NotEqual(t, uint64(0), out)
				synctest.Wait()
				chains := map[uint64]int{}
				for _, r := range seen.get() {
					chains[r.Correlation]++
				}
				assert.Len(t, chains, 3)
				for n, count := range chains {
					if n == out {
						assert.Equal(t, 2, count)
					} else {
						assert.Equal(t, 10, count, "three commands, three results, four events")
					}
				}
			})
		})
	}
	assert.Zero(t, bus.Correlation(context.Background()))
	assert.Zero(t, bus.Correlation(t.Context()))
}

// A slow tap misses what does not fit, and knows how much; nobody waits for it.
func TestSlowTap(t *testing.T) {
	bubble(t, &bus.Options{SlowAfter: -1, MailboxSoft: 1, MailboxHard: 2}, func(t *testing.T, b *bus.Bus) {
		c := readyClient(t, b, "Notes")
		hold := make(chan struct{})
		var got list[any]
		tap, err := c.Tap(func(_ context.Context, r bus.Record) {
			<-hold
			got.add(r.Data)
		})
		require.NoError(t, err)
		const fit = 1 << 16
		require.NoError(t, c.Publish(t.Context(), "n", -1))
		synctest.Wait() // the tap is at work
		start := time.Now()
		for n := range fit + 5 {
			require.NoError(t, c.Publish(t.Context(), "n", n))
		}
		assert.Equal(t, start, time.Now(), "publishing waited")
		assert.Equal(t, uint64(5), tap.Dropped())
		close(hold)
		synctest.Wait()
		all := got.get()
		require.Len(t, all, fit+1)
		assert.Equal(t, []any{-1, 0, fit - 1}, []any{all[0], all[1], all[fit]}, "the newest are dropped")
	})
}

func TestTapPanics(t *testing.T) {
	log := &logs{}
	bubble(t, &bus.Options{Logger: newLogger(log)}, func(t *testing.T, b *bus.Bus) {
		c := readyClient(t, b, "Notes")
		n := 0
		tap, err := c.Tap(func(context.Context, bus.Record) {
			n++
			panic("oops")
		})
		require.NoError(t, err)
		seen := tapped(t, c)
		for range 10 {
			require.NoError(t, c.Publish(t.Context(), "x", 1))
		}
		synctest.Wait()
		assert.Equal(t, 10, n)
		assert.Equal(t, 10, seen.len(), "no incident for what a tap does: it would come to the tap")
		assert.Len(t, log.find("subscriber panicked"), 10)
		assert.Contains(t, tap.String(), "Notes/* (")
		assert.Contains(t, tap.String(), "tap_test.go:", "where Tap was called")
	})
}

func TestObserve(t *testing.T) {
	tests := map[string][]string{
		"Notes.echo": {"Notes.echo"},
		"Notes.*":    {"Notes.echo", "Notes.fail", "Notes.none"},
		"*.echo":     {"Notes.echo", "App.echo"},
		"*":          {"Notes.echo", "Notes.fail", "Notes.none", "App.echo"},
		"Other.*":    {},
	}
	for pattern, want := range tests {
		t.Run(pattern, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, b *bus.Bus) {
				c := echo(t, b)
				app := readyClient(t, b, "App")
				require.NoError(t, c.RegisterCommand("fail", func(context.Context, any) (any, error) { return "partly", errOops }))
				require.NoError(t, app.RegisterCommand("echo", func(_ context.Context, in any) (any, error) { return in, nil }))
				c.Ready()
				names := []string{}
				_, err := app.Observe(pattern, func(_ context.Context, r bus.Record) {
					names = append(names, r.Name)
					assert.Equal(t, "result", r.Kind)
					assert.Equal(t, "App", r.By)
					switch r.Name {
					case "Notes.fail":
						assert.ErrorIs(t, r.Err, errOops)
						assert.Nil(t, r.Data)
					case "Notes.none":
						assert.ErrorIs(t, r.Err, bus.ErrUnknownCommand)
					default:
						assert.Equal(t, "in", r.Data)
					}
				})
				require.NoError(t, err)
				for _, name := range []string{"Notes.echo", "Notes.fail", "Notes.none", "echo"} {
					_, err = app.Call(t.Context(), name, "in")
				}
				require.NoError(t, err)
				require.NoError(t, c.Publish(t.Context(), "echo", "in"))
				synctest.Wait()
				assert.Equal(t, want, names)
			})
		})
	}
}

func TestTapEnds(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		c := readyClient(t, b, "Notes")
		audit := register(t, b, "Audit")
		var got list[any]
		tap, err := audit.Tap(func(_ context.Context, r bus.Record) { got.add(r.Data) })
		require.NoError(t, err)
		kept := tapped(t, audit)
		require.NoError(t, c.Publish(t.Context(), "x", 1))
		synctest.Wait()
		require.NoError(t, tap.UnsubscribeWait(t.Context()))
		tap.Unsubscribe()
		require.NoError(t, c.Publish(t.Context(), "x", 2))
		synctest.Wait()
		assert.Equal(t, []any{1}, got.get())
		assert.Equal(t, 2, kept.len(), "exactly the one ended")
		require.NoError(t, b.Unload(t.Context(), "Audit"))
		require.NoError(t, c.Publish(t.Context(), "x", 3))
		synctest.Wait()
		assert.Equal(t, 2, kept.len())
	})
}

// Close and Unload hand a tap what it has been queued.
func TestCloseDrainsTaps(t *testing.T) {
	for name, end := range map[string]func(*bus.Bus) error{
		"Close":  func(b *bus.Bus) error { return b.Close(context.Background()) },
		"Unload": func(b *bus.Bus) error { return b.Unload(context.Background(), "Audit") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, b *bus.Bus) {
				c, audit := readyClient(t, b, "Notes"), register(t, b, "Audit")
				var got list[any]
				_, err := audit.Tap(func(_ context.Context, r bus.Record) {
					time.Sleep(time.Millisecond)
					got.add(r.Data)
				})
				require.NoError(t, err)
				var want []any
				for n := range 100 {
					want = append(want, n)
					require.NoError(t, c.Publish(t.Context(), "n", n))
				}
				require.NoError(t, end(b))
				assert.Equal(t, want, got.get())
			})
		})
	}
}

// A tap's handler may take its own plugin down, and tidies up after itself: it
// is left out of the wait, but its plugin's other handlers are not.
func TestUnloadFromATap(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		c, audit := readyClient(t, b, "Notes"), register(t, b, "Audit")
		var tap *bus.Subscription
		busy := false
		subscribe(t, audit, noteAdded, func(context.Context, bus.Event[note]) {
			busy = true
			time.Sleep(time.Second)
			busy = false
		})
		start := time.Now()
		done := false
		tap, err := audit.Tap(func(ctx context.Context, _ bus.Record) {
			assert.NoError(t, tap.UnsubscribeWait(ctx))
			assert.NoError(t, b.Unload(ctx, "Audit"))
			assert.False(t, busy)
			done = true
		})
		require.NoError(t, err)
		require.NoError(t, bind(t, c, noteAdded).Publish(t.Context(), note{}))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.True(t, done)
		assert.Equal(t, 2*time.Second, time.Since(start))
	})
}

// Publishing direct shows nothing to taps unless somebody is subscribed.
func TestPublishDirect(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		c := readyClient(t, b, "Notes")
		p := bind(t, c, noteAdded)
		seen := tapped(t, c)
		direct := func() {
			require.NoError(t, p.PublishDirect(t.Context(), note{N: 1}))
			require.NoError(t, c.PublishDirect(t.Context(), "added", note{N: 2}))
			synctest.Wait()
		}
		direct()
		assert.Empty(t, seen.get())
		assert.ErrorIs(t, c.PublishDirect(t.Context(), "added", 1), bus.ErrWrongType)
		assert.ErrorIs(t, c.PublishDirect(t.Context(), "", 1), bus.ErrBadName)
		var got list[int]
		s := subscribe(t, c, noteAdded, func(_ context.Context, e bus.Event[note]) { got.add(e.Data.N) })
		direct()
		assert.Equal(t, []string{"event Notes.added", "event Notes.added"}, brief(seen))
		assert.Equal(t, []int{1, 2}, got.get())
		s.Unsubscribe()
		direct()
		assert.Len(t, seen.get(), 2)
		require.NoError(t, b.Unload(t.Context(), "Notes"))
		assert.ErrorIs(t, p.PublishDirect(t.Context(), note{}), bus.ErrStopped)
		assert.ErrorIs(t, c.PublishDirect(t.Context(), "added", note{}), bus.ErrStopped)
	})
}

func TestTapRefusals(t *testing.T) {
	b := bus.New(nil)
	c := register(t, b, "App")
	ok := func(context.Context, bus.Record) {}
	_, err := c.Tap(nil)
	assert.ErrorIs(t, err, bus.ErrNilHandler)
	_, err = c.Observe("*", nil)
	assert.ErrorIs(t, err, bus.ErrNilHandler)
	for _, name := range []string{"", "echo", "A.b.c", "A.*.c", "A. b"} {
		_, err = c.Observe(name, ok)
		assert.ErrorIs(t, err, bus.ErrBadName, name)
	}
	gone := register(t, b, "Gone")
	require.NoError(t, b.Unload(t.Context(), "Gone"))
	_, err = gone.Tap(ok)
	assert.ErrorIs(t, err, bus.ErrStopped)
	require.NoError(t, b.Close(t.Context()))
	_, err = c.Tap(ok)
	assert.ErrorIs(t, err, bus.ErrClosed)
}
