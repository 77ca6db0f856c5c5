package webchatservice_test

import (
	"context"
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

func TestBadCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		opts := onMemory(m)
		opts.Config = &webchatservice.Config{MaxMessageLength: 5}
		r := newRig(t, opts)
		defer r.stop()

		text := func(err error) string {
			var be *bus.Error
			require.ErrorAs(t, err, &be)
			return be.Text
		}
		send := func(message string) error {
			_, err := call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: message})
			return err
		}
		assert.Equal(t, "There is no active chat session", text(send("hi")))
		_, err := call(r, webchatservice.EndChat, struct{}{})
		assert.Equal(t, "There is no active chat session", text(err))
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		assert.Equal(t, "No chat session found to restore.", text(err))
		_, err = call(r, webchatservice.StartChat, webchatservice.StartChatIn{UserData: "{"})
		assert.Equal(t, "malformed JSON provided in userData property", text(err))

		r.begin()
		_, err = call(r, webchatservice.StartChat, webchatservice.StartChatIn{})
		assert.Equal(t, "There is already an active chat session", text(err))
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		assert.Equal(t, "Chat session is already active, ignoring restore command.", text(err))
		assert.Equal(t, "No message text provided", text(send("")))
		assert.Equal(t, "No message text provided", text(send(" \n\t")))
		assert.Equal(t, "Message length exceeds configured threshold of (5) characters", text(send("123456")))
		assert.NoError(t, send("äöü€𝄞"), "characters are code points")
		_, err = call(r, webchatservice.Poll, struct{}{})
		assert.Equal(t, "Access Denied to private command. Only WebChatService is allowed to invoke this command", text(err))
		_, err = call(r, webchatservice.StartPoll, struct{}{})
		assert.Equal(t, "This transport doesn't support polling.", text(err))
		assert.Equal(t, 1, m.Chats())
	})
}

func TestStartThatIsGivenUpLeavesNoChat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()

		m.Delay(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		_, err := start(r, ctx, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"}).Result(t.Context())
		require.Error(t, err)
		time.Sleep(5 * time.Second)
		assert.True(t, m.Ended(id))
		assert.Empty(t, r.told(), "it was never a session")

		_, err = call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
		assert.NoError(t, err, "and the next one starts")
	})
}

func TestStartFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()

		m.Partition()
		_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
		assert.ErrorIs(t, err, webchatservice.ErrStartFailed)
		assert.ErrorContains(t, err, "check that the server is up and can be reached, and that its address is right", "the wire has no word of its own")
		assert.Equal(t, []string{"error"}, r.told())
		m.Heal()

		m.LoseAnswer()
		_, err = call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
		assert.ErrorIs(t, err, webchatservice.ErrStartUnknown)
		assert.Equal(t, 1, m.Chats(), "an uncertain start is not tried again")

		m.Refuse("161", "")
		_, err = call(r, webchatservice.StartChat, webchatservice.StartChatIn{})
		var ce *chat.Error
		require.ErrorAs(t, err, &ce)
		assert.Equal(t, []chat.ServerError{{Code: "161"}}, ce.Errors)
		r.take()
		_, err = call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
		assert.NoError(t, err)
	})
}

func TestAsyncIsConfiguredOrAskedFor(t *testing.T) {
	yes, no := true, false
	for name, tt := range map[string]struct {
		configured bool
		asked      *bool
		want       bool
	}{
		"neither": {}, "configured": {true, nil, true}, "asked": {false, &yes, true}, "asked not": {true, &no, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
				defer sim.Close()
				opts := onSim(sim)
				opts.Config.Async.Enabled = tt.configured
				r := newRig(t, opts)
				defer r.stop()
				_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada", Async: tt.asked})
				require.NoError(t, err)
				assert.Equal(t, tt.want, sim.Chats()[0].Async)
				assert.Equal(t, tt.want, payload[webchatservice.Capabilities](t, r.take(), "capabilitiesChanged").Async)
			})
		})
	}
}
