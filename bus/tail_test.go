package bus_test

import (
	"context"
	"runtime"
	"slices"
	"strconv"
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

func TestTailRunsHandlersOfWhoWoke(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		notes := register(t, b, "Notes")
		added := bind(t, notes, noteAdded)
		var got list[string]
		subscribe(t, register(t, b, "C"), noteAdded, func(_ context.Context, e bus.Event[note]) {
			got.add(strconv.Itoa(e.Data.N) + " " + goroutine())
		})
		tail := &bus.Tail{Context: notes.Context()}
		tail.Run() // there is nothing
		here := goroutine()
		for range 2 { // it can be used again
			before := got.len()
			require.NoError(t, added.Publish(tail, note{N: 1}))
			require.NoError(t, notes.Publish(tail, "added", note{N: 2}))
			require.NoError(t, added.Publish(t.Context(), note{N: 3})) // it is awake, as far as others know
			synctest.Wait()
			assert.Equal(t, before, got.len())
			tail.Run()
			assert.Equal(t, []string{"1 " + here, "2 " + here, "3 " + here}, got.get()[before:])
		}
	})
}

// None waits for the handlers of another plugin.
func TestTailThatWakesSeveral(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		notes := register(t, b, "Notes")
		added := bind(t, notes, noteAdded)
		var got list[string]
		hold := make(chan struct{})
		for _, name := range []string{"A", "B", "C"} {
			subscribe(t, register(t, b, name), noteAdded, func(context.Context, bus.Event[note]) {
				got.add(name)
				<-hold
			})
		}
		tail := &bus.Tail{Context: notes.Context()}
		require.NoError(t, added.Publish(tail, note{}))
		tail.Run()
		synctest.Wait()
		assert.ElementsMatch(t, []string{"A", "B", "C"}, got.get())
		close(hold)
	})
}

func TestTailGo(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		notes := register(t, b, "Notes")
		added := bind(t, notes, noteAdded)
		var got list[string]
		subscribe(t, register(t, b, "C"), noteAdded, func(context.Context, bus.Event[note]) { got.add(goroutine()) })
		tail := &bus.Tail{Context: notes.Context()}
		require.NoError(t, added.Publish(tail, note{}))
		tail.Go()
		tail.Run() // there is nothing left
		synctest.Wait()
		require.Len(t, got.get(), 1)
		assert.NotEqual(t, goroutine(), got.get()[0])
	})
}

// Who waits for room in a mailbox does not wait for its own Run.
func TestTailMakesRoom(t *testing.T) {
	bubble(t, &bus.Options{MailboxSoft: 4}, func(t *testing.T, b *bus.Bus) {
		notes := register(t, b, "Notes")
		added := bind(t, notes, noteAdded)
		var got list[int]
		subscribe(t, register(t, b, "C"), noteAdded, func(_ context.Context, e bus.Event[note]) { got.add(e.Data.N) })
		tail := &bus.Tail{Context: t.Context()}
		want := make([]int, 100)
		for i := range want {
			want[i] = i
			require.NoError(t, added.Publish(tail, note{N: i}))
		}
		tail.Run()
		synctest.Wait()
		assert.Equal(t, want, got.get())
	})
}

// An inline handler may take long, or wait for what handlers of mailboxes do: these do not wait for it.
func TestTailWithInlineHandlers(t *testing.T) {
	for name, publish := range map[string]func(notes *bus.Client, tail *bus.Tail) error{
		"Plain":    func(notes *bus.Client, tail *bus.Tail) error { return notes.Publish(tail, "plain", 0) },
		"Mixed":    func(notes *bus.Client, tail *bus.Tail) error { return notes.Publish(tail, "added", note{}) },
		"Once":     func(notes *bus.Client, tail *bus.Tail) error { return notes.Publish(tail, "once", 0) },
		"Retained": func(notes *bus.Client, tail *bus.Tail) error { return notes.Publish(tail, "kept", 0) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, b *bus.Bus) {
				notes := register(t, b, "Notes")
				added := bind(t, notes, noteAdded)
				handled := make(chan struct{}, 2)
				if name == "Retained" {
					require.NoError(t, notes.Republish(t.Context(), "kept", 0))
					handled <- struct{}{} // for the replay
				}
				c := register(t, b, "C")
				subscribe(t, c, noteAdded, func(context.Context, bus.Event[note]) { handled <- struct{}{} })
				tail := &bus.Tail{Context: notes.Context()}
				require.NoError(t, added.Publish(tail, note{}))
				called := false
				inline := func(context.Context, bus.Event[any]) {
					called = true
					<-handled
				}
				pattern := map[string]string{"Plain": "Notes.plain", "Mixed": "Notes.added", "Once": "Notes.*", "Retained": "Notes.kept"}[name]
				s, err := c.Subscribe(pattern, inline, bus.Inline())
				require.NoError(t, err)
				require.NoError(t, publish(notes, tail))
				assert.True(t, called)
				s.Unsubscribe()
				tail.Run()
			})
		})
	}
}

// Nor do they wait for who hears inline that another mailbox is full.
func TestTailWithInlineIncident(t *testing.T) {
	bubble(t, &bus.Options{MailboxSoft: 1, MailboxHard: 2, SlowAfter: -1, Logger: quiet.Logger}, func(t *testing.T, b *bus.Bus) {
		notes := register(t, b, "Notes")
		added := bind(t, notes, noteAdded)
		hold, handled := make(chan struct{}), make(chan struct{}, 1)
		subscribe(t, register(t, b, "Full"), noteAdded, func(context.Context, bus.Event[note]) { <-hold })
		for range 3 {
			require.NoError(t, added.Publish(notes.Context(), note{}))
			synctest.Wait()
		}
		c := register(t, b, "C")
		subscribe(t, c, noteAdded, func(context.Context, bus.Event[note]) { handled <- struct{}{} })
		_, err := bus.Subscribe(c, bus.MailboxOverflow, func(context.Context, bus.Event[bus.Incident]) { <-handled }, bus.Inline())
		require.NoError(t, err)
		tail := &bus.Tail{Context: notes.Context()}
		require.ErrorIs(t, added.Publish(tail, note{}), bus.ErrOverflow)
		tail.Run()
		close(hold)
	})
}

// Who waits for room for an event whose name nobody declared does not wait for its own Run.
func TestTailMakesRoomForUndeclared(t *testing.T) {
	bubble(t, &bus.Options{MailboxSoft: 4}, func(t *testing.T, b *bus.Bus) {
		notes := register(t, b, "Notes")
		var got list[string]
		_, err := register(t, b, "C").Subscribe("Notes.*", func(_ context.Context, e bus.Event[any]) { got.add(e.Name()) })
		require.NoError(t, err)
		added := bind(t, notes, noteAdded)
		tail := &bus.Tail{Context: t.Context()}
		for range 4 {
			require.NoError(t, added.Publish(tail, note{}))
		}
		require.NoError(t, notes.Publish(tail, "undeclared", 0))
		tail.Run()
		synctest.Wait()
		assert.Len(t, got.get(), 5)
	})
}

func TestTailSurvivesHandlers(t *testing.T) {
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
					tail := &bus.Tail{Context: notes.Context()}
					assert.NoError(t, added.Publish(tail, note{N: 1}))
					assert.NoError(t, added.Publish(tail, note{N: 2}))
					tail.Run()
				}()
				<-done
				require.NoError(t, added.Publish(t.Context(), note{N: 3}))
				synctest.Wait()
				assert.Equal(t, []int{1, 2, 3}, got.get())
			})
		})
	}
}

// The events belong to the chain of the tail's context, and handlers may use tails of their own.
func TestTailKeepsTheChain(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		notes := readyClient(t, b, "Notes")
		added, gone := bind(t, notes, noteAdded), bind(t, notes, noteGone)
		var chains list[uint64]
		c := register(t, b, "C")
		subscribe(t, c, noteAdded, func(ctx context.Context, e bus.Event[note]) {
			chains.add(e.Correlation())
			tail := &bus.Tail{Context: ctx}
			assert.NoError(t, gone.Publish(tail, note{}))
			tail.Run() // its own mailbox is awake: nothing to do
		})
		subscribe(t, c, noteGone, func(context.Context, bus.Event[note]) { chains.add(0) })
		require.NoError(t, bus.Handle(notes, addNote, func(ctx context.Context, _ note) (int, error) {
			chains.add(bus.Correlation(ctx))
			tail := &bus.Tail{Context: ctx}
			defer tail.Run()
			return 0, added.Publish(tail, note{})
		}))
		_, err := caller(t, c, addNote).Call(t.Context(), note{})
		require.NoError(t, err)
		synctest.Wait()
		got := chains.get()
		require.Len(t, got, 3)
		assert.NotZero(t, got[0])
		assert.Equal(t, got[0], got[1])
		assert.Zero(t, got[2])
	})
}

// A plugin that is unloaded, and a bus that is closed, wait for the handlers in a tail as for others.
func TestCloseWaitsForTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		notes := register(t, b, "Notes")
		added := bind(t, notes, noteAdded)
		handled := false
		subscribe(t, register(t, b, "C"), noteAdded, func(context.Context, bus.Event[note]) {
			time.Sleep(time.Second)
			handled = true
		})
		tail := &bus.Tail{Context: notes.Context()}
		require.NoError(t, added.Publish(tail, note{}))
		go tail.Run()
		require.NoError(t, b.Close(t.Context()))
		assert.True(t, handled)
	})
}

func BenchmarkTail(b *testing.B) {
	for _, way := range []string{"Run", "Wake"} {
		b.Run(way, func(b *testing.B) {
			hub := bus.New(nil)
			defer func() { _ = hub.Close(context.Background()) }()
			notes, done := register(b, hub, "Notes"), make(chan struct{}, 1)
			added := bind(b, notes, noteAdded)
			subscribe(b, register(b, hub, "C"), noteAdded, func(context.Context, bus.Event[note]) { done <- struct{}{} })
			tail := &bus.Tail{Context: notes.Context()}
			var ctx context.Context = tail
			if way == "Wake" {
				ctx = notes.Context()
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := added.Publish(ctx, note{}); err != nil {
					b.Fatal(err)
				}
				tail.Run()
				<-done
			}
		})
	}
}
