package chatsim_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
)

// Many visitors at once, while the network breaks and the server restarts:
// each chat has its own lines, in order, and an answer to each; the indices
// have no hole.
func TestManyVisitors(t *testing.T) {
	const visitors, lines = 100, 5
	opts := &chatsim.Options{SilenceLimit: -1, Script: chatsim.Scripted(&chatsim.ScriptOptions{ReplyDelay: 50 * time.Millisecond})}
	bubble(t, opts, func(t *testing.T, sim *chatsim.Server) {
		var wg sync.WaitGroup
		for i := range visitors {
			v := enter(t, sim, "nickname", fmt.Sprint("v", i))
			rng := rand.New(rand.NewPCG(1, uint64(i)))
			wg.Go(func() {
				for n := range lines {
					time.Sleep(time.Duration(rng.IntN(2000)) * time.Millisecond)
					for {
						// Lost before it was accepted or not: the transcript knows.
						if _, err := v.Try("send", "message", fmt.Sprint(i, "-", n)); err == nil {
							break
						}
						time.Sleep(time.Second)
						if len(said(v)) > n {
							break
						}
					}
				}
			})
		}
		for i := range 5 {
			time.Sleep(time.Second)
			switch i {
			case 0:
				sim.Network().Reset()
			case 1:
				sim.Restart(true)
			case 2:
				sim.Network().Stall()
				time.Sleep(time.Second)
				sim.Network().Heal()
			case 3:
				sim.Network().Refuse()
				time.Sleep(time.Second)
				sim.Network().Heal()
			}
		}
		wg.Wait()
		time.Sleep(time.Minute)
		snapshots := sim.Chats()
		require.Len(t, snapshots, visitors)
		for i, s := range snapshots {
			var want, answers []string
			for n := range lines {
				want = append(want, fmt.Sprint(i, "-", n))
				answers = append(answers, "You said: "+want[n])
			}
			assert.Equal(t, want, s.Lines(chatsim.Client))
			assert.Equal(t, answers, s.Lines(chatsim.Agent)[1:])
			for k, e := range s.Events {
				assert.Equal(t, k+1, e.Index)
			}
		}
	})
}

// A poll with nothing new, from the client's call to its parsed header.
func BenchmarkPoll(b *testing.B) {
	sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1})
	defer sim.Close()
	v := enter(b, sim)
	body := values("secureKey", v.Start.SecureKey, "transcriptPosition", "2", "message", "").Encode()
	b.ReportAllocs()
	for b.Loop() {
		resp, err := sim.Client().Post(v.Root+"refresh", formType, strings.NewReader(body))
		if err != nil || resp.StatusCode != http.StatusOK {
			b.Fatal(err, resp)
		}
		_ = resp.Body.Close()
	}
}

// A bubble may start and close any number of servers.
func TestServersInOneBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for i := range 20 {
			sim := simulator.New(&chatsim.Options{Seed: uint64(i + 1)})
			enter(t, sim, "nickname", strconv.Itoa(i))
			time.Sleep(time.Second)
			require.NoError(t, sim.Close())
		}
	})
}
