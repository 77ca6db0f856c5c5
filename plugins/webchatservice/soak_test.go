package webchatservice_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
)

// Sessions that come and go, 200 each second, each on a bus of its own, leave no memory behind. It does not run beside other tests,
// which use memory too.
func TestSessionsComeAndGo(t *testing.T) {
	const each = time.Second / 200
	batch, batches := size(50, 1000), size(2, 12) // 12,000 in a minute
	for _, w := range wireTable {
		t.Run(w.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var said atomic.Int64
				come := func() {
					sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1})
					var sessions sync.WaitGroup
					for range batch {
						sessions.Go(func() {
							r := newRig(t, w.on(sim))
							_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
							assert.NoError(t, err)
							assert.NoError(t, send(r, "hello"))
							assert.NoError(t, end(r))
							r.stop()
							said.Add(1)
						})
						time.Sleep(each)
					}
					sessions.Wait()
					lines := 0
					for _, c := range sim.Chats() {
						lines += len(c.Lines(chatsim.Client))
						assert.True(t, c.Ended)
					}
					assert.Equal(t, batch, lines, "each line once")
					require.NoError(t, sim.Close())
				}
				come()
				before, _ := heap()
				for range batches {
					come()
				}
				after, _ := heap()
				assert.LessOrEqual(t, after, before+before/50)
				assert.EqualValues(t, (batches+1)*batch, said.Load())
			})
		})
	}
}

// A service that chats for half an hour while everything fails at random keeps its ledger and its memory: that grows by less than
// 1 MB in ten minutes. In the suite the half hour is one of fake time; in the long run it is real, on real sockets. It does not run
// beside other tests, which use memory too.
func TestHalfAnHour(t *testing.T) {
	if soak() {
		halfAnHourInRealTime(t)
		return
	}
	for i, w := range wireTable {
		t.Run(w.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				halfAnHour(t, newField(t, w), newRig, uint64(i)) //nolint:gosec // not negative
			})
		})
	}
}

// halfAnHour plays chats of five minutes, of which the last two are for what is late, one after the other on one service.
func halfAnHour(t *testing.T, f *field, open func(*testing.T, *webchatservice.Options) *rig, seed uint64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 7)) //nolint:gosec // it must be the same every time
	r := open(t, f.opts)
	t.Cleanup(r.stop)
	var used []int64
	for range 6 {
		_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
		require.NoError(t, err)
		a := f.account(t, r)
		f.chaos(t, rng, a, 2*time.Minute)
		time.Sleep(3 * time.Minute)
		a.balance(t)
		require.NoError(t, end(r))
		r.take()
		now, _ := heap()
		used = append(used, now)
	}
	// The first two chats fill what is kept for later: connections, the memory of the simulator.
	for i := 3; i < len(used); i++ {
		assert.Less(t, used[i]-used[i-2], int64(1<<20), "in ten minutes: %v", used)
	}
}

// halfAnHourInRealTime plays on all wires at once, over sockets, and looks at goroutines and descriptors too.
func halfAnHourInRealTime(t *testing.T) {
	count := func() int {
		runtime.GC()
		descriptors, _ := os.ReadDir("/proc/self/fd") // where there is none the goroutines hold the sockets
		return runtime.NumGoroutine() + len(descriptors)
	}
	before := count()
	t.Run("wires", func(t *testing.T) {
		for i, w := range wireTable {
			t.Run(w.name, func(t *testing.T) {
				t.Parallel()
				f := newField(t, w)
				front := httptest.NewServer(f.sim.Handler())
				t.Cleanup(front.Close)
				f.cable.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, network, front.Listener.Addr().String())
				}
				halfAnHour(t, f, newRigInRealTime, uint64(100+i)) //nolint:gosec // not negative
			})
		}
	})
	require.Eventually(t, func() bool { return count() <= before }, time.Minute, 100*time.Millisecond, fmt.Sprint("goroutines and descriptors: ", before))
}
