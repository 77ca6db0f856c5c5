package bus_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

// stuck subscribes a handler that blocks until release is called.
func stuck(t *testing.T, c *bus.Client) (release func()) {
	t.Helper()
	stop := make(chan struct{})
	subscribe(t, c, noteAdded, func(context.Context, bus.Event[note]) { <-stop })
	return sync.OnceFunc(func() { close(stop) })
}

func TestMailboxRunsOutsideThePublishersStack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		p := bind(t, register(t, b, "Notes"), noteAdded)
		release := stuck(t, register(t, b, "C"))
		require.NoError(t, p.Publish(t.Context(), note{}), "returns while the handler still runs")
		release()
	})
}

func TestMailboxHandlersOfOnePluginNeverOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		a, c := register(t, b, "Notes"), register(t, b, "C")
		added, gone := bind(t, a, noteAdded), bind(t, a, noteGone)
		running, calls := 0, 0 // no lock: the race detector proves it, too
		h := func(context.Context, bus.Event[note]) {
			running++
			assert.Equal(t, 1, running)
			time.Sleep(time.Millisecond)
			running--
			calls++
		}
		subscribe(t, c, noteAdded, h)
		subscribe(t, c, noteAdded, h)
		subscribe(t, c, noteGone, h)
		subscribeName(t, c, "Notes.*", func(ctx context.Context, _ bus.Event[any]) { h(ctx, bus.Event[note]{}) })
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 50 {
					assert.NoError(t, added.Publish(context.Background(), note{}))
					assert.NoError(t, gone.Publish(context.Background(), note{}))
				}
			})
		}
		wg.Wait()
		require.NoError(t, c.Flush(context.Background()))
		assert.Equal(t, 4*50*5, calls)
	})
}

func TestMailboxesOfPluginsRunInParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		p := bind(t, register(t, b, "Notes"), noteAdded)
		meet := make(chan int)
		subscribe(t, register(t, b, "C"), noteAdded, func(context.Context, bus.Event[note]) { meet <- 1 })
		subscribe(t, register(t, b, "D"), noteAdded, func(context.Context, bus.Event[note]) { <-meet })
		require.NoError(t, p.Publish(t.Context(), note{})) // a deadlock here if they waited for each other
		synctest.Wait()
	})
}

func TestMailboxKeepsOrderAcrossEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		a, c := register(t, b, "Notes"), register(t, b, "C")
		added, gone := bind(t, a, noteAdded), bind(t, a, noteGone)
		var got, want []string
		write := func(s string) func(context.Context, bus.Event[note]) {
			return func(_ context.Context, e bus.Event[note]) { got = append(got, fmt.Sprint(s, e.Data.N)) }
		}
		subscribe(t, c, noteAdded, write("first "))
		subscribe(t, c, noteGone, write("gone "))
		subscribe(t, c, noteAdded, write("second "))
		r := rand.New(rand.NewPCG(1, 2))
		for i := range 1000 {
			if r.IntN(2) == 0 {
				require.NoError(t, added.Publish(t.Context(), note{N: i}))
				want = append(want, fmt.Sprint("first ", i), fmt.Sprint("second ", i))
			} else {
				require.NoError(t, a.Publish(t.Context(), "gone", note{N: i}))
				_ = gone
				want = append(want, fmt.Sprint("gone ", i))
			}
			if r.IntN(50) == 0 {
				synctest.Wait()
			}
		}
		require.NoError(t, c.Flush(t.Context()))
		assert.Equal(t, want, got)
	})
}

func TestEachPublishersOrderIsKept(t *testing.T) {
	b := bus.New(nil)
	a, c := register(t, b, "Notes"), register(t, b, "C")
	p := bind(t, a, noteAdded)
	const publishers, each = 4, 2000
	last := [publishers]int{}
	subscribe(t, c, noteAdded, func(_ context.Context, e bus.Event[note]) {
		who := e.Data.N / each
		assert.Equal(t, last[who], e.Data.N%each)
		last[who]++
	})
	var wg sync.WaitGroup
	for who := range publishers {
		wg.Go(func() {
			for i := range each {
				assert.NoError(t, p.Publish(t.Context(), note{N: who*each + i}))
			}
		})
	}
	wg.Wait()
	require.NoError(t, c.Flush(t.Context()))
	assert.Equal(t, [publishers]int{each, each, each, each}, last)
}

func TestIdleBusHasNoGoroutine(t *testing.T) {
	// A bubble does not end while a goroutine of it is left; the bus is not closed.
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		a, c := readyClient(t, b, "Notes"), readyClient(t, b, "C")
		p := bind(t, a, noteAdded)
		subscribe(t, c, noteAdded, func(context.Context, bus.Event[note]) {})
		require.NoError(t, bus.Handle(a, addNote, func(context.Context, note) (int, error) { return 1, nil }))
		for range 100 {
			require.NoError(t, p.Publish(t.Context(), note{}))
			_, err := c.Call(t.Context(), "Notes.add", nil)
			require.NoError(t, err)
		}
		require.NoError(t, c.Flush(t.Context()))
	})
}

func TestPublisherWaitsAtTheSoftLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(&bus.Options{MailboxSoft: 4})
		p, c := bind(t, register(t, b, "Notes"), noteAdded), register(t, b, "C")
		release := stuck(t, c)
		require.NoError(t, p.Publish(t.Context(), note{}))
		synctest.Wait() // the first is being handled, four more may wait
		for range 4 {
			require.NoError(t, p.Publish(t.Context(), note{}))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		err := p.Publish(ctx, note{})
		require.ErrorIs(t, err, bus.ErrTimeout)
		assert.Contains(t, err.Error(), "Notes.added to C")
		assert.Equal(t, time.Minute, time.Since(start))
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		require.ErrorIs(t, p.Publish(ctx, note{}), bus.ErrCancelled)
		done := make(chan error)
		go func() { done <- p.Publish(t.Context(), note{}) }()
		synctest.Wait()
		release()
		require.NoError(t, <-done, "goes on when there is room")
		require.NoError(t, c.Flush(t.Context()))
	})
}

func TestOtherSubscribersAreServedBesideAFullMailbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(&bus.Options{MailboxSoft: 1})
		p, c, d := bind(t, register(t, b, "Notes"), noteAdded), register(t, b, "C"), register(t, b, "D")
		var before, after, inline list[int]
		write := func(l *list[int]) func(context.Context, bus.Event[note]) {
			return func(_ context.Context, e bus.Event[note]) { l.add(e.Data.N) }
		}
		subscribe(t, d, noteAdded, write(&before))
		release := stuck(t, c)
		subscribe(t, register(t, b, "E"), noteAdded, write(&after))
		subscribe(t, d, noteAdded, write(&inline), bus.Inline())
		for i := range 2 {
			require.NoError(t, p.Publish(t.Context(), note{N: i}))
			synctest.Wait()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, p.Publish(ctx, note{N: 2}), bus.ErrTimeout)
		synctest.Wait()
		for _, l := range []*list[int]{&before, &after, &inline} {
			assert.Equal(t, numbers(3), l.get())
		}
		release()
	})
}

func TestHardLimitIsCountedExactly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &logs{}
		b := bus.New(&bus.Options{MailboxSoft: 2, MailboxHard: 10, Logger: newLogger(l)})
		a, c := register(t, b, "Notes"), register(t, b, "C")
		p := bind(t, a, noteAdded)
		var got list[int]
		stop := make(chan struct{})
		subscribe(t, c, noteAdded, func(_ context.Context, e bus.Event[note]) {
			got.add(e.Data.N)
			<-stop
		})
		require.NoError(t, p.Publish(t.Context(), note{N: 0}))
		synctest.Wait()
		overflows := 0
		for i := range 100 {
			switch err := p.Publish(a.Context(), note{N: i + 1}); {
			case err != nil:
				require.ErrorIs(t, err, bus.ErrOverflow)
				assert.Contains(t, err.Error(), "C/Notes.added (")
				require.Contains(t, err.Error(), "_test.go:", "names the handler that is in the way")
				overflows++
			default:
				require.Zero(t, overflows)
			}
		}
		assert.Equal(t, 90, overflows)
		require.ErrorIs(t, p.Republish(t.Context(), note{N: -1}), bus.ErrOverflow)
		close(stop)
		require.NoError(t, c.Flush(t.Context()))
		assert.Equal(t, numbers(11), got.get())
		require.NoError(t, p.Publish(t.Context(), note{N: 11}))
		require.NoError(t, c.Flush(t.Context()))
		assert.Equal(t, numbers(12), got.get())
	})
}

// A handler may publish to its own topic with its own context: a chain.
func TestHandlerPublishesToItsOwnTopicDeep(t *testing.T) {
	b := bus.New(&bus.Options{MailboxSoft: 1})
	a := register(t, b, "Notes")
	p := bind(t, a, noteAdded)
	const depth = 10_000
	done := make(chan struct{})
	next := 0
	subscribe(t, a, noteAdded, func(ctx context.Context, e bus.Event[note]) {
		assert.Equal(t, next, e.Data.N)
		if next++; next == depth {
			close(done)
			return
		}
		assert.NoError(t, p.Publish(ctx, note{N: next}))
	})
	require.NoError(t, p.Publish(t.Context(), note{}))
	<-done
}

// The same as a flood from one call of the handler.
func TestHandlerPublishesToItsOwnTopicWide(t *testing.T) {
	b := bus.New(&bus.Options{MailboxSoft: 1})
	a := register(t, b, "Notes")
	p := bind(t, a, noteAdded)
	const width = 10_000
	done := make(chan struct{})
	next := 0
	subscribe(t, a, noteAdded, func(ctx context.Context, e bus.Event[note]) {
		assert.Equal(t, next, e.Data.N)
		if next++; next == 1 {
			for i := range width {
				assert.NoError(t, p.Publish(ctx, note{N: i + 1}))
			}
		}
		if next == width+1 {
			close(done)
		}
	})
	require.NoError(t, p.Publish(t.Context(), note{}))
	<-done
}

func TestTwoPluginsFloodEachOther(t *testing.T) {
	b := bus.New(&bus.Options{MailboxSoft: 2})
	ping, pong := bus.NewEvent[int]("Ping.ball", ""), bus.NewEvent[int]("Pong.ball", "")
	x, y := register(t, b, "Ping"), register(t, b, "Pong")
	px, py := bind(t, x, ping), bind(t, y, pong)
	const width, rounds = 100, 20
	var total atomic.Int64
	done := make(chan struct{})
	nx, ny := 0, 0
	subscribe(t, y, ping, func(ctx context.Context, e bus.Event[int]) {
		assert.Equal(t, nx, e.Data)
		nx++
		assert.NoError(t, py.Publish(ctx, e.Data))
	})
	subscribe(t, x, pong, func(ctx context.Context, e bus.Event[int]) {
		assert.Equal(t, ny, e.Data)
		if ny++; ny%width == 0 && ny < width*rounds {
			for i := range width {
				assert.NoError(t, px.Publish(ctx, ny+i))
			}
		}
		if total.Add(1) == width*rounds {
			close(done)
		}
	})
	for i := range width {
		require.NoError(t, px.Publish(x.Context(), i))
	}
	<-done
}

// A context derived from a handler's does not wait either, nor does one that a
// command's handler got from it.
func TestContextsOfTheBusNeverWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(&bus.Options{MailboxSoft: 1})
		a, c := readyClient(t, b, "Notes"), register(t, b, "C")
		p := bind(t, a, noteAdded)
		release := stuck(t, c)
		require.NoError(t, a.RegisterCommand("flood", func(ctx context.Context, _ any) (any, error) {
			ctx, cancel := context.WithTimeout(context.WithValue(ctx, userKey{}, 1), time.Minute)
			defer cancel()
			for range 10 {
				if err := p.Publish(ctx, note{}); err != nil {
					return nil, err
				}
			}
			return nil, nil
		}))
		start := time.Now()
		_, err := c.Call(t.Context(), "Notes.flood", nil)
		require.NoError(t, err)
		_, err = c.Call(context.Background(), "Notes.flood", nil)
		require.NoError(t, err)
		assert.Equal(t, start, time.Now())
		release()
	})
}

func TestPanicsInSubscribersAreContained(t *testing.T) {
	panics := map[string]func(){
		"value": func() { panic("boom") },
		"error": func() { panic(errOops) },
		"nil":   func() { panic(nil) }, //nolint:govet // what happens then is the question
		"runtime error": func() {
			var list []int
			list[len(t.Name())] = 1
		},
	}
	for name, boom := range panics {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &logs{}
				b := bus.New(&bus.Options{Logger: newLogger(l)})
				a, c := register(t, b, "Notes"), register(t, b, "C")
				p := bind(t, a, noteAdded)
				var got list[string]
				for _, opts := range [][]bus.SubscribeOption{nil, {bus.Inline()}} {
					kind := map[bool]string{true: "inline", false: "mailbox"}[opts != nil]
					subscribe(t, c, noteAdded, func(context.Context, bus.Event[note]) { got.add(kind + " before") }, opts...)
					subscribe(t, c, noteAdded, func(context.Context, bus.Event[note]) { boom() }, opts...)
					subscribeName(t, c, "Notes.*", func(context.Context, bus.Event[any]) { got.add(kind + " after") }, opts...)
				}
				for range 2 {
					require.NoError(t, p.Publish(t.Context(), note{}))
					synctest.Wait()
				}
				once := []string{"inline before", "inline after", "mailbox before", "mailbox after"}
				assert.ElementsMatch(t, append(once, once...), got.get())
				found := l.find("subscriber panicked")
				require.Len(t, found, 4)
				for _, m := range found {
					assert.Equal(t, "C", m["plugin"])
					assert.Contains(t, fmt.Sprint(m), "Notes.added")
					assert.Contains(t, fmt.Sprint(m), "_test.go:")
					assert.Contains(t, m["stack"], "mailbox_test.go:")
				}
			})
		})
	}
}

func TestManyPanicsAreContained(t *testing.T) {
	b := bus.New(nil)
	p, c := bind(t, register(t, b, "Notes"), noteAdded), register(t, b, "C")
	n := 0
	subscribe(t, c, noteAdded, func(context.Context, bus.Event[note]) { panic("boom") })
	subscribe(t, c, noteAdded, func(_ context.Context, e bus.Event[note]) {
		assert.Equal(t, n, e.Data.N)
		n++
	})
	for i := range 1000 {
		require.NoError(t, p.Publish(t.Context(), note{N: i}))
	}
	require.NoError(t, c.Flush(t.Context()))
	assert.Equal(t, 1000, n)
}

// runtime.Goexit (testing.T.FailNow is one) ends the goroutine: a mailbox goes
// on in another one, an inline call takes its publisher along.
func TestGoexitInSubscribers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		a, c := register(t, b, "Notes"), register(t, b, "C")
		p := bind(t, a, noteAdded)
		var got list[int]
		s := subscribe(t, c, noteAdded, func(context.Context, bus.Event[note]) { runtime.Goexit() })
		subscribe(t, c, noteAdded, func(_ context.Context, e bus.Event[note]) { got.add(e.Data.N) })
		for i := range 100 {
			require.NoError(t, p.Publish(t.Context(), note{N: i}))
		}
		require.NoError(t, c.Flush(t.Context()))
		assert.Equal(t, numbers(100), got.get())
		s.Unsubscribe()
		in := subscribe(t, c, noteAdded, func(context.Context, bus.Event[note]) { runtime.Goexit() }, bus.Inline())
		apart(func() {
			_ = p.Publish(t.Context(), note{N: 100})
			t.Error("the publisher's goroutine has ended")
		})
		synctest.Wait()
		assert.Equal(t, numbers(101), got.get())
		require.NoError(t, in.UnsubscribeWait(t.Context()), "the ended publish is not waited for")
		require.NoError(t, b.Close(t.Context()))
	})
}

// One subscriber hangs for ever: the others go on at full speed.
func TestHungSubscriberHurtsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(&bus.Options{MailboxHard: 2000})
		a, c, d := register(t, b, "Notes"), register(t, b, "C"), register(t, b, "D")
		p := bind(t, a, noteAdded)
		release := stuck(t, c)
		n, lost := 0, 0
		subscribe(t, d, noteAdded, func(context.Context, bus.Event[note]) { n++ })
		require.NoError(t, p.Publish(a.Context(), note{}))
		synctest.Wait()
		for range 10_000 {
			if err := p.Publish(a.Context(), note{}); err != nil {
				require.ErrorIs(t, err, bus.ErrOverflow)
				lost++
			}
			if lost == 0 {
				synctest.Wait()
			}
		}
		require.NoError(t, d.Flush(t.Context()))
		assert.Equal(t, 8_000, lost)
		assert.GreaterOrEqual(t, n, 2_001)
		release()
	})
}

func TestFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		p, c := bind(t, register(t, b, "Notes"), noteAdded), register(t, b, "C")
		require.NoError(t, c.Flush(t.Context()), "nothing waits")
		n := 0
		var self error
		subscribe(t, c, noteAdded, func(ctx context.Context, _ bus.Event[note]) {
			time.Sleep(time.Second)
			n++
			self = c.Flush(ctx)
		})
		for range 3 {
			require.NoError(t, p.Publish(t.Context(), note{}))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		require.ErrorIs(t, c.Flush(ctx), bus.ErrTimeout)
		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, c.Flush(ctx), bus.ErrCancelled)
		require.NoError(t, c.Flush(t.Context()))
		assert.Equal(t, 3, n)
		require.ErrorIs(t, self, bus.ErrSelfWait)
	})
}

// While a plugin stops, who waits for room in its mailbox neither spins nor
// hangs.
func TestPublisherWaitsWhileThePluginDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(&bus.Options{MailboxSoft: 1})
		p, c := bind(t, register(t, b, "Notes"), noteAdded), register(t, b, "C")
		n := 0
		subscribe(t, c, noteAdded, func(context.Context, bus.Event[note]) {
			time.Sleep(time.Minute)
			n++
		})
		var results []<-chan error
		for range 6 {
			done := make(chan error, 1)
			go func() { done <- p.Publish(context.Background(), note{}) }()
			results = append(results, done)
			synctest.Wait()
		}
		require.NoError(t, b.Unload(context.Background(), "C"))
		for _, done := range results {
			require.NoError(t, <-done)
		}
		assert.Positive(t, n)
	})
}

// At the deadline of Close those who wait for room in a hung mailbox are let go.
func TestPublisherWaitingForAHungPluginIsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(&bus.Options{MailboxSoft: 1})
		p, c := bind(t, register(t, b, "Notes"), noteAdded), register(t, b, "C")
		release := stuck(t, c)
		done := make(chan error, 1)
		go func() {
			for {
				if err := p.Publish(context.Background(), note{}); err != nil {
					done <- err
					return
				}
			}
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		require.ErrorIs(t, b.Close(ctx), bus.ErrStillRunning)
		require.ErrorIs(t, <-done, bus.ErrClosed)
		release()
	})
}
