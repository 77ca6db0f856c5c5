package eventbus_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asaskevich/EventBus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/bus/eventbus"
)

// journal is a log that tests may read while others write it.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

// open makes a bus with a client "Legacy" and its EventBus. The bus is closed
// when the test ends.
func open(t testing.TB) (*bus.Bus, *bus.Client, *eventbus.Bus, *journal) {
	t.Helper()
	log := &journal{}
	b := bus.New(&bus.Options{Logger: slog.New(slog.NewTextHandler(log, nil)), SlowAfter: -1})
	c, err := b.Register("Legacy")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.Close(context.Background())) })
	return b, c, eventbus.Wrap(c), log
}

func TestHandlersOfAnySignature(t *testing.T) {
	type point struct{ x, y int }
	type words []string
	type named func(string)
	_, _, eb, log := open(t)
	var got []any
	note := func(v ...any) { got = append(got, v...) }
	tests := []struct {
		name string
		fn   any
		args []any
		want []any
	}{
		{"func()", func() { note("called") }, nil, []any{"called"}},
		{"func(any)", func(v any) { note(v) }, []any{1.5}, []any{1.5}},
		{"func(any) with nil", func(v any) { note(v) }, []any{nil}, []any{nil}},
		{"func(any) with Args", func(v any) { note(v) }, []any{eventbus.Args{1, 2}}, []any{eventbus.Args{1, 2}}},
		{"func(string)", func(v string) { note(v) }, []any{"a"}, []any{"a"}},
		{"func(string) with nil", func(v string) { note(v) }, []any{nil}, []any{""}},
		{"func(int)", func(v int) { note(v) }, []any{7}, []any{7}},
		{"func(bool)", func(v bool) { note(v) }, []any{true}, []any{true}},
		{"func([]byte)", func(v []byte) { note(string(v)) }, []any{[]byte("b")}, []any{"b"}},
		{"func(error)", func(v error) { note(v) }, []any{context.Canceled}, []any{context.Canceled}},
		{"func(error) with nil", func(v error) { note(v == nil) }, []any{nil}, []any{true}},
		{"func(map)", func(v map[string]any) { note(v["k"]) }, []any{map[string]any{"k": 1}}, []any{1}},
		{"func(any, any)", func(a, b any) { note(a, b) }, []any{1, nil}, []any{1, nil}},
		{"func(string, any)", func(a string, b any) { note(a, b) }, []any{"k", 2}, []any{"k", 2}},
		{"func(string, string)", func(a, b string) { note(a, b) }, []any{"k", "v"}, []any{"k", "v"}},
		{"func(...any)", func(v ...any) { note(v...) }, []any{1, "x", nil}, []any{1, "x", nil}},
		{"func(...any) without", func(v ...any) { note(len(v)) }, nil, []any{0}},
		{"func(int, error)", func(a int, err error) { note(a, err == nil) }, []any{10, nil}, []any{10, true}},
		{"func(struct)", func(p point) { note(p.x, p.y) }, []any{point{1, 2}}, []any{1, 2}},
		{"func(pointer)", func(p *point) { note(p == nil) }, []any{nil}, []any{true}},
		{"a channel's direction", func(c <-chan int) { note(cap(c)) }, []any{make(chan int, 3)}, []any{3}},
		{"a slice of a named type", func(w words) { note(w[0]) }, []any{[]string{"w"}}, []any{"w"}},
		{"bytes of a named type", func(v []byte) { note(string(v)) }, []any{namedBytes("nb")}, []any{"nb"}},
		{"a function of a named type", named(func(v string) { note(v) }), []any{"n"}, []any{"n"}},
		{"a function with results", func(v int) (int, error) { note(v); return v, nil }, []any{3}, []any{3}},
		{"a variadic tail", func(a string, b ...int) { note(a, len(b)) }, []any{"v", 1, 2}, []any{"v", 2}},
		{"an empty variadic tail", func(a string, b ...int) { note(a, len(b)) }, []any{"v"}, []any{"v", 0}},
		{"Of", eventbus.Of(func(p point) { note(p.y) }), []any{point{1, 2}}, []any{2}},
		{"Of Args", eventbus.Of(func(a eventbus.Args) { note(len(a)) }), []any{eventbus.Args{1, 2, 3}}, []any{3}},
		{"Of2", eventbus.Of2(func(p point, n int) { note(p.x, n) }), []any{point{1, 2}, 5}, []any{1, 5}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got = nil
			require.NoError(t, eb.Subscribe(tt.name, tt.fn))
			require.NoError(t, eb.PublishErr(t.Context(), tt.name, tt.args...))
			assert.Equal(t, tt.want, got)
			require.NoError(t, eb.Unsubscribe(tt.name, tt.fn))
			assert.False(t, eb.HasCallback(tt.name))
		})
	}
	assert.Zero(t, eb.Failures(), log)
}

type namedBytes []byte

func TestWrongArgumentsAreErrors(t *testing.T) {
	tests := []struct {
		name string
		fn   any
		args []any
		want string
	}{
		{"too many", func() {}, []any{1}, "func() at "},
		{"too few", func(int) {}, nil, "got ()"},
		{"too few of two", func(string, string) {}, []any{"a"}, "got (string)"},
		{"wrong type", func(string) {}, []any{1}, "got (int)"},
		{"wrong type of two", func(string, any) {}, []any{1, 2}, "got (int, int)"},
		{"near type", func(int) {}, []any{int64(1)}, "got (int64)"},
		{"by reflection", func(int, float64) {}, []any{1, "x"}, "got (int, string)"},
		{"variadic", func(string, ...int) {}, []any{"a", 1, "b"}, "got (string, int, string)"},
		{"variadic without its first", func(string, ...int) {}, nil, "got ()"},
		{"nil as too many", func() {}, []any{nil}, "got (nil)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, eb, log := open(t)
			called := 0
			require.NoError(t, eb.Subscribe("t", tt.fn))
			require.NoError(t, eb.Subscribe("t", func(...any) { called++ }))
			require.NoError(t, eb.SubscribeOnce("t", tt.fn))
			require.NoError(t, eb.SubscribeOnceAsync("t", tt.fn))

			err := eb.PublishErr(t.Context(), "t", tt.args...)
			require.ErrorIs(t, err, eventbus.ErrArguments)
			assert.Contains(t, err.Error(), "Legacy.t")
			assert.Contains(t, err.Error(), tt.want)
			assert.Contains(t, err.Error(), "conform_test.go:")
			assert.Equal(t, 1, called, "the handler that fits is called")
			eb.WaitAsync()
			assert.Equal(t, uint64(3), eb.Failures())

			eb.Publish("t", tt.args...)
			eb.WaitAsync()
			assert.Equal(t, uint64(6), eb.Failures(), "misfits do not use up a once")
			assert.Contains(t, log.String(), "EventBus publish failed")
		})
	}
}

func TestWhatIsNoHandler(t *testing.T) {
	_, _, eb, _ := open(t)
	for _, fn := range []any{"String", 1, struct{}{}} {
		assert.ErrorIs(t, eb.Subscribe("t", fn), eventbus.ErrNotFunc)
		assert.ErrorIs(t, eb.SubscribeAsync("t", fn, true), eventbus.ErrNotFunc)
		assert.ErrorIs(t, eb.SubscribeOnce("t", fn), eventbus.ErrNotFunc)
		assert.ErrorIs(t, eb.SubscribeOnceAsync("t", fn), eventbus.ErrNotFunc)
		assert.ErrorIs(t, eb.Unsubscribe("t", fn), eventbus.ErrNotFunc)
	}
	for _, fn := range []any{nil, (func())(nil), eventbus.Func{}, eventbus.Of[int](nil), eventbus.Of2[int, int](nil)} {
		assert.ErrorIs(t, eb.Subscribe("t", fn), bus.ErrNilHandler)
		assert.ErrorIs(t, eb.Unsubscribe("t", fn), bus.ErrNilHandler)
	}
	assert.False(t, eb.HasCallback("t"))
	assert.ErrorIs(t, eb.Unsubscribe("t", func() {}), eventbus.ErrNoCallback)
	assert.ErrorIs(t, eb.Subscribe(strings.Repeat("x", 300), func() {}), bus.ErrBadName)
}

// adds returns a closure. All that it returns have the same code, unless it is
// inlined.
//
//go:noinline
func adds(to *[]int, n int) func() { return func() { *to = append(*to, n) } }

func TestUnsubscribeByFunctionValue(t *testing.T) {
	_, _, eb, _ := open(t)
	var got []int
	adder := func(n int) func() { return adds(&got, n) }
	one, two, three := adder(1), adder(2), adder(3)
	for _, fn := range []func(){one, two, three} {
		require.NoError(t, eb.Subscribe("t", fn))
	}
	require.NoError(t, eb.Unsubscribe("t", two))
	eb.Publish("t")
	assert.Equal(t, []int{1, 3}, got)

	require.NoError(t, eb.Subscribe("t", two))
	require.NoError(t, eb.Unsubscribe("t", adder(9)), "the oldest with the same code goes, as in the original")
	got = nil
	eb.Publish("t")
	assert.Equal(t, []int{3, 2}, got)
	require.NoError(t, eb.Unsubscribe("t", two))
	require.NoError(t, eb.Unsubscribe("t", one), "three has its code")
	assert.False(t, eb.HasCallback("t"))
}

type counter struct{ n int }

func (c *counter) Add()   { c.n++ }
func (c *counter) Reset() { c.n = 0 }

func TestUnsubscribeMethodValues(t *testing.T) {
	_, _, eb, _ := open(t)
	var a, b counter
	require.NoError(t, eb.Subscribe("t", a.Add))
	require.NoError(t, eb.Unsubscribe("t", a.Add), "the only one with this code")
	require.NoError(t, eb.Subscribe("t", a.Add))
	require.NoError(t, eb.Subscribe("t", b.Add))
	require.NoError(t, eb.Unsubscribe("t", b.Add))
	eb.Publish("t")
	assert.Equal(t, []int{1, 0}, []int{a.n, b.n}, "that of the receiver was removed")
	require.NoError(t, eb.Subscribe("t", b.Reset), "another method of the same type")
	require.NoError(t, eb.Unsubscribe("t", a.Reset), "as in the original, the oldest with the same code")
	eb.Publish("t")
	assert.Equal(t, []int{2, 0}, []int{a.n, b.n})
	require.NoError(t, eb.Unsubscribe("t", func(string) {}), "another function, as in the original")
	assert.True(t, eb.HasCallback("t"))
}

func TestUnsubscribeTakesOfOrTheFunction(t *testing.T) {
	_, _, eb, _ := open(t)
	fn := func(time.Duration) {}
	require.NoError(t, eb.Subscribe("t", eventbus.Of(fn)))
	require.NoError(t, eb.Unsubscribe("t", fn))
	require.NoError(t, eb.Subscribe("t", fn))
	require.NoError(t, eb.Unsubscribe("t", eventbus.Of(fn)))
	assert.False(t, eb.HasCallback("t"))
}

func TestUnsubscribedWhileCalled(t *testing.T) {
	_, _, eb, _ := open(t)
	var calls []string
	last := func() { calls = append(calls, "last") }
	var self func()
	self = func() {
		calls = append(calls, "self")
		assert.NoError(t, eb.Unsubscribe("t", self))
		assert.NoError(t, eb.Unsubscribe("t", last))
	}
	require.NoError(t, eb.Subscribe("t", self))
	require.NoError(t, eb.Subscribe("t", last))
	eb.Publish("t")
	eb.Publish("t")
	assert.Equal(t, []string{"self"}, calls, "no call starts after Unsubscribe returned")
}

func TestTopicsAreEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, c, eb, _ := open(t)
		other, err := b.Register("Other")
		require.NoError(t, err)
		var seen []bus.Event[any]
		sub, err := other.Subscribe("Legacy.*", func(_ context.Context, e bus.Event[any]) { seen = append(seen, e) })
		require.NoError(t, err)
		var taps []bus.Record
		tap, err := other.Tap(func(_ context.Context, r bus.Record) { taps = append(taps, r) })
		require.NoError(t, err)

		eb.Publish("user created")
		eb.Publish("user created", "Ada")
		eb.Publish("user created", "Ada", 36)
		eb.Publish("user created", nil)
		eb.Publish("user created", eventbus.Args{1})
		synctest.Wait()
		sub.Unsubscribe()
		tap.Unsubscribe()
		want := []any{nil, "Ada", eventbus.Args{"Ada", 36}, eventbus.Args{nil}, eventbus.Args{eventbus.Args{1}}}
		require.Len(t, seen, len(want))
		require.Len(t, taps, len(want))
		for i := range want {
			assert.Equal(t, "Legacy."+eventbus.EventName("user created"), seen[i].Name())
			assert.Equal(t, want[i], seen[i].Data)
			assert.Equal(t, want[i], taps[i].Data)
		}
		assert.Contains(t, c.Registry()["Legacy"].Events[0].Doc, `"user created"`)

		var got [][]any
		require.NoError(t, eb.Subscribe("user created", func(args ...any) { got = append(got, args) }))
		for _, p := range want {
			require.NoError(t, c.Publish(t.Context(), eventbus.EventName("user created"), p))
		}
		assert.Equal(t, [][]any{nil, {"Ada"}, {"Ada", 36}, {nil}, {eventbus.Args{1}}}, got, "and the way back")
	})
}

func TestPublishCopiesItsArguments(t *testing.T) {
	_, _, eb, _ := open(t)
	var got []any
	require.NoError(t, eb.SubscribeAsync("t", func(a, b any) { got = append(got, a, b) }, true))
	list := []any{1, 2}
	eb.Publish("t", list...)
	list[0] = 3
	eb.WaitAsync()
	assert.Equal(t, []any{1, 2}, got)
}

func TestStrictBus(t *testing.T) {
	b := bus.New(&bus.Options{Strict: true})
	defer func() { assert.NoError(t, b.Close(context.Background())) }()
	c, err := b.Register("Legacy")
	require.NoError(t, err)
	eb := eventbus.Wrap(c)
	assert.NoError(t, eb.PublishErr(t.Context(), "unheard"))
	assert.NoError(t, eb.Subscribe("t", func() {}))
	assert.NoError(t, eb.PublishErr(t.Context(), "t"))
}

func TestNamesMadeUpForEachPublish(t *testing.T) {
	_, c, eb, _ := open(t)
	for i := range 1500 {
		require.NoError(t, eb.PublishErr(t.Context(), "request "+strings.Repeat("x", i%7)+time.Duration(i).String(), i))
		eb.Publish("again "+time.Duration(i).String(), i)
	}
	assert.LessOrEqual(t, len(c.Registry()["Legacy"].Events), 1024)
	n := 0
	require.NoError(t, eb.Subscribe("late", func() { n++ }))
	eb.Publish("late")
	assert.Equal(t, 1, n, "a topic that is subscribed to has its route")
	assert.Zero(t, eb.Failures())
}

func TestAfterTheEnd(t *testing.T) {
	b, _, eb, log := open(t)
	require.NoError(t, eb.Subscribe("t", func() {}))
	require.NoError(t, b.Close(t.Context()))
	assert.ErrorIs(t, eb.PublishErr(t.Context(), "t"), bus.ErrClosed)
	assert.ErrorIs(t, eb.PublishErr(t.Context(), "new"), bus.ErrClosed)
	assert.ErrorIs(t, eb.Subscribe("t", func() {}), bus.ErrClosed)
	assert.ErrorIs(t, eb.Subscribe("new", func() {}), bus.ErrClosed)
	eb.Publish("t")
	eb.Publish("new")
	eb.WaitAsync()
	assert.Equal(t, uint64(2), eb.Failures())
	assert.Contains(t, log.String(), "closed")
}

func TestInterface(t *testing.T) {
	_, c, _, _ := open(t)
	var eb EventBus.Bus = eventbus.New(c)
	n := 0
	require.NoError(t, eb.SubscribeOnce("t", func() { n++ }))
	eb.Publish("t")
	eb.Publish("t")
	assert.Equal(t, 1, n)
	assert.IsType(t, (*eventbus.Bus)(nil), eb)
}
