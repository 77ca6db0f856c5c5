package gmscometd_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
)

// Three instances of one session, on two carriers, all of which write; one of them is cut off, and comes back. Each has
// every line, of all of them and of the agent, once and in order.
func TestThreeInstances(t *testing.T) {
	for _, first := range []string{websockets, longPolling} {
		t.Run(first+"First", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1})
				t.Cleanup(func() { require.NoError(t, sim.Close()) })
				other := map[string]string{websockets: longPolling, longPolling: websockets}[first]
				// The third reaches the same server over a network of its own, which can be cut.
				apart := chatsim.NewNetwork()
				t.Cleanup(func() { require.NoError(t, apart.Close()) })
				bridge(t, apart, sim)
				instances := []*server{
					{Server: sim, t: t, carrier: first, seats: map[string]*chatsim.Seat{}, gate: &gate{}},
					{Server: sim, t: t, carrier: other, seats: map[string]*chatsim.Seat{}, gate: &gate{}},
					{Server: sim, t: t, carrier: first, seats: map[string]*chatsim.Seat{}, gate: &gate{}, network: apart},
				}
				conns := []chat.Conn{instances[0].open(t.Context()), nil, nil}
				session := conns[0].Session()
				for i := 1; i < 3; i++ {
					conn, err := instances[i].Driver().(chat.Resumer).Resume(t.Context(), chat.ResumeRequest{Session: session})
					require.NoError(t, err)
					conns[i] = conn
				}
				seat, err := instances[0].chat(session.ID).Join("Ann", chatsim.RoleAgent)
				require.NoError(t, err)

				received := make([]ledger, len(conns))
				var receivers, writers sync.WaitGroup
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				for i, conn := range conns {
					received[i].next = 1
					receivers.Go(func() { received[i].follow(ctx, conn) })
					writers.Go(func() {
						for n := range 10 {
							time.Sleep(time.Duration(700+100*i) * time.Millisecond)
							if i == 2 && n >= 3 && n < 6 {
								continue // it is cut off
							}
							_, err := conn.Send(t.Context(), chat.Action{Text: fmt.Sprintf("%d.%d", i, n)})
							assert.NoError(t, err)
						}
					})
				}
				for n := range 10 {
					time.Sleep(900 * time.Millisecond)
					_, err := seat.Say(fmt.Sprint("ann ", n))
					require.NoError(t, err)
					switch n {
					case 3:
						apart.Refuse()
					case 4:
						apart.Heal()
					}
				}
				writers.Wait()
				time.Sleep(20 * time.Second)
				instances[0].EndChat(session.ID)
				receivers.Wait()
				want := whole(instances[0].chat(session.ID).Snapshot())
				assert.Len(t, instances[0].VisitorLines(session.ID), 27)
				for i := range received {
					assert.Equal(t, want, received[i].lines, "instance %d", i)
				}
				for _, conn := range conns {
					require.NoError(t, conn.Close())
				}
			})
		})
	}
}

// bridge lets a network reach a simulator that listens on another. What it returns closes, in good order, each
// connection there is.
func bridge(t *testing.T, from *chatsim.Network, sim *chatsim.Server) (hangUp func()) {
	l, err := from.Listen("sim.test:80")
	require.NoError(t, err)
	var all sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	all.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := sim.DialContext(context.Background(), "tcp", "sim.test:80")
			if err != nil {
				_ = near.Close()
				continue
			}
			mu.Lock()
			open = append(open, near)
			mu.Unlock()
			all.Go(func() { pipe(far, near) })
			all.Go(func() { pipe(near, far) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		from.Reset()
		all.Wait()
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		for _, near := range open {
			_ = near.Close()
		}
		open = nil
	}
}

// pipe copies until either end breaks, and then ends both.
func pipe(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
	_ = from.Close()
}
