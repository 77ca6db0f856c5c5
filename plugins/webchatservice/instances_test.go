package webchatservice_test

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

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
)

// The vendor documents that several tabs of one chat do not see each other's messages over CometD (webchatservice
// 6.1). Here three services on three buses, on both carriers, share a session: each of them, and the agent, has every
// message of all, in order and once, also the one that was cut off in the middle and came back.
func TestInstancesShareASession(t *testing.T) {
	for _, cut := range []string{websockets, longPolling} {
		t.Run(cut+"CutOff", func(t *testing.T) { synctest.Test(t, func(t *testing.T) { shareASession(t, cut) }) })
	}
}

func shareASession(t *testing.T, cut string) {
	sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1})
	defer func() { require.NoError(t, sim.Close()) }()
	apart, closeApart := networkTo(t, sim)
	defer closeApart()

	carriers := []string{websockets, longPolling, cut}
	instances := make([]*rig, len(carriers))
	for i, carrier := range carriers {
		opts := onCometD(sim, carrier)
		if i == 2 {
			opts.Dial = apart.DialContext
		}
		instances[i] = newRig(t, opts)
		defer instances[i].stop()
	}
	_, err := call(instances[0], webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
	require.NoError(t, err)
	session, err := call(instances[0], webchatservice.GetSessionData, struct{}{})
	require.NoError(t, err)
	for _, r := range instances[1:] {
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{SessionData: keysOf(session)})
		require.NoError(t, err)
	}
	c := only(t, sim)
	ann, err := c.Join("Ann", chatsim.RoleAgent)
	require.NoError(t, err)

	const rounds = 12
	var writers sync.WaitGroup
	for i, r := range instances {
		writers.Go(func() {
			for n := range rounds {
				time.Sleep(time.Duration(700+110*i) * time.Millisecond)
				_, err := call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: fmt.Sprintf("%d.%d", i, n)})
				assert.NoError(t, err)
			}
		})
	}
	for n := range rounds {
		time.Sleep(900 * time.Millisecond)
		_, err := ann.Say(fmt.Sprint("ann ", n))
		require.NoError(t, err)
		switch n {
		case 4:
			apart.Refuse()
		case 8:
			apart.Heal()
		}
	}
	writers.Wait()
	time.Sleep(20 * time.Second)

	snapshot := c.Snapshot()
	assert.Len(t, snapshot.Lines(chatsim.Client), len(instances)*rounds, "the server has each once")
	for i, r := range instances {
		assert.Equal(t, snapshot.Lines(chatsim.Client), r.lines(chat.RoleClient), "instance %d", i)
		assert.Equal(t, snapshot.Lines(chatsim.Agent), r.lines(chat.RoleAgent), "instance %d", i)
		var published []int64
		names := map[string]int{}
		for _, e := range r.take() {
			names[e.Name()]++
			if d, ok := e.Data.(webchatservice.MessageReceivedData); ok {
				for _, m := range d.Messages {
					published = append(published, m.Index)
				}
			}
		}
		want := make([]int64, len(snapshot.Events))
		for at := range want {
			want[at] = int64(at + 1)
		}
		assert.Equal(t, want, published, "instance %d: each line once, in order", i)
		gone := 0
		if i == 2 {
			gone = 1
		}
		assert.Equal(t, gone, names["WebChatService.disconnected"], "instance %d", i)
		assert.Equal(t, gone, names["WebChatService.reconnected"], "instance %d", i)
	}

	// Whoever ends it, ends it for all.
	_, err = call(instances[1], webchatservice.EndChat, struct{}{})
	require.NoError(t, err)
	time.Sleep(time.Second)
	for i, r := range instances {
		assert.Equal(t, 1, count(r.told(), "ended"), "instance %d", i)
	}
}

// networkTo returns a network of its own on which sim can be reached, and what ends it.
func networkTo(t *testing.T, sim *chatsim.Server) (*chatsim.Network, func()) {
	t.Helper()
	network := chatsim.NewNetwork()
	l, err := network.Listen("sim.test:80")
	require.NoError(t, err)
	var all sync.WaitGroup
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
			for _, ends := range [][2]net.Conn{{far, near}, {near, far}} {
				all.Go(func() {
					_, _ = io.Copy(ends[0], ends[1])
					_ = ends[0].Close()
					_ = ends[1].Close()
				})
			}
		}
	})
	return network, func() {
		_ = l.Close()
		_ = network.Close()
		all.Wait()
	}
}
