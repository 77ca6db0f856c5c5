package webchatservice_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
)

// settlingPromises are those on promises that lie or hang (webchatservice 6.2).
func settlingPromises() []promise {
	return []promise{
		{"6.2", []int{1}, "`endChat` never settles on success", "it resolves with the server's answer", onRig(func(t *testing.T, r *rig, _ *chattest.Memory) {
			a, err := call(r, webchatservice.EndChat, struct{}{})
			require.NoError(t, err)
			assert.NotEmpty(t, a.Answer)
		})},
		{"6.2", []int{2}, "`endChat` that failed on the wire ends the chat here, but only rejects", "it rejects with `webchat.server-not-told`; `ended` says `serverTold: false`", onRig(func(t *testing.T, r *rig, m *chattest.Memory) {
			m.Partition()
			assert.ErrorIs(t, end(r), webchatservice.ErrServerNotTold)
			assert.Equal(t, webchatservice.EndedData{Reason: webchatservice.EndVisitor}, payload[webchatservice.EndedData](t, r.take(), "ended"))
		})},
		{"6.2", []int{3}, "an unknown command, or any after a wrong transport type, never settles", "both reject at once", func(t *testing.T) {
			r := newRig(t, &webchatservice.Options{})
			defer r.stop()
			_, err := r.app.Call(t.Context(), "WebChatService.getUploadStats", nil)
			assert.ErrorIs(t, err, bus.ErrUnknownCommand)
			_, err = call(r, webchatservice.StartChat, webchatservice.StartChatIn{})
			assert.ErrorIs(t, err, webchatservice.ErrInvalidTransport)
			_, err = call(r, webchatservice.Configure, webchatservice.Config{Transport: webchatservice.Transport{Type: "pureconnect-v3-rest"}})
			assert.ErrorIs(t, err, webchatservice.ErrInvalidTransport)
		}},
		{"6.2", []int{4}, "`sendMessage` while the network is down resolves though the message is lost", "it waits, and resolves when the server has it", onRig(func(t *testing.T, r *rig, m *chattest.Memory) {
			m.Partition()
			f := start(r, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "hi"})
			time.Sleep(time.Minute)
			m.Heal()
			_, err := f.Result(t.Context())
			require.NoError(t, err)
			assert.Equal(t, []string{"hi"}, m.VisitorLines(id))
		})},
		{"6.2", []int{5}, "a second `startChat` while one is under way hangs (C)", "it rejects", func(t *testing.T) {
			m := chattest.NewMemory(nil)
			r := newRig(t, onMemory(m))
			defer r.stop()
			m.Delay(time.Second)
			f := start(r, t.Context(), webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
			synctest.Wait()
			_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
			assert.ErrorIs(t, err, webchatservice.ErrSessionActive)
			_, err = f.Result(t.Context())
			assert.NoError(t, err)
		}},
		{"6.2", []int{5}, "`updateInteractionData`, `fetchHistory` and `sendTyping` hang on some wires", "they settle on all", onRig(func(t *testing.T, r *rig, _ *chattest.Memory) {
			_, err := call(r, webchatservice.UpdateInteractionData, map[string]any{})
			assert.Error(t, err)
			_, err = call(r, webchatservice.FetchHistory, struct{}{})
			assert.Error(t, err)
			_, err = call(r, webchatservice.SendTyping, webchatservice.SendTypingIn{})
			assert.NoError(t, err)
		})},
		{"6.2", []int{4}, "`sendMessage` says that a message is sent, which is not (L), or nothing (E)", "`sent` when the server has it, `failed` when it does not, `unknown` when nobody can tell; each once", onRig(func(t *testing.T, r *rig, m *chattest.Memory) {
			states := func() (all []webchatservice.MessageState) {
				for _, e := range r.take() {
					if d, ok := e.Data.(webchatservice.MessageStateData); ok && d.State != webchatservice.MessagePending {
						all = append(all, d.State)
					}
				}
				return all
			}
			require.NoError(t, send(r, "one"))
			assert.Equal(t, []webchatservice.MessageState{webchatservice.MessageSent}, states())
			m.Refuse("204", "")
			assert.ErrorIs(t, send(r, "two"), webchatservice.ErrNotSent)
			assert.Equal(t, []webchatservice.MessageState{webchatservice.MessageFailed}, states())
			m.Partition()
			f := start(r, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "three"})
			time.Sleep(10 * time.Minute)
			_, err := f.Result(t.Context())
			assert.ErrorIs(t, err, webchatservice.ErrNotSent)
			assert.Equal(t, []webchatservice.MessageState{webchatservice.MessageFailed}, states())
			m.Heal()
			time.Sleep(time.Minute)
			assert.Equal(t, []string{"one"}, m.VisitorLines(id))
		})},
		{"6.2", []int{5}, "requests hang after another tab has ended the session", "they settle, and `ended` tells", func(t *testing.T) {
			sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
			defer sim.Close()
			one, two := newRig(t, onSim(sim)), newRig(t, onSim(sim))
			defer one.stop()
			defer two.stop()
			one.begin()
			data, err := call(one, webchatservice.GetSessionData, struct{}{})
			require.NoError(t, err)
			_, err = call(two, webchatservice.Restore, webchatservice.RestoreIn{SessionData: keysOf(data)})
			require.NoError(t, err)
			require.NoError(t, end(two))
			require.Error(t, send(one, "hello?"))
			if _, err = call(one, webchatservice.UpdateUserData, map[string]any{"a": "b"}); err != nil {
				assert.ErrorIs(t, err, webchatservice.ErrNoSession)
			}
			time.Sleep(10 * time.Second)
			assert.Equal(t, 1, count(one.told(), "ended"))
			_, err = call(one, webchatservice.UpdateUserData, map[string]any{"a": "b"})
			assert.NoError(t, err, "it is for the next session")
		}},
		{"6.2", []int{5}, "`updateUserData` hangs during a session (P)", "it rejects on wires that cannot", func(t *testing.T) {
			_, err := call(bareRig(t), webchatservice.UpdateUserData, map[string]any{"a": "b"})
			assert.ErrorIs(t, err, webchatservice.ErrNoUserData)
		}},
		{"6.2", []int{6}, "`restore` while active rejects, and restores all the same", "nothing changes", onRig(func(t *testing.T, r *rig, _ *chattest.Memory) {
			_, err := call(r, webchatservice.Restore, webchatservice.RestoreIn{})
			assert.ErrorIs(t, err, webchatservice.ErrAlreadyActive)
			time.Sleep(time.Minute)
			assert.Empty(t, r.told())
		})},
		{"6.2", []int{6}, "`poll` by strangers rejects, and polls all the same", "it does not poll", onGMS(func(t *testing.T, r *rig, sim *chatsim.Server) {
			_, err := call(r, webchatservice.StopPoll, struct{}{})
			require.NoError(t, err)
			time.Sleep(5 * time.Second)
			before := len(sim.Requests())
			_, err = call(r, webchatservice.Poll, struct{}{})
			assert.ErrorIs(t, err, webchatservice.ErrPrivate)
			time.Sleep(5 * time.Second)
			assert.Len(t, sim.Requests(), before)
		})},
		{"6.2", []int{7}, "CometD commands resolve when published, not when confirmed", "on wires without confirmation `sendMessage` waits for the transcript", func(t *testing.T) {
			m := chattest.NewMemory(&chattest.MemoryOptions{Unconfirmed: true})
			r := newRig(t, onMemory(m))
			defer r.stop()
			r.begin()
			require.NoError(t, send(r, "hi"))
			assert.Equal(t, []string{"hi"}, m.VisitorLines(id))
		}},
		{"6.2", []int{8}, "`startChat` fails with a string, an object, an answer or a request object", "always `*bus.Error` with a code; the wire's error is within", func(t *testing.T) {
			m := chattest.NewMemory(nil)
			r := newRig(t, onMemory(m))
			defer r.stop()
			for _, spoil := range []func(){m.Partition, func() { m.Heal(); m.Refuse("161", "") }, m.LoseAnswer} {
				spoil()
				_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{})
				var be *bus.Error
				var ce *chat.Error
				require.ErrorAs(t, err, &be)
				require.ErrorAs(t, err, &ce)
				assert.Contains(t, string(be.Code), "webchat.start-")
			}
		}},
	}
}
