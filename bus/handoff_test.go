package bus_test

import (
	"context"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

// goroutine names the goroutine that calls it.
func goroutine() string {
	b := make([]byte, 64)
	b = b[:runtime.Stack(b, false)]
	return string(b[:slices.Index(b, '[')])
}

// The events are handled in the caller's goroutine, when the function has returned, and not before.
func TestHandoff(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		notes := register(t, b, "Notes")
		added := bind(t, notes, noteAdded)
		var got list[string]
		subscribe(t, register(t, b, "C"), noteAdded, func(_ context.Context, e bus.Event[note]) {
			got.add(strconv.Itoa(e.Data.N) + " " + goroutine())
		})
		bus.Handoff(notes.Context(), func(context.Context) {}) // there is nothing
		here := goroutine()
		for _, ctx := range []context.Context{notes.Context(), t.Context(), context.Background()} {
			before := got.len()
			bus.Handoff(ctx, func(ctx context.Context) {
				require.NoError(t, added.Publish(ctx, note{N: 1}))
				require.NoError(t, notes.Publish(ctx, "added", note{N: 2}))
				synctest.Wait()
				assert.Equal(t, before, got.len())
			})
			assert.Equal(t, []string{"1 " + here, "2 " + here}, got.get()[before:])
		}
	})
}

// A second mailbox gets a goroutine at once: no plugin waits for the handlers of another.
func TestHandoffWakesSeveral(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		notes := register(t, b, "Notes")
		added := bind(t, notes, noteAdded)
		var got list[string]
		hold, here := make(chan struct{}), goroutine()
		for _, name := range []string{"A", "B", "C"} {
			subscribe(t, register(t, b, name), noteAdded, func(context.Context, bus.Event[note]) {
				got.add(name + strconv.FormatBool(goroutine() == here))
				if name != "A" {
					<-hold
				}
			})
		}
		bus.Handoff(notes.Context(), func(ctx context.Context) {
			require.NoError(t, added.Publish(ctx, note{}))
			synctest.Wait()
			assert.ElementsMatch(t, []string{"Bfalse", "Cfalse"}, got.get(), "they have not waited for the function either")
		})
		assert.ElementsMatch(t, []string{"Atrue", "Bfalse", "Cfalse"}, got.get())
		close(hold)
	})
}

// handoffWorld is a handoff in whose function a mailbox has woken.
type handoffWorld struct {
	*testing.T
	b        *bus.Bus
	notes, c *bus.Client
	added    *bus.Publisher[note]
	ctx      context.Context // of the handoff
	handled  chan string     // the goroutine of each event that the mailbox has handled
}

// handoff calls f in the function of a handoff, in which a mailbox has woken.
func handoff(t *testing.T, opts *bus.Options, f func(w *handoffWorld)) {
	t.Helper()
	bubble(t, opts, func(t *testing.T, b *bus.Bus) {
		w := &handoffWorld{T: t, b: b, notes: readyClient(t, b, "Notes"), c: register(t, b, "C"), handled: make(chan string, 16)}
		w.added = bind(t, w.notes, noteAdded)
		subscribe(t, w.c, noteAdded, func(context.Context, bus.Event[note]) { w.handled <- goroutine() })
		bus.Handoff(w.notes.Context(), func(ctx context.Context) {
			w.ctx = ctx
			require.NoError(t, w.added.Publish(ctx, note{}))
			f(w)
		})
	})
}

// wait waits for what the handler does, and requires that it got its goroutine at once.
func (w *handoffWorld) wait() {
	start := time.Now()
	<-w.handled
	assert.Zero(w, time.Since(start))
}

// Whoever waits in the function for what the handlers do, by way of the bus or not, does not wait for itself.
func TestHandoffDoesNotWaitForItself(t *testing.T) {
	derived := func(ctx context.Context) context.Context {
		ctx, cancel := context.WithTimeout(ctx, time.Hour)
		_ = cancel // with the bubble
		type key struct{}
		return context.WithValue(ctx, key{}, "value") // any context
	}
	same := func(ctx context.Context) context.Context { return ctx }
	for name, wait := range map[string]func(w *handoffWorld, ctx context.Context){
		"Call": func(w *handoffWorld, ctx context.Context) {
			require.NoError(w, bus.Handle(w.notes, addNote, func(context.Context, note) (int, error) { w.wait(); return 1, nil }))
			_, err := caller(w, w.c, addNote).Call(ctx, note{})
			require.NoError(w, err)
		},
		"CallByName": func(w *handoffWorld, ctx context.Context) {
			require.NoError(w, bus.Handle(w.notes, addNote, func(context.Context, note) (int, error) { w.wait(); return 1, nil }))
			_, err := w.c.Call(ctx, "Notes.add", note{})
			require.NoError(w, err)
		},
		"CallWithHook": func(w *handoffWorld, ctx context.Context) {
			require.NoError(w, bus.Handle(w.notes, addNote, func(context.Context, note) (int, error) { return 1, nil }))
			_, err := bus.Before(w.c, addNote, func(context.Context, *bus.Call[note]) error { w.wait(); return nil })
			require.NoError(w, err)
			_, err = caller(w, w.c, addNote).Call(ctx, note{})
			require.NoError(w, err)
		},
		"CallOfAPluginThatIsNotReady": func(w *handoffWorld, ctx context.Context) {
			late := register(w, w.b, "Late")
			require.NoError(w, late.RegisterCommand("do", func(context.Context, any) (any, error) { return nil, nil }))
			go func() { w.wait(); late.Ready() }()
			_, err := w.c.Call(ctx, "Late.do", nil)
			require.NoError(w, err)
		},
		"Result": func(w *handoffWorld, ctx context.Context) {
			require.NoError(w, bus.HandleAsync(w.notes, addNote, func(_ context.Context, _ note, d *bus.Deferred[int]) {
				go func() { w.wait(); d.Resolve(1) }()
			}))
			_, err := caller(w, w.c, addNote).Go(context.Background(), note{}).Result(ctx)
			require.NoError(w, err)
		},
		"Progress": func(w *handoffWorld, ctx context.Context) {
			require.NoError(w, bus.HandleAsync(w.notes, addNote, func(_ context.Context, _ note, d *bus.Deferred[int]) {
				go func() { w.wait(); d.Notify("half"); d.Resolve(1) }()
			}))
			for range caller(w, w.c, addNote).Go(context.Background(), note{}).Progress(ctx) {
			}
		},
		"WaitFor": func(w *handoffWorld, ctx context.Context) {
			go func() { w.wait(); assert.NoError(w, w.notes.Publish(context.Background(), "later", 0)) }()
			_, err := w.c.WaitFor(ctx, "Notes.later", nil)
			require.NoError(w, err)
		},
		"Events": func(w *handoffWorld, ctx context.Context) {
			events, err := w.c.Events(ctx, "Notes.later", bus.Once())
			require.NoError(w, err)
			go func() { w.wait(); assert.NoError(w, w.notes.Publish(context.Background(), "later", 0)) }()
			for range events {
			}
		},
		"Flush": func(w *handoffWorld, ctx context.Context) { require.NoError(w, w.c.Flush(ctx)); w.wait() },
		"FlushWithAnotherContext": func(w *handoffWorld, _ context.Context) {
			require.NoError(w, w.c.Flush(w.Context()))
			w.wait()
		},
		"UnsubscribeWait": func(w *handoffWorld, ctx context.Context) {
			var busy sync.WaitGroup
			busy.Add(1)
			s := subscribe(w, register(w, w.b, "Other"), noteGone, func(context.Context, bus.Event[note]) { busy.Done(); w.wait() })
			require.NoError(w, bind(w, w.notes, noteGone).Publish(context.Background(), note{}))
			busy.Wait()
			require.NoError(w, s.UnsubscribeWait(ctx))
		},
		"Unload": func(w *handoffWorld, ctx context.Context) { require.NoError(w, w.b.Unload(ctx, "C")); w.wait() },
		"Start": func(w *handoffWorld, ctx context.Context) {
			require.NoError(w, w.b.Start(ctx, &plugin{name: "New", start: func(context.Context, *bus.Client) error { w.wait(); return nil }}))
		},
		"Inline": func(w *handoffWorld, ctx context.Context) {
			_, err := w.c.Subscribe("Notes.plain", func(context.Context, bus.Event[any]) { w.wait() }, bus.Inline())
			require.NoError(w, err)
			require.NoError(w, w.notes.Publish(w.ctx, "plain", 0))
		},
		"InlineOfAnyType": func(w *handoffWorld, ctx context.Context) {
			_, err := w.c.Subscribe("Notes.added", func(context.Context, bus.Event[any]) { w.wait() }, bus.Inline())
			require.NoError(w, err)
			require.NoError(w, w.notes.Publish(w.ctx, "added", note{}))
		},
		"InlineOfAnUndeclaredName": func(w *handoffWorld, ctx context.Context) {
			_, err := w.c.Subscribe("Notes.*", func(_ context.Context, e bus.Event[any]) {
				if e.Name() == "Notes.once" { // and not the replay of ready
					w.wait()
				}
			}, bus.Inline())
			require.NoError(w, err)
			require.NoError(w, w.notes.Publish(w.ctx, "once", 0))
		},
		"InlineRetained": func(w *handoffWorld, ctx context.Context) {
			_, err := w.c.Subscribe("Notes.kept", func(context.Context, bus.Event[any]) { w.wait() }, bus.Inline())
			require.NoError(w, err)
			require.NoError(w, w.notes.Republish(ctx, "kept", 0))
		},
		"InlineOnceRetained": func(w *handoffWorld, _ context.Context) {
			require.NoError(w, w.notes.Republish(context.Background(), "kept", 0))
			w.notes.ClearRetained("kept")
			_, err := w.c.Subscribe("Notes.kept", func(context.Context, bus.Event[any]) { w.wait() }, bus.Inline())
			require.NoError(w, err)
			require.NoError(w, w.notes.Publish(w.ctx, "kept", 0))
		},
		"AnotherHandoff": func(w *handoffWorld, ctx context.Context) {
			bus.Handoff(ctx, func(context.Context) { w.wait() })
		},
		"AnotherPublisher": func(w *handoffWorld, _ context.Context) {
			require.NoError(w, w.added.Publish(context.Background(), note{}))
			w.wait()
			w.wait()
		},
		"AnotherGoroutine": func(w *handoffWorld, _ context.Context) {
			var done sync.WaitGroup
			done.Go(func() { assert.NoError(w, w.added.Publish(w.notes.Context(), note{})); w.wait() })
			done.Wait()
		},
		"AnotherHandoffsEvent": func(w *handoffWorld, _ context.Context) {
			bus.Handoff(w.notes.Context(), func(ctx context.Context) {
				require.NoError(w, w.added.Publish(ctx, note{}))
				w.wait()
			})
		},
	} {
		for how, change := range map[string]func(context.Context) context.Context{"Own": same, "Derived": derived} {
			t.Run(name+"/"+how, func(t *testing.T) {
				handoff(t, nil, func(w *handoffWorld) { wait(w, change(w.ctx)) })
			})
		}
	}
}

// What the bus cannot know of is bounded by time.
func TestHandoffTakesTooLong(t *testing.T) {
	for name, publish := range map[string]func(w *handoffWorld){
		"Once": func(*handoffWorld) {},
		"Again": func(w *handoffWorld) { // the timer serves each mailbox
			require.Equal(w, 10*time.Millisecond, untilHandled(w))
			time.Sleep(time.Hour)
			require.NoError(w, w.added.Publish(w.ctx, note{}))
		},
		"InAnotherGoroutine": func(w *handoffWorld) {
			require.Equal(w, 10*time.Millisecond, untilHandled(w))
			var done sync.WaitGroup
			done.Go(func() { assert.NoError(w, w.added.Publish(w.ctx, note{})) })
			done.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			handoff(t, nil, func(w *handoffWorld) {
				publish(w)
				require.Equal(w, 10*time.Millisecond, untilHandled(w))
			})
		})
	}
}

// untilHandled returns after what time the handler got a goroutine.
func untilHandled(w *handoffWorld) time.Duration {
	start := time.Now()
	<-w.handled
	return time.Since(start)
}

// A function that does not return does not take its handlers with it.
func TestHandoffSurvivesItsFunction(t *testing.T) {
	for name, end := range map[string]func(){"Panic": func() { panic("function") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, b *bus.Bus) {
				notes := register(t, b, "Notes")
				added := bind(t, notes, noteAdded)
				var got list[string]
				subscribe(t, register(t, b, "C"), noteAdded, func(context.Context, bus.Event[note]) { got.add(goroutine()) })
				var gone string
				var seen any
				done := make(chan struct{})
				go func() {
					defer close(done)
					defer func() { seen = recover() }()
					gone = goroutine()
					bus.Handoff(notes.Context(), func(ctx context.Context) {
						assert.NoError(t, added.Publish(ctx, note{}))
						end()
					})
				}()
				<-done
				synctest.Wait()
				require.Len(t, got.get(), 1)
				assert.NotEqual(t, gone, got.get()[0])
				if name == "Panic" {
					assert.Equal(t, "function", seen, "it is the caller's")
				}
			})
		})
	}
}

// Nor do handlers that do not return take anything with them but the goroutine that was handed over.
func TestHandoffSurvivesHandlers(t *testing.T) {
	for name, end := range map[string]func(){"Panic": func() { panic("handler") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			bubble(t, quiet, func(t *testing.T, b *bus.Bus) {
				notes := register(t, b, "Notes")
				added := bind(t, notes, noteAdded)
				var got list[int]
				subscribe(t, register(t, b, "C"), noteAdded, func(_ context.Context, e bus.Event[note]) {
					if got.add(e.Data.N); e.Data.N == 1 {
						end()
					}
				})
				done := make(chan struct{})
				go func() {
					defer close(done)
					bus.Handoff(notes.Context(), func(ctx context.Context) {
						assert.NoError(t, added.Publish(ctx, note{N: 1}))
						assert.NoError(t, added.Publish(ctx, note{N: 2}))
					})
				}()
				<-done
				require.NoError(t, added.Publish(t.Context(), note{N: 3}))
				synctest.Wait()
				assert.Equal(t, []int{1, 2, 3}, got.get())
			})
		})
	}
}

// Afterwards the context is an ordinary one, wherever it was kept.
func TestHandoffIsOver(t *testing.T) {
	type key struct{}
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		notes := register(t, b, "Notes")
		added := bind(t, notes, noteAdded)
		var got list[string]
		subscribe(t, register(t, b, "C"), noteAdded, func(context.Context, bus.Event[note]) { got.add(goroutine()) })
		outer, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, 1))
		var kept context.Context
		bus.Handoff(outer, func(ctx context.Context) { kept = ctx })
		require.NoError(t, added.Publish(kept, note{}))
		synctest.Wait()
		require.Len(t, got.get(), 1)
		assert.NotEqual(t, goroutine(), got.get()[0])
		assert.Equal(t, 1, kept.Value(key{}))
		cancel()
		assert.ErrorIs(t, kept.Err(), context.Canceled)
		<-kept.Done()
	})
}

// Who waits for room in a mailbox does not wait for itself; the order holds.
func TestHandoffMakesRoom(t *testing.T) {
	for name, publish := range map[string]func(notes *bus.Client, added *bus.Publisher[note], ctx context.Context, i int) error{
		"Typed": func(_ *bus.Client, added *bus.Publisher[note], ctx context.Context, i int) error {
			return added.Publish(ctx, note{N: i})
		},
		"ByName": func(notes *bus.Client, _ *bus.Publisher[note], ctx context.Context, i int) error {
			return notes.Publish(ctx, "added", note{N: i})
		},
		"Derived": func(_ *bus.Client, added *bus.Publisher[note], ctx context.Context, i int) error {
			return added.Publish(context.WithoutCancel(ctx), note{N: i})
		},
		"Alternating": func(notes *bus.Client, added *bus.Publisher[note], ctx context.Context, i int) error {
			if i%7 == 6 {
				ctx = context.WithoutCancel(ctx)
			}
			return added.Publish(ctx, note{N: i})
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, &bus.Options{MailboxSoft: 4}, func(t *testing.T, b *bus.Bus) {
				notes := register(t, b, "Notes")
				added := bind(t, notes, noteAdded)
				var got list[int]
				subscribe(t, register(t, b, "C"), noteAdded, func(_ context.Context, e bus.Event[note]) { got.add(e.Data.N) })
				want, start := make([]int, 100), time.Now()
				bus.Handoff(t.Context(), func(ctx context.Context) {
					for i := range want {
						want[i] = i
						require.NoError(t, publish(notes, added, ctx, i))
					}
				})
				synctest.Wait()
				assert.Equal(t, want, got.get())
				assert.Zero(t, time.Since(start))
			})
		})
	}
}

// The same for an event whose name nobody declared.
func TestHandoffMakesRoomForUndeclared(t *testing.T) {
	bubble(t, &bus.Options{MailboxSoft: 4}, func(t *testing.T, b *bus.Bus) {
		notes := register(t, b, "Notes")
		var got list[string]
		_, err := register(t, b, "C").Subscribe("Notes.*", func(_ context.Context, e bus.Event[any]) { got.add(e.Name()) })
		require.NoError(t, err)
		added, start := bind(t, notes, noteAdded), time.Now()
		bus.Handoff(t.Context(), func(ctx context.Context) {
			for range 4 {
				require.NoError(t, added.Publish(ctx, note{}))
			}
			require.NoError(t, notes.Publish(ctx, "undeclared", 0))
		})
		synctest.Wait()
		assert.Len(t, got.get(), 5)
		assert.Zero(t, time.Since(start))
	})
}

// Handlers do not wait for who hears inline that another mailbox is full.
func TestHandoffWithInlineIncident(t *testing.T) {
	handoff(t, &bus.Options{MailboxSoft: 1, MailboxHard: 2, SlowAfter: -1, Logger: quiet.Logger}, func(w *handoffWorld) {
		hold := make(chan struct{})
		subscribe(w, register(w, w.b, "Full"), noteGone, func(context.Context, bus.Event[note]) { <-hold })
		gone := bind(w, w.notes, noteGone)
		for range 3 {
			require.NoError(w, gone.Publish(w.notes.Context(), note{}))
			synctest.Wait()
		}
		_, err := bus.Subscribe(w.c, bus.MailboxOverflow, func(context.Context, bus.Event[bus.Incident]) { w.wait() }, bus.Inline())
		require.NoError(w, err)
		require.ErrorIs(w, gone.Publish(w.ctx, note{}), bus.ErrOverflow)
		close(hold)
	})
}

// In a handler nothing is handed over: whoever waits for that handler must not wait for others. The events belong to
// the chain of the context.
func TestHandoffInHandlers(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		notes, c := readyClient(t, b, "Notes"), register(t, b, "C")
		gone := bind(t, notes, noteGone)
		hold := make(chan struct{})
		var chains list[uint64]
		subscribe(t, register(t, b, "Slow"), noteGone, func(_ context.Context, e bus.Event[note]) {
			chains.add(e.Correlation())
			<-hold
		})
		publish := func(ctx context.Context) {
			bus.Handoff(ctx, func(ctx context.Context) { assert.NoError(t, gone.Publish(ctx, note{})) })
		}
		for name, handle := range map[string]func(){
			"Mailbox": func() {
				subscribe(t, c, noteAdded, func(ctx context.Context, _ bus.Event[note]) { publish(ctx) })
				require.NoError(t, bind(t, notes, noteAdded).Publish(t.Context(), note{}))
				require.NoError(t, c.Flush(t.Context()))
			},
			"Inline": func() {
				subscribe(t, c, noteState, func(ctx context.Context, _ bus.Event[note]) { publish(ctx) }, bus.Inline())
				require.NoError(t, bind(t, notes, noteState).Publish(t.Context(), note{}))
			},
			"Command": func() {
				var chain uint64
				require.NoError(t, bus.Handle(notes, addNote, func(ctx context.Context, _ note) (int, error) {
					chain = bus.Correlation(ctx)
					publish(ctx)
					return 0, nil
				}))
				_, err := caller(t, c, addNote).Call(t.Context(), note{})
				require.NoError(t, err)
				synctest.Wait()
				assert.NotZero(t, chain)
			},
		} {
			start := time.Now()
			handle()
			assert.Zero(t, time.Since(start), name)
			close(hold)
			synctest.Wait()
			hold = make(chan struct{})
		}
		assert.Len(t, chains.get(), 3)
		close(hold)
	})
}

// The events of a command's handoff belong to the command's chain.
func TestHandoffKeepsTheChain(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		notes, c := readyClient(t, b, "Notes"), register(t, b, "C")
		added := bind(t, notes, noteAdded)
		var chains list[uint64]
		subscribe(t, c, noteAdded, func(_ context.Context, e bus.Event[note]) { chains.add(e.Correlation()) })
		require.NoError(t, bus.Handle(notes, addNote, func(ctx context.Context, _ note) (int, error) {
			chains.add(bus.Correlation(ctx))
			bus.Handoff(ctx, func(ctx context.Context) { assert.NoError(t, added.Publish(ctx, note{})) })
			return 0, nil
		}))
		_, err := caller(t, c, addNote).Call(t.Context(), note{})
		require.NoError(t, err)
		synctest.Wait()
		require.Len(t, chains.get(), 2)
		assert.NotZero(t, chains.get()[0])
		assert.Equal(t, chains.get()[0], chains.get()[1])
	})
}

// A plugin that is unloaded, and a bus that is closed, wait for handlers in a goroutine that was handed over, too.
func TestCloseWaitsForHandoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		notes := register(t, b, "Notes")
		added := bind(t, notes, noteAdded)
		handled, woken := false, make(chan struct{})
		subscribe(t, register(t, b, "C"), noteAdded, func(context.Context, bus.Event[note]) {
			time.Sleep(time.Second)
			handled = true
		})
		go bus.Handoff(notes.Context(), func(ctx context.Context) {
			assert.NoError(t, added.Publish(ctx, note{}))
			close(woken)
		})
		<-woken
		require.NoError(t, b.Close(t.Context()))
		assert.True(t, handled)
	})
}

// A publish with context.Background does not look for a handoff; one with another context allocates nothing for it.
func TestHandoffAllocates(t *testing.T) {
	b := bus.New(nil)
	defer func() { require.NoError(t, b.Close(context.Background())) }()
	notes := register(t, b, "Notes")
	added := bind(t, notes, noteAdded)
	done := make(chan struct{}, 1)
	subscribe(t, register(t, b, "C"), noteAdded, func(context.Context, bus.Event[note]) { done <- struct{}{} })
	bus.Handoff(context.Background(), func(ctx context.Context) {
		assert.Zero(t, testing.AllocsPerRun(100, func() { _ = bus.Correlation(ctx) }))
	})
	got := testing.AllocsPerRun(100, func() {
		bus.Handoff(notes.Context(), func(ctx context.Context) { _ = added.Publish(ctx, note{}) })
		<-done
	})
	assert.LessOrEqual(t, got, 4.0, "the context and the timer")
}

func BenchmarkHandoff(b *testing.B) {
	for _, way := range []string{"Handoff", "Wake"} {
		b.Run(way, func(b *testing.B) {
			hub := bus.New(nil)
			defer func() { _ = hub.Close(context.Background()) }()
			notes, done := register(b, hub, "Notes"), make(chan struct{}, 1)
			added := bind(b, notes, noteAdded)
			subscribe(b, register(b, hub, "C"), noteAdded, func(context.Context, bus.Event[note]) { done <- struct{}{} })
			publish := func(ctx context.Context) { _ = added.Publish(ctx, note{}) }
			b.ReportAllocs()
			for b.Loop() {
				if way == "Handoff" {
					bus.Handoff(notes.Context(), publish)
				} else {
					publish(notes.Context())
				}
				<-done
			}
		})
	}
}
