package bus_test

import (
	"context"
	"io"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

var quiet = &bus.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}

// Subscriptions of one plugin to one event share a queue, and nobody can tell.
func TestSharedLaneKeepsOrder(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		notes := register(t, b, "Notes")
		added, gone, c := bind(t, notes, noteAdded), bind(t, notes, noteGone), register(t, b, "C")
		var got list[string]
		hear := func(d bus.EventOf[note], who string) *bus.Subscription {
			return subscribe(t, c, d, func(_ context.Context, e bus.Event[note]) { got.add(who + strconv.Itoa(e.Data.N)) })
		}
		hold := make(chan struct{})
		holder := subscribe(t, c, noteState, func(context.Context, bus.Event[note]) { <-hold })
		require.NoError(t, bind(t, notes, noteState).Publish(t.Context(), note{}))
		synctest.Wait() // everything else waits now

		hear(noteAdded, "a")
		second := hear(noteAdded, "b")
		hear(noteGone, "x")
		require.NoError(t, added.Publish(t.Context(), note{N: 1}))
		require.NoError(t, added.Publish(t.Context(), note{N: 2}))
		require.NoError(t, gone.Publish(t.Context(), note{N: 3}))
		hear(noteAdded, "c")
		hear(noteGone, "y")
		require.NoError(t, added.Publish(t.Context(), note{N: 4}))
		require.NoError(t, gone.Publish(t.Context(), note{N: 5}))
		second.Unsubscribe() // what is queued for it is dropped
		require.NoError(t, added.Publish(t.Context(), note{N: 6}))
		assert.Equal(t, 12, pluginInfo(b.Debugger(), "C").Waiting, "calls, also of who has left")
		close(hold)
		synctest.Wait()
		assert.Equal(t, strings.Fields("a1 a2 x3 a4 c4 x5 y5 a6 c6"), got.get())
		holder.Unsubscribe()
	})
}

func TestSharedLaneNamesWhoRuns(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		p, c := bind(t, register(t, b, "Notes"), noteAdded), register(t, b, "C")
		step := make(chan struct{})
		var subs []*bus.Subscription
		for range 3 {
			subs = append(subs, subscribe(t, c, noteAdded, func(context.Context, bus.Event[note]) { <-step }))
		}
		for range 2 {
			require.NoError(t, p.Publish(t.Context(), note{}))
		}
		for i := range 6 {
			synctest.Wait()
			assert.Equal(t, subs[i%3].String(), pluginInfo(b.Debugger(), "C").Running)
			waited := make(chan error, 3)
			if i == 4 { // one by one they go: who does not run need not wait
				for _, s := range subs {
					go func() { waited <- s.UnsubscribeWait(t.Context()) }()
				}
				synctest.Wait()
				assert.Len(t, waited, 2)
				step <- struct{}{}
				for range subs {
					require.NoError(t, <-waited)
				}
				break
			}
			step <- struct{}{}
		}
		synctest.Wait()
		assert.Empty(t, pluginInfo(b.Debugger(), "C").Running)
	})
}

func TestSharedLaneSurvivesItsMembers(t *testing.T) {
	for name, end := range map[string]func(){
		"panic":  func() { panic("as planned") },
		"goexit": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, quiet, func(t *testing.T, b *bus.Bus) {
				p, c := bind(t, register(t, b, "Notes"), noteAdded), register(t, b, "C")
				var got list[int]
				for i := range 4 {
					subscribe(t, c, noteAdded, func(_ context.Context, e bus.Event[note]) {
						got.add(10*e.Data.N + i)
						if e.Data.N == 2 && i != 2 {
							end()
						}
					})
				}
				for n := range 3 {
					require.NoError(t, p.Publish(t.Context(), note{N: n + 1}))
				}
				synctest.Wait()
				assert.Equal(t, []int{10, 11, 12, 13, 20, 21, 22, 23, 30, 31, 32, 33}, got.get())
			})
		})
	}
}

func TestSharedLaneCountsForAll(t *testing.T) {
	bubble(t, &bus.Options{MailboxSoft: 8, MailboxHard: 12, Logger: quiet.Logger}, func(t *testing.T, b *bus.Bus) {
		p, c := bind(t, register(t, b, "Notes"), noteAdded), register(t, b, "C")
		hold := make(chan struct{})
		var got list[int]
		for range 4 {
			subscribe(t, c, noteAdded, func(_ context.Context, e bus.Event[note]) {
				<-hold
				got.add(e.Data.N)
			})
		}
		require.NoError(t, p.Publish(t.Context(), note{N: 1}))
		synctest.Wait() // it is in work
		inside := c.Context()
		for n := range 3 {
			require.NoError(t, p.Publish(inside, note{N: n + 2}))
		}
		require.ErrorIs(t, p.Publish(inside, note{N: 9}), bus.ErrOverflow)
		assert.EqualValues(t, 4, pluginInfo(b.Debugger(), "C").Refused, "once for each subscription")
		close(hold)
		synctest.Wait()
		assert.Equal(t, []int{1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4}, got.get())
	})
}
