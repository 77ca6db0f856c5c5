package webchatservice_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
)

// A chat server that takes a chat over may lack its last lines, and gives their indices to what is said next. That is
// published like all that is new, and what was published before stays.
func TestTakeOver(t *testing.T) {
	for name, tt := range map[string]struct {
		quirks gmssim.Quirks
		alias  bool // the new server has another one
		asked  bool // it is asked before anything was said there
		longer bool // it has more lines by then than the one before
	}{
		"Asked at once":            {asked: true},
		"Asked at once, new alias": {asked: true, alias: true},
		"As many lines by then":    {alias: true},
		"More lines by then":       {alias: true, longer: true},
		"Server that sends all":    {quirks: gmssim.Quirks{SendReturnsAll: true}, asked: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := simulator.New(&chatsim.Options{
					Script: chatsim.Nobody, SilenceLimit: -1, Faces: []chatsim.Face{gmssim.New(&gmssim.Options{Quirks: tt.quirks})},
				})
				defer sim.Close()
				r := newRig(t, onSim(sim))
				defer r.stop()
				r.begin()
				c, ok := sim.Chat(sim.Chats()[0].ID)
				require.True(t, ok)
				ann, err := c.Join("Ann", chatsim.RoleAgent)
				require.NoError(t, err)
				say(t, ann, "one", "two", "three")
				time.Sleep(5 * time.Second)
				require.Equal(t, []string{"one", "two", "three"}, texts(r.take()))

				sim.Faults().Add(chatsim.Fault{Op: "refresh", Times: 2, Details: gmssim.Fault{StatusCode: 1}})
				c.TakeOver(2)
				if tt.alias {
					sim.Faults().Add(chatsim.Fault{Op: "refresh", Details: gmssim.Fault{Alias: 77}})
				}
				if tt.asked {
					time.Sleep(10 * time.Second)
				}
				want := []string{"four", "five"}
				if tt.longer {
					want = append(want, "six", "seven")
				}
				say(t, ann, want...)
				time.Sleep(10 * time.Second)
				say(t, ann, "last")
				want = append(want, "last")
				time.Sleep(10 * time.Second)
				require.NoError(t, send(r, "mine"))
				time.Sleep(10 * time.Second)
				events := r.take()
				want = append(want, "mine")
				if tt.longer { // those that came first were published before it was known that there are others
					assert.ElementsMatch(t, want, texts(events))
				} else {
					assert.Equal(t, want, texts(events))
				}
				assert.Empty(t, gaps(events))
				assert.Equal(t, append([]string{"one", "two", "three"}, want...), transcriptOf(r))
			})
		})
	}
}

// transcriptOf returns the texts of the messages that getTranscript gives.
func transcriptOf(r *rig) (lines []string) {
	r.t.Helper()
	whole, err := call(r, webchatservice.GetTranscript, struct{}{})
	require.NoError(r.t, err)
	for _, m := range whole.Messages {
		if m.Type == chat.KindMessage {
			lines = append(lines, m.Text)
		}
	}
	return lines
}

// Over CometD it shows when the chat is attached again.
func TestTakeOverOverCometD(t *testing.T) {
	overCometD(t, chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1}, func(t *testing.T, sim *chatsim.Server, opts *webchatservice.Options) {
		r := newRig(t, opts)
		defer r.stop()
		r.begin()
		c, ok := sim.Chat(sim.Chats()[0].ID)
		require.True(t, ok)
		ann, err := c.Join("Ann", chatsim.RoleAgent)
		require.NoError(t, err)
		say(t, ann, "one", "two", "three")
		time.Sleep(5 * time.Second)
		require.Equal(t, []string{"one", "two", "three"}, texts(r.take()))
		c.TakeOver(2)
		sim.Network().Reset()
		time.Sleep(10 * time.Second)
		say(t, ann, "four", "five")
		time.Sleep(10 * time.Second)
		say(t, ann, "six")
		time.Sleep(10 * time.Second)
		events := r.take()
		assert.Equal(t, []string{"four", "five", "six"}, texts(events))
		assert.Empty(t, gaps(events))
		assert.Equal(t, []string{"one", "two", "three", "four", "five", "six"}, transcriptOf(r))
	})
}
