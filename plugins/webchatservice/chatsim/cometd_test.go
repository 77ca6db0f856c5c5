package chatsim_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
)

// wire-gms B.5: a conversation over long-polling.
func TestLongPolling(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		b := newBayeux(t, sim)
		shake := b.shake("long-polling")
		assert.Regexp(t, `^[0-9a-z]{20,}$`, shake.ClientID)
		assert.Equal(t, "1.0", shake.Version)
		assert.Equal(t, []string{"websocket", "callback-polling", "long-polling"}, shake.ConnectionTypes)
		assert.JSONEq(t, `{"reconnect":"retry","interval":0,"timeout":30000}`, string(shake.Advice))

		first := b.start()
		assert.Equal(t, []int{1}, first.indices())
		assert.False(t, first.ended())
		assert.NotNil(t, first.ChatEnded)
		assert.Equal(t, 2, first.NextPosition)

		poll := b.connect()
		ann := b.agent()
		a := <-poll
		require.NoError(t, a.err)
		assert.Equal(t, []string{"data 2", "/meta/connect ok"}, texts(a.messages))
		assert.Empty(t, a.messages[1].Advice, "only when asked or new")

		// What comes between two connects waits for the next.
		say(t, ann, "Hello")
		say(t, ann, "Still there?")
		assert.Equal(t, []string{"data 3", "data 4", "/meta/connect ok"}, texts(b.call(b.connectMessage())))

		poll = b.connect()
		assert.Equal(t, []string{"ack ok"}, texts(b.publish("sendMessage", "message", `"Hi"`, "messageType", `"text"`)))
		a = <-poll
		assert.Equal(t, []string{"data 5", "/meta/connect ok"}, texts(a.messages))
		assert.Equal(t, "Message Ada: Hi", a.messages[0].Data.lines()[0])

		before := time.Now()
		a = <-b.connect()
		assert.Equal(t, 30*time.Second, time.Since(before))
		assert.Equal(t, []string{"/meta/connect ok"}, texts(a.messages))

		poll = b.connect()
		assert.Equal(t, []string{"ack ok"}, texts(b.publish("disconnect")))
		a = <-poll
		assert.Equal(t, []string{"data 6,7 end", "/meta/connect ok"}, texts(a.messages))
		poll = b.connect()
		assert.Equal(t, []string{"/meta/disconnect ok"}, texts(b.call(b.message("/meta/disconnect"))))
		a = <-poll
		assert.Equal(t, []string{"/meta/connect ok"}, texts(a.messages))
		assert.JSONEq(t, `{"reconnect":"none","interval":0}`, string(a.messages[0].Advice))
	})
}

// wire-gms B.6: the same on a websocket.
func TestWebsocket(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		b := newBayeux(t, sim)
		b.dial()
		b.shake("websocket")
		b.connect()
		got := b.publish("requestChat", "nickname", `"Ada"`)
		require.Equal(t, []string{"ack ok", "data 1"}, texts(got))
		b.key, b.chat = got[1].Data.SecureKey, got[1].Data.ChatID
		ann := b.agent()
		say(t, ann, "Hello")
		assert.Equal(t, []string{"data 2", "data 3"}, texts(b.got()), "at once, and the connect stays held")
		assert.Equal(t, []string{"ack ok", "data 4"}, texts(b.publish("sendMessage", "message", `"Hi"`)))
		time.Sleep(30 * time.Second)
		assert.Equal(t, []string{"/meta/connect ok"}, texts(b.got()))
		b.connect()
		assert.Equal(t, []string{"ack ok", "data 5,6 end"}, texts(b.publish("disconnect")))
		got = b.call(b.message("/meta/disconnect"))
		assert.ElementsMatch(t, []string{"/meta/connect ok", "/meta/disconnect ok"}, texts(got))
		require.NoError(t, b.ws.Close())
	})
}
