package chatsim_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/cometdsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
)

// A careful client comes through any of these faults with each line sent once,
// in order, and the whole transcript seen.
func TestRandomFaults(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, &chatsim.Options{Seed: seed + 1, SilenceLimit: 5 * time.Minute}, func(t *testing.T, sim *chatsim.Server) {
				rng := rand.New(rand.NewPCG(seed, 0))
				v := enter(t, sim)
				seen := map[int]string{1: "ParticipantJoined Ada"}
				next := func() int { // the first position not seen
					for n := 1; ; n++ {
						if seen[n] == "" {
							return n
						}
					}
				}
				take := func(r reply, err error) bool {
					if err != nil || r.Status != http.StatusOK || r.ChatID == "" || r.StatusCode != 0 {
						return false
					}
					for i, m := range r.Messages {
						seen[m.Index] = r.Lines()[i]
					}
					return true
				}
				var want []string
				for n := range 30 {
					if rng.IntN(2) == 0 {
						sim.Faults().Add(gmssim.Of(sim).RandomFault(rng))
					}
					line := fmt.Sprint("line ", n)
					want = append(want, line)
					for tries := 1; !take(v.Try("send", "message", line, "transcriptPosition", fmt.Sprint(next()))); tries++ {
						require.Less(t, tries, 50)
						time.Sleep(11 * time.Second) // no fault acts later than that
						if slices.Contains(said(v), line) {
							break
						}
					}
					take(v.Try("refresh", "transcriptPosition", fmt.Sprint(next())))
					time.Sleep(time.Duration(rng.IntN(3000)) * time.Millisecond)
				}
				sim.Faults().Clear()
				time.Sleep(time.Minute / 2)
				require.True(t, take(v.Try("refresh", "transcriptPosition", fmt.Sprint(next()))))
				s := v.Chat().Snapshot()
				assert.Equal(t, want, s.Lines(chatsim.Client))
				assert.Len(t, s.Lines(chatsim.Agent), len(want)+1)
				require.Len(t, seen, len(s.Events))
				for i, e := range s.Events {
					assert.Equal(t, i+1, e.Index)
					assert.Contains(t, seen[e.Index], string(e.Type)+" "+e.From.Nickname)
				}
			})
		})
	}
}

// The same seed gives the same faults.
func TestRandomFaultSeeded(t *testing.T) {
	for _, random := range []func(*rand.Rand) chatsim.Fault{gmssim.New(nil).RandomFault, cometdsim.New(nil).RandomFault} {
		list := func(seed uint64) (out []string) {
			rng := rand.New(rand.NewPCG(seed, 0))
			for range 100 {
				out = append(out, fmt.Sprintf("%+v", random(rng)))
			}
			return out
		}
		assert.Equal(t, list(1), list(1))
		assert.NotEqual(t, list(1), list(2))
	}
}

// A script of one's own: a bot that hands over to an agent at the desk.
func TestOwnScript(t *testing.T) {
	bot := func(ctx context.Context, c *chatsim.Chat) {
		s, err := c.Join("robo", chatsim.RoleBot)
		if err != nil {
			return
		}
		for n := 0; ; n++ {
			e, err := c.Next(ctx, n)
			if err != nil {
				return
			}
			if e.Type == chatsim.Message && e.From.Type == chatsim.Client {
				_, _ = s.Say("Please wait.")
				_ = s.Leave()
				return
			}
		}
	}
	bubble(t, &chatsim.Options{Script: bot}, func(t *testing.T, sim *chatsim.Server) {
		v := enter(t, sim)
		changed := v.Chat().Changed()
		v.Do("send", "message", "help")
		<-changed
		c, err := sim.Desk().Next(t.Context())
		require.NoError(t, err)
		ann, err := c.Join("Ann", chatsim.RoleAgent)
		require.NoError(t, err)
		assert.Equal(t, c, ann.Chat())
		time.Sleep(time.Millisecond)
		assert.Contains(t, v.Do("refresh").Lines(), "ParticipantLeft robo")
	})
}
