package webchatservice_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
)

// overGMS runs f on a chat that nobody answers, over each wire of GMS.
func overGMS(t *testing.T, f func(t *testing.T, r *rig, sim *chatsim.Server)) {
	for name, on := range map[string]func(*chatsim.Server) *webchatservice.Options{
		"REST":        onSim,
		"WebSocket":   func(sim *chatsim.Server) *webchatservice.Options { return onCometD(sim, websockets) },
		"LongPolling": func(sim *chatsim.Server) *webchatservice.Options { return onCometD(sim, longPolling) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
				defer sim.Close()
				r := newRig(t, on(sim))
				defer r.stop()
				r.begin()
				f(t, r, sim)
			})
		})
	}
}

// statusCode 1 says that the chat server behind the service was out of reach, which may be so for its answer alone. The
// line is looked for before it is sent again.
func TestLineIsLookedForBeforeItIsRepeated(t *testing.T) {
	for name, stored := range map[string]bool{"stored": true, "not stored": false} {
		t.Run(name, func(t *testing.T) {
			overGMS(t, func(t *testing.T, r *rig, sim *chatsim.Server) {
				sim.Faults().Add(chatsim.Fault{Op: "send", Accept: stored, Details: gmssim.Fault{StatusCode: 1}})
				begun := time.Now()
				require.NoError(t, send(r, "once"))
				assert.Less(t, time.Since(begun), 15*time.Second)
				require.NoError(t, send(r, "and on"))
				time.Sleep(time.Minute)
				assert.Equal(t, []string{"once", "and on"}, sim.Chats()[0].Lines(chatsim.Client))
			})
		})
	}
}

// While the chat server stays out of reach a line waits. It is sent once, when the transcript can be looked at again.
func TestLineWaitsForTheTranscript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1})
		defer sim.Close()
		r := newRig(t, onSim(sim))
		defer r.stop()
		r.begin()
		sim.Faults().Add(chatsim.Fault{Times: -1, Details: gmssim.Fault{StatusCode: 1}})
		sent := start(r, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "once"})
		time.Sleep(2 * time.Minute)
		select {
		case <-sent.Done():
			t.Fatal("settled while nothing was known")
		default:
		}
		sim.Faults().Clear()
		_, err := sent.Result(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []string{"once"}, sim.Chats()[0].Lines(chatsim.Client))
	})
}

// A line that the server failed on is settled as soon as two polls have shown whether it is there.
func TestServerFailureIsSettledByPolls(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		stored bool
		within time.Duration
		want   error
	}{
		{"500, stored", 500, true, 5 * time.Second, nil},
		{"500, not stored", 500, false, 10 * time.Second, webchatservice.ErrNotSent},
		{"504, not stored", 504, false, 20 * time.Second, webchatservice.ErrSendUnknown}, // it may come yet
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, onGMS(func(t *testing.T, r *rig, sim *chatsim.Server) {
				sim.Faults().Add(chatsim.Fault{Op: "send", Status: c.status, Accept: c.stored})
				begun := time.Now()
				err := send(r, "first")
				assert.Less(t, time.Since(begun), c.within)
				if c.want == nil {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, c.want)
				}
				require.NoError(t, send(r, "second"))
				want := []string{"second"}
				if c.stored {
					want = []string{"first", "second"}
				}
				assert.Equal(t, want, sim.Chats()[0].Lines(chatsim.Client))
			}))
		})
	}
}

// HTTP 408 and 425 invite a repeat: the server has not taken the request.
func TestInvitedRepeat(t *testing.T) {
	for _, status := range []int{408, 425} {
		synctest.Test(t, onGMS(func(t *testing.T, r *rig, sim *chatsim.Server) {
			sim.Faults().Add(chatsim.Fault{Op: "send", Status: status, Times: 2})
			begun := time.Now()
			require.NoError(t, send(r, "again"))
			assert.Less(t, time.Since(begun), 10*time.Second)
			assert.Equal(t, []string{"again"}, sim.Chats()[0].Lines(chatsim.Client))
		}))
	}
}
