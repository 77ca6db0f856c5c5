package webchatservice_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
)

var update = flag.Bool("update", false, "rewrite the generated parts of the manual")

// promise is one thing that the vendor's service does and this one does not (webchatservice 6).
type promise struct {
	section      string
	rows         []int // of the table in that section, from 1
	vendor, ours string
	check        func(t *testing.T)
}

// onRig makes a check of one on a service with a server in memory and a chat.
func onRig(f func(t *testing.T, r *rig, m *chattest.Memory)) func(t *testing.T) {
	return func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()
		r.begin()
		f(t, r, m)
	}
}

// onGMS makes a check of one on a service with a simulated GMS whose chats nobody answers, and a chat.
func onGMS(f func(t *testing.T, r *rig, sim *chatsim.Server)) func(t *testing.T) {
	return func(t *testing.T) {
		sim := chatsim.New(&chatsim.Options{Script: chatsim.Nobody})
		defer sim.Close()
		r := newRig(t, onSim(sim))
		defer r.stop()
		r.begin()
		f(t, r, sim)
	}
}

func send(r *rig, text string) error {
	_, err := call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: text})
	return err
}

func end(r *rig) error {
	_, err := call(r, webchatservice.EndChat, struct{}{})
	return err
}

// keysOf makes of what getSessionData gives what restore takes.
func keysOf(d webchatservice.SessionData) *webchatservice.SessionKeys {
	keys := webchatservice.SessionKeys(d)
	return &keys
}

// fakeLines is a wire that says what it is told to, line by line.
type fakeLines struct {
	chat.Driver
	lines chan chat.Event
}

func (f *fakeLines) Open(ctx context.Context, r chat.Request) (chat.Conn, error) {
	c, err := f.Driver.Open(ctx, r)
	return &fakeConn{Conn: c, lines: f.lines}, err
}

type fakeConn struct {
	chat.Conn
	lines chan chat.Event
	first bool
}

func (c *fakeConn) Receive(ctx context.Context) (chat.Event, error) {
	if !c.first {
		c.first = true
		return chat.Event{}, nil
	}
	select {
	case ev := <-c.lines:
		return ev, nil
	case <-ctx.Done():
		return chat.Event{}, &chat.Error{Code: chat.CodeCanceled, Err: ctx.Err()}
	}
}

func onLines(f func(t *testing.T, r *rig, say func(...chat.Message))) func(t *testing.T) {
	return func(t *testing.T) {
		fake := &fakeLines{chattest.NewMemory(nil).Driver(), make(chan chat.Event)}
		r := newRig(t, &webchatservice.Options{Drivers: []chat.Factory{{
			Name:    "lines",
			Matches: func(chat.Config) bool { return true },
			New:     func(chat.Config, chat.Options) (chat.Driver, error) { return fake, nil },
		}}})
		defer r.stop()
		r.begin()
		f(t, r, func(lines ...chat.Message) {
			fake.lines <- chat.Event{Messages: lines}
			synctest.Wait()
		})
	}
}

func promises() []promise {
	return []promise{
		{"6.1", []int{2, 3}, "`configure` can be called once; the end point is fixed", "`configure` again counts from the next session on", func(t *testing.T) {
			network := chatsim.NewNetwork()
			defer network.Close()
			one := chatsim.New(&chatsim.Options{Network: network, Host: "one.test"})
			defer one.Close()
			two := chatsim.New(&chatsim.Options{Network: network, Host: "two.test"})
			defer two.Close()
			r := newRig(t, onSim(one))
			defer r.stop()
			_, err := call(r, webchatservice.Configure, webchatservice.Config{DataURL: two.GMSURL()})
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
			sim := chatsim.New(&chatsim.Options{Script: chatsim.Nobody})
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
			sim := chatsim.New(&chatsim.Options{Network: network, Host: "127.0.0.1", Script: chatsim.Nobody, SilenceLimit: -1})
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
			sim := chatsim.New(&chatsim.Options{Script: chatsim.Nobody})
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
			_, err := call(bareRig(t, nil), webchatservice.UpdateUserData, map[string]any{"a": "b"})
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
				m.Status(id, 1)
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
				return chat.Message{Kind: chat.KindMessage, Index: i, HasIndex: true, Raw: json.RawMessage(fmt.Sprintf(`{"index":%d}`, i))}
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

		{"6.4", []int{1}, "the secureKey is in cookies and in every `messageReceived`", "it is in `getSessionData` alone", onRig(func(t *testing.T, r *rig, m *chattest.Memory) {
			data, err := call(r, webchatservice.GetSessionData, struct{}{})
			require.NoError(t, err)
			m.AgentSay(id, "Bob", "Hello")
			seen := printed(t, r.take(), data)
			assert.Contains(t, seen, "Hello")
			assert.NotContains(t, seen, data.SecureKey.Reveal())
		})},
		{"6.4", []int{2}, "a failed restore keeps dead cookies, and blocks what follows (C)", "a dead session is cleared, a live one kept; nothing is blocked", func(t *testing.T) {
			m := chattest.NewMemory(nil)
			opts := onMemory(m)
			opts.Store = webchatservice.NewMemoryStore()
			r := newRig(t, opts)
			r.begin()
			r.stop()
			r = newRig(t, opts)
			defer r.stop()
			m.Partition()
			_, err := call(r, webchatservice.Restore, webchatservice.RestoreIn{})
			require.ErrorIs(t, err, webchatservice.ErrRestoreFailed)
			v, err := call(r, webchatservice.VerifySession, struct{}{})
			require.NoError(t, err)
			assert.True(t, v.SessionActive)
			m.Heal()
			m.EndChat(id)
			_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
			require.ErrorIs(t, err, webchatservice.ErrSessionOver)
			v, err = call(r, webchatservice.VerifySession, struct{}{})
			require.NoError(t, err)
			assert.False(t, v.SessionActive)
		}},
		{"6.4", []int{3}, "no back-off on errors, or one without a cap", "exponential with jitter, at most 8 s while a session lives", func(t *testing.T) {
			sim := chatsim.New(&chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1})
			defer sim.Close()
			r := newRig(t, onSim(sim))
			defer r.stop()
			r.begin()
			before := len(sim.Requests())
			sim.Faults().Add(chatsim.Fault{Status: 503, Times: -1})
			time.Sleep(time.Minute)
			tries := len(sim.Requests()) - before
			assert.LessOrEqual(t, tries, 13)
			assert.GreaterOrEqual(t, tries, 8)
			sim.Faults().Clear()
			time.Sleep(9 * time.Second)
			assert.NoError(t, send(r, "hi"))
		}},
		{"6.4", []int{3}, "after one failed poll it never polls again (P)", "it goes on", onGMS(func(t *testing.T, r *rig, sim *chatsim.Server) {
			sim.Faults().Add(chatsim.Fault{Op: "refresh", Status: 500})
			time.Sleep(10 * time.Second)
			c, ok := sim.Chat(sim.Chats()[0].ID)
			require.True(t, ok)
			ann, err := c.Join("Ann", chatsim.RoleAgent)
			require.NoError(t, err)
			_, err = ann.Say("Hello")
			require.NoError(t, err)
			time.Sleep(10 * time.Second)
			assert.Equal(t, []string{"Hello"}, texts(r.take()))
		})},
		{"6.4", []int{4}, "no queue, no acknowledgement, no id: sending again may double", "an outbox with ids; what may have arrived is never sent again by itself", onGMS(func(t *testing.T, r *rig, sim *chatsim.Server) {
			sim.Faults().Add(chatsim.Fault{Op: "send", Drop: chatsim.DropAfter})
			require.NoError(t, send(r, "once"))
			assert.Equal(t, []string{"once"}, sim.Chats()[0].Lines(chatsim.Client))
		})},
		{"6.4", []int{5}, "one session for a page, with global state", "one for a service, and any number of services", func(t *testing.T) {
			m := chattest.NewMemory(nil)
			for range 5 {
				r := newRig(t, onMemory(m))
				defer r.stop()
				r.begin()
			}
			assert.Equal(t, 5, m.Chats())
		}},
		{"6.4", []int{7}, "unknown options are ignored, `pollRateMin` counts only beside `pollRateMax`", "each counts by itself, and a wrong one is an error with its path", func(t *testing.T) {
			sim := chatsim.New(&chatsim.Options{Script: chatsim.Nobody})
			defer sim.Close()
			opts := onSim(sim)
			opts.Config.PollRateMin = 2000
			r := newRig(t, opts)
			defer r.stop()
			r.begin()
			time.Sleep(1900 * time.Millisecond)
			assert.Len(t, sim.Requests(), 1, "the start")
			_, err := r.app.Call(t.Context(), "WebChatService.configure", map[string]any{"pollRateMinimum": 1})
			assert.ErrorContains(t, err, "pollRateMinimum")
		}},
		{"6.4", []int{6}, "`getSessionData` stores and `setSessionData` loads", "a `Store` has `Save`, `Load` and `Delete`, and each does that", func(t *testing.T) {
			store := &namedStore{}
			opts := onMemory(chattest.NewMemory(nil))
			opts.Store = store
			r := newRig(t, opts)
			r.begin()
			r.stop()
			r = newRig(t, opts)
			defer r.stop()
			_, err := call(r, webchatservice.Restore, webchatservice.RestoreIn{})
			require.NoError(t, err)
			require.NoError(t, end(r))
			synctest.Wait()
			calls := slices.Compact(store.calls)
			assert.Equal(t, "save", calls[0])
			assert.Contains(t, calls, "load")
			assert.Equal(t, "delete", calls[len(calls)-1])
		}},
		{"6.4", []int{7}, "`isTyping` and `pollExceptionLimit` are read and make no difference on some wires", "they count on all", func(t *testing.T) {
			m := chattest.NewMemory(nil)
			opts := onMemory(m)
			opts.Config = &webchatservice.Config{PollExceptionLimit: 2}
			r := newRig(t, opts)
			defer r.stop()
			r.begin()
			on, off := true, false
			for _, is := range []*bool{&on, &off} {
				_, err := call(r, webchatservice.SendTyping, webchatservice.SendTypingIn{IsTyping: is})
				require.NoError(t, err)
				synctest.Wait()
				assert.Equal(t, *is, m.VisitorTyping(id))
			}
			r.take()
			for range 2 {
				m.Status(id, 1)
				synctest.Wait()
			}
			assert.Empty(t, r.told())
			m.Status(id, 1)
			assert.Equal(t, []string{"chatServerWentOffline"}, r.told())
		}},
		{"6.4", []int{8}, "filters, pre-processors and the preview input cannot be removed", "each has a command that removes it", onGMS(func(t *testing.T, r *rig, sim *chatsim.Server) {
			filters, err := call(r, webchatservice.AddPrefilter, webchatservice.AddPrefilterIn{Filters: webchatservice.Filters{{Regexp: regexp.MustCompile("Hello")}}})
			require.NoError(t, err)
			out, err := call(r, webchatservice.RegisterPreProcessor, webchatservice.RegisterPreProcessorIn{
				PreProcessor: func(m webchatservice.Message) *webchatservice.Message { m.Text = "changed"; return &m },
			})
			require.NoError(t, err)
			_, err = call(r, webchatservice.RegisterTypingPreviewInput, webchatservice.RegisterTypingPreviewInputIn{Input: func() string { return "typed" }})
			require.NoError(t, err)
			c, ok := sim.Chat(sim.Chats()[0].ID)
			require.True(t, ok)
			ann, err := c.Join("Ann", chatsim.RoleAgent)
			require.NoError(t, err)
			say := func(text string) []string {
				_, err := ann.Say(text)
				require.NoError(t, err)
				time.Sleep(5 * time.Second)
				return texts(r.take())
			}
			assert.Empty(t, say("Hello"))
			assert.Equal(t, []string{"changed"}, say("Bye"))
			assert.Equal(t, "typed", c.Snapshot().Preview)

			for number := range filters {
				_, err = call(r, webchatservice.RemovePrefilter, webchatservice.RemoveIn{ID: number})
				require.NoError(t, err)
			}
			_, err = call(r, webchatservice.RemovePreProcessor, webchatservice.RemoveIn{ID: out.ID})
			require.NoError(t, err)
			_, err = call(r, webchatservice.RemoveTypingPreviewInput, struct{}{})
			require.NoError(t, err)
			assert.Equal(t, []string{"Hello"}, say("Hello"))
			assert.Empty(t, c.Snapshot().Preview)
		})},
		{"6.4", []int{9}, "the poll rate is reset by sending, not by receiving", "activity in both directions resets it", onGMS(func(t *testing.T, r *rig, sim *chatsim.Server) {
			time.Sleep(time.Minute)
			c, ok := sim.Chat(sim.Chats()[0].ID)
			require.True(t, ok)
			ann, err := c.Join("Ann", chatsim.RoleAgent)
			require.NoError(t, err)
			time.Sleep(3100 * time.Millisecond)
			before := len(sim.Requests())
			_, err = ann.Say("Hello")
			require.NoError(t, err)
			time.Sleep(3 * time.Second)
			assert.GreaterOrEqual(t, len(sim.Requests())-before, 3)
		})},
		{"6.4", []int{10}, "a file cannot be sent again after a failure, and the limits are left to the server", "it can, and what the limits forbid is not sent", func(t *testing.T) {
			sim := chatsim.New(&chatsim.Options{Script: chatsim.Nobody, Files: chatsim.FileLimits{MaxFileSize: 4}})
			defer sim.Close()
			r := newRig(t, onSim(sim))
			defer r.stop()
			r.begin()
			small := webchatservice.SendFileIn{Files: webchatservice.FileIn{Name: "a.txt", Data: []byte("1234")}}
			large := webchatservice.SendFileIn{Files: webchatservice.FileIn{Name: "b.txt", Data: []byte("12345")}}
			_, err := call(r, webchatservice.SendFile, large)
			assert.ErrorIs(t, err, webchatservice.ErrFileRefused)
			sim.Faults().Add(chatsim.Fault{Op: "file", Status: 503})
			_, err = call(r, webchatservice.SendFile, small)
			require.ErrorIs(t, err, webchatservice.ErrRequest)
			_, err = call(r, webchatservice.SendFile, small)
			require.NoError(t, err)
			uploads := 0
			for _, q := range sim.Requests() {
				if q.Op == "file" {
					uploads++
				}
			}
			assert.Equal(t, 2, uploads, "not the large one")
			assert.Len(t, sim.Chats()[0].Files, 1)
		}},
		{"6.4", []int{11}, "addresses are compiled in", "all come from the configuration", func(t *testing.T) {
			sim := chatsim.New(&chatsim.Options{Script: chatsim.Nobody})
			defer sim.Close()
			opts := onSim(sim)
			var mu sync.Mutex
			dialled := map[string]bool{}
			opts.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				mu.Lock()
				dialled[address] = true
				mu.Unlock()
				return sim.DialContext(ctx, network, address)
			}
			r := newRig(t, opts)
			defer r.stop()
			for _, command := range []string{"configure", "startChat", "sendTyping", "getFileLimits", "sendFile", "sendCustomNotice", "endChat", "restore"} {
				_, _ = r.app.Call(t.Context(), "WebChatService."+command, nil) // what becomes of them does not matter here
			}
			_, err := call(r, webchatservice.Configure, *opts.Config)
			require.NoError(t, err)
			r.begin()
			u, err := url.Parse(sim.GMSURL())
			require.NoError(t, err)
			mu.Lock()
			defer mu.Unlock()
			assert.Len(t, dialled, 1)
			for address := range dialled {
				host, _, err := net.SplitHostPort(address)
				require.NoError(t, err)
				assert.Equal(t, u.Hostname(), host)
			}
		}},
	}
}

// namedStore notes which of its methods are called.
type namedStore struct {
	webchatservice.MemoryStore
	mu    sync.Mutex // guards calls
	calls []string
}

func (n *namedStore) note(call string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls = append(n.calls, call)
}

func (n *namedStore) Save(ctx context.Context, key string, record []byte) error {
	n.note("save")
	return n.MemoryStore.Save(ctx, key, record)
}

func (n *namedStore) Load(ctx context.Context, key string) ([]byte, error) {
	n.note("load")
	return n.MemoryStore.Load(ctx, key)
}

func (n *namedStore) Delete(ctx context.Context, key string) error {
	n.note("delete")
	return n.MemoryStore.Delete(ctx, key)
}

// TestEndedOnceWithItsReason ends a chat in each way there is.
func TestEndedOnceWithItsReason(t *testing.T) {
	for reason, finish := range map[webchatservice.EndReason]func(t *testing.T, r *rig, m *chattest.Memory){
		webchatservice.EndVisitor: func(t *testing.T, r *rig, _ *chattest.Memory) { require.NoError(t, end(r)) },
		webchatservice.EndAgent:   func(_ *testing.T, _ *rig, m *chattest.Memory) { m.EndChatBy(id, chat.EndAgent) },
		webchatservice.EndServer:  func(_ *testing.T, _ *rig, m *chattest.Memory) { m.EndChat(id) },
		webchatservice.EndIdle:    func(_ *testing.T, _ *rig, m *chattest.Memory) { m.EndChatBy(id, chat.EndIdle) },
		webchatservice.EndExpired: func(_ *testing.T, _ *rig, m *chattest.Memory) {
			m.Partition()
			time.Sleep(time.Minute)
			m.EndChat(id)
			m.Heal()
		},
		webchatservice.EndLost: func(_ *testing.T, _ *rig, m *chattest.Memory) {
			m.Partition()
			time.Sleep(time.Hour)
			m.Heal()
		},
	} {
		t.Run(string(reason), func(t *testing.T) {
			synctest.Test(t, onRig(func(t *testing.T, r *rig, m *chattest.Memory) {
				m.AgentJoin(id, "Bob")
				r.take()
				finish(t, r, m)
				time.Sleep(time.Hour)
				events := r.take()
				d := payload[webchatservice.EndedData](t, events, "ended")
				assert.Equal(t, reason, d.Reason)
				assert.Equal(t, reason != webchatservice.EndLost, d.ServerTold)
				assert.Equal(t, "WebChatService.ended", events[len(events)-1].Name(), "it is the last")
				payload[webchatservice.ParticipantData](t, events, "agentDisconnected")
				payload[webchatservice.ParticipantData](t, events, "clientDisconnected")
			}))
		})
	}
}

// vendorRows is how many rows the tables of webchatservice 6.1 to 6.4 have.
var vendorRows = map[string]int{"6.1": 17, "6.2": 8, "6.3": 13, "6.4": 11}

// notOurs are the rows that a service cannot mend.
var notOurs = map[string]string{
	"6.1 12": "a back end that is given up",
}

func TestPromisesCoverTheReference(t *testing.T) {
	kept := map[string]bool{}
	for _, p := range promises() {
		for _, row := range p.rows {
			assert.LessOrEqual(t, row, vendorRows[p.section])
			kept[fmt.Sprintf("%s %d", p.section, row)] = true
		}
	}
	for section, n := range vendorRows {
		for row := 1; row <= n; row++ {
			key := fmt.Sprintf("%s %d", section, row)
			assert.Equal(t, notOurs[key] == "", kept[key], "row %s", key)
		}
	}
}

func TestPromises(t *testing.T) {
	for _, p := range promises() {
		t.Run(p.section+" "+p.vendor, func(t *testing.T) { synctest.Test(t, p.check) })
	}
}

// TestManualTellsThePromises keeps the table of the manual; go test -run Manual -update rewrites it.
func TestManualTellsThePromises(t *testing.T) {
	var b strings.Builder
	b.WriteString("| section, row | the vendor's service | this service |\n| --- | --- | --- |\n")
	list := promises()
	slices.SortStableFunc(list, func(a, b promise) int {
		return cmp.Or(cmp.Compare(a.section, b.section), cmp.Compare(a.rows[0], b.rows[0]))
	})
	for _, p := range list {
		fmt.Fprintf(&b, "| %s, %s | %s | %s |\n", p.section, strings.Trim(strings.ReplaceAll(fmt.Sprint(p.rows), " ", ", "), "[]"), p.vendor, p.ours)
	}
	inManual(t, "promises", b.String())
}

// inManual compares a generated part of the manual, or rewrites it.
func inManual(t *testing.T, name, want string) {
	t.Helper()
	const file = "../../docs/webchatservice.md"
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	begin, stop := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->"
	before, rest, ok := strings.Cut(string(text), begin)
	require.True(t, ok, "the manual has no part %s", name)
	got, after, ok := strings.Cut(rest, stop)
	require.True(t, ok, "part %s of the manual does not end", name)
	if *update && got != want {
		require.NoError(t, os.WriteFile(file, []byte(before+begin+want+stop+after), 0o600))
		return
	}
	assert.Equal(t, want, got, "run go test ./plugins/webchatservice -run Manual -update")
}
