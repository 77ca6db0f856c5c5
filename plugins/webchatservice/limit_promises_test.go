package webchatservice_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
)

// limitPromises are those on what the vendor and users say (webchatservice 6.1).
func limitPromises() []promise {
	return []promise{
		{"6.1", []int{2, 3}, "`configure` can be called once; the end point is fixed", "`configure` again counts from the next session on", func(t *testing.T) {
			network := chatsim.NewNetwork()
			defer network.Close()
			one := simulator.New(&chatsim.Options{Network: network, Host: "one.test"})
			defer one.Close()
			two := simulator.New(&chatsim.Options{Network: network, Host: "two.test"})
			defer two.Close()
			r := newRig(t, onSim(one))
			defer r.stop()
			_, err := call(r, webchatservice.Configure, webchatservice.Config{Wire: webchatservice.NewWire(map[string]any{"dataURL": gmssim.URL(two)})})
			require.NoError(t, err)
			r.begin()
			assert.Empty(t, one.Chats())
			assert.Len(t, two.Chats(), 1)
		}},
		{"6.1", []int{4}, "idle chats close after a time that nobody can set", "`Options.InactivityLimit` ends them with reason `idle`; `wake` stops the server's timer", func(t *testing.T) {
			m := chattest.NewMemory(nil)
			opts := onMemory(m)
			opts.InactivityLimit = 3 * time.Minute
			r := newRig(t, opts)
			defer r.stop()
			r.begin()
			time.Sleep(4 * time.Minute)
			assert.Equal(t, webchatservice.EndIdle, payload[webchatservice.EndedData](t, r.take(), "ended").Reason)
		}},
		{"6.1", []int{7}, "closing a custom window leaves the conversation on the server", "stopping the service ends it there, unless a store keeps it", func(t *testing.T) {
			m := chattest.NewMemory(nil)
			r := newRig(t, onMemory(m))
			r.begin()
			r.stop()
			assert.True(t, m.Ended(id))
		}},
		{"6.1", []int{13}, "nothing says whether an agent is there", "every roster has `numAgentsConnected`, and tells bots and supervisors apart", onRig(func(t *testing.T, r *rig, m *chattest.Memory) {
			m.AgentJoin(id, "Bob")
			m.Say(id, "Robo", chat.RoleBot, chat.KindParticipantJoined, "")
			m.Say(id, "Sue", chat.RoleSupervisor, chat.KindParticipantJoined, "")
			synctest.Wait()
			agents, err := call(r, webchatservice.GetAgents, struct{}{})
			require.NoError(t, err)
			assert.Equal(t, []int{1, 1, 1}, []int{agents.NumAgentsConnected, agents.NumBotsConnected, agents.NumSupervisorsConnected})
		})},
		{"6.1", []int{14}, "the end of a chat is detected by a magic text", "`ended` has a reason", onRig(func(t *testing.T, r *rig, m *chattest.Memory) {
			m.EndChatBy(id, chat.EndAgent)
			assert.Equal(t, webchatservice.EndAgent, payload[webchatservice.EndedData](t, r.take(), "ended").Reason)
		})},
		{"6.1", []int{15}, "after the end the transcript must be fetched quickly", "it is kept until the next session", onRig(func(t *testing.T, r *rig, m *chattest.Memory) {
			m.AgentSay(id, "Bob", "bye")
			m.EndChat(id)
			time.Sleep(24 * time.Hour)
			tr, err := call(r, webchatservice.GetTranscript, struct{}{})
			require.NoError(t, err)
			assert.Equal(t, "bye", tr.Messages[len(tr.Messages)-1].Text)
		})},
		{"6.1", []int{17}, "structured data is squeezed into the text of a notice", "`sendCustomNotice` takes `eventAttributes`", onRig(func(t *testing.T, r *rig, _ *chattest.Memory) {
			_, err := call(r, webchatservice.SendCustomNotice, webchatservice.SendCustomNoticeIn{EventAttributes: json.RawMessage(`{"page":"cart"}`)})
			require.NoError(t, err)
			synctest.Wait()
			tr, err := call(r, webchatservice.GetTranscript, struct{}{})
			require.NoError(t, err)
			assert.Equal(t, chat.KindCustomNotice, tr.Messages[len(tr.Messages)-1].Type)
		})},
		{"6.1", []int{1}, "several tabs of one chat do not see each other's messages", "services that hold the same session see every line, once and in order", func(t *testing.T) {
			sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
			defer sim.Close()
			var rigs []*rig
			for i := range 3 {
				r := newRig(t, onSim(sim))
				defer r.stop()
				rigs = append(rigs, r)
				if i == 0 {
					r.begin()
					continue
				}
				data, err := call(rigs[0], webchatservice.GetSessionData, struct{}{})
				require.NoError(t, err)
				_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{SessionData: keysOf(data)})
				require.NoError(t, err)
			}
			var want []string
			for i, r := range rigs {
				want = append(want, fmt.Sprintf("from %d", i))
				require.NoError(t, send(r, want[i]))
			}
			time.Sleep(10 * time.Second)
			for _, r := range rigs {
				assert.Equal(t, want, texts(r.take()))
			}
		}},
		{"6.1", []int{5}, "an automatic message every ten minutes keeps a chat open", "`wake` with `resetIdleState` does, and nobody sees it", onGMS(func(t *testing.T, r *rig, sim *chatsim.Server) {
			c, ok := sim.Chat(sim.Chats()[0].ID)
			require.True(t, ok)
			for range 3 {
				require.NoError(t, c.Alert(30*time.Second))
				time.Sleep(10 * time.Second)
				_, err := call(r, webchatservice.Wake, webchatservice.WakeIn{ResetIdleState: true})
				require.NoError(t, err)
				time.Sleep(time.Minute)
			}
			assert.NotContains(t, r.told(), "ended")
			assert.Empty(t, c.Snapshot().Lines(chatsim.Client))
		})},
		{"6.1", []int{6}, "nothing tells whether a stored conversation is still alive", "`verifySession` does", func(t *testing.T) {
			opts := onMemory(chattest.NewMemory(nil))
			opts.Store = webchatservice.NewMemoryStore()
			is := func(want bool) {
				r := newRig(t, opts)
				defer r.stop()
				v, err := call(r, webchatservice.VerifySession, struct{}{})
				require.NoError(t, err)
				assert.Equal(t, want, v.SessionActive)
			}
			is(false)
			r := newRig(t, opts)
			r.begin()
			r.stop()
			is(true)
			time.Sleep(time.Minute)
			is(false)
		}},
		{"6.1", []int{8}, "a long-lived chat stays open when the agents have left, and a late line begins another", "`Options.EndAfterAgents` ends it with reason `agent`; a transfer does not", func(t *testing.T) {
			m := chattest.NewMemory(nil)
			opts := onMemory(m)
			opts.EndAfterAgents = time.Minute
			r := newRig(t, opts)
			defer r.stop()
			r.begin()
			time.Sleep(time.Hour) // nobody has come yet
			m.AgentJoin(id, "Ann")
			m.AgentLeave(id, "Ann")
			time.Sleep(30 * time.Second)
			m.AgentJoin(id, "Bob")
			time.Sleep(time.Hour)
			assert.NotContains(t, r.told(), "ended")
			m.AgentLeave(id, "Bob")
			time.Sleep(time.Minute)
			assert.Equal(t, webchatservice.EndedData{Reason: webchatservice.EndAgent, ServerTold: true}, payload[webchatservice.EndedData](t, r.take(), "ended"))
			assert.True(t, m.Ended(id))
		}},
		{"6.1", []int{9, 10}, "sessions are not restored on `localhost` and IP addresses, on another domain, or after 60 s", "a `Store` knows no addresses, and `restoreTimeout` is what is configured", func(t *testing.T) {
			network := chatsim.NewNetwork()
			defer network.Close()
			sim := simulator.New(&chatsim.Options{Network: network, Host: "127.0.0.1", Script: chatsim.Nobody, SilenceLimit: -1})
			defer sim.Close()
			opts := onSim(sim)
			opts.Config.RestoreTimeout = 600_000
			opts.Store, opts.SessionKey = webchatservice.NewMemoryStore(), "visitor-7"
			r := newRig(t, opts)
			r.begin()
			r.stop()
			time.Sleep(9 * time.Minute)
			r = newRig(t, opts)
			defer r.stop()
			_, err := call(r, webchatservice.Restore, webchatservice.RestoreIn{})
			require.NoError(t, err)
			assert.Len(t, sim.Chats(), 1)
		}},
		{"6.1", []int{11}, "commands are not to be invoked manually, though nothing else builds a user interface", "all are for everybody, but `poll`", onRig(func(t *testing.T, r *rig, _ *chattest.Memory) {
			for _, command := range vendorCommands {
				_, err := r.app.Call(t.Context(), "WebChatService."+command, nil)
				assert.Equal(t, command == "poll", errors.Is(err, webchatservice.ErrPrivate), command)
				assert.NotErrorIs(t, err, bus.ErrUnknownCommand)
			}
		})},
		{"6.1", []int{16}, "handlers must look at `restoring`, or they react twice to old lines", "a line is published once in a process; restored ones come in one batch of their own, and each says so", func(t *testing.T) {
			m := chattest.NewMemory(nil)
			opts := onMemory(m)
			opts.Store = webchatservice.NewMemoryStore()
			r := newRig(t, opts)
			r.begin()
			m.AgentSay(id, "Bob", "old")
			synctest.Wait()
			r.stop()
			r = newRig(t, opts)
			defer r.stop()
			_, err := call(r, webchatservice.Restore, webchatservice.RestoreIn{})
			require.NoError(t, err)
			d := payload[webchatservice.MessageReceivedData](t, r.take(), "messageReceived")
			assert.True(t, d.Restoring)
			for _, line := range d.Messages {
				assert.True(t, line.Restoring)
			}
			m.Partition()
			time.Sleep(20 * time.Second)
			m.Heal()
			time.Sleep(20 * time.Second)
			assert.Empty(t, texts(r.take()), "a reconnection brings nothing that was there")
			m.AgentSay(id, "Bob", "new")
			d = payload[webchatservice.MessageReceivedData](t, r.take(), "messageReceived")
			assert.False(t, d.Restoring)
			assert.False(t, d.Messages[0].Restoring)
		}},
	}
}
