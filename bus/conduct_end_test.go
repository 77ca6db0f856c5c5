package bus_test

import (
	"context"
	"errors"
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

// One of three closures of one literal, itself, while it is queued and while it
// runs: exactly that one goes, and it does not start again.
func TestConductUnsubscribe(t *testing.T) {
	for name, opts := range map[string][]bus.SubscribeOption{"mailbox": nil, "inline": {bus.Inline()}, "own mailbox": {bus.OwnMailbox()}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := bus.New(nil)
				a, c := register(t, b, "Ping"), register(t, b, "C")
				p := bind(t, a, ping)
				var got [3]list[int]
				var subs [3]*bus.Subscription
				for i := range subs {
					subs[i] = subscribe(t, c, ping, func(_ context.Context, e bus.Event[int]) {
						if e.Data == i+10 {
							subs[i].Unsubscribe()
						}
						got[i].add(e.Data)
					}, opts...)
				}
				publish := func(all ...int) {
					for _, n := range all {
						require.NoError(t, p.Publish(t.Context(), n))
					}
					synctest.Wait()
				}
				publish(0)
				subs[1].Unsubscribe()
				subs[1].Unsubscribe()
				publish(1, 10, 2) // 10: the first ends itself
				assert.Equal(t, []int{0, 1, 10}, got[0].get())
				assert.Equal(t, []int{0}, got[1].get())
				assert.Equal(t, []int{0, 1, 10, 2}, got[2].get())
			})
		})
	}
}

func TestConductUnsubscribeWhileQueuedAndRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(&bus.Options{SlowAfter: -1})
		a, c := register(t, b, "Ping"), register(t, b, "C")
		p := bind(t, a, ping)
		release := make(chan struct{})
		var got list[int]
		s := subscribe(t, c, ping, func(_ context.Context, e bus.Event[int]) {
			got.add(e.Data)
			<-release
		})
		for i := range 100 {
			require.NoError(t, p.Publish(t.Context(), i))
		}
		synctest.Wait()
		s.Unsubscribe() // one is running, 99 are queued
		over := make(chan error)
		go func() { over <- s.UnsubscribeWait(t.Context()) }()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorIs(t, s.UnsubscribeWait(ctx), bus.ErrTimeout)
		close(release)
		require.NoError(t, <-over)
		synctest.Wait()
		assert.Equal(t, []int{0}, got.get())
	})
}

// Two handlers that wait for each other's subscription are let go.
func TestConductUnsubscribeWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(&bus.Options{SlowAfter: -1})
		a, c, d := register(t, b, "Ping"), register(t, b, "C"), register(t, b, "D")
		p := bind(t, a, ping)
		var s [2]*bus.Subscription
		errs := make(chan error, 2)
		for i, c := range []*bus.Client{c, d} {
			s[i] = subscribe(t, c, ping, func(ctx context.Context, _ bus.Event[int]) {
				time.Sleep(time.Second) // both run
				errs <- s[1-i].UnsubscribeWait(ctx)
			})
		}
		start := time.Now()
		require.NoError(t, p.Publish(t.Context(), 1))
		first, last := <-errs, <-errs
		require.ErrorIs(t, first, bus.ErrTimeout)
		if last != nil {
			require.ErrorIs(t, last, bus.ErrTimeout)
		}
		assert.Equal(t, 6*time.Second, time.Since(start))
		require.NoError(t, b.Close(t.Context()))
	})
}

func TestConductAfterClose(t *testing.T) {
	b := bus.New(nil)
	a, c := readyClient(t, b, "Ping"), register(t, b, "C")
	p := bind(t, a, ping)
	add := bus.NewCommand[int, int]("Ping.add", "")
	require.NoError(t, bus.Handle(a, add, func(_ context.Context, n int) (int, error) { return n, nil }))
	k := caller(t, c, add)
	_, err := k.Call(t.Context(), 1)
	require.NoError(t, err)
	require.NoError(t, b.Close(t.Context()))
	for name, f := range map[string]func() error{
		"publish":         func() error { return p.Publish(t.Context(), 1) },
		"publish by name": func() error { return a.Publish(t.Context(), "sent", 1) },
		"republish":       func() error { return p.Republish(t.Context(), 1) },
		"bind":            func() error { return second(ping.Bind(a)) },
		"call":            func() error { return second(k.Call(t.Context(), 1)) },
		"call by name":    func() error { return second(c.Call(t.Context(), "Ping.add", 1)) },
		"call unknown":    func() error { return second(c.Call(t.Context(), "Other.add", 1)) },
		"go":              func() error { return second(k.Go(t.Context(), 1).Result(t.Context())) },
		"subscribe":       func() error { return second(c.Subscribe("Ping.sent", func(context.Context, bus.Event[any]) {})) },
		"pattern":         func() error { return second(c.Subscribe("Ping.*", func(context.Context, bus.Event[any]) {})) },
		"before": func() error {
			return second(c.Before("Ping.add", func(context.Context, *bus.Call[any]) error { return nil }))
		},
		"tap":      func() error { return second(c.Tap(func(context.Context, bus.Record) {})) },
		"events":   func() error { return second(c.Events(t.Context(), "Ping.sent")) },
		"wait":     func() error { return second(c.WaitFor(t.Context(), "Ping.sent", nil)) },
		"register": func() error { return second(b.Register("New")) },
		"unload":   func() error { return b.Unload(t.Context(), "Ping") },
		"start":    func() error { return b.Start(t.Context(), &plugin{name: "New"}) },
		"data":     func() error { return bus.NewData[int]("Ping.n", "").Set(a, 1) },
	} {
		assert.ErrorIs(t, f(), bus.ErrClosed, name)
	}
}

func TestConductCloseDrains(t *testing.T) {
	inProcess(t, func(t *testing.T) {
		n := soak(100_000)
		b := bus.New(&bus.Options{MailboxSoft: n})
		a, c := register(t, b, "Ping"), register(t, b, "C")
		p := bind(t, a, ping)
		var got list[int]
		hold := make(chan struct{})
		subscribe(t, c, ping, func(_ context.Context, e bus.Event[int]) {
			<-hold
			got.add(e.Data)
		})
		for i := range n {
			require.NoError(t, p.Publish(t.Context(), i))
		}
		closed := make(chan error)
		go func() { closed <- b.Close(t.Context()) }()
		close(hold)
		require.NoError(t, <-closed)
		assert.Equal(t, numbers(n), got.get())
	})
}

// What one mailbox publishes while it runs empty another still handles.
func TestConductCloseDrainsWhatDrainingPublishes(t *testing.T) {
	inProcess(t, func(t *testing.T) {
		for range soak(5_000) {
			b := bus.New(nil)
			var got atomic.Int64
			var pubs []*bus.Publisher[int]
			const stages = 6
			for i := range stages {
				c := register(t, b, "P"+strconv.Itoa(i))
				pubs = append(pubs, bind(t, c, bus.NewEvent[int]("P"+strconv.Itoa(i)+".e", "")))
			}
			for i := range stages {
				c := register(t, b, "S"+strconv.Itoa(i))
				subscribeName(t, c, "P"+strconv.Itoa(i)+".e", func(ctx context.Context, e bus.Event[any]) {
					got.Add(1)
					if i > 0 {
						assert.NoError(t, pubs[i-1].Publish(ctx, 1))
					}
				})
			}
			require.NoError(t, pubs[stages-1].Publish(t.Context(), 1))
			require.NoError(t, b.Close(t.Context()))
			require.EqualValues(t, stages, got.Load())
		}
	})
}

// Publishers that go on until they are told so do not keep Close waiting.
func TestConductCloseUnderLoad(t *testing.T) {
	inProcess(t, func(t *testing.T) {
		b := bus.New(&bus.Options{MailboxHard: 20_000}) // what a.Context() may pile up
		a, c := register(t, b, "Ping"), register(t, b, "C")
		p := bind(t, a, ping)
		var sent, got atomic.Int64
		subscribe(t, c, ping, func(context.Context, bus.Event[int]) {
			got.Add(1)
			for start := time.Now(); time.Since(start) < 20*time.Microsecond; { // too slow ever to catch up
				runtime.Gosched()
			}
		})
		var wg sync.WaitGroup
		for _, ctx := range []context.Context{t.Context(), a.Context(), context.Background()} {
			wg.Go(func() {
				for {
					switch err := p.Publish(ctx, 1); {
					case err == nil:
						sent.Add(1)
					case errors.Is(err, bus.ErrOverflow):
						runtime.Gosched()
					default:
						assert.ErrorIs(t, err, bus.ErrClosed)
						return
					}
				}
			})
		}
		for got.Load() < 1000 {
			require.NoError(t, c.Flush(t.Context()))
		}
		require.NoError(t, b.Close(t.Context()))
		wg.Wait()
		// What is accepted is delivered, but for a publish that Close overtook.
		assert.InDelta(t, sent.Load(), got.Load(), 3)
	})
}

func TestConductCloseWithHungHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(&bus.Options{SlowAfter: -1})
		a, c := readyClient(t, b, "Ping"), register(t, b, "C")
		p := bind(t, a, ping)
		release := make(chan struct{})
		var got list[int]
		s := subscribe(t, c, ping, func(_ context.Context, e bus.Event[int]) {
			got.add(e.Data)
			<-release // ignores its context
		})
		require.NoError(t, a.RegisterCommand("hang", func(context.Context, any) (any, error) { <-release; return nil, nil }))
		f := c.Go(t.Context(), "Ping.hang", nil)
		require.NoError(t, p.Publish(t.Context(), 1))
		require.NoError(t, p.Publish(t.Context(), 2))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		err := b.Close(ctx)
		require.ErrorIs(t, err, bus.ErrStillRunning)
		assert.Contains(t, err.Error(), "command Ping.hang")
		assert.Contains(t, err.Error(), s.String())
		assert.Equal(t, time.Minute, time.Since(start))
		close(release)
		synctest.Wait()
		require.NoError(t, second(f.Result(t.Context())))
		assert.Equal(t, []int{1}, got.get(), "none starts after Close returned")
	})
}

// hungStop is a plugin whose Stop ignores its context.
type hungStop struct{ release chan struct{} }

func (hungStop) Namespace() string                        { return "Hung" }
func (hungStop) Start(context.Context, *bus.Client) error { return nil }
func (p hungStop) Stop(context.Context) error             { <-p.release; return nil }

func TestConductCloseWithHungStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		p := hungStop{make(chan struct{})}
		require.NoError(t, b.Start(t.Context(), p))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		err := b.Close(ctx)
		require.ErrorIs(t, err, bus.ErrStillRunning)
		assert.Contains(t, err.Error(), "Stop of Hung")
		assert.Equal(t, time.Minute, time.Since(start))
		close(p.release)
	})
}

// Close from a mailbox handler, an inline handler, a command and a nested
// command does not wait for itself, also while somebody else unloads it.
func TestConductCloseFromAHandler(t *testing.T) {
	for _, from := range []string{"mailbox", "inline", "command", "nested"} {
		for _, unloading := range []bool{false, true} {
			t.Run(from+strconv.FormatBool(unloading), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := bus.New(&bus.Options{SlowAfter: -1})
					a, c := readyClient(t, b, "Ping"), readyClient(t, b, "C")
					p := bind(t, a, ping)
					var took time.Duration
					closing := func(ctx context.Context) error {
						time.Sleep(time.Second) // let the other one begin
						start := time.Now()
						err := b.Close(ctx)
						took = time.Since(start)
						return err
					}
					result := make(chan error, 1)
					handler := func(ctx context.Context, _ bus.Event[int]) { result <- closing(ctx) }
					require.NoError(t, c.RegisterCommand("close", func(ctx context.Context, _ any) (any, error) {
						result <- closing(ctx)
						return nil, nil
					}))
					require.NoError(t, a.RegisterCommand("outer", func(ctx context.Context, _ any) (any, error) {
						return a.Call(ctx, "C.close", nil)
					}))
					switch from {
					case "mailbox":
						subscribe(t, c, ping, handler)
						require.NoError(t, p.Publish(t.Context(), 1))
					case "inline":
						subscribe(t, c, ping, handler, bus.Inline())
						go func() { _ = p.Publish(t.Context(), 1) }()
					case "command":
						a.Go(t.Context(), "C.close", nil)
					case "nested":
						c.Go(context.Background(), "Ping.outer", nil)
					}
					synctest.Wait()
					if unloading {
						go func() { _ = b.Unload(t.Context(), "C") }()
					}
					require.NoError(t, <-result)
					assert.Zero(t, took)
					synctest.Wait()
					require.ErrorIs(t, p.Publish(t.Context(), 1), bus.ErrClosed)
				})
			})
		}
	}
}

// An unload asked for by one of two calls of a command waits for the other.
func TestConductUnloadFromOneOfTwoCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		a, c := readyClient(t, b, "A"), register(t, b, "C")
		var other atomic.Bool
		require.NoError(t, a.RegisterCommand("x", func(ctx context.Context, in any) (any, error) {
			if in == "unload" {
				err := b.Unload(ctx, "A")
				return other.Load(), err
			}
			<-ctx.Done()
			time.Sleep(time.Second)
			other.Store(true)
			return nil, nil
		}))
		f := c.Go(t.Context(), "A.x", "other")
		synctest.Wait()
		start := time.Now()
		out, err := c.Call(t.Context(), "A.x", "unload")
		require.NoError(t, err)
		assert.Equal(t, true, out)
		assert.Equal(t, time.Second, time.Since(start))
		require.NoError(t, second(f.Result(t.Context())))
	})
}

// However many commands of whatever kind are in flight, each has one outcome,
// and nothing of the plugin runs once Unload has returned.
func TestConductUnloadWithCommandsInFlight(t *testing.T) {
	inProcess(t, func(t *testing.T) {
		n := soak(10_000)
		b := bus.New(&bus.Options{BufferLimit: n})
		ready, late, c := readyClient(t, b, "Ready"), register(t, b, "Late"), register(t, b, "C")
		ready.Ready()
		var running, outcomes atomic.Int64
		var gone atomic.Bool
		enter := func() {
			running.Add(1)
			if gone.Load() {
				t.Error("runs after Unload")
			}
		}
		var tokens list[*bus.Deferred[any]]
		require.NoError(t, ready.RegisterCommand("plain", func(ctx context.Context, _ any) (any, error) {
			enter()
			defer running.Add(-1)
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}))
		require.NoError(t, bus.HandleAsync(ready, bus.NewCommand[any, any]("Ready.async", ""), func(_ context.Context, _ any, d *bus.Deferred[any]) {
			enter()
			defer running.Add(-1)
			tokens.add(d)
		}))
		require.NoError(t, late.RegisterCommand("plain", func(context.Context, any) (any, error) { enter(); return nil, nil }))
		var wg sync.WaitGroup
		call := func(name string, ctx context.Context) {
			wg.Go(func() {
				_, err := c.Call(ctx, name, nil)
				outcomes.Add(1)
				assert.ErrorIs(t, err, bus.ErrStopped)
			})
			f := c.Go(ctx, name, nil)
			wg.Go(func() {
				_, err := f.Result(context.Background())
				outcomes.Add(1)
				assert.ErrorIs(t, err, bus.ErrStopped)
			})
		}
		for range n / 10 {
			for _, name := range []string{"Ready.plain", "Ready.async", "Late.plain", "Late.none"} {
				call(name, context.Background())
				call(name, t.Context())
			}
		}
		for running.Load() < int64(4*(n/10)) || tokens.len() < 4*(n/10) || len(c.Registry()["Late"].Buffered) < 8*(n/10) {
			runtime.Gosched()
		}
		require.NoError(t, b.Unload(t.Context(), "Ready"))
		assert.Zero(t, running.Load())
		require.NoError(t, b.Unload(t.Context(), "Late"))
		gone.Store(true)
		wg.Wait()
		assert.EqualValues(t, 16*(n/10), outcomes.Load())
		for _, d := range tokens.get() {
			assert.False(t, d.Resolve(1), "settled once")
		}
		require.NoError(t, b.Close(t.Context()))
	})
}
