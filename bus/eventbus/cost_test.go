//go:build unix

package eventbus_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus/eventbus"
)

// Many handlers of one topic cost O(n log n) in all: to subscribe, to publish to and to unsubscribe.
func TestCostOfManyHandlers(t *testing.T) {
	type job func(t *testing.T, eb *eventbus.Bus, fns []func(int))
	each := func(subscribe func(eb *eventbus.Bus, fn func(int)) error, backwards bool) job {
		return func(t *testing.T, eb *eventbus.Bus, fns []func(int)) {
			for _, fn := range fns {
				require.NoError(t, subscribe(eb, fn))
			}
			eb.Publish("t", 1)
			eb.WaitAsync()
			for i := range fns {
				if !eb.HasCallback("t") {
					return
				}
				if backwards {
					i = len(fns) - 1 - i
				}
				require.NoError(t, eb.Unsubscribe("t", fns[i]))
			}
			assert.False(t, eb.HasCallback("t"))
		}
	}
	jobs := map[string]job{
		"synchronous":             each(func(eb *eventbus.Bus, fn func(int)) error { return eb.Subscribe("t", fn) }, false),
		"synchronous, backwards":  each(func(eb *eventbus.Bus, fn func(int)) error { return eb.Subscribe("t", fn) }, true),
		"asynchronous":            each(func(eb *eventbus.Bus, fn func(int)) error { return eb.SubscribeAsync("t", fn, false) }, false),
		"asynchronous, backwards": each(func(eb *eventbus.Bus, fn func(int)) error { return eb.SubscribeAsync("t", fn, true) }, true),
		"once":                    each(func(eb *eventbus.Bus, fn func(int)) error { return eb.SubscribeOnce("t", fn) }, false),
		"once, asynchronous":      each(func(eb *eventbus.Bus, fn func(int)) error { return eb.SubscribeOnceAsync("t", fn) }, false),
	}
	for name, run := range jobs {
		t.Run(name, func(t *testing.T) {
			const n, factor = 100, 64
			fastest := func(n int) time.Duration {
				least := time.Hour
				for range 3 {
					_, _, eb, _ := open(t)
					calls := make([]int, n)
					fns := make([]func(int), n)
					for i := range fns {
						fns[i] = func(by int) { calls[i] += by }
					}
					start := cpuTime(t)
					run(t, eb, fns)
					least = min(least, cpuTime(t)-start)
					for i := range calls {
						require.Equal(t, 1, calls[i], "handler %d", i)
					}
				}
				return least
			}
			few, many := max(fastest(n), 50*time.Microsecond), fastest(factor*n) // where the clock is coarse
			// Linear would be 64 times as much, quadratic 4096 times. A busy machine takes longer, and works no more.
			assert.Less(t, many, 16*factor*few, "%d in %v, %d in %v", n, few, factor*n, many)
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
