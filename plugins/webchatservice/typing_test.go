package webchatservice_test

import (
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
)

func TestTyping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()
		r.begin()

		for range 10 {
			_, err := call(r, webchatservice.SendTyping, webchatservice.SendTypingIn{Message: "He"})
			require.NoError(t, err)
			time.Sleep(100 * time.Millisecond)
		}
		assert.True(t, m.VisitorTyping(id))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.False(t, m.VisitorTyping(id))
		told := slices.DeleteFunc(r.told(), func(s string) bool { return s == "messageReceived" })
		assert.Equal(t, []string{"clientTypingStarted", "clientTypingStopped"}, told)

		_, err := call(r, webchatservice.SendTyping, webchatservice.SendTypingIn{})
		require.NoError(t, err)
		_, err = call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "Hello"})
		require.NoError(t, err)
		told = slices.DeleteFunc(r.told(), func(s string) bool { return s == "messageReceived" })
		assert.Equal(t, []string{"clientTypingStarted", "clientTypingStopped"}, told)
	})
}

// What the server was not told is not reported as told, and is told once it can be.
func TestTypingThatTheServerWasNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
		defer sim.Close()
		r := newRig(t, onSim(sim))
		defer r.stop()
		r.begin()
		sim.Faults().Add(chatsim.Fault{Op: "startTyping", Status: http.StatusBadRequest})
		told := func() (n int) {
			for _, q := range sim.Requests() {
				if q.Op == "startTyping" {
					n++
				}
			}
			return n
		}
		for i := range 40 {
			_, err := call(r, webchatservice.SendTyping, webchatservice.SendTypingIn{})
			if i < 20 {
				require.ErrorIs(t, err, webchatservice.ErrRequest, i)
				require.Equal(t, 1, told(), "not with every key")
			} else {
				require.NoError(t, err, i)
			}
			time.Sleep(100 * time.Millisecond)
		}
		assert.Equal(t, 2, told())
		assert.True(t, sim.Chats()[0].Typing)
	})
}

func TestAgentTypingTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()
		r.begin()
		m.AgentJoin(id, "Bob")
		m.AgentTyping(id, "Bob", true)
		time.Sleep(time.Minute)
		told := r.told()
		assert.Equal(t, 1, count(told, "agentTypingTimeout"))
		m.AgentTyping(id, "Bob", false)
		assert.Equal(t, []string{"messageReceived"}, r.told(), "what is over does not stop again")
	})
}

func TestTypingPreviewInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, sim := simRig(t, nil)
		c, ok := sim.Chat(sim.Chats()[0].ID)
		require.True(t, ok)
		var typed atomic.Pointer[string]
		types := func(text string) { typed.Store(&text) }
		types("He")
		_, err := call(r, webchatservice.RegisterTypingPreviewInput, webchatservice.RegisterTypingPreviewInputIn{
			Input: func() string { return *typed.Load() },
		})
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		assert.Equal(t, "He", c.Snapshot().Preview, "it travels with polls")
		types("Hello")
		require.NoError(t, r.by("sendTyping", `{}`))
		assert.Equal(t, "Hello", c.Snapshot().Preview, "and with typing")
		require.NoError(t, r.by("sendTyping", `{"isTyping": false}`))
		time.Sleep(5 * time.Second)
		require.NoError(t, r.by("sendTyping", `{"message": "given"}`))
		synctest.Wait()
		assert.Equal(t, "given", c.Snapshot().Preview, "what sendTyping is given wins")
		types("")
		time.Sleep(10 * time.Second)
		assert.Empty(t, c.Snapshot().Preview)
	})
}
