package bustest_test

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/bus/bustest"
)

type ball struct{ N int }

var (
	ping = bus.NewEvent[ball]("Ping.ball", "")
	pong = bus.NewEvent[ball]("Pong.ball", "")
)

// fakeT is a test that may fail without failing the one that runs it.
type fakeT struct {
	testing.TB // for the methods that are not overridden

	mu      sync.Mutex // guards what follows
	errors  []string
	out     strings.Builder
	cleanup []func()
}

func (f *fakeT) Helper() {}

func (f *fakeT) Errorf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errors = append(f.errors, fmt.Sprintf(format, args...))
}

func (f *fakeT) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	runtime.Goexit()
}

func (f *fakeT) Output() io.Writer { return f }
func (f *fakeT) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.out.Write(p)
}
func (f *fakeT) Cleanup(fn func()) { f.cleanup = append(f.cleanup, fn) }

// run runs a test and its clean-up and returns its errors.
func (f *fakeT) run(test func(t testing.TB)) string {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for i := len(f.cleanup) - 1; i >= 0; i-- {
				f.cleanup[i]()
			}
		}()
		test(f)
	}()
	<-done
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.errors, "\n")
}

func register(t testing.TB, b *bus.Bus, ns string) *bus.Client {
	c, err := b.Register(ns)
	require.NoError(t, err)
	return c
}

func TestNewClosesTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeT{TB: t}
		var b *bus.Bus
		assert.Empty(t, f.run(func(t testing.TB) { b = bustest.New(t); register(t, b, "A") }))
		_, err := b.Register("B")
		require.ErrorIs(t, err, bus.ErrClosed)
	})
}

func TestNewClosesTheBusInsideABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bustest.New(t)
		a := register(t, b, "Ping")
		_, err := bus.Subscribe(a, ping, func(ctx context.Context, _ bus.Event[ball]) {
			<-ctx.Done() // only Close ends it
			time.Sleep(time.Second)
		})
		require.NoError(t, err)
		require.NoError(t, a.Publish(t.Context(), "ball", ball{1}))
	})
}

func TestNewFailsATestThatLeavesSomethingRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeT{TB: t}
		stop := make(chan struct{})
		start := time.Now()
		errs := f.run(func(t testing.TB) {
			b := bustest.New(t)
			a := register(t, b, "Ping")
			_, err := bus.Subscribe(a, ping, func(context.Context, bus.Event[ball]) { <-stop; panic("after the test") })
			require.NoError(t, err)
			require.NoError(t, a.Publish(t.Context(), "ball", ball{1}))
		})
		assert.Contains(t, errs, "still running: subscriber Ping/Ping.ball")
		assert.Equal(t, bustest.CloseTimeout, time.Since(start))
		close(stop)
		synctest.Wait() // the panic is logged to nobody
		assert.NotContains(t, f.out.String(), "after the test")
	})
}

func TestNewLogsToTheTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeT{TB: t}
		f.run(func(t testing.TB) {
			a := register(t, bustest.New(t), "Ping")
			_, err := bus.Subscribe(a, ping, func(context.Context, bus.Event[ball]) { panic("boom") }, bus.Inline())
			require.NoError(t, err)
			require.NoError(t, a.Publish(t.Context(), "ball", ball{1}))
		})
		assert.Contains(t, f.out.String(), "panic=boom")
	})
}

func TestNewWithKeepsOptions(t *testing.T) {
	b := bustest.NewWith(t, &bus.Options{BufferLimit: 1, BufferTimeout: time.Hour})
	register(t, b, "A")
	c := register(t, b, "C")
	c.Go(t.Context(), "A.x", nil)
	_, err := c.Call(t.Context(), "A.x", nil)
	require.ErrorIs(t, err, bus.ErrNotReady)
}

// Expect waits, in real time and in a bubble.
func TestExpectWaits(t *testing.T) {
	test := func(t *testing.T) {
		b := bustest.New(t)
		rec := bustest.Record(t, b)
		a := register(t, b, "Ping")
		go func() {
			for i := range 5 {
				time.Sleep(time.Millisecond)
				_ = a.Publish(context.Background(), "ball", ball{i})
			}
		}()
		got := rec.Expect("Ping.ball", bustest.Equal(ping, ball{3}), bustest.Where(ping, func(b ball) bool { return b.N > 3 }))
		require.Len(t, got, 3)
		assert.Equal(t, []any{ball{0}, ball{3}, ball{4}}, []any{got[0].Data, got[1].Data, got[2].Data})
		assert.False(t, got[0].Time().IsZero())
		assert.Equal(t, []ball{{0}, {1}, {2}, {3}, {4}}, bustest.Of(rec, ping))
		assert.Empty(t, bustest.Of(rec, pong))
	}
	t.Run("real", test)
	t.Run("bubble", func(t *testing.T) { synctest.Test(t, test) })
}

func TestExpectPatterns(t *testing.T) {
	b := bustest.New(t)
	rec := bustest.Record(t, b)
	a := register(t, b, "Ping")
	all := []string{"ball", "ball.in", "ball.in.net", "bell"}
	for _, name := range all {
		require.NoError(t, a.Publish(t.Context(), name, nil))
	}
	assert.Equal(t, []string{"Ping.ball", "Ping.ball.in", "Ping.ball.in.net", "Ping.bell"}, rec.Names())
	rec.Expect("*", "*.ball.in", "Ping.ball.*", "Ping.b*")
	rec.ExpectNone(0)
	counts := map[string]int{
		"*": 4, "Ping.*": 4, "*.ball": 1, "*.*": 4, "Ping.ball.*": 2, "Ping.b*": 4,
		"Pong.*": 0, "Ping": 0, "*.ball.*": 2, "Ping.ball": 1,
	}
	for pattern, want := range counts {
		f := &fakeT{TB: t}
		f.run(func(t testing.TB) {
			b := bustest.New(t)
			rec, a := bustest.Record(t, b), register(t, b, "Ping")
			rec.Timeout = 0
			for _, name := range all {
				require.NoError(t, a.Publish(t.Context(), name, nil))
			}
			rec.Events()
			for range all {
				rec.Expect(pattern)
				want--
			}
		})
		assert.Zero(t, want, pattern)
	}
}

func TestRecorderSeesOnlyItsPatterns(t *testing.T) {
	b := bustest.New(t)
	rec, all := bustest.Record(t, b, "Pong.*"), bustest.Record(t, b)
	a, c := register(t, b, "Ping"), register(t, b, "Pong")
	require.NoError(t, a.Publish(t.Context(), "ball", ball{1}))
	require.NoError(t, c.Publish(t.Context(), "ball", ball{2}))
	assert.Equal(t, []string{"Pong.ball"}, rec.Names())
	assert.Equal(t, []string{"Ping.ball", "Pong.ball"}, all.Names())
}

func TestRecorderSeesRetainedEvents(t *testing.T) {
	b := bustest.New(t)
	register(t, b, "Ping").Ready()
	got := bustest.Record(t, b).Expect("Ping.ready")
	assert.True(t, got[0].Retained())
}

// An effect is not written down before its cause.
func TestRecorderKeepsCauseBeforeEffect(t *testing.T) {
	for range 200 {
		b := bus.New(nil)
		rec := bustest.Record(t, b)
		a, c := register(t, b, "Ping"), register(t, b, "Pong")
		_, err := bus.Subscribe(c, ping, func(ctx context.Context, e bus.Event[ball]) {
			_ = c.Publish(ctx, "ball", e.Data)
		})
		require.NoError(t, err)
		require.NoError(t, a.Publish(t.Context(), "ball", ball{1}))
		rec.ExpectNext("Ping.ball", "Pong.ball")
		require.NoError(t, b.Close(t.Context()))
	}
}

func TestExpectations(t *testing.T) {
	events := []string{"a", "b", "c"}
	for name, tt := range map[string]struct {
		check func(*bustest.Recorder)
		says  string // of the failure; "" for none
	}{
		"in order":          {func(r *bustest.Recorder) { r.Expect("Ping.a", "Ping.c") }, ""},
		"out of order":      {func(r *bustest.Recorder) { r.Expect("Ping.c", "Ping.a") }, "event 2 of 2, Ping.a, did not come within 10s; since the last expectation came \n\tPing.a {N:0}\n\tPing.b {N:1}\n\tPing.c {N:2}"},
		"used up":           {func(r *bustest.Recorder) { r.Expect("Ping.a"); r.Expect("Ping.a") }, "since the last expectation came \n\tPing.b {N:1}\n\tPing.c {N:2}"},
		"nothing more":      {func(r *bustest.Recorder) { r.Expect("Ping.c"); r.Expect("Ping.d") }, "came nothing"},
		"shorter":           {func(r *bustest.Recorder) { r.Timeout = time.Second; r.Expect("Ping.d") }, "within 1s"},
		"payload":           {func(r *bustest.Recorder) { r.Expect(bustest.Equal(bus.NewEvent[ball]("Ping.b", ""), ball{7})) }, "Ping.b with {N:7}, did not come"},
		"next":              {func(r *bustest.Recorder) { r.ExpectNext("Ping.a", "Ping.b"); r.ExpectNext("Ping.c") }, ""},
		"not next":          {func(r *bustest.Recorder) { r.ExpectNext("Ping.a", "Ping.c") }, "event 2 of 2 is Ping.b, not Ping.c"},
		"none":              {func(r *bustest.Recorder) { r.ExpectNone(time.Hour, "Ping.d", "Pong.*") }, ""},
		"none after":        {func(r *bustest.Recorder) { r.Expect("Ping.c"); r.ExpectNone(0) }, ""},
		"one of none":       {func(r *bustest.Recorder) { r.ExpectNone(0, "Ping.c") }, "unexpected event Ping.c {N:2}"},
		"one of none later": {func(r *bustest.Recorder) { r.Expect("Ping.a"); r.ExpectNone(time.Hour, "Ping.c") }, "unexpected event Ping.c {N:2}"},
		"not a step":        {func(r *bustest.Recorder) { r.Expect(5) }, "not 5"},
		"zero step":         {func(r *bustest.Recorder) { r.Expect(bustest.Step{}) }, "a name, a pattern or a Step"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeT{TB: t}
				errs := f.run(func(t testing.TB) {
					b := bustest.New(t)
					rec := bustest.Record(t, b)
					a := register(t, b, "Ping")
					for i, name := range events {
						require.NoError(t, a.Publish(t.Context(), name, ball{i}))
					}
					tt.check(rec)
				})
				if tt.says == "" {
					assert.Empty(t, errs)
				} else {
					assert.Contains(t, errs, tt.says)
				}
			})
		})
	}
}

func TestExpectNoneFailsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeT{TB: t}
		start := time.Now()
		errs := f.run(func(t testing.TB) {
			b := bustest.New(t)
			rec := bustest.Record(t, b)
			a := register(t, b, "Ping")
			time.AfterFunc(time.Minute, func() { _ = a.Publish(context.Background(), "ball", ball{1}) })
			rec.ExpectNone(time.Hour)
		})
		assert.Contains(t, errs, "unexpected event Ping.ball {N:1}")
		assert.Equal(t, time.Minute, time.Since(start))
	})
}

func TestRecordRefusesABadPattern(t *testing.T) {
	f := &fakeT{TB: t}
	assert.Contains(t, f.run(func(t testing.TB) { bustest.Record(t, bustest.New(t), "A.*.b") }), "malformed name")
	assert.Contains(t, f.run(func(t testing.TB) {
		b := bus.New(nil)
		require.NoError(t, b.Close(t.Context()))
		bustest.Record(t, b)
	}), "bus is closed")
}

// What was recorded stays when the bus is closed.
func TestRecorderOutlivesTheBus(t *testing.T) {
	b := bus.New(nil)
	rec := bustest.Record(t, b)
	require.NoError(t, register(t, b, "Ping").Publish(t.Context(), "ball", ball{1}))
	require.NoError(t, b.Close(t.Context()))
	rec.Expect("Ping.ball")
	assert.Equal(t, []string{"Ping.ball"}, rec.Names())
}
