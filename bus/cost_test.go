//go:build unix

package bus_test

import (
	"context"
	"strconv"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

// Many subscriptions of one event cost O(n log n) in all: to make, to publish to and to end them.
func TestCostOfManySubscriptions(t *testing.T) {
	ctx := context.Background()
	none := func(context.Context, bus.Event[note]) {}
	anyNone := func(context.Context, bus.Event[any]) {}
	// Each job makes n subscriptions and ends them.
	jobs := map[string]func(t *testing.T, n int){
		"plugins, closed together": func(t *testing.T, n int) {
			b := bus.New(nil)
			p := bind(t, readyClient(t, b, "Notes"), noteAdded)
			for i := range n {
				subscribe(t, readyClient(t, b, "P"+strconv.Itoa(i)), noteAdded, none)
			}
			require.NoError(t, p.Publish(ctx, note{}))
			require.NoError(t, b.Close(ctx))
		},
		"plugins, unloaded one by one": func(t *testing.T, n int) {
			b := bus.New(nil)
			p := bind(t, readyClient(t, b, "Notes"), noteAdded)
			for i := range n {
				subscribe(t, register(t, b, "P"+strconv.Itoa(i)), noteAdded, none)
			}
			require.NoError(t, p.Publish(ctx, note{}))
			for i := range n {
				require.NoError(t, b.Unload(ctx, "P"+strconv.Itoa(i)))
			}
			require.NoError(t, b.Close(ctx))
		},
		"inline, in order": unsubscribing(false, func(t *testing.T, c *bus.Client) *bus.Subscription {
			return subscribe(t, c, noteAdded, none, bus.Inline())
		}),
		"inline, backwards": unsubscribing(true, func(t *testing.T, c *bus.Client) *bus.Subscription {
			return subscribe(t, c, noteAdded, none, bus.Inline())
		}),
		"own mailboxes": unsubscribing(false, func(t *testing.T, c *bus.Client) *bus.Subscription {
			return subscribe(t, c, noteAdded, none, bus.OwnMailbox())
		}),
		"own mailboxes, backwards": unsubscribing(true, func(t *testing.T, c *bus.Client) *bus.Subscription {
			return subscribe(t, c, noteAdded, none, bus.OwnMailbox())
		}),
		"wildcards": unsubscribing(false, func(t *testing.T, c *bus.Client) *bus.Subscription {
			return subscribeName(t, c, "Notes.*", anyNone)
		}),
		"wildcards, backwards": unsubscribing(true, func(t *testing.T, c *bus.Client) *bus.Subscription {
			return subscribeName(t, c, "*", anyNone, bus.Inline())
		}),
		"once": unsubscribing(true, func(t *testing.T, c *bus.Client) *bus.Subscription {
			return subscribe(t, c, noteAdded, none, bus.Once(), bus.Inline())
		}),
		"own mailboxes, closed": func(t *testing.T, n int) {
			b := bus.New(nil)
			p, c := bind(t, readyClient(t, b, "Notes"), noteAdded), register(t, b, "C")
			for range n {
				subscribe(t, c, noteAdded, none, bus.OwnMailbox())
			}
			require.NoError(t, p.Publish(ctx, note{}))
			require.NoError(t, b.Close(ctx))
		},
	}
	for name, job := range jobs {
		t.Run(name, func(t *testing.T) {
			const n, factor = 100, 64
			fastest := func(n int) time.Duration {
				least := time.Hour
				for range 3 {
					start := cpuTime(t)
					job(t, n)
					least = min(least, cpuTime(t)-start)
				}
				return least
			}
			few, many := max(fastest(n), 50*time.Microsecond), fastest(factor*n) // where the clock is coarse
			// Linear would be 64 times as much, quadratic 4096 times. A busy machine takes longer, and works no more.
			assert.Less(t, many, 16*factor*few, "%d in %v, %d in %v", n, few, factor*n, many)
		})
	}
}

// unsubscribing makes n subscriptions, publishes, and ends them one by one.
func unsubscribing(backwards bool, one func(t *testing.T, c *bus.Client) *bus.Subscription) func(t *testing.T, n int) {
	return func(t *testing.T, n int) {
		b := bus.New(nil)
		p, c := bind(t, readyClient(t, b, "Notes"), noteAdded), register(t, b, "C")
		all := make([]*bus.Subscription, n)
		for i := range all {
			all[i] = one(t, c)
		}
		require.NoError(t, p.Publish(context.Background(), note{}))
		for i := range all {
			if backwards {
				i = n - 1 - i
			}
			all[i].Unsubscribe()
		}
		require.NoError(t, b.Close(context.Background()))
	}
}

// A subscription that was made while a snapshot is stale gets the next event, and one that has ended gets none.
func TestSubscriptionsBetweenTwoPublishes(t *testing.T) {
	for name, opts := range map[string][]bus.SubscribeOption{"inline": {bus.Inline()}, "mailbox": nil, "own": {bus.OwnMailbox()}} {
		t.Run(name, func(t *testing.T) {
			b := bus.New(nil)
			p, c := bind(t, register(t, b, "Notes"), noteAdded), register(t, b, "C")
			var got list[string]
			sub := func(name string) *bus.Subscription {
				return subscribe(t, c, noteAdded, func(_ context.Context, e bus.Event[note]) { got.add(name + strconv.Itoa(e.Data.N)) }, opts...)
			}
			publish := func(n int) {
				require.NoError(t, p.Publish(context.Background(), note{N: n}))
				require.NoError(t, c.Flush(context.Background()))
			}
			first := sub("a")
			publish(1)
			second, third := sub("b"), sub("c")
			second.Unsubscribe()
			first.Unsubscribe()
			publish(2)
			third.Unsubscribe()
			publish(3)
			assert.Equal(t, []string{"a1", "c2"}, got.get())
			require.NoError(t, b.Close(context.Background()))
		})
	}
}

// Subscribers of one event in one plugin are called in the order they subscribed, however many have ended between them.
func TestOrderOfManySubscribers(t *testing.T) {
	b := bus.New(nil)
	p, c := bind(t, register(t, b, "Notes"), noteAdded), register(t, b, "C")
	var got list[int]
	var want []int
	var all []*bus.Subscription
	for i := range 300 {
		all = append(all, subscribe(t, c, noteAdded, func(context.Context, bus.Event[note]) { got.add(i) }, bus.Inline()))
	}
	for i, s := range all {
		if i%7 == 3 {
			want = append(want, i)
			continue
		}
		s.Unsubscribe()
	}
	require.NoError(t, p.Publish(context.Background(), note{}))
	assert.Equal(t, want, got.get())
}

// A publisher that waits for room goes on when the last subscription that it waits for has ended.
func TestPublisherIsLetGoWithTheSubscription(t *testing.T) {
	for name, opts := range map[string][]bus.SubscribeOption{"mailbox": nil, "own mailbox": {bus.OwnMailbox()}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := bus.New(&bus.Options{MailboxSoft: 2})
				p, c := bind(t, register(t, b, "Notes"), noteAdded), register(t, b, "C")
				stop := make(chan struct{})
				h := func(context.Context, bus.Event[note]) { <-stop }
				first, second := subscribe(t, c, noteAdded, h, opts...), subscribe(t, c, noteAdded, h, opts...)
				done := make(chan error, 1)
				go func() {
					for range 10 {
						if err := p.Publish(context.Background(), note{}); err != nil {
							done <- err
							return
						}
					}
					done <- nil
				}()
				synctest.Wait()
				first.Unsubscribe()
				synctest.Wait()
				assert.Empty(t, done, "it still waits for the other")
				second.Unsubscribe()
				synctest.Wait()
				require.Len(t, done, 1)
				require.NoError(t, <-done)
				close(stop)
				require.NoError(t, b.Close(context.Background()))
			})
		})
	}
}

// cpuTime is what this process has had of the processors.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A publish that has begun before the subscriptions change reaches those that there are.
func TestPublishMeetsAChange(t *testing.T) {
	type sub func(t *testing.T, c *bus.Client, calls *list[string]) *bus.Subscription
	inline := func(opts ...bus.SubscribeOption) sub {
		return func(t *testing.T, c *bus.Client, calls *list[string]) *bus.Subscription {
			return subscribe(t, c, noteAdded, func(context.Context, bus.Event[note]) { calls.add("typed") }, append(opts, bus.Inline())...)
		}
	}
	untyped := func(t *testing.T, c *bus.Client, calls *list[string]) *bus.Subscription {
		return subscribeName(t, c, "Notes.*", func(context.Context, bus.Event[any]) { calls.add("any") }, bus.Inline())
	}
	for name, subs := range map[string][]sub{
		"one": {inline()}, "two": {inline(), inline()}, "untyped": {untyped}, "mixed": {inline(), untyped}, "timed": {inline(bus.Timed())}, "once": {inline(bus.Once())},
	} {
		t.Run(name, func(t *testing.T) {
			b := bus.New(nil)
			p, c := bind(t, register(t, b, "Notes"), noteAdded), register(t, b, "C")
			var calls list[string]
			ended := subs[0](t, c, &calls)
			require.NoError(t, p.Publish(context.Background(), note{}))
			found := bus.Found(p)
			ended.Unsubscribe()
			calls = list[string]{}
			require.NoError(t, found(note{}))
			assert.Empty(t, calls.get(), "it has ended")

			for _, sub := range subs {
				sub(t, c, &calls)
			}
			built := func() func(note) error { // a publish that has found a snapshot that is not stale
				require.NoError(t, p.Publish(context.Background(), note{}))
				calls = list[string]{}
				return bus.Found(p)
			}
			if name == "once" {
				return
			}
			found = built()
			subs[0](t, c, &calls)
			require.NoError(t, found(note{}))
			assert.Len(t, calls.get(), len(subs)+1)
			found = built()
			require.NoError(t, p.Republish(context.Background(), note{}))
			calls = list[string]{}
			require.NoError(t, found(note{}))
			assert.Len(t, calls.get(), len(subs)+1)
		})
	}
}
