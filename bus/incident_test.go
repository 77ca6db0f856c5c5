package bus_test

import (
	"context"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

// lineAbove returns the file of its caller and the line above the call.
func lineAbove() string {
	_, file, line, _ := runtime.Caller(1)
	return file + ":" + strconv.Itoa(line-1)
}

// incidents writes down what the bus reports of d, from a plugin of its own.
func incidents(t *testing.T, b *bus.Bus, d bus.EventOf[bus.Incident]) *list[bus.Incident] {
	t.Helper()
	got := &list[bus.Incident]{}
	subscribe(t, register(t, b, "Watch"), d, func(_ context.Context, e bus.Event[bus.Incident]) {
		assert.Equal(t, "Bus", e.Publisher())
		got.add(e.Data)
	})
	return got
}

func TestSlowHandler(t *testing.T) {
	for _, apart := range []bool{false, true} {
		t.Run("own mailbox "+strconv.FormatBool(apart), func(t *testing.T) {
			log := &logs{}
			bubble(t, &bus.Options{Logger: newLogger(log), SlowAfter: 4 * time.Second}, func(t *testing.T, b *bus.Bus) {
				seen := incidents(t, b, bus.SlowHandler)
				c, app := register(t, b, "Notes"), register(t, b, "App")
				var opts []bus.SubscribeOption
				if apart {
					opts = append(opts, bus.OwnMailbox())
				}
				s, err := bus.Subscribe(app, noteAdded, func(_ context.Context, e bus.Event[note]) { time.Sleep(time.Duration(e.Data.N) * time.Second) }, opts...)
				place := lineAbove()
				require.NoError(t, err)
				p := bind(t, c, noteAdded)
				start := time.Now()
				require.NoError(t, p.Publish(t.Context(), note{N: 60}))
				synctest.Wait()
				for range 3 {
					require.NoError(t, p.Publish(t.Context(), note{N: 3}))
				}
				require.NoError(t, p.Publish(t.Context(), note{N: 20}))
				time.Sleep(3 * time.Second)
				assert.Empty(t, seen.get())
				time.Sleep(3 * time.Second)
				synctest.Wait()
				all := seen.get()
				require.Len(t, all, 1, "no later than 5/4 of SlowAfter")
				assert.GreaterOrEqual(t, all[0].Running, 4*time.Second)
				assert.LessOrEqual(t, all[0].Running, time.Since(start))
				assert.Contains(t, s.String(), place)
				all[0].Running = 0
				assert.Equal(t, bus.Incident{Plugin: "App", Name: "Notes.added", Subscriber: place, Depth: 4, Text: "slow event handler"}, all[0])
				time.Sleep(55*time.Second + 9*time.Second)
				synctest.Wait()
				assert.Len(t, seen.get(), 1, "once per incident, and those after it are quick enough")
				time.Sleep(time.Minute)
				synctest.Wait()
				all = seen.get()
				require.Len(t, all, 2, "the next incident")
				assert.Zero(t, all[1].Depth)
				found := log.find("slow event handler")
				require.Len(t, found, 2)
				assert.Equal(t, "App", found[0]["plugin"])
				assert.Equal(t, place, found[0]["subscriber"])
				assert.Equal(t, "4", found[0]["depth"])
			})
		})
	}
}

// One handler that hangs for ever does not keep the watchdog from others, nor
// the clock busy.
func TestSlowHandlerBesideAHungOne(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		seen := incidents(t, b, bus.SlowHandler)
		c, app, other := register(t, b, "Notes"), register(t, b, "App"), register(t, b, "Other")
		subscribe(t, app, noteAdded, func(ctx context.Context, _ bus.Event[note]) { <-ctx.Done() })
		subscribe(t, other, noteGone, func(_ context.Context, e bus.Event[note]) { time.Sleep(time.Duration(e.Data.N)) })
		added, gone := bind(t, c, noteAdded), bind(t, c, noteGone)
		require.NoError(t, added.Publish(t.Context(), note{}))
		time.Sleep(1000 * time.Hour)
		assert.Len(t, seen.get(), 1)
		for n := range 3 {
			time.Sleep(10 * time.Hour)
			require.NoError(t, gone.Publish(t.Context(), note{N: int(1500 * time.Millisecond)}))
			require.NoError(t, other.Flush(t.Context()))
			synctest.Wait()
			require.Len(t, seen.get(), 2+n)
			assert.Equal(t, "Other", seen.get()[1+n].Plugin)
			require.NoError(t, gone.Publish(t.Context(), note{N: int(900 * time.Millisecond)}))
			require.NoError(t, other.Flush(t.Context()))
			synctest.Wait()
			assert.Len(t, seen.get(), 2+n)
		}
		assert.GreaterOrEqual(t, pluginInfo(b.Debugger(), "App").RunningFor, 500*time.Hour)
		assert.LessOrEqual(t, pluginInfo(b.Debugger(), "App").RunningFor, 1031*time.Hour)
	})
}

func TestSlowHandlersUnwatched(t *testing.T) {
	log := &logs{}
	bubble(t, &bus.Options{Logger: newLogger(log), SlowAfter: -1}, func(t *testing.T, b *bus.Bus) {
		c := register(t, b, "Notes")
		subscribe(t, c, noteAdded, func(context.Context, bus.Event[note]) { time.Sleep(time.Hour) })
		require.NoError(t, bind(t, c, noteAdded).Publish(t.Context(), note{}))
		require.NoError(t, c.Flush(t.Context()))
		assert.Empty(t, log.find("slow event handler"))
	})
}

func TestMailboxOverflow(t *testing.T) {
	log := &logs{}
	bubble(t, &bus.Options{Logger: newLogger(log), MailboxSoft: 2, MailboxHard: 4, SlowAfter: -1}, func(t *testing.T, b *bus.Bus) {
		seen := incidents(t, b, bus.MailboxOverflow)
		c, app := register(t, b, "Notes"), register(t, b, "App")
		hold := make(chan struct{})
		s := subscribe(t, app, noteAdded, func(context.Context, bus.Event[note]) { <-hold })
		p := bind(t, c, noteAdded)
		refused := 0
		flood := func() {
			for range 10 {
				err := p.Publish(c.Context(), note{})
				synctest.Wait()
				if err != nil {
					refused++
					assert.ErrorIs(t, err, bus.ErrOverflow)
					assert.ErrorContains(t, err, "App")
					assert.ErrorContains(t, err, s.String())
				}
			}
		}
		flood()
		assert.Equal(t, 5, refused, "one was being handled, four waited")
		assert.Equal(t, []bus.Incident{{Plugin: "App", Name: "Notes.added", Depth: 4, Text: "mailbox overflow"}}, seen.get())
		found := log.find("mailbox overflow")
		require.Len(t, found, 1)
		assert.Equal(t, s.String(), found[0]["behind"])
		hold <- struct{}{} // the mailbox takes the four in work: it has not been empty
		synctest.Wait()
		flood()
		assert.Equal(t, 5+6, refused)
		assert.Len(t, seen.get(), 1, "the same incident")
		close(hold)
		require.NoError(t, app.Flush(t.Context()))
		hold = make(chan struct{})
		synctest.Wait()
		flood()
		assert.Equal(t, 5+6+5, refused)
		assert.Len(t, seen.get(), 2, "the next incident")
		assert.EqualValues(t, refused, c.Registry()["App"].Refused)
		close(hold)
	})
}

func TestHandlerPanicked(t *testing.T) {
	log := &logs{}
	bubble(t, &bus.Options{Logger: newLogger(log)}, func(t *testing.T, b *bus.Bus) {
		seen := incidents(t, b, bus.HandlerPanicked)
		c, app := register(t, b, "Notes"), readyClient(t, b, "App")
		_, err := bus.Subscribe(app, noteAdded, func(context.Context, bus.Event[note]) { panic("box") })
		box := lineAbove()
		require.NoError(t, err)
		_, err = bus.Subscribe(app, noteAdded, func(context.Context, bus.Event[note]) { panic(errOops) }, bus.Inline())
		inline := lineAbove()
		require.NoError(t, err)
		_, err = bus.Subscribe(app, noteState, func(context.Context, bus.Event[note]) { panic("kept") }, bus.Inline())
		kept := lineAbove()
		require.NoError(t, err)
		require.NoError(t, app.RegisterCommand("plain", func(context.Context, any) (any, error) { panic("plain") }))
		require.NoError(t, bus.HandleAsync(app, bus.NewCommand[any, any]("App.async", ""), func(context.Context, any, *bus.Deferred[any]) { panic("async") }))
		require.NoError(t, bind(t, c, noteState).Republish(t.Context(), note{}))
		require.NoError(t, bind(t, c, noteAdded).Publish(t.Context(), note{}))
		synctest.Wait()
		for _, name := range []string{"App.plain", "App.async"} {
			_, err := c.Call(t.Context(), name, nil)
			require.ErrorIs(t, err, bus.ErrPanic)
			synctest.Wait()
		}
		all := seen.get()
		require.Len(t, all, 5)
		sub := bus.Incident{Plugin: "App", Name: "Notes.added", Text: "subscriber panicked"}
		inBox, inCall, inKept := sub, sub, sub
		inBox.Subscriber, inCall.Subscriber = box, inline
		inKept.Subscriber, inKept.Name = kept, "Notes.state"
		assert.ElementsMatch(t, []bus.Incident{inBox, inCall, inKept,
			{Plugin: "App", Name: "App.plain", Text: "command handler panicked"},
			{Plugin: "App", Name: "App.async", Text: "command handler panicked"}}, all)
		found := append(log.find("subscriber panicked"), log.find("command handler panicked")...)
		require.Len(t, found, 5)
		for _, attrs := range found {
			assert.Contains(t, []string{"box", "oops", "kept", "plain", "async"}, attrs["panic"])
			assert.Contains(t, attrs["stack"], "incident_test.go")
		}
	})
}

// A subscriber of the bus's own events that panics is in the log, once for each
// event, and causes no further event to itself; others hear of it.
func TestSubscriberOfIncidentsPanics(t *testing.T) {
	for _, name := range []string{"Bus.handlerPanicked", "Bus.*", "*"} {
		for _, inline := range []bool{false, true} {
			t.Run(name+map[bool]string{true: " inline"}[inline], func(t *testing.T) {
				log := &logs{}
				bubble(t, &bus.Options{Logger: newLogger(log)}, func(t *testing.T, b *bus.Bus) {
					seen := incidents(t, b, bus.HandlerPanicked)
					c, app := register(t, b, "Notes"), register(t, b, "App")
					var opts []bus.SubscribeOption
					if inline {
						opts = append(opts, bus.Inline())
					}
					var calls atomic.Int32 // inline handlers overlap
					subscribeName(t, app, name, func(context.Context, bus.Event[any]) {
						calls.Add(1)
						panic("again")
					}, opts...)
					subscribe(t, c, noteGone, func(context.Context, bus.Event[note]) { panic("first") })
					require.NoError(t, bind(t, c, noteGone).Publish(t.Context(), note{}))
					synctest.Wait()
					want := 1
					if name == "*" {
						want = 2 // Notes.gone itself, too
					}
					assert.EqualValues(t, want, calls.Load())
					assert.Len(t, log.find("subscriber panicked"), want+1)
					assert.Len(t, seen.get(), 1)
				})
			})
		}
	}
}

// An inline subscriber whose reaction to an incident causes another one does not
// use up the stack.
func TestIncidentsCauseIncidents(t *testing.T) {
	log := &logs{}
	bubble(t, &bus.Options{Logger: newLogger(log)}, func(t *testing.T, b *bus.Bus) {
		c := readyClient(t, b, "Notes")
		require.NoError(t, c.RegisterCommand("fail", func(context.Context, any) (any, error) { panic("oops") }))
		n := 0
		subscribe(t, c, bus.HandlerPanicked, func(context.Context, bus.Event[bus.Incident]) {
			n++
			_, err := c.Call(context.Background(), "fail", nil)
			assert.ErrorIs(t, err, bus.ErrPanic)
		}, bus.Inline())
		_, err := c.Call(t.Context(), "fail", nil)
		require.ErrorIs(t, err, bus.ErrPanic)
		assert.Equal(t, 256, n)
		assert.Len(t, log.find("command handler panicked"), n+1, "the last is in the log alone")
	})
}

// Nobody listens: there is no namespace Bus and no event; who comes later is
// told of what happens then.
func TestIncidentsUnheard(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		c := register(t, b, "Notes")
		topics := bus.Topics(b)
		subscribe(t, c, noteGone, func(context.Context, bus.Event[note]) { panic("oops") })
		p := bind(t, c, noteGone)
		require.NoError(t, p.Publish(t.Context(), note{}))
		require.NoError(t, c.Flush(t.Context()))
		assert.Equal(t, topics+1, bus.Topics(b))
		seen := incidents(t, b, bus.HandlerPanicked)
		tap := tapped(t, c)
		require.NoError(t, p.Publish(t.Context(), note{}))
		synctest.Wait()
		assert.Len(t, seen.get(), 1)
		assert.Equal(t, []string{"event Notes.gone", "event Bus.handlerPanicked"}, brief(tap))
		require.NoError(t, b.Unload(t.Context(), "Notes"))
	})
}

func TestDepthIsBounded(t *testing.T) {
	for _, test := range []struct{ option, want int }{{0, 64}, {1, 1}, {5, 5}} {
		t.Run(strconv.Itoa(test.option), func(t *testing.T) {
			bubble(t, &bus.Options{MaxDepth: test.option}, func(t *testing.T, b *bus.Bus) {
				c, app := register(t, b, "Notes"), register(t, b, "App")
				depth := 0
				require.NoError(t, c.RegisterCommand("ping", func(ctx context.Context, in any) (any, error) {
					depth++
					return c.Call(ctx, "App.pong", in)
				}))
				require.NoError(t, bus.HandleAsync(app, bus.NewCommand[any, any]("App.pong", ""), func(ctx context.Context, in any, d *bus.Deferred[any]) {
					depth++
					out, err := app.Go(ctx, "Notes.ping", in).Result(ctx)
					if err != nil {
						d.Reject(err)
						return
					}
					d.Resolve(out)
				}))
				c.Ready()
				app.Ready()
				for _, ctx := range []context.Context{context.Background(), t.Context(), app.Context()} {
					depth = 0
					_, err := c.Call(ctx, "ping", nil)
					require.ErrorIs(t, err, bus.ErrTooDeep)
					assert.Equal(t, "commands call each other in a circle?", hint(t, err))
					assert.Equal(t, test.want, depth)
				}
				// One after the other is not deep.
				require.NoError(t, c.RegisterCommand("flat", func(ctx context.Context, _ any) (any, error) { return bus.Commander(ctx), nil }))
				for range 200 {
					who, err := app.Call(t.Context(), "Notes.flat", nil)
					require.NoError(t, err)
					assert.Equal(t, "App", who)
				}
			})
		})
	}
}
