package webchatservice_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
)

func TestConversation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()

		_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{
			Nickname: "Ada", UserData: map[string]any{"product": "phone"},
		})
		require.NoError(t, err)
		events := r.take()
		assert.Equal(t, webchatservice.StartedData{SessionID: id, UserID: "user-1", Alias: "1"},
			payload[webchatservice.StartedData](t, events, "started"))
		assert.Equal(t, map[string]string{"product": "phone"}, m.UserData(id))

		m.AgentJoin(id, "Bob")
		m.AgentTyping(id, "Bob", true)
		m.AgentSay(id, "Bob", "Hello Ada")
		events = r.take()
		joined := payload[webchatservice.ParticipantData](t, events, "agentConnected")
		assert.Equal(t, "Bob", joined.Message.From.Name)
		assert.Equal(t, 1, joined.NumAgentsConnected)
		var texts []string
		for _, e := range events {
			if d, ok := e.Data.(webchatservice.MessageReceivedData); ok {
				require.Len(t, d.OriginalMessages, len(d.Messages))
				for _, msg := range d.Messages {
					if msg.Type == chat.KindMessage {
						texts = append(texts, msg.Text)
					}
				}
			}
		}
		assert.Equal(t, []string{"Hello Ada"}, texts)

		out, err := call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "my phone is broken"})
		require.NoError(t, err)
		assert.NotEmpty(t, out.MessageID)
		assert.Equal(t, []string{"my phone is broken"}, m.VisitorLines(id))

		r.take()
		tr, err := call(r, webchatservice.GetTranscript, struct{}{})
		require.NoError(t, err)
		assert.NotEmpty(t, tr.Messages)
		assert.Equal(t, "my phone is broken", tr.Messages[len(tr.Messages)-1].Text)
		agents, err := call(r, webchatservice.GetAgents, struct{}{})
		require.NoError(t, err)
		assert.Len(t, agents.Agents, 1)
		r.take()

		_, err = call(r, webchatservice.EndChat, struct{}{})
		require.NoError(t, err)
		events = r.take()
		assert.Equal(t, webchatservice.EndedData{Reason: webchatservice.EndVisitor, ServerTold: true},
			payload[webchatservice.EndedData](t, events, "ended"))
		assert.Equal(t, "WebChatService.ended", events[len(events)-1].Name(), "ended is the last")
		assert.Equal(t, 0, payload[webchatservice.ParticipantData](t, events, "agentDisconnected").NumAgentsConnected)
		assert.True(t, m.Ended(id))

		after, err := call(r, webchatservice.GetTranscript, struct{}{})
		require.NoError(t, err)
		assert.GreaterOrEqual(t, len(after.Messages), len(tr.Messages), "the transcript outlives the chat")
		_, err = call(r, webchatservice.EndChat, struct{}{})
		assert.ErrorIs(t, err, webchatservice.ErrNoSession)
	})
}

func TestOrderOfEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()

		_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
		require.NoError(t, err)
		assert.Equal(t, []string{"started", "clientConnected", "messageReceived"}, r.told())

		m.AgentJoin(id, "Bob")
		assert.Equal(t, []string{"agentConnected", "messageReceived"}, r.told())
		m.AgentTyping(id, "Bob", true)
		m.AgentTyping(id, "Bob", true)
		assert.NotContains(t, r.told()[1:], "agentTypingStarted", "typing twice is no change")
		m.AgentSay(id, "Bob", "Hello")
		assert.Equal(t, []string{"agentTypingStopped", "messageReceived"}, r.told())
		m.AgentLeave(id, "Bob")
		assert.Equal(t, []string{"agentDisconnected", "messageReceived"}, r.told())

		m.EndChatBy(id, chat.EndIdle)
		events := r.take()
		assert.Equal(t, webchatservice.EndedData{Reason: webchatservice.EndIdle, ServerTold: true},
			payload[webchatservice.EndedData](t, events, "ended"))
		assert.NotNil(t, payload[webchatservice.ParticipantData](t, events, "clientDisconnected"))
	})
}

func TestNetworkDownAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()
		r.begin()

		m.Partition()
		time.Sleep(20 * time.Second)
		assert.Equal(t, []string{"disconnected"}, r.told(), "once, however often it is tried")
		first := start(r, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "one"})
		ctx, cancel := context.WithCancel(t.Context())
		second := start(r, ctx, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "two"})
		third := start(r, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "three"})
		synctest.Wait()
		cancel()
		_, err := second.Result(t.Context())
		assert.ErrorIs(t, err, webchatservice.ErrWithdrawn)
		select {
		case <-first.Done():
			t.Error("the message cannot have been sent")
		default:
		}

		m.AgentSay(id, "Bob", "are you there?")
		m.Heal()
		_, err = first.Result(t.Context())
		require.NoError(t, err)
		_, err = third.Result(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []string{"one", "three"}, m.VisitorLines(id))
		told := r.told()
		assert.Equal(t, 1, count(told, "reconnected"))
		assert.Equal(t, 0, count(told, "disconnected"))
		assert.Equal(t, "reconnected", told[0])
	})
}
