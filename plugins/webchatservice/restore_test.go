package webchatservice_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
)

func TestRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		store := webchatservice.NewMemoryStore()
		opts := onMemory(m)
		opts.Store, opts.SessionKey = store, "visitor-7"

		r := newRig(t, opts)
		r.begin()
		m.AgentJoin(id, "Bob")
		m.AgentSay(id, "Bob", "Hello")
		_, err := call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "hi"})
		require.NoError(t, err)
		r.take()
		r.stop()
		assert.Empty(t, r.told(), "stopping publishes nothing")
		assert.False(t, m.Ended(id), "the chat waits to be restored")
		m.AgentSay(id, "Bob", "still there?")

		other := *opts
		other.SessionKey = "visitor-8"
		stranger := newRig(t, &other)
		out, err := call(stranger, webchatservice.VerifySession, struct{}{})
		require.NoError(t, err)
		assert.False(t, out.SessionActive)
		stranger.stop()

		r = newRig(t, opts)
		defer r.stop()
		out, err = call(r, webchatservice.VerifySession, struct{}{})
		require.NoError(t, err)
		assert.True(t, out.SessionActive)
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		events := r.take()
		assert.NotNil(t, payload[webchatservice.RestoredData](t, events, "restored"))
		d := payload[webchatservice.MessageReceivedData](t, events, "messageReceived")
		assert.True(t, d.Restoring)
		assert.Equal(t, "still there?", d.Messages[len(d.Messages)-1].Text)
		assert.Equal(t, 1, payload[webchatservice.ParticipantData](t, events, "agentConnected").NumAgentsConnected)

		_, err = call(r, webchatservice.EndChat, struct{}{})
		require.NoError(t, err)
		out, err = call(r, webchatservice.VerifySession, struct{}{})
		require.NoError(t, err)
		assert.False(t, out.SessionActive, "an ended session is not kept")
	})
}

func TestDeadStoredSessionIsCleared(t *testing.T) {
	for name, kill := range map[string]func(m *chattest.Memory){
		"timeout": func(*chattest.Memory) { time.Sleep(time.Minute) },
		"ended":   func(m *chattest.Memory) { m.EndChat(id) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := chattest.NewMemory(nil)
				opts := onMemory(m)
				opts.Store = webchatservice.NewMemoryStore()
				r := newRig(t, opts)
				r.begin()
				r.stop()

				kill(m)
				r = newRig(t, opts)
				defer r.stop()
				_, err := call(r, webchatservice.Restore, webchatservice.RestoreIn{})
				require.Error(t, err)
				d := payload[webchatservice.RestoreTimeoutData](t, r.take(), "restoreTimeout")
				assert.Equal(t, name, d.Reason)
				_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
				assert.ErrorIs(t, err, webchatservice.ErrNothingStored)
				_, err = call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
				assert.NoError(t, err, "and does not block the next start")
			})
		})
	}
}

func TestRestoreOfAnUnreachableServerKeepsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
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
		assert.ErrorIs(t, err, webchatservice.ErrRestoreFailed)
		assert.Equal(t, []string{"restoreFailed"}, r.told())
		m.Heal()
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		assert.NoError(t, err)
	})
}

// A restore that is given up goes on until the server knows, and is the session until then.
func TestRestoreThatIsGivenUpIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		other := newRig(t, onMemory(m))
		defer other.stop()
		other.begin()
		data, err := call(other, webchatservice.GetSessionData, struct{}{})
		require.NoError(t, err)
		keys := &webchatservice.SessionKeys{SessionID: data.SessionID, UserID: data.UserID, Alias: data.Alias, SecureKey: data.SecureKey}

		r := newRig(t, onMemory(m))
		r.begin()
		require.NoError(t, end(r)) // so that there is a session before
		m.Delay(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		_, err = start(r, ctx, webchatservice.Restore, webchatservice.RestoreIn{SessionData: keys}).Result(t.Context())
		require.Error(t, err)
		synctest.Wait()
		_, err = call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
		assert.ErrorIs(t, err, webchatservice.ErrSessionActive)
		r.stop()
		assert.True(t, m.Ended(id))
	})
}

func TestRestoreWhatTheCallerKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		opts := onMemory(m)
		opts.Store = webchatservice.NewMemoryStore()
		r := newRig(t, opts)
		r.begin()
		m.AgentSay(id, "Bob", "Hello")
		data, err := call(r, webchatservice.GetSessionData, struct{}{})
		require.NoError(t, err)
		kept, err := json.Marshal(data)
		require.NoError(t, err)
		r.stop()

		opts.Store = webchatservice.NewMemoryStore()
		r = newRig(t, opts)
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{SessionData: &webchatservice.SessionKeys{}})
		require.ErrorIs(t, err, webchatservice.ErrNothingStored)
		_, err = r.app.Call(t.Context(), "WebChatService.restore", map[string]any{
			"async": map[string]any{"enabled": true}, "sessionData": json.RawMessage(kept),
		})
		require.NoError(t, err)
		events := r.take()
		assert.Equal(t, []string{"Hello"}, texts(events))
		assert.True(t, payload[webchatservice.RestoredData](t, events, "restored").Async)
		r.stop()

		time.Sleep(time.Hour)
		r = newRig(t, opts)
		defer r.stop()
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		assert.NoError(t, err, "it is the stored one now, and a long-lived one does not grow old")
	})
}

// A restored session tells of those who type now, not of typing that is over.
func TestRestoreWithTyping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
		defer sim.Close()
		opts := onSim(sim)
		opts.Store = webchatservice.NewMemoryStore()
		r := newRig(t, opts)
		r.begin()
		c, err := sim.Desk().Next(t.Context())
		require.NoError(t, err)
		ann, err := c.Join("Ann", chatsim.RoleAgent)
		require.NoError(t, err)
		bob, err := c.Join("Bob", chatsim.RoleAgent)
		require.NoError(t, err)
		for range 3 {
			_, err = ann.Type("")
			require.NoError(t, err)
			_, err = ann.Say("hello")
			require.NoError(t, err)
			_, err = bob.Type("")
			require.NoError(t, err)
			_, err = bob.StopTyping()
			require.NoError(t, err)
		}
		_, err = ann.Type("")
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		r.stop()

		r = newRig(t, opts)
		defer r.stop()
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		synctest.Wait()
		var names []string
		for _, e := range r.take() {
			if m, ok := e.Data.(webchatservice.Message); ok {
				assert.Equal(t, "Ann", m.From.Name)
				names = append(names, e.Name())
			}
		}
		assert.Equal(t, []string{"WebChatService.agentTypingStarted"}, names)
		_, err = ann.Say("here I am")
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		assert.Contains(t, r.told(), "agentTypingStopped")
	})
}

func TestVerifySessionWaitsForARestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		opts := onMemory(m)
		opts.Store = webchatservice.NewMemoryStore()
		r := newRig(t, opts)
		r.begin()
		r.stop()
		r = newRig(t, opts)
		defer r.stop()
		for _, end := range []bool{false, true} {
			m.Delay(time.Second)
			f := start(r, t.Context(), webchatservice.Restore, webchatservice.RestoreIn{})
			synctest.Wait()
			begun := time.Now()
			v, err := call(r, webchatservice.VerifySession, struct{}{})
			require.NoError(t, err)
			assert.Equal(t, time.Second, time.Since(begun))
			assert.Equal(t, !end, v.SessionActive)
			_, err = f.Result(t.Context())
			assert.Equal(t, end, err != nil)
			m.Delay(0)
			if end {
				return
			}
			r.stop()
			m.EndChat(id)
			r = newRig(t, opts)
		}
	})
}

// restore tells what is old and what is new.
func TestRestoreKeepsTheReadMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1})
		defer sim.Close()
		opts := onSim(sim)
		opts.Store = webchatservice.NewMemoryStore()
		first := newRig(t, opts)
		first.begin()
		c, ok := sim.Chat(sim.Chats()[0].ID)
		require.True(t, ok)
		bob, err := c.Join("Bob", chatsim.RoleAgent)
		require.NoError(t, err)
		old := say(t, bob, "old")[0]
		time.Sleep(5 * time.Second)
		first.stop()
		say(t, bob, "new")

		second := newRig(t, opts)
		defer second.stop()
		_, err = call(second, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		events := second.take()
		assert.Equal(t, webchatservice.RestoredData{ReadMark: int64(old.Index)}, payload[webchatservice.RestoredData](t, events, "restored"))
		d := payload[webchatservice.MessageReceivedData](t, events, "messageReceived")
		assert.True(t, d.Restoring)
		assert.Equal(t, int64(old.Index), d.ReadMark)
		assert.Equal(t, []string{"old", "new"}, texts(events))
	})
}

// What the server has lost while the process was away is told; what was read before is not missed.
func TestRestoreSeesGapsBehindTheReadMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1})
		defer sim.Close()
		opts := onSim(sim)
		opts.Store = webchatservice.NewMemoryStore()
		r := newRig(t, opts)
		r.begin()
		c, ok := sim.Chat(sim.Chats()[0].ID)
		require.True(t, ok)
		bob, err := c.Join("Bob", chatsim.RoleAgent)
		require.NoError(t, err)
		read := say(t, bob, "one", "two")
		time.Sleep(5 * time.Second)
		r.stop()
		unread := say(t, bob, "three", "four")
		require.True(t, c.Forget(read[0].Index))
		require.True(t, c.Forget(unread[0].Index))

		r = newRig(t, opts)
		defer r.stop()
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		events := r.take()
		lost := int64(unread[0].Index)
		assert.Equal(t, []webchatservice.TranscriptGapData{{From: lost, To: lost, Reason: webchatservice.GapServer}}, gaps(events))
		assert.Equal(t, []string{"two", "four"}, texts(events))
	})
}

// A long-lived chat is restored however long the visitor was away; the server keeps it.
func TestLongLivedChatIsRestored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
		defer sim.Close()
		opts := onSim(sim)
		opts.Store = webchatservice.NewMemoryStore()
		r := newRig(t, opts)
		long := true
		_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada", Async: &long})
		require.NoError(t, err)
		assert.True(t, payload[webchatservice.Capabilities](t, r.take(), "capabilitiesChanged").Async)
		require.NoError(t, send(r, "see you"))
		r.stop()

		time.Sleep(72 * time.Hour)
		r = newRig(t, opts)
		defer r.stop()
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		events := r.take()
		assert.True(t, payload[webchatservice.RestoredData](t, events, "restored").Async)
		assert.Equal(t, []string{"see you"}, texts(events))
		require.NoError(t, send(r, "back"))
		_, err = call(r, webchatservice.FetchHistory, struct{}{})
		assert.ErrorIs(t, err, webchatservice.ErrNoHistory, "a restore brings everything")
	})
}

// A service that stops while it restores leaves the chat alone: it is in the store still.
func TestStopDuringRestoreKeepsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		opts := onMemory(m)
		opts.Store = webchatservice.NewMemoryStore()
		r := newRig(t, opts)
		r.begin()
		r.stop()

		r = newRig(t, opts)
		m.Delay(time.Second)
		restored := start(r, t.Context(), webchatservice.Restore, webchatservice.RestoreIn{})
		time.Sleep(500 * time.Millisecond)
		r.stop()
		_, err := restored.Result(t.Context())
		require.ErrorIs(t, err, bus.ErrStopped)
		assert.False(t, m.Ended(id))

		m.Delay(0)
		r = newRig(t, opts)
		defer r.stop()
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		require.NoError(t, send(r, "still here"))
	})
}
