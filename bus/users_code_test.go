package bus_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

// Code of users that goes wrong, in places that are easily forgotten.

// trap is a payload whose JSON method does what the test says.
type trap struct{ N int }

// traps is what UnmarshalJSON does, by the text that it gets.
var traps = map[string]func(){
	`"panic"`:  func() { panic("on purpose") },
	`"goexit"`: runtime.Goexit,
}

func (v *trap) UnmarshalJSON(raw []byte) error {
	if f := traps[string(raw)]; f != nil {
		f()
	}
	return json.Unmarshal(raw, &v.N)
}

var (
	trapped   = bus.NewEvent[trap]("Notes.trapped", "")
	springing = bus.NewCommand[trap, int]("Notes.spring", "")
)

func TestJSONMethodThatPanics(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		a, c := register(t, b, "Notes"), register(t, b, "C")
		// A retained value meets its type.
		require.NoError(t, a.Republish(t.Context(), "trapped", json.RawMessage(`"panic"`)))
		for range 2 {
			_, err := bus.Subscribe(c, trapped, func(context.Context, bus.Event[trap]) {})
			require.ErrorIs(t, err, bus.ErrPanic)
		}
		require.NoError(t, a.Republish(t.Context(), "trapped", json.RawMessage(`1`)))
		var got list[int]
		subscribe(t, c, trapped, func(_ context.Context, e bus.Event[trap]) { got.add(e.Data.N) })
		bind(t, a, trapped)
		require.ErrorIs(t, a.Publish(t.Context(), "trapped", json.RawMessage(`"panic"`)), bus.ErrPanic)
		require.ErrorIs(t, a.Republish(t.Context(), "trapped", json.RawMessage(`"panic"`)), bus.ErrPanic)
		require.NoError(t, a.Publish(t.Context(), "trapped", json.RawMessage(`2`)))
		require.NoError(t, c.Flush(t.Context()))
		assert.Equal(t, []int{1, 2}, got.get())

		// A command that waits is decoded when its plugin becomes ready.
		require.NoError(t, bus.Handle(a, springing, func(_ context.Context, in trap) (int, error) { return in.N, nil }))
		waiting, other := c.Go(t.Context(), "Notes.spring", json.RawMessage(`"panic"`)), c.Go(t.Context(), "Notes.late", json.RawMessage(`"panic"`))
		require.NoError(t, bus.Handle(a, bus.NewCommand[trap, int]("Notes.late", ""), func(_ context.Context, in trap) (int, error) { return in.N, nil }))
		a.Ready()
		for _, f := range []*bus.Future[any]{waiting, other} {
			_, err := f.Result(t.Context())
			require.ErrorIs(t, err, bus.ErrPanic)
		}
		out, err := c.Call(t.Context(), "Notes.spring", json.RawMessage(`3`))
		require.NoError(t, err)
		assert.Equal(t, 3, out)
		_, err = bus.Before(c, springing, func(context.Context, *bus.Call[trap]) error { return nil })
		require.NoError(t, err)
		_, err = c.Call(t.Context(), "Notes.spring", json.RawMessage(`"panic"`))
		require.ErrorIs(t, err, bus.ErrPanic)
	})
}

// A command whose plugin is loaded runs in a goroutine of the bus.
func TestJSONMethodBehindALoader(t *testing.T) {
	loader := func(_ context.Context, b *bus.Bus, ns string) error {
		a, err := b.Register(ns)
		if err != nil {
			return err
		}
		defer a.Ready()
		return bus.Handle(a, springing, func(_ context.Context, in trap) (int, error) { return in.N, nil })
	}
	for _, what := range []string{`"panic"`, `"goexit"`} {
		bubble(t, &bus.Options{Loader: loader}, func(t *testing.T, b *bus.Bus) {
			_, err := register(t, b, "C").Go(t.Context(), "Notes.spring", json.RawMessage(what)).Result(t.Context())
			require.ErrorIs(t, err, bus.ErrPanic, what)
		})
	}
}

// A JSON method may use the bus, and may end its goroutine: nothing is locked while it runs.
func TestJSONMethodRunsUnderNoLock(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		a, c := register(t, b, "Notes"), register(t, b, "C")
		traps[`"publish"`] = func() {
			assert.NoError(t, a.Publish(a.Context(), "trapped", json.RawMessage(`7`)))
			assert.NoError(t, a.Publish(a.Context(), "other", 1))
			_, err := c.Subscribe("Notes.trapped", func(context.Context, bus.Event[any]) {})
			assert.NoError(t, err)
		}
		defer delete(traps, `"publish"`)
		require.NoError(t, a.Republish(t.Context(), "trapped", json.RawMessage(`"publish"`)))
		var err error
		apart(func() { _, err = bus.Subscribe(c, trapped, func(context.Context, bus.Event[trap]) {}) })
		require.Error(t, err, "publish is no number")
		require.NoError(t, a.Republish(t.Context(), "trapped", json.RawMessage(`"goexit"`)))
		apart(func() { _, _ = bus.Subscribe(c, trapped, func(context.Context, bus.Event[trap]) {}) })
		require.NoError(t, a.Republish(t.Context(), "trapped", json.RawMessage(`1`)))
		var got list[int]
		subscribe(t, c, trapped, func(_ context.Context, e bus.Event[trap]) { got.add(e.Data.N) })
		require.NoError(t, c.Flush(t.Context()))
		assert.Equal(t, []int{1}, got.get())
	})
}

// badLog is a log handler that panics, or ends its goroutine.
type badLog struct{ f func() }

func (l badLog) Enabled(context.Context, slog.Level) bool {
	if l.f != nil {
		return true
	}
	panic("enabled")
}
func (l badLog) Handle(context.Context, slog.Record) error { l.f(); return nil }
func (l badLog) WithAttrs([]slog.Attr) slog.Handler {
	if l.f == nil {
		panic("with")
	}
	return l
}
func (l badLog) WithGroup(string) slog.Handler { return l }

func TestLogHandlerThatGoesWrong(t *testing.T) {
	for name, f := range map[string]func(){"panic": func() { panic("log") }, "goexit": runtime.Goexit, "nothing works": nil} {
		t.Run(name, func(t *testing.T) {
			bubble(t, &bus.Options{Logger: slog.New(badLog{f})}, func(t *testing.T, b *bus.Bus) {
				a, c := register(t, b, "Notes"), register(t, b, "C")
				p := bind(t, a, noteAdded)
				var calls atomic.Int32
				subscribe(t, c, noteAdded, func(context.Context, bus.Event[note]) { calls.Add(1); panic("handler") })
				subscribe(t, c, noteAdded, func(context.Context, bus.Event[note]) { calls.Add(1); panic("handler") }, bus.Inline())
				late := c.Go(t.Context(), "Notes.add", nil)
				for range 3 {
					require.NoError(t, p.Publish(t.Context(), note{}))
				}
				require.NoError(t, c.Flush(t.Context()))
				assert.EqualValues(t, 6, calls.Load())
				require.NoError(t, bus.Handle(a, addNote, func(context.Context, note) (int, error) { panic("command") }))
				a.Ready()
				_, err := late.Result(t.Context())
				require.ErrorIs(t, err, bus.ErrPanic)
				if f != nil {
					apart(func() { c.Logger().Info("from the plugin") })
				}
			})
		})
	}
}

// hostPlugin does in Start and Stop what the test says.
type hostPlugin struct {
	ns    string
	start func(ctx context.Context, c *bus.Client) error
	stop  func(ctx context.Context) error
}

func (p *hostPlugin) Namespace() string { return p.ns }
func (p *hostPlugin) Start(ctx context.Context, c *bus.Client) error {
	if p.start == nil {
		return nil
	}
	return p.start(ctx, c)
}
func (p *hostPlugin) Stop(ctx context.Context) error {
	if p.stop == nil {
		return nil
	}
	return p.stop(ctx)
}

type badNames struct{ hostPlugin }

func (badNames) Requires() []string { panic("requires") }

func TestStartThatEndsItsGoroutine(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		err := b.Start(t.Context(), &hostPlugin{ns: "P", start: func(_ context.Context, c *bus.Client) error {
			assert.NoError(t, c.RegisterCommand("x", func(context.Context, any) (any, error) { return nil, nil }))
			runtime.Goexit()
			return nil
		}})
		require.ErrorIs(t, err, bus.ErrStart)
		require.ErrorIs(t, err, bus.ErrPanic)
		require.ErrorContains(t, err, "Start ended its goroutine")
		_, err = register(t, b, "P").Call(t.Context(), "x", nil)
		require.ErrorIs(t, err, bus.ErrUnknownCommand, "the name is free and nothing is left")
		require.ErrorIs(t, b.Start(t.Context(), &badNames{}), bus.ErrPanic)
	})
}

// A handler that ends the goroutine of Ready leaves no plugin half ready.
func TestReadyGoesOnAfterGoexit(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		a, c := register(t, b, "Notes"), register(t, b, "C")
		require.NoError(t, bus.HandleAsync(a, addNote, func(_ context.Context, in note, d *bus.Deferred[int]) {
			if in.N == 0 {
				runtime.Goexit()
			}
			d.Resolve(in.N)
		}))
		first, second := c.Go(t.Context(), "Notes.add", note{}), c.Go(t.Context(), "Notes.add", note{N: 2})
		apart(a.Ready)
		_, err := first.Result(t.Context())
		require.ErrorIs(t, err, bus.ErrPanic)
		n, err := second.Result(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 2, n)
		_, err = c.WaitFor(t.Context(), "Notes.ready", nil)
		require.NoError(t, err)
	})
}

// Observers are told of a call whose hook or handler has ended the goroutine.
func TestObserversAreToldOfGoexit(t *testing.T) {
	for _, where := range []string{"hook", "handler", "started"} {
		bubble(t, nil, func(t *testing.T, b *bus.Bus) {
			a, c := readyClient(t, b, "Notes"), register(t, b, "C")
			require.NoError(t, bus.Handle(a, addNote, func(context.Context, note) (int, error) {
				if where == "handler" {
					runtime.Goexit()
				}
				return 1, nil
			}))
			var records list[bus.Record]
			_, err := c.Observe("Notes.add", func(_ context.Context, r bus.Record) { records.add(r) })
			require.NoError(t, err)
			incident := subscribeIncidents(t, c)
			_, err = c.Before("Notes.add", func(context.Context, *bus.Call[any]) error {
				if where != "handler" {
					runtime.Goexit()
				}
				return nil
			})
			require.NoError(t, err)
			apart(func() {
				if where == "started" {
					c.Go(t.Context(), "Notes.add", nil)
				} else {
					_, _ = c.Call(t.Context(), "Notes.add", nil)
				}
			})
			synctest.Wait()
			require.Equal(t, 1, records.len(), where)
			assert.ErrorIs(t, records.get()[0].Err, bus.ErrPanic)
			assert.Equal(t, 1, incident.len(), where)
		})
	}
}

func subscribeIncidents(t *testing.T, c *bus.Client) *list[bus.Incident] {
	t.Helper()
	var l list[bus.Incident]
	subscribe(t, c, bus.HandlerPanicked, func(_ context.Context, e bus.Event[bus.Incident]) { l.add(e.Data) })
	return &l
}

// Waits that would be for oneself.

func TestStopThatUnloadsItself(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		for name, in := range map[string]func(ctx context.Context) error{
			"unload":     func(ctx context.Context) error { return b.Unload(ctx, "P") },
			"by a child": func(ctx context.Context) error { return b.Unload(context.WithValue(ctx, spanKey{}, "x"), "P") },
		} {
			require.NoError(t, b.Start(t.Context(), &hostPlugin{ns: "P", stop: in}), name)
			start := time.Now()
			require.NoError(t, b.Unload(context.Background(), "P"), name)
			assert.Zero(t, time.Since(start), name)
		}
	})
}

func TestStopThatCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, byClose := range []bool{false, true} {
			b := bus.New(nil)
			var inner error
			p := &hostPlugin{ns: "P", stop: func(ctx context.Context) error { inner = b.Close(ctx); return nil }}
			require.NoError(t, b.Start(t.Context(), p, &hostPlugin{ns: "Q"}))
			start := time.Now()
			if byClose {
				require.NoError(t, b.Close(context.Background()))
				require.ErrorIs(t, inner, bus.ErrSelfWait)
			} else {
				require.NoError(t, b.Unload(context.Background(), "P"))
				require.NoError(t, inner)
				require.NoError(t, b.Close(context.Background()))
			}
			assert.Zero(t, time.Since(start))
		}
	})
}

func TestStopsThatUnloadEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, together := range []bool{false, true} {
			b := bus.New(nil)
			unload := func(ns string) func(context.Context) error {
				return func(ctx context.Context) error {
					time.Sleep(time.Second)
					return b.Unload(ctx, ns)
				}
			}
			require.NoError(t, b.Start(t.Context(), &hostPlugin{ns: "P", stop: unload("Q")}, &hostPlugin{ns: "Q", stop: unload("P")}))
			start := time.Now()
			if together {
				errs := make(chan error, 2)
				go func() { errs <- b.Unload(context.Background(), "P") }()
				go func() { errs <- b.Unload(context.Background(), "Q") }()
				require.ErrorIs(t, errors.Join(<-errs, <-errs), bus.ErrTimeout, "whoever gives up first lets the other end")
			} else {
				require.NoError(t, b.Close(context.Background()))
			}
			assert.LessOrEqual(t, time.Since(start), 10*time.Second)
			require.NoError(t, b.Close(context.Background()))
		}
	})
}

func TestLoaderThatCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var inner error
		b := bus.New(&bus.Options{Loader: func(ctx context.Context, b *bus.Bus, ns string) error {
			if ns == "Self" {
				c, err := b.Register("Other")
				if err != nil {
					return err
				}
				_, err = c.Call(ctx, "Self.x", nil)
				return err
			}
			inner = b.Close(ctx)
			return nil
		}})
		c := register(t, b, "C")
		_, err := c.Call(t.Context(), "Self.x", nil)
		require.ErrorIs(t, err, bus.ErrUnknownPlugin)
		require.ErrorIs(t, err, bus.ErrSelfWait)
		start := time.Now()
		_, err = c.Call(t.Context(), "Closing.x", nil)
		require.ErrorIs(t, err, bus.ErrClosed)
		require.NoError(t, b.Close(context.Background()))
		require.NoError(t, inner)
		assert.Zero(t, time.Since(start))
	})
}

// A loader that does not end with its context is not waited for without end.
func TestCloseLeavesAHungLoader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		b := bus.New(&bus.Options{Loader: func(context.Context, *bus.Bus, string) error { <-release; return nil }})
		register(t, b, "C").Go(t.Context(), "Late.x", nil)
		synctest.Wait()
		err := b.Close(context.Background())
		require.ErrorIs(t, err, bus.ErrTimeout)
		require.ErrorContains(t, err, "the loader of Late")
		close(release)
	})
}

// Two mailboxes that answer each event with another come to an end with their plugins.
func TestCloseEndsAPingPong(t *testing.T) {
	for _, how := range []string{"close", "unload", "itself"} {
		synctest.Test(t, func(t *testing.T) {
			b := bus.New(nil)
			a, c := register(t, b, "Ping"), register(t, b, "Pong")
			toC, toA := bind(t, a, ping), bind(t, c, pong)
			var last error
			subscribe(t, c, ping, func(ctx context.Context, e bus.Event[int]) {
				if err := toA.Publish(ctx, e.Data+1); err != nil {
					last = err
				}
			})
			if how == "itself" {
				subscribe(t, a, ping, func(ctx context.Context, e bus.Event[int]) { last = toC.Publish(ctx, e.Data+1) })
			} else {
				subscribe(t, a, pong, func(ctx context.Context, e bus.Event[int]) {
					if err := toC.Publish(ctx, e.Data+1); err != nil {
						last = err
					}
				})
			}
			require.NoError(t, toC.Publish(t.Context(), 0))
			if how == "unload" {
				require.NoError(t, b.Unload(context.Background(), "Ping"))
			}
			require.NoError(t, b.Close(context.Background()))
			if how != "unload" {
				require.ErrorIs(t, last, bus.ErrClosed, how)
			}
		})
	}
}

// Inline subscribers and commands that call each other in a circle get an error; the process lives on.
func TestEndlessRecursion(t *testing.T) {
	inProcess(t, func(t *testing.T) {
		b := bus.New(nil)
		a, c := readyClient(t, b, "Ping"), readyClient(t, b, "Pong")
		toC, toA := bind(t, a, ping), bind(t, c, pong)
		var errs list[error]
		keep := func(err error) {
			if err != nil {
				errs.add(err)
			}
		}
		for name, ctxOf := range map[string]func(ctx context.Context) context.Context{
			"handler's":  func(ctx context.Context) context.Context { return ctx },
			"background": func(context.Context) context.Context { return context.Background() },
		} {
			one := subscribe(t, c, ping, func(ctx context.Context, e bus.Event[int]) { keep(toA.Publish(ctxOf(ctx), e.Data+1)) }, bus.Inline())
			two := subscribe(t, a, pong, func(ctx context.Context, e bus.Event[int]) { keep(toC.Publish(ctxOf(ctx), e.Data+1)) }, bus.Inline())
			errs = list[error]{}
			require.NoError(t, toC.Publish(t.Context(), 0))
			require.Equal(t, 1, errs.len(), name)
			require.ErrorIs(t, errs.get()[0], bus.ErrTooDeep, name)
			one.Unsubscribe()
			two.Unsubscribe()
		}
		for i, own := range []*bus.Client{a, c} {
			other := []string{"Pong.call", "Ping.call"}[i]
			require.NoError(t, own.RegisterCommand("call", func(_ context.Context, in any) (any, error) {
				return own.Call(context.Background(), other, in)
			}))
		}
		_, err := a.Call(context.Background(), "Pong.call", 1)
		require.ErrorIs(t, err, bus.ErrTooDeep)
	})
}

// Loud by default.

func TestLoudByDefault(t *testing.T) {
	was := slog.Default()
	defer slog.SetDefault(was)
	log := &logs{}
	slog.SetDefault(newLogger(log))
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		p := bind(t, register(t, b, "Notes"), noteAdded)
		c := register(t, b, "C")
		subscribe(t, c, noteAdded, func(context.Context, bus.Event[note]) { panic("on purpose") })
		require.NoError(t, p.Publish(t.Context(), note{}))
		require.NoError(t, c.Flush(t.Context()))
	})
	require.Len(t, log.find("subscriber panicked"), 1)
	assert.Equal(t, "on purpose", log.find("subscriber panicked")[0]["panic"])
	slog.SetDefault(was)
	bubble(t, &bus.Options{Logger: slog.New(slog.DiscardHandler)}, func(t *testing.T, b *bus.Bus) {
		subscribe(t, register(t, b, "C"), noteAdded, func(context.Context, bus.Event[note]) { panic("nobody hears this") })
		require.NoError(t, bind(t, register(t, b, "Notes"), noteAdded).Publish(t.Context(), note{}))
	})
	assert.Len(t, log.find("subscriber panicked"), 1)
}

func TestShortNamesThatAreFullOnes(t *testing.T) {
	log := &logs{}
	bubble(t, &bus.Options{Logger: newLogger(log)}, func(t *testing.T, b *bus.Bus) {
		a := register(t, b, "A")
		register(t, b, "B")
		for what, err := range map[string]error{
			"publish":         a.Publish(t.Context(), "A.ev", nil),
			"publish direct":  a.PublishDirect(t.Context(), "A.ev", nil),
			"republish":       a.Republish(t.Context(), "A.ev", nil),
			"register events": a.RegisterEvents("A.ev"),
		} {
			require.ErrorIs(t, err, bus.ErrBadName, what)
			assert.Contains(t, hint(t, err), `"ev"`, what)
		}
		require.NoError(t, a.Publish(t.Context(), "C.ev", nil))
		assert.Empty(t, log.find("the short name of an event begins with the namespace of another plugin"))
		require.NoError(t, a.Republish(t.Context(), "B.ev", nil))
		require.NoError(t, a.Republish(t.Context(), "B.ev", nil))
		found := log.find("the short name of an event begins with the namespace of another plugin")
		require.Len(t, found, 1)
		assert.Equal(t, "A.B.ev", found[0]["event"])
	})
}

func TestNotReadySaysWhatToDo(t *testing.T) {
	bubble(t, &bus.Options{BufferLimit: 1}, func(t *testing.T, b *bus.Bus) {
		register(t, b, "A")
		c := register(t, b, "C")
		late := c.Go(t.Context(), "A.x", nil)
		_, err := c.Call(t.Context(), "A.x", nil)
		require.ErrorIs(t, err, bus.ErrNotReady)
		assert.Contains(t, hint(t, err), "call Ready on the client of A")
		_, err = late.Result(t.Context())
		require.ErrorIs(t, err, bus.ErrNotReady)
		assert.Contains(t, hint(t, err), "call Ready on the client of A")
		go func() {
			assert.NoError(t, b.Start(t.Context(), &hostPlugin{ns: "P", start: func(context.Context, *bus.Client) error {
				time.Sleep(time.Hour)
				return nil
			}}))
		}()
		synctest.Wait()
		_, err = c.Call(t.Context(), "P.x", nil)
		assert.Contains(t, hint(t, err), "the Start of P has not returned")
		time.Sleep(time.Hour)
	})
}
