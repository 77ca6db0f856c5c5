package webchatservice_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
)

// eventPromises are those on events that mislead (webchatservice 6.3).
func eventPromises() []promise {
	return []promise{
		{"6.3", []int{1}, "`disconnected` for each failed request", "once; `reconnected` once", onRig(func(t *testing.T, r *rig, m *chattest.Memory) {
			for range 3 {
				m.Partition()
				time.Sleep(time.Minute)
				m.Heal()
				time.Sleep(time.Minute)
			}
			assert.Equal(t, strings.Fields(strings.Repeat("disconnected reconnected ", 3)), r.told())
		})},
		{"6.3", []int{1}, "`chatServerWentOffline` with every sixth answer", "once, until `chatServerBackOnline`", onRig(func(t *testing.T, r *rig, m *chattest.Memory) {
			for range 30 {
				m.Unavailable(id, true)
				synctest.Wait()
			}
			assert.Equal(t, []string{"chatServerWentOffline"}, r.told())
		})},
		{"6.3", []int{2}, "an end on the server's side without `ended` (E), or without `clientDisconnected` (L)", "always both, `ended` last and once, and the next start is free", onRig(func(t *testing.T, r *rig, m *chattest.Memory) {
			m.EndChat(id)
			assert.Equal(t, []string{"clientDisconnected", "ended"}, r.told())
			_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
			assert.NoError(t, err)
		})},
		{"6.3", []int{2}, "`sessionLost` without `ended`", "`sessionLost`, then `ended` with reason `expired`", onGMS(func(t *testing.T, r *rig, sim *chatsim.Server) {
			sim.Network().Partition()
			time.Sleep(2 * time.Minute)
			sim.Network().Heal()
			time.Sleep(2 * time.Minute)
			events := r.take()
			assert.Equal(t, webchatservice.EndExpired, payload[webchatservice.EndedData](t, events, "ended").Reason)
			payload[webchatservice.SessionLostData](t, events, "sessionLost")
		})},
		{"6.3", []int{3}, "`endChat` publishes that agent and supervisor left, whoever was there", "only who was there leaves", onRig(func(t *testing.T, r *rig, m *chattest.Memory) {
			m.AgentJoin(id, "Bob")
			r.take()
			require.NoError(t, end(r))
			told := r.told()
			assert.Equal(t, 1, count(told, "agentDisconnected"))
			assert.Equal(t, 0, count(told, "supervisorDisconnected"))
		})},
		{"6.3", []int{3}, "`endChat` without a session publishes `clientDisconnected` and `ended`", "it rejects, and nothing is published", func(t *testing.T) {
			r := newRig(t, onMemory(chattest.NewMemory(nil)))
			defer r.stop()
			assert.ErrorIs(t, end(r), webchatservice.ErrNoSession)
			r.begin()
			require.NoError(t, end(r))
			r.take()
			assert.ErrorIs(t, end(r), webchatservice.ErrNoSession)
			assert.Empty(t, r.told())
		}},
		{"6.3", []int{4}, "`restoreTimeout` also means that the server ended the chat", "it has a reason: `timeout` or `ended`", func(t *testing.T) {
			m := chattest.NewMemory(nil)
			opts := onMemory(m)
			opts.Store = webchatservice.NewMemoryStore()
			r := newRig(t, opts)
			r.begin()
			r.stop()
			m.EndChat(id)
			r = newRig(t, opts)
			defer r.stop()
			_, err := call(r, webchatservice.Restore, webchatservice.RestoreIn{})
			require.ErrorIs(t, err, webchatservice.ErrSessionOver)
			assert.Equal(t, "ended", payload[webchatservice.RestoreTimeoutData](t, r.take(), "restoreTimeout").Reason)
		}},
		{"6.3", []int{5}, "`agents` is live and shared: a subscriber may see the future", "an immutable snapshot", onRig(func(t *testing.T, r *rig, m *chattest.Memory) {
			m.AgentJoin(id, "Bob")
			joined := payload[webchatservice.ParticipantData](t, r.take(), "agentConnected")
			m.AgentLeave(id, "Bob")
			left := payload[webchatservice.ParticipantData](t, r.take(), "agentDisconnected")
			assert.True(t, joined.Agents["2"].Connected)
			assert.False(t, left.Agents["2"].Connected)
		})},
		{"6.3", []int{6}, "`numAgentsConnected` is missing, `message` has several shapes", "one payload, with both, also at the end", onRig(func(t *testing.T, r *rig, m *chattest.Memory) {
			m.AgentJoin(id, "Bob")
			r.take()
			m.EndChat(id)
			d := payload[webchatservice.ParticipantData](t, r.take(), "agentDisconnected")
			assert.Equal(t, 0, d.NumAgentsConnected)
			assert.Equal(t, webchatservice.From{ID: "2", Type: chat.RoleAgent, Name: "Bob"}, d.Message.From)
		})},
		{"6.3", []int{7}, "joins and leaves come twice, once without `from` (C)", "once, always with `from`", onRig(func(t *testing.T, r *rig, m *chattest.Memory) {
			m.AgentJoin(id, "Bob")
			m.AgentJoin(id, "Bob")
			assert.Equal(t, 1, count(r.told(), "agentConnected"))
		})},
		{"6.3", []int{8}, "bot events are undeclared, and bots missing in `getAgents`", "bots are participants", onRig(func(t *testing.T, r *rig, m *chattest.Memory) {
			m.Say(id, "Robo", chat.RoleBot, chat.KindParticipantJoined, "")
			assert.Contains(t, r.told(), "botConnected")
			agents, err := call(r, webchatservice.GetAgents, struct{}{})
			require.NoError(t, err)
			assert.Equal(t, "Robo", agents.Bots["2"].Name)
			declared := false
			for _, e := range r.app.Registry()["WebChatService"].Events {
				declared = declared || e.Name == "WebChatService.botConnected"
			}
			assert.True(t, declared)
		})},
		{"6.3", []int{9}, "what a pre-processor returns is ignored (L)", "it takes the line's place", onRig(func(t *testing.T, r *rig, m *chattest.Memory) {
			_, err := call(r, webchatservice.RegisterPreProcessor, webchatservice.RegisterPreProcessorIn{
				PreProcessor: func(m webchatservice.Message) *webchatservice.Message { m.Text = "changed"; return &m },
			})
			require.NoError(t, err)
			m.AgentSay(id, "Bob", "Hello")
			assert.Equal(t, []string{"changed"}, texts(r.take()))
		})},
		{"6.3", []int{10}, "of lines without an index only the first is processed", "all are", onLines(func(t *testing.T, r *rig, say func(...chat.Message)) {
			bare := chat.Message{Kind: chat.KindMessage, From: chat.Party{ID: "2", Role: chat.RoleAgent}, Text: "bare"}
			say(bare, bare)
			say(bare)
			assert.Equal(t, []string{"bare", "bare", "bare"}, texts(r.take()))
		})},
		{"6.3", []int{11}, "`messages` and `originalMessages` cannot be paired", "they are the same lines, and each carries its `original`", onLines(func(t *testing.T, r *rig, say func(...chat.Message)) {
			line := func(i int64) chat.Message {
				return chat.Message{Kind: chat.KindMessage, Index: i, Position: chat.Position{Index: i + 1}, Raw: chat.JSON(fmt.Sprintf(`{"index":%d}`, i))}
			}
			say(line(1), line(2))
			say(line(2), line(1), line(3))
			seen := 0
			for _, e := range r.take() {
				if d, ok := e.Data.(webchatservice.MessageReceivedData); ok {
					require.Len(t, d.OriginalMessages, len(d.Messages))
					for i, m := range d.Messages {
						seen++
						assert.Equal(t, m.Original, d.OriginalMessages[i])
						assert.JSONEq(t, fmt.Sprintf(`{"index":%d}`, m.Index), string(m.Original))
					}
				}
			}
			assert.Equal(t, 3, seen)
		})},
		{"6.3", []int{12}, "failures such as 401, 403, 503 are silent", "`error`, once for the incident", onGMS(func(t *testing.T, r *rig, sim *chatsim.Server) {
			for _, status := range []int{401, 403, 503} {
				f := sim.Faults().Add(chatsim.Fault{Op: "refresh", Status: status, Times: -1})
				time.Sleep(30 * time.Second)
				d := payload[webchatservice.ErrorData](t, r.take(), "error")
				assert.Equal(t, status, d.Status)
				f.Remove()
				time.Sleep(20 * time.Second)
			}
		})},
		{"6.3", []int{13}, "the idle count-down has no event of its own", "`idleAlert` with seconds, `idleCancelled`", onGMS(func(t *testing.T, r *rig, sim *chatsim.Server) {
			c, ok := sim.Chat(sim.Chats()[0].ID)
			require.True(t, ok)
			require.NoError(t, c.Alert(30*time.Second))
			time.Sleep(5 * time.Second)
			assert.Equal(t, 30, payload[webchatservice.IdleAlertData](t, r.take(), "idleAlert").Seconds)
			require.NoError(t, send(r, "I am here"))
			assert.Contains(t, r.told(), "idleCancelled")
		})},
	}
}
