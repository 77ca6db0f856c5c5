package bus_test

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

// later is a call whose end a test looks at afterwards.
type later struct {
	done chan struct{}
	out  any
	err  error
	at   time.Time
}

func callLater(c *bus.Client, ctx context.Context, name string, in any) *later {
	l := &later{done: make(chan struct{})}
	go func() {
		defer close(l.done)
		l.out, l.err = c.Call(ctx, name, in)
		l.at = time.Now()
	}()
	return l
}

// record registers an async command that writes its input down and settles.
func record(t *testing.T, c *bus.Client, member string, got *list[string]) {
	t.Helper()
	d := bus.NewCommand[int, string](c.Namespace()+"."+member, "")
	require.NoError(t, bus.HandleAsync(c, d, func(_ context.Context, in int, d *bus.Deferred[string]) {
		got.add(member + strconv.Itoa(in))
		d.Resolve(member)
	}))
}

func TestCommandsWaitUntilReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		a, c := register(t, b, "A"), register(t, b, "C")
		var got list[string]
		record(t, a, "x", &got)
		l := callLater(c, t.Context(), "A.x", 1)
		f := c.Go(t.Context(), "A.x", 2)
		time.Sleep(29 * time.Second)
		assert.Empty(t, got.get())
		a.Ready()
		synctest.Wait()
		<-l.done
		require.NoError(t, l.err)
		assert.Equal(t, "x", l.out)
		_, err := f.Result(t.Context())
		require.NoError(t, err)
	})
}

func TestOwnCommandsDoNotWait(t *testing.T) {
	b := bus.New(nil)
	a := register(t, b, "A")
	var got list[string]
	record(t, a, "x", &got)
	out, err := a.Call(t.Context(), "x", 1)
	require.NoError(t, err)
	assert.Equal(t, "x", out)
	_, err = a.Call(t.Context(), "A.x", 2)
	require.NoError(t, err)
	_, err = a.Call(t.Context(), "A.y", 2)
	require.ErrorIs(t, err, bus.ErrUnknownCommand)
	assert.Equal(t, []string{"x1", "x2"}, got.get())
}

// Commands run in call order when the gate opens, whether the command was
// registered when it was called or not, by Call or by Go, from any caller.
func TestBufferedCommandsKeepCallOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		a, c, d := register(t, b, "A"), register(t, b, "C"), register(t, b, "D")
		var got list[string]
		var want []string
		record(t, a, "early", &got)
		early := caller(t, d, bus.NewCommand[int, string]("A.early", ""))
		late := caller(t, d, bus.NewCommand[int, string]("A.late", ""))
		for i := range 10 {
			n := strconv.Itoa(i)
			c.Go(t.Context(), "A.late", i)
			c.Go(t.Context(), "A.early", i)
			late.Go(t.Context(), 100+i)
			early.Go(t.Context(), 100+i)
			want = append(want, "late"+n, "early"+n, "late10"+n, "early10"+n)
		}
		record(t, a, "late", &got)
		for i := range 10 {
			c.Go(t.Context(), "A.late", 200+i)
			want = append(want, "late20"+strconv.Itoa(i))
		}
		a.Ready()
		synctest.Wait()
		assert.Equal(t, want, got.get())
	})
}

func TestBufferedCallsAreLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		a, c := register(t, b, "A"), register(t, b, "C")
		var got list[string]
		record(t, a, "early", &got)
		var all []*later
		for i := range 10 {
			all = append(all, callLater(c, t.Context(), "A.late", i), callLater(c, t.Context(), "A.early", i))
			synctest.Wait()
		}
		record(t, a, "late", &got)
		start := time.Now()
		a.Ready()
		for _, l := range all {
			<-l.done
			require.NoError(t, l.err)
			assert.Equal(t, start, l.at, "no call waits for another timeout")
		}
		assert.Len(t, got.get(), 20)
	})
}

func TestUnknownCommandIsRefusedOnceReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		a, c := register(t, b, "A"), register(t, b, "C")
		block := make(chan struct{})
		slow := bus.NewCommand[int, int]("A.slow", "")
		require.NoError(t, bus.HandleAsync(a, slow, func(_ context.Context, _ int, d *bus.Deferred[int]) {
			<-block // a handler that blocks though it must not: Ready waits, others see the gate half open
			d.Resolve(1)
		}))
		f := c.Go(t.Context(), "A.slwo", nil)
		k := caller(t, c, bus.NewCommand[int, int]("A.slwo", ""))
		g := k.Go(t.Context(), 1)
		l := callLater(c, t.Context(), "A.slwo", nil)
		synctest.Wait()
		c.Go(t.Context(), "A.slow", nil)
		start := time.Now()
		ready := make(chan struct{})
		go func() {
			defer close(ready)
			a.Ready()
		}()
		synctest.Wait()
		for _, err := range []error{second(f.Result(t.Context())), second(g.Result(t.Context())), l.wait()} {
			require.ErrorIs(t, err, bus.ErrUnknownCommand)
			assert.Equal(t, "did you mean A.slow?", hint(t, err))
		}
		assert.Equal(t, start, time.Now())
		close(block)
		<-ready
	})
}

func (l *later) wait() error {
	<-l.done
	return l.err
}

func second[A any](_ A, err error) error { return err }

func TestBufferIsBoundedInNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(&bus.Options{BufferLimit: 3})
		a, c := register(t, b, "A"), register(t, b, "C")
		var got list[string]
		record(t, a, "x", &got)
		for i := range 3 {
			c.Go(t.Context(), "A.x", i)
		}
		_, err := c.Call(t.Context(), "A.x", 3)
		require.ErrorIs(t, err, bus.ErrNotReady)
		assert.Contains(t, err.Error(), "3 commands wait for A already")
		_, err = c.Go(t.Context(), "A.unknown", 3).Result(t.Context())
		require.ErrorIs(t, err, bus.ErrNotReady)
		a.Ready()
		assert.Equal(t, []string{"x0", "x1", "x2"}, got.get())
	})
}

func TestBufferIsBoundedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(&bus.Options{BufferTimeout: time.Minute})
		a, c := register(t, b, "A"), register(t, b, "C")
		var got list[string]
		record(t, a, "x", &got)
		start := time.Now()
		_, err := c.Call(t.Context(), "A.x", 1)
		require.ErrorIs(t, err, bus.ErrNotReady)
		assert.Contains(t, err.Error(), "A did not become ready within 1m0s")
		assert.Equal(t, time.Minute, time.Since(start))
		_, err = c.Go(t.Context(), "A.y", 1).Result(t.Context())
		require.ErrorIs(t, err, bus.ErrNotReady)
		assert.Equal(t, 2*time.Minute, time.Since(start))
		a.Ready()
		assert.Empty(t, got.get(), "what was refused does not run later")
		_, err = c.Call(t.Context(), "A.x", 1)
		require.NoError(t, err)
	})
}

func TestBufferedCommandHonoursItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		a, c := register(t, b, "A"), register(t, b, "C")
		var got list[string]
		record(t, a, "x", &got)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for _, name := range []string{"A.x", "A.unknown"} {
			_, err := c.Call(ctx, name, 1)
			require.ErrorIs(t, err, bus.ErrTimeout)
			_, err = c.Go(ctx, name, 1).Result(t.Context())
			require.ErrorIs(t, err, bus.ErrTimeout)
		}
		ctx, cancel = context.WithCancel(t.Context())
		l := callLater(c, ctx, "A.x", 1)
		synctest.Wait()
		cancel()
		require.ErrorIs(t, l.wait(), bus.ErrCancelled)
		a.Ready()
		assert.Empty(t, got.get())
	})
}

func TestReadyPublishesOnce(t *testing.T) {
	b := bus.New(nil)
	a, c := register(t, b, "A"), register(t, b, "C")
	var live, late list[bus.Event[any]]
	subscribeName(t, c, "A.ready", func(_ context.Context, e bus.Event[any]) { live.add(e) }, bus.Inline())
	a.Ready()
	a.Ready()
	require.Len(t, live.get(), 1)
	assert.False(t, live.get()[0].Retained())
	subscribeName(t, c, "A.ready", func(_ context.Context, e bus.Event[any]) { late.add(e) }, bus.Inline())
	require.Len(t, late.get(), 1)
	assert.True(t, late.get()[0].Retained())
	assert.Equal(t, "A", late.get()[0].Publisher())
}

func TestReadyFromTwoGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		a, c := register(t, b, "A"), register(t, b, "C")
		var n list[int]
		subscribeName(t, c, "A.ready", func(context.Context, bus.Event[any]) { n.add(1) }, bus.Inline())
		for range 8 {
			go a.Ready()
		}
		synctest.Wait()
		assert.Equal(t, 1, n.len())
	})
}

func TestBufferedCommandsEndWithThePlugin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		a, c := register(t, b, "A"), register(t, b, "C")
		var got list[string]
		record(t, a, "x", &got)
		l, u := callLater(c, t.Context(), "A.x", 1), callLater(c, t.Context(), "A.unknown", 1)
		f, g := c.Go(t.Context(), "A.x", 2), c.Go(t.Context(), "A.unknown", 2)
		synctest.Wait()
		require.NoError(t, b.Close(t.Context()))
		for _, err := range []error{l.wait(), u.wait(), second(f.Result(t.Context())), second(g.Result(t.Context()))} {
			require.ErrorIs(t, err, bus.ErrClosed)
		}
		assert.Empty(t, got.get())
	})
}

func TestWaitingCommandsAreLogged(t *testing.T) {
	l := &logs{}
	b := bus.New(&bus.Options{Logger: newLogger(l)})
	a, c := register(t, b, "A"), register(t, b, "C")
	f := c.Go(t.Context(), "A.x", 1)
	found := l.find("command waits until the plugin is ready")
	require.Len(t, found, 1)
	assert.Equal(t, "A.x", found[0]["command"])
	assert.Equal(t, "A", found[0]["plugin"])
	a.Ready()
	require.ErrorIs(t, second(f.Result(t.Context())), bus.ErrUnknownCommand)
}
