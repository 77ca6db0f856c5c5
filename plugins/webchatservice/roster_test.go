package webchatservice_test

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// crowd makes the lines of n agents who join, and of those who leave.
func crowd(n int) (joins, leaves []chat.Message) {
	for i := range n {
		ann := chat.Party{ID: fmt.Sprint(i + 1), Role: chat.RoleAgent, Name: "Ann"}
		joins = append(joins, chat.Message{Kind: chat.KindParticipantJoined, From: ann, Time: time.Now()})
		leaves = append(leaves, chat.Message{Kind: chat.KindParticipantLeft, From: ann, Time: time.Now()})
	}
	return joins, leaves
}

// Each change of a usual chat shows its own moment.
func TestRosterShowsTheMoment(t *testing.T) {
	synctest.Test(t, onLines(func(t *testing.T, r *rig, say func(...chat.Message)) {
		joins, leaves := crowd(3)
		say(append(joins, leaves...)...)
		connected := 0
		for _, e := range r.take() {
			d, ok := e.Data.(webchatservice.ParticipantData)
			if !ok {
				continue
			}
			if e.Name() == webchatservice.AgentConnected.Name() {
				connected++
			} else {
				connected--
			}
			now := 0
			for _, agent := range d.Agents {
				if agent.Connected {
					now++
				}
			}
			assert.Equal(t, connected, now)
			assert.Equal(t, connected, d.NumAgentsConnected)
		}
		assert.Zero(t, connected)
	}))
}

// A batch in which thousands come and go is taken in within a bound of memory: its changes share one snapshot.
func TestCrowdInOneBatch(t *testing.T) {
	synctest.Test(t, onLines(func(t *testing.T, r *rig, say func(...chat.Message)) {
		const n = 10_000
		joins, leaves := crowd(n)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		say(append(joins, leaves...)...)
		runtime.ReadMemStats(&after)
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(200<<20), "bytes allocated for the batch")
		comes, goes := 0, 0
		for _, e := range r.take() {
			d, ok := e.Data.(webchatservice.ParticipantData)
			if !ok {
				continue
			}
			switch e.Name() {
			case webchatservice.AgentConnected.Name():
				comes++
				require.Equal(t, comes, d.NumAgentsConnected)
			case webchatservice.AgentDisconnected.Name():
				goes++
				require.Equal(t, n-goes, d.NumAgentsConnected)
			}
			if comes > 64 {
				require.Len(t, d.Agents, n, "the end of the batch")
			}
		}
		assert.Equal(t, n, comes)
		assert.Equal(t, n, goes)
	}))
}

// What was given out stays as it was when the next batch comes, of whatever size.
func TestRosterIsImmutable(t *testing.T) {
	synctest.Test(t, onLines(func(t *testing.T, r *rig, say func(...chat.Message)) {
		joins, leaves := crowd(100)
		say(joins...)
		held, err := call(r, webchatservice.GetAgents, struct{}{})
		require.NoError(t, err)
		events := r.take()
		last := events[len(events)-2].Data.(webchatservice.ParticipantData)
		require.Len(t, last.Agents, 100)
		say(leaves...)
		for _, agents := range []map[string]webchatservice.Participant{held.Agents, last.Agents} {
			for id, agent := range agents {
				require.True(t, agent.Connected, id)
			}
		}
		require.NoError(t, end(r))
	}))
}
