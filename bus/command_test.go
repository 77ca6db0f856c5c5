package bus_test

import (
	"context"
	"encoding/json"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

// notes registers the plugin Notes with a plain and an async command.
func notes(t *testing.T, b *bus.Bus) *bus.Client {
	t.Helper()
	a := readyClient(t, b, "Notes")
	require.NoError(t, bus.Handle(a, addNote, func(_ context.Context, in note) (int, error) {
		if in.N < 0 {
			return -1, errOops
		}
		return in.N + 1, nil
	}))
	require.NoError(t, bus.HandleAsync(a, addLater, func(_ context.Context, in note, d *bus.Deferred[int]) {
		if in.N < 0 {
			d.Reject(errOops)
			return
		}
		d.Resolve(in.N + 1)
	}))
	return a
}

var addLater = bus.NewCommand[note, int]("Notes.addLater", "Adds a note in its own time.")

func TestCallReturnsWhatTheHandlerReturns(t *testing.T) {
	b := bus.New(nil)
	notes(t, b)
	c := register(t, b, "C")
	for _, d := range []bus.CommandOf[note, int]{addNote, addLater} {
		k := caller(t, c, d)
		for range 2 {
			out, err := k.Call(t.Context(), note{N: 1})
			require.NoError(t, err)
			assert.Equal(t, 2, out)
			out, err = k.Go(context.Background(), note{N: 1}).Result(t.Context())
			require.NoError(t, err)
			assert.Equal(t, 2, out)
			_, err = k.Call(context.Background(), note{N: -1})
			assert.Equal(t, errOops, err, "the handler's own error, unchanged")
			_, err = k.Go(t.Context(), note{N: -1}).Result(t.Context())
			assert.Equal(t, errOops, err)
		}
	}
}

func TestCallByName(t *testing.T) {
	b := bus.New(nil)
	notes(t, b)
	c := register(t, b, "C")
	for _, name := range []string{"Notes.add", "Notes.addLater"} {
		for _, in := range []any{note{N: 1}, map[string]any{"N": 1}, json.RawMessage(`{"N":1}`)} {
			out, err := c.Call(t.Context(), name, in)
			require.NoError(t, err)
			assert.Equal(t, 2, out)
			out, err = c.Go(t.Context(), name, in).Result(t.Context())
			require.NoError(t, err)
			assert.Equal(t, 2, out)
		}
		out, err := c.Call(t.Context(), name, nil)
		require.NoError(t, err)
		assert.Equal(t, 1, out, "nil is the zero value")
		out, err = c.Call(t.Context(), name, note{N: -1})
		assert.Equal(t, errOops, err)
		assert.Nil(t, out)
		for _, in := range []any{"text", 5, &note{}, []byte(`{}`), map[string]any{"Nope": 1}, json.RawMessage(`[]`), json.RawMessage(`{"N":"1"}`), map[string]any{"N": func() {}}} {
			_, err = c.Call(t.Context(), name, in)
			require.ErrorIs(t, err, bus.ErrWrongType, "%v", in)
			assert.Contains(t, err.Error(), name)
			_, err = c.Go(t.Context(), name, in).Result(t.Context())
			require.ErrorIs(t, err, bus.ErrWrongType, "%v", in)
		}
	}
}

// A caller that describes the command with other types is served if its values
// convert.
func TestCallerOfOtherTypes(t *testing.T) {
	b := bus.New(nil)
	notes(t, b)
	c := register(t, b, "C")
	loose := caller(t, c, bus.NewCommand[map[string]any, any]("Notes.add", ""))
	out, err := loose.Call(t.Context(), map[string]any{"N": 1})
	require.NoError(t, err)
	assert.Equal(t, 2, out)
	out, err = loose.Go(t.Context(), map[string]any{"N": 1}).Result(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 2, out)
	wrongIn := caller(t, c, bus.NewCommand[string, int]("Notes.add", ""))
	require.ErrorIs(t, second(wrongIn.Call(t.Context(), "x")), bus.ErrWrongType)
	require.ErrorIs(t, second(wrongIn.Go(t.Context(), "x").Result(t.Context())), bus.ErrWrongType)
	wrongOut := caller(t, c, bus.NewCommand[note, string]("Notes.add", ""))
	_, err = wrongOut.Call(t.Context(), note{})
	require.ErrorIs(t, err, bus.ErrWrongType)
	assert.Contains(t, err.Error(), "result of Notes.add")
	require.ErrorIs(t, second(wrongOut.Go(t.Context(), note{}).Result(t.Context())), bus.ErrWrongType)
}

func TestUnknownCommandsAndPlugins(t *testing.T) {
	b := bus.New(nil)
	a := notes(t, b)
	c := register(t, b, "C")
	for name, tt := range map[string]struct {
		is   error
		hint string
	}{
		"Notes.ad":     {bus.ErrUnknownCommand, "did you mean Notes.add?"},
		"Notes.ADD":    {bus.ErrUnknownCommand, "did you mean Notes.add?"},
		"Notes.zzzzzz": {bus.ErrUnknownCommand, ""},
		"notes.add":    {bus.ErrUnknownPlugin, "did you mean Notes?"},
		"Note.add":     {bus.ErrUnknownPlugin, "did you mean Notes?"},
		"Elsewhere.x":  {bus.ErrUnknownPlugin, ""},
		"unknown":      {bus.ErrUnknownCommand, ""}, // one of its own
	} {
		_, err := c.Call(t.Context(), name, nil)
		require.ErrorIs(t, err, tt.is, name)
		assert.Equal(t, tt.hint, hint(t, err), name)
		_, err = c.Go(t.Context(), name, nil).Result(t.Context())
		require.ErrorIs(t, err, tt.is, name)
		if d := bus.NewCommand[any, any](name, ""); name != "unknown" {
			k := caller(t, c, d)
			require.ErrorIs(t, second(k.Call(t.Context(), nil)), tt.is, name)
			require.ErrorIs(t, second(k.Go(t.Context(), nil).Result(t.Context())), tt.is, name)
		}
	}
	_, err := c.Call(t.Context(), "Notes.ad", nil)
	assert.Contains(t, err.Error(), "Command does not exist", "the vendor's text")
	require.NoError(t, a.RegisterCommand("ad", func(context.Context, any) (any, error) { return 1, nil }))
	_, err = c.Call(t.Context(), "Notes.ad", nil)
	require.NoError(t, err, "a command may come later")
}

func TestDuplicateCommand(t *testing.T) {
	b := bus.New(nil)
	a := notes(t, b)
	err := bus.HandleAsync(a, addNote, func(context.Context, note, *bus.Deferred[int]) {})
	require.ErrorIs(t, err, bus.ErrDuplicate)
	assert.Contains(t, err.Error(), "Notes.add")
	require.ErrorIs(t, a.RegisterCommand("add", func(context.Context, any) (any, error) { return nil, nil }), bus.ErrDuplicate)
	out, err := a.Call(t.Context(), "add", note{N: 4})
	require.NoError(t, err)
	assert.Equal(t, 5, out, "the first handler answers")
}

func TestDuplicatePlugin(t *testing.T) {
	b := bus.New(nil)
	register(t, b, "A")
	c, err := b.Register("A")
	require.ErrorIs(t, err, bus.ErrNameTaken)
	assert.Nil(t, c)
	assert.Contains(t, err.Error(), "Name is already taken")
	register(t, b, "a") // names are case-sensitive
}

func TestPanicsInCommandsBecomeErrors(t *testing.T) {
	for name, boom := range map[string]func(){
		"value": func() { panic("boom") },
		"error": func() { panic(errOops) },
		"nil":   func() { panic(nil) }, //nolint:govet // what happens then is the question
	} {
		t.Run(name, func(t *testing.T) {
			l := &logs{}
			b := bus.New(&bus.Options{Logger: newLogger(l)})
			a, c := readyClient(t, b, "A"), register(t, b, "C")
			require.NoError(t, a.RegisterCommand("plain", func(context.Context, any) (any, error) { boom(); return nil, nil }))
			require.NoError(t, bus.HandleAsync(a, bus.NewCommand[any, any]("A.async", ""), func(context.Context, any, *bus.Deferred[any]) { boom() }))
			for _, command := range []string{"A.plain", "A.async"} {
				for _, ctx := range []context.Context{t.Context(), context.Background()} {
					for _, err := range []error{second(c.Call(ctx, command, nil)), second(c.Go(ctx, command, nil).Result(t.Context()))} {
						require.ErrorIs(t, err, bus.ErrPanic)
						assert.Contains(t, err.Error(), command)
						if name == "error" {
							require.ErrorIs(t, err, errOops)
						}
					}
				}
			}
			found := l.find("command handler panicked")
			require.Len(t, found, 8)
			assert.Contains(t, found[0]["stack"], "command_test.go")
			require.NoError(t, b.Close(t.Context()), "nothing counts as running")
		})
	}
}

// A handler that panics after it settled changes nothing for the caller.
func TestPanicAfterSettlement(t *testing.T) {
	b := bus.New(nil)
	a, c := readyClient(t, b, "A"), register(t, b, "C")
	require.NoError(t, bus.HandleAsync(a, bus.NewCommand[any, int]("A.x", ""), func(_ context.Context, _ any, d *bus.Deferred[int]) {
		d.Resolve(1)
		panic("boom")
	}))
	out, err := c.Call(t.Context(), "A.x", nil)
	require.NoError(t, err)
	assert.Equal(t, 1, out)
}

func TestGoexitInCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		a, c := register(t, b, "A"), register(t, b, "C")
		require.NoError(t, a.RegisterCommand("plain", func(context.Context, any) (any, error) { runtime.Goexit(); return nil, nil }))
		require.NoError(t, bus.HandleAsync(a, bus.NewCommand[any, any]("A.async", ""), func(context.Context, any, *bus.Deferred[any]) { runtime.Goexit() }))
		buffered := c.Go(t.Context(), "A.async", nil)
		apart(a.Ready)
		require.ErrorIs(t, second(buffered.Result(t.Context())), bus.ErrPanic)
		a.Ready()
		require.ErrorIs(t, second(c.Go(t.Context(), "A.plain", nil).Result(t.Context())), bus.ErrPanic)
		apart(func() { _, _ = c.Call(t.Context(), "A.plain", nil) })
		apart(func() { c.Go(t.Context(), "A.async", nil) })
		require.NoError(t, b.Close(t.Context()), "nothing counts as running")
	})
}

// A plain handler may overlap itself.
func TestPlainHandlersOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		a, c := readyClient(t, b, "A"), register(t, b, "C")
		meet := make(chan int)
		require.NoError(t, bus.Handle(a, bus.NewCommand[int, int]("A.x", ""), func(_ context.Context, in int) (int, error) {
			if in == 0 {
				return <-meet, nil
			}
			meet <- in
			return in, nil
		}))
		f, g := c.Go(t.Context(), "A.x", 0), c.Go(t.Context(), "A.x", 7)
		out, err := f.Result(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 7, out)
		require.NoError(t, second(g.Result(t.Context())))
	})
}

// Commands that one caller starts with Go reach an async handler in that order,
// in the caller's goroutine.
func TestGoKeepsOrderOnAsyncHandlers(t *testing.T) {
	b := bus.New(nil)
	a, c := readyClient(t, b, "A"), register(t, b, "C")
	var got []int // no lock: the handler runs in this goroutine
	var tokens []*bus.Deferred[int]
	d := bus.NewCommand[int, int]("A.x", "")
	require.NoError(t, bus.HandleAsync(a, d, func(_ context.Context, in int, d *bus.Deferred[int]) {
		got, tokens = append(got, in), append(tokens, d)
	}))
	k := caller(t, c, d)
	var fs []*bus.Future[int]
	for i := range 100 {
		fs = append(fs, k.Go(t.Context(), i))
	}
	assert.Equal(t, numbers(100), got)
	for i := range tokens {
		tokens[99-i].Resolve(99 - i)
	}
	for i, f := range fs {
		out, err := f.Result(t.Context())
		require.NoError(t, err)
		assert.Equal(t, i, out)
	}
}

func TestFirstSettlementWins(t *testing.T) {
	b := bus.New(nil)
	a, c := readyClient(t, b, "A"), register(t, b, "C")
	var token *bus.Deferred[int]
	d := bus.NewCommand[int, int]("A.x", "")
	require.NoError(t, bus.HandleAsync(a, d, func(_ context.Context, _ int, d *bus.Deferred[int]) { token = d }))
	f := caller(t, c, d).Go(t.Context(), 1)
	assert.True(t, token.Resolve(1))
	assert.False(t, token.Resolve(2))
	assert.False(t, token.Reject(errOops))
	<-token.Done()
	<-f.Done()
	out, err := f.Result(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 1, out)
	f = caller(t, c, d).Go(t.Context(), 1)
	assert.True(t, token.Reject(nil))
	require.EqualError(t, second(f.Result(t.Context())), "rejected without a reason")
}

func TestResultHonoursItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		a, c := readyClient(t, b, "A"), register(t, b, "C")
		var token *bus.Deferred[int]
		var hctx context.Context
		d := bus.NewCommand[int, int]("A.x", "")
		require.NoError(t, bus.HandleAsync(a, d, func(ctx context.Context, _ int, d *bus.Deferred[int]) { hctx, token = ctx, d }))
		f := caller(t, c, d).Go(t.Context(), 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := f.Result(ctx)
		require.ErrorIs(t, err, bus.ErrTimeout)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, second(f.Result(ctx)), bus.ErrCancelled)
		require.NoError(t, hctx.Err(), "the command goes on")
		token.Resolve(3)
		out, err := f.Result(ctx)
		require.NoError(t, err, "a settled result is there whatever the context")
		assert.Equal(t, 3, out)
	})
}

// Call waits for an async handler no longer than its context lives.
func TestCallTimesOutOnAsyncHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		a, c := readyClient(t, b, "A"), register(t, b, "C")
		var hctx context.Context
		require.NoError(t, bus.HandleAsync(a, bus.NewCommand[any, any]("A.never", ""), func(ctx context.Context, _ any, _ *bus.Deferred[any]) { hctx = ctx }))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := c.Call(ctx, "A.never", nil)
		require.ErrorIs(t, err, bus.ErrTimeout)
		assert.Equal(t, time.Second, time.Since(start))
		require.ErrorIs(t, hctx.Err(), context.DeadlineExceeded)
		f := c.Go(t.Context(), "A.never", nil)
		require.NoError(t, b.Unload(t.Context(), "A"))
		require.ErrorIs(t, second(f.Result(t.Context())), bus.ErrStopped, "a forgotten token ends with its plugin")
	})
}

func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		a, c := register(t, b, "A"), register(t, b, "C")
		d := bus.NewCommand[int, string]("A.x", "")
		require.NoError(t, bus.HandleAsync(a, d, func(_ context.Context, n int, d *bus.Deferred[string]) {
			go func() {
				for i := range n {
					d.Notify(i)
					time.Sleep(time.Second)
				}
				d.Resolve("done")
				d.Notify("too late")
			}()
		}))
		early := caller(t, c, d).Go(t.Context(), 5)
		a.Ready()
		late := c.Go(t.Context(), "A.x", 5)
		for name, progress := range map[string]func(func(any) bool){
			"buffered": early.Progress(t.Context()),
			"by name":  late.Progress(t.Context()),
			"again":    late.Progress(t.Context()),
		} {
			var got []int
			for v := range progress {
				got = append(got, v.(int))
			}
			assert.Equal(t, numbers(5), got, name)
		}
		out, err := early.Result(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "done", out)
		// The last 64 values are kept for who comes late.
		f := c.Go(t.Context(), "A.x", 100)
		<-f.Done()
		var got []int
		for v := range f.Progress(t.Context()) {
			if got = append(got, v.(int)); len(got) == 10 {
				break
			}
		}
		assert.Equal(t, numbers(46)[36:], got)
		// It ends with its context, and with the plugin.
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		f = c.Go(t.Context(), "A.x", 3)
		n := 0
		for range f.Progress(ctx) {
			n++
		}
		assert.Equal(t, 2, n)
		<-f.Done()
	})
}

func TestProgressEndsWithThePlugin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		a, c := readyClient(t, b, "A"), register(t, b, "C")
		require.NoError(t, bus.HandleAsync(a, bus.NewCommand[any, any]("A.x", ""), func(_ context.Context, _ any, d *bus.Deferred[any]) { d.Notify(1) }))
		f := c.Go(t.Context(), "A.x", nil)
		time.AfterFunc(time.Second, func() { _ = b.Close(context.Background()) })
		n := 0
		for range f.Progress(context.Background()) {
			n++
		}
		assert.Equal(t, 1, n)
		require.ErrorIs(t, second(f.Result(t.Context())), bus.ErrClosed)
	})
}

// A future may be waited for from anywhere, any number of times.
func TestFutureIsShared(t *testing.T) {
	b := bus.New(nil)
	a, c := readyClient(t, b, "A"), register(t, b, "C")
	var token *bus.Deferred[any]
	require.NoError(t, bus.HandleAsync(a, bus.NewCommand[any, any]("A.x", ""), func(_ context.Context, _ any, d *bus.Deferred[any]) { token = d }))
	f := c.Go(t.Context(), "A.x", nil)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			out, err := f.Result(context.Background())
			assert.NoError(t, err)
			assert.Equal(t, 1, out)
		})
		wg.Go(func() { <-f.Done() })
	}
	won := 0
	var mu sync.Mutex
	for range 8 {
		wg.Go(func() {
			if token.Resolve(1) {
				mu.Lock()
				defer mu.Unlock()
				won++
			}
		})
	}
	wg.Wait()
	assert.Equal(t, 1, won)
}

func TestCommandsFromManyCallers(t *testing.T) {
	b := bus.New(nil)
	notes(t, b)
	var wg sync.WaitGroup
	for i := range 8 {
		c := register(t, b, "C"+strconv.Itoa(i))
		k := caller(t, c, addNote)
		wg.Go(func() {
			for n := range 500 {
				out, err := k.Call(t.Context(), note{N: n})
				assert.NoError(t, err)
				assert.Equal(t, n+1, out)
				named, err := c.Call(context.Background(), "Notes.add", note{N: n})
				assert.NoError(t, err)
				assert.Equal(t, n+1, named)
			}
		})
	}
	wg.Wait()
}
