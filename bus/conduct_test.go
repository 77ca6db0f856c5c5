package bus_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

// The tests named TestConduct put the bus under loads and accidents that kill
// or hang others. They run at a tenth of their size unless SOAK=1 is set.

// soak returns the size of a test.
func soak(full int) int {
	if os.Getenv("SOAK") == "1" {
		return full
	}
	return full / 10
}

const processVar = "CXBUS_TEST_PROCESS"

// inProcess runs f in a process of its own, since what it does could end one:
// in the process of the tests it starts itself again and looks how that ends.
func inProcess(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	if os.Getenv(processVar) == t.Name() {
		f(t)
		return
	}
	// It may take as long as this process may, which leaves itself time to say what the other one said.
	ctx := t.Context()
	if end, ok := t.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end.Add(-10*time.Second))
		defer cancel()
	}
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	// The race detector lets a process sleep for a second at its end.
	cmd.Env = append(os.Environ(), processVar+"="+t.Name(), "GORACE=atexit_sleep_ms=0")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	require.NoError(t, ctx.Err(), "the process hangs:\n%s", out.String())
	require.NoError(t, err, out.String())
	require.Contains(t, out.String(), "--- PASS: "+t.Name())
}

var (
	ping = bus.NewEvent[int]("Ping.sent", "")
	pong = bus.NewEvent[int]("Pong.sent", "")
)

func TestConductChain(t *testing.T) {
	inProcess(t, func(t *testing.T) {
		for name, opts := range map[string][]bus.SubscribeOption{"mailbox": nil, "inline": {bus.Inline()}} {
			n := soak(100_000)
			b := bus.New(&bus.Options{MailboxSoft: 4})
			a := register(t, b, "Ping")
			p := bind(t, a, ping)
			var got list[int]
			done := make(chan struct{})
			subscribe(t, a, ping, func(ctx context.Context, e bus.Event[int]) {
				got.add(e.Data)
				if e.Data == n-1 {
					close(done)
					return
				}
				assert.NoError(t, p.Publish(ctx, e.Data+1))
			}, opts...)
			require.NoError(t, p.Publish(t.Context(), 0), name)
			<-done
			assert.Equal(t, numbers(n), got.get(), name)
			require.NoError(t, b.Close(t.Context()))
		}
	})
}

func TestConductFlood(t *testing.T) {
	inProcess(t, func(t *testing.T) {
		for name, opts := range map[string][]bus.SubscribeOption{"mailbox": nil, "inline": {bus.Inline()}} {
			n := soak(100_000)
			b := bus.New(&bus.Options{MailboxSoft: 4})
			a := register(t, b, "Ping")
			p := bind(t, a, ping)
			var got list[int]
			subscribe(t, a, ping, func(ctx context.Context, e bus.Event[int]) {
				got.add(e.Data)
				if e.Data == 0 {
					for i := range n - 1 {
						assert.NoError(t, p.Publish(ctx, i+1))
					}
				}
			}, opts...)
			require.NoError(t, p.Publish(t.Context(), 0), name)
			require.NoError(t, b.Close(t.Context())) // lets the mailbox run empty
			assert.Equal(t, numbers(n), got.get(), name)
		}
	})
}

// Each of two plugins answers the other's flood with one of its own.
func TestConductTwoPluginsFloodEachOther(t *testing.T) {
	inProcess(t, func(t *testing.T) {
		n := soak(100_000)
		b := bus.New(&bus.Options{MailboxSoft: 4})
		a, c := register(t, b, "Ping"), register(t, b, "Pong")
		p, q := bind(t, a, ping), bind(t, c, pong)
		var atA, atC list[int]
		answer := func(got *list[int], out *bus.Publisher[int]) func(context.Context, bus.Event[int]) {
			next := 0
			return func(ctx context.Context, e bus.Event[int]) {
				got.add(e.Data)
				for range 3 {
					if next < n {
						assert.NoError(t, out.Publish(ctx, next))
						next++
					}
				}
			}
		}
		subscribe(t, a, pong, answer(&atA, p))
		subscribe(t, c, ping, answer(&atC, q))
		require.NoError(t, p.Publish(t.Context(), -1))
		require.NoError(t, b.Close(t.Context()))
		assert.Equal(t, numbers(n), atA.get())
		assert.Equal(t, append([]int{-1}, numbers(n)...), atC.get())
	})
}

// A publisher from outside waits at the soft limit for as long as its context
// lives; one from inside passes it; at the hard limit both are refused, and
// every refusal is counted.
func TestConductFullMailbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &logs{}
		b := bus.New(&bus.Options{Logger: newLogger(l), MailboxSoft: 8, MailboxHard: 16, SlowAfter: -1})
		a, c, w := register(t, b, "Ping"), register(t, b, "Full"), register(t, b, "Watch")
		p := bind(t, a, ping)
		release := make(chan struct{})
		var got, others list[int]
		var incidents list[bus.Incident]
		subscribe(t, w, bus.MailboxOverflow, func(_ context.Context, e bus.Event[bus.Incident]) { incidents.add(e.Data) })
		s := subscribe(t, c, ping, func(_ context.Context, e bus.Event[int]) {
			<-release
			got.add(e.Data)
		})
		subscribe(t, w, ping, func(_ context.Context, e bus.Event[int]) { others.add(e.Data) })
		next := 0
		publish := func(ctx context.Context) error {
			next++
			return p.Publish(ctx, next-1)
		}
		require.NoError(t, publish(t.Context())) // is in work
		synctest.Wait()
		for range 8 { // wait
			require.NoError(t, publish(t.Context()))
		}
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := publish(ctx) // 9
		require.ErrorIs(t, err, bus.ErrTimeout)
		assert.Contains(t, err.Error(), "Full")
		assert.Equal(t, time.Minute, time.Since(start))
		for range 8 { // 10 to 17
			require.NoError(t, publish(a.Context()))
		}
		const refused = 1000
		for i := range refused {
			from := a.Context()
			if i%2 == 0 {
				from = t.Context()
			}
			err := publish(from)
			require.ErrorIs(t, err, bus.ErrOverflow)
			assert.Contains(t, err.Error(), "subscriber Full")
			assert.Contains(t, err.Error(), s.String())
		}
		info := a.Registry()["Full"]
		assert.EqualValues(t, refused, info.Refused)
		synctest.Wait()
		require.Len(t, incidents.get(), 1, "told once")
		assert.Equal(t, "Full", incidents.get()[0].Plugin)
		assert.Equal(t, "Ping.sent", incidents.get()[0].Name)
		assert.Equal(t, 16, incidents.get()[0].Depth)
		assert.Len(t, l.find("mailbox overflow"), 1)

		close(release)
		synctest.Wait()
		want := append(numbers(9), 10, 11, 12, 13, 14, 15, 16, 17)
		assert.Equal(t, want, got.get())
		assert.Equal(t, numbers(next), others.get(), "who is not full gets all")
		require.NoError(t, publish(t.Context()))
		require.NoError(t, b.Close(t.Context()))
		assert.Equal(t, append(want, next-1), got.get())
	})
}

// Among several from outside that wait, each gets in once there is room.
func TestConductWaitingPublishersAllGetIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(&bus.Options{MailboxSoft: 2, SlowAfter: -1})
		a, c := register(t, b, "Ping"), register(t, b, "Slow")
		p := bind(t, a, ping)
		n := soak(1000)
		var got list[int]
		subscribe(t, c, ping, func(_ context.Context, e bus.Event[int]) {
			time.Sleep(time.Millisecond)
			got.add(e.Data)
		})
		for g := range 4 {
			go func() {
				for i := range n {
					assert.NoError(t, p.Publish(t.Context(), 10000*g+i))
				}
			}()
		}
		time.Sleep(time.Hour)
		next := [4]int{}
		for _, v := range got.get() {
			assert.Equal(t, next[v/10000], v%10000)
			next[v/10000]++
		}
		assert.Equal(t, [4]int{n, n, n, n}, next)
	})
}

// A handler that hangs for ever holds up nobody else, memory stays within the
// limits, and what is dropped is counted exactly.
func TestConductHungSubscriber(t *testing.T) {
	inProcess(t, func(t *testing.T) {
		const hard, keep = 1000, 50
		n := soak(500_000)
		b := bus.New(&bus.Options{MailboxSoft: 10, MailboxHard: hard})
		a, c, d, e, ok := register(t, b, "Ping"), register(t, b, "Hung"), register(t, b, "Oldest"), register(t, b, "Newest"), register(t, b, "Ok")
		p := bind(t, a, ping)
		stuck := make(chan struct{})
		hang := func(ctx context.Context, _ bus.Event[int]) {
			select {
			case stuck <- struct{}{}:
			case <-ctx.Done(): // while Close lets the mailboxes run empty
			}
			<-ctx.Done()
		}
		subscribe(t, c, ping, hang)
		oldest := subscribe(t, d, ping, hang, bus.DropOldest(keep))
		newest := subscribe(t, e, ping, hang, bus.DropNewest(keep))
		require.NoError(t, p.Publish(t.Context(), 0))
		for range 3 {
			<-stuck
		}
		var got, last atomic.Int64
		subscribe(t, ok, ping, func(_ context.Context, e bus.Event[int]) {
			got.Add(1)
			if int64(e.Data) <= last.Swap(int64(e.Data)) {
				t.Error("out of order")
			}
		})
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		refused := 0
		for i := range n {
			if err := p.Publish(a.Context(), i+1); err != nil {
				require.ErrorIs(t, err, bus.ErrOverflow)
				if refused++; refused%1000 == 1 {
					require.Contains(t, err.Error(), "subscriber Hung")
				}
			}
			if i%500 == 0 {
				require.NoError(t, ok.Flush(t.Context())) // keeps within its own limit
			}
		}
		require.NoError(t, ok.Flush(t.Context()))
		runtime.GC()
		runtime.ReadMemStats(&after)
		assert.EqualValues(t, n, got.Load(), "the others get all")
		assert.Equal(t, n-hard, refused)
		assert.EqualValues(t, n-hard, a.Registry()["Hung"].Refused)
		assert.EqualValues(t, n-keep, oldest.Dropped())
		assert.EqualValues(t, n-keep, newest.Dropped())
		assert.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(2<<20))
		require.NoError(t, b.Close(t.Context()))
	})
}
