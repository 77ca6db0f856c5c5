package bus_test

import (
	"context"
	"log/slog"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

// watcher is a lasting subscriber that looks for gaps, doubles and disorder.
type watcher struct {
	t    *testing.T
	next [2]atomic.Int64 // by publisher
}

func (w *watcher) see(_ context.Context, e bus.Event[any]) {
	n := e.Data.(int)
	if want := w.next[n%2].Add(1) - 1; int64(n/2) != want {
		w.t.Errorf("%s: number %d, want %d", e.Name(), n/2, want)
	}
}

// While eight goroutines subscribe, unsubscribe, register, unload, hook, tap
// and publish, lasting subscribers miss nothing, see nothing twice, and see it
// in order.
func TestConductChurn(t *testing.T) {
	inProcess(t, func(t *testing.T) {
		b := bus.New(nil)
		a, c := readyClient(t, b, "Ping"), register(t, b, "C")
		p := bind(t, a, ping)
		kinds := map[string][]bus.SubscribeOption{"mailbox": nil, "own mailbox": {bus.OwnMailbox()}, "inline": {bus.Inline()}}
		watchers := map[string]*watcher{}
		for name, opts := range kinds {
			for _, event := range []string{"Ping.sent", "Ping.*"} {
				w := &watcher{t: t}
				watchers[name+" "+event] = w
				d := register(t, b, "W"+strconv.Itoa(len(watchers)))
				subscribeName(t, d, event, func(ctx context.Context, e bus.Event[any]) {
					if e.Name() == "Ping.sent" {
						w.see(ctx, e)
					}
				}, opts...)
			}
		}
		var stop atomic.Bool
		var sent [2]int
		var wg sync.WaitGroup
		forever := func(f func(i int)) {
			wg.Go(func() {
				for i := 0; !stop.Load(); i++ {
					f(i)
				}
			})
		}
		// Two publishers, by handle and by name. An inline watcher would see the
		// two interleaved anyhow, so each counts by itself.
		for g := range 2 {
			forever(func(i int) {
				if g == 0 {
					assert.NoError(t, p.Publish(context.Background(), 2*i))
				} else {
					assert.NoError(t, a.Publish(t.Context(), "sent", 2*i+1))
				}
				sent[g]++
			})
		}
		nop := func(context.Context, bus.Event[any]) {}
		forever(func(i int) { // exact names
			s := subscribeName(t, c, "Ping.sent", nop)
			u := subscribeName(t, c, "Ping.sent", nop, bus.Inline())
			s.Unsubscribe()
			assert.NoError(t, u.UnsubscribeWait(t.Context()))
		})
		forever(func(i int) { // patterns
			s := subscribeName(t, c, "*", nop, bus.Inline())
			u := subscribeName(t, c, "*.sent", nop, bus.DropOldest(4))
			u.Unsubscribe()
			s.Unsubscribe()
		})
		forever(func(i int) { // other names
			assert.NoError(t, a.Publish(t.Context(), "undeclared"+strconv.Itoa(i), nil))
			s := subscribeName(t, c, "Ping.undeclared"+strconv.Itoa(i+1), nop)
			s.Unsubscribe()
		})
		forever(func(i int) { // plugins
			ns := "Churn" + strconv.Itoa(i%3)
			d, err := b.Register(ns)
			if !assert.NoError(t, err) {
				return
			}
			assert.NoError(t, d.RegisterCommand("x", func(context.Context, any) (any, error) { return nil, nil }))
			subscribeName(t, d, "Ping.sent", nop)
			subscribeName(t, d, "Ping.*", nop, bus.Inline())
			d.Ready()
			assert.NoError(t, b.Unload(t.Context(), ns))
		})
		forever(func(i int) { // calls, right or wrong
			_, _ = c.Call(context.Background(), "Churn"+strconv.Itoa(i%3)+".x", nil)
			_, _ = c.Go(t.Context(), "Churn0.x", nil).Result(t.Context())
		})
		forever(func(i int) { // hooks, taps, snapshots
			h, err := c.Before("Churn0.x", func(context.Context, *bus.Call[any]) error { return nil })
			assert.NoError(t, err)
			tap, err := c.Tap(func(context.Context, bus.Record) {})
			assert.NoError(t, err)
			b.Debugger()
			tap.Unsubscribe()
			h.Remove()
		})
		timer := time.NewTimer(time.Duration(soak(10_000)) * time.Millisecond)
		<-timer.C
		stop.Store(true)
		wg.Wait()
		require.NoError(t, b.Close(t.Context()))
		for name, w := range watchers {
			for g := range 2 {
				assert.EqualValues(t, sent[g], w.next[g].Load(), name)
			}
		}
		t.Logf("%d events to %d lasting subscribers", sent[0]+sent[1], len(watchers))
	})
}

// gatekeeper is a logger that holds whoever logs a certain message.
type gatekeeper struct {
	logs
	message string
	held    chan struct{}
}

func (g *gatekeeper) WithAttrs([]slog.Attr) slog.Handler { return g }

func (g *gatekeeper) Handle(_ context.Context, r slog.Record) error {
	if r.Message == g.message {
		<-g.held
	}
	return nil
}

// A subscription that an unload overtakes does not come into being.
func TestConductUnloadOvertakesSubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gatekeeper{message: "subscribed to an event that its plugin does not declare", held: make(chan struct{})}
		b := bus.New(&bus.Options{Logger: newLogger(g)})
		a, c := readyClient(t, b, "A"), register(t, b, "C")
		bind(t, a, bus.NewEvent[int]("A.declared", ""))
		result := make(chan error, 1)
		go func() {
			_, err := c.Subscribe("A.e", func(context.Context, bus.Event[any]) { t.Error("something of the plugin runs after Unload") }, bus.Inline())
			result <- err
		}()
		synctest.Wait()
		require.NoError(t, b.Unload(t.Context(), "C"))
		close(g.held)
		require.ErrorIs(t, <-result, bus.ErrStopped)
		require.NoError(t, a.Publish(t.Context(), "e", 1))
		assert.Empty(t, a.Subscribers())
	})
}

// Subscribing as the plugin is unloaded is refused, or undone by the unload:
// whatever wins, no call comes later.
func TestConductSubscribeRacesUnload(t *testing.T) {
	inProcess(t, func(t *testing.T) {
		for i := range soak(5_000) {
			b := bus.New(nil)
			a, c, d := readyClient(t, b, "A"), register(t, b, "C"), register(t, b, "D")
			require.NoError(t, a.RegisterCommand("x", func(context.Context, any) (any, error) { return nil, nil }))
			var down atomic.Bool
			late := func() {
				if down.Load() {
					t.Error("something of the plugin runs after Unload")
				}
			}
			seen := func(context.Context, bus.Event[any]) { late() }
			var wg sync.WaitGroup
			wg.Go(func() { _, _ = c.Subscribe("A.e", seen, bus.Inline()) })
			wg.Go(func() { _, _ = c.Subscribe("A.*", seen, bus.Inline()) })
			wg.Go(func() {
				_, _ = c.Before("A.x", func(context.Context, *bus.Call[any]) error { late(); return nil })
				_, _ = c.Tap(func(context.Context, bus.Record) { late() })
			})
			wg.Go(func() {
				if p, err := bus.NewEvent[int]("C.kept", "").Bind(c); err == nil {
					_ = p.Republish(context.Background(), i)
				}
			})
			require.NoError(t, b.Unload(t.Context(), "C"))
			down.Store(true)
			require.NoError(t, a.Publish(t.Context(), "e", 1))
			wg.Wait()
			require.NoError(t, a.Publish(t.Context(), "e", 1))
			require.NoError(t, second(d.Call(t.Context(), "A.x", nil)))
			e := register(t, b, "C") // free, and without a trace of the one before
			subscribeName(t, d, "C.kept", func(_ context.Context, e bus.Event[any]) { t.Errorf("%v is still retained", e.Data) }, bus.Inline())
			_, err := bus.NewEvent[string]("C.kept", "").Bind(e)
			require.NoError(t, err)
			require.NoError(t, b.Close(t.Context()))
		}
	})
}

// Also for names whose route the bus does not remember, no inline call comes
// after UnsubscribeWait.
func TestConductUnsubscribeWaitForUndeclared(t *testing.T) {
	inProcess(t, func(t *testing.T) {
		b := bus.New(nil)
		a, c := register(t, b, "A"), register(t, b, "C")
		for i := range bus.MaxUndeclared {
			require.NoError(t, a.Publish(t.Context(), "x"+strconv.Itoa(i), nil))
		}
		var stop atomic.Bool
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for i := 0; !stop.Load(); i++ {
					assert.NoError(t, a.Publish(context.Background(), "undeclared.x", nil))
					if i%16 == 0 {
						runtime.Gosched()
					}
				}
			})
		}
		for range soak(2_000) {
			var over atomic.Bool
			s := subscribeName(t, c, "A.undeclared.*", func(context.Context, bus.Event[any]) {
				if over.Load() {
					t.Error("called after UnsubscribeWait")
				}
			}, bus.Inline())
			require.NoError(t, s.UnsubscribeWait(t.Context()))
			over.Store(true)
		}
		stop.Store(true)
		wg.Wait()
		require.NoError(t, b.Close(t.Context()))
	})
}

// A handler that hangs is reported whatever the moment it begins.
func TestConductWatchdogMissesNothing(t *testing.T) {
	inProcess(t, func(t *testing.T) {
		l := &logs{}
		b := bus.New(&bus.Options{Logger: newLogger(l), SlowAfter: 4 * time.Millisecond})
		a, c := register(t, b, "Ping"), register(t, b, "C")
		p := bind(t, a, ping)
		told := make(chan struct{}, 10)
		w := register(t, b, "W")
		subscribe(t, w, bus.SlowHandler, func(context.Context, bus.Event[bus.Incident]) { told <- struct{}{} }, bus.Inline())
		subscribe(t, c, ping, func(_ context.Context, e bus.Event[int]) {
			if e.Data == 1 {
				<-told
			}
		})
		n := soak(200)
		for i := range n {
			for start := time.Now(); time.Since(start) < time.Duration(i%100)*25*time.Microsecond; {
				require.NoError(t, p.Publish(t.Context(), 0))
				require.NoError(t, c.Flush(t.Context()))
			}
			require.NoError(t, p.Publish(t.Context(), 1))
			require.NoError(t, c.Flush(t.Context()))
		}
		assert.GreaterOrEqual(t, len(l.find("slow event handler")), n)
		require.NoError(t, b.Close(t.Context()))
	})
}
