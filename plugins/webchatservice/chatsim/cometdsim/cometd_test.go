package cometdsim_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/cometdsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
)

// carriers open a client on each carrier, its first connect done.
var carriers = map[string]func(testing.TB, *chatsim.Server, ...string) *bayeux{"long-polling": polling, "websocket": socketed}

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
		assert.Equal(t, []int{1}, first.Indices())
		assert.False(t, first.Ended())
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
		assert.Equal(t, "Message Ada: Hi", a.messages[0].Data.Lines()[0])

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

// wire-gms D.3: what is not Bayeux, over HTTP.
func TestBayeuxRefusedOverHTTP(t *testing.T) {
	const shake = `{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}`
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		for _, c := range []struct {
			name, method, path, contentType, body string
			status                                int
			answer                                string
		}{
			{"invalid JSON", "POST", "", "application/json", `[{"channel":`, 400, ""},
			{"nothing", "POST", "", "application/json", ``, 400, ""},
			{"invalid UTF-8", "POST", "", "application/json", "[\"\xff\"]", 400, ""},
			{"empty array", "POST", "", "application/json", `[]`, 500, ""},
			{"no messages", "POST", "", "application/json", `["x"]`, 500, ""},
			{"null", "POST", "", "application/json", `null`, 500, ""},
			{"handshake not alone", "POST", "", "application/json", "[" + shake + "," + shake + "]", 500, ""},
			{"channel of a wrong type", "POST", "", "application/json", `[{"channel":1}]`, 500, ""},
			{"advice of a wrong type", "POST", "", "application/json", `[{"channel":"/meta/connect","advice":"x"}]`, 500, ""},
			{"id of a wrong type", "POST", "", "application/json", `[{"channel":"/meta/connect","id":{}}]`, 500, ""},
			{"content type", "POST", "", "text/plain", "[" + shake + "]", 500, ""},
			{"malformed content type", "POST", "", "/", "[" + shake + "]", 500, ""},
			{"too large", "POST", "", "application/json", strings.Repeat(" ", 300<<10), 413, ""},
			{"GET", "GET", "", "", "", 400, "Unknown Bayeux Transport"},
			{"PUT", "PUT", "/handshake", "application/json", "[" + shake + "]", 400, "Unknown Bayeux Transport"},
			{"another path", "POST", "x", "application/json", "[" + shake + "]", 404, "404 page not found\n"},
			{"preflight", "OPTIONS", "/handshake", "", "", 204, ""},
		} {
			req, err := http.NewRequest(c.method, cometdsim.URL(sim)+c.path, strings.NewReader(c.body))
			require.NoError(t, err)
			if c.contentType != "" {
				req.Header.Set("Content-Type", c.contentType)
			}
			resp, err := sim.Client().Do(req)
			require.NoError(t, err, c.name)
			body, err := io.ReadAll(resp.Body)
			assert.NoError(t, err)
			assert.NoError(t, resp.Body.Close())
			assert.Equal(t, c.status, resp.StatusCode, c.name)
			assert.Equal(t, c.answer, string(body), c.name)
		}
		assert.Empty(t, cometdsim.Of(sim).Clients())
	})
}

// wire-gms D.1, D.4: what a server takes besides the usual.
func TestBayeuxTolerated(t *testing.T) {
	const shake = `{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"],"ext":{"timesync":{}},"x":[1]}`
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		for _, c := range []struct{ path, contentType, body string }{
			{"", "application/json", shake},
			{"/", "application/json;charset=UTF-8", "[" + shake + "]"},
			{"/handshake", "text/json", " [" + shake + "]\n"},
			{"/a/b", "", "[" + shake + "]"},
			{"", "application/x-www-form-urlencoded", url.Values{"message": {"[" + shake + "]"}}.Encode()},
		} {
			resp, err := sim.Client().Post(cometdsim.URL(sim)+c.path, c.contentType, strings.NewReader(c.body))
			require.NoError(t, err)
			assert.NoError(t, resp.Body.Close())
			assert.Equal(t, http.StatusOK, resp.StatusCode, c.body)
			require.Len(t, resp.Cookies(), 1)
			cookie := resp.Cookies()[0]
			assert.Equal(t, "BAYEUX_BROWSER", cookie.Name)
			assert.Regexp(t, `^[0-9a-z]{16}$`, cookie.Value)
			assert.True(t, cookie.HttpOnly)
			assert.Equal(t, "/", cookie.Path)
		}
		assert.Len(t, cometdsim.Of(sim).Clients(), 5)
	})
}

// The same on a websocket, where the connection pays for it.
func TestBayeuxRefusedOnWebsocket(t *testing.T) {
	const shake = `{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["websocket"]}`
	for _, c := range []struct {
		name, data string
		kind, code int
	}{
		{"invalid JSON", `[{`, websocket.TextMessage, 1011},
		{"empty array", `[]`, websocket.TextMessage, 1011},
		{"no messages", `[1]`, websocket.TextMessage, 1011},
		{"handshake not alone", "[" + shake + "," + shake + "]", websocket.TextMessage, 1011},
		{"binary", "[" + shake + "]", websocket.BinaryMessage, 1003},
		{"invalid UTF-8", "\xff", websocket.TextMessage, 1007},
		{"too large", strings.Repeat(" ", 300<<10), websocket.TextMessage, 1009},
		{"close", "\x03\xe8", websocket.CloseMessage, 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
				b := newBayeux(t, sim)
				b.dial()
				_ = b.ws.WriteMessage(c.kind, []byte(c.data)) // fails if the server has had enough before its end
				assert.Equal(t, c.code, b.closed())
				assert.Empty(t, cometdsim.Of(sim).Clients())
			})
		})
	}
	t.Run("silence", func(t *testing.T) {
		bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
			b := newBayeux(t, sim)
			b.dial()
			time.Sleep(301 * time.Second)
			assert.Equal(t, 1001, b.closed())
		})
	})
	t.Run("unanswered close", func(t *testing.T) {
		bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
			b := newBayeux(t, sim)
			b.dial()
			b.ws.SetCloseHandler(func(int, string) error { return nil })
			require.NoError(t, b.ws.WriteMessage(websocket.TextMessage, []byte(`[]`)))
			time.Sleep(10 * time.Second)
			assert.Equal(t, 0, sim.Network().Conns())
		})
	})
}

// wire-gms D.2: replies to what a session may not do, and what makes no
// difference.
func TestMetaChannels(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		b := polling(t, sim)
		b.start()
		channel := strconv.Quote(cometdsim.Channel(sim))
		for _, c := range []struct{ channel, name, value, want string }{
			{"/meta/subscribe", "subscription", channel, "/meta/subscribe ok"},
			{"/meta/subscribe", "subscription", `["/a","/b/**"]`, "/meta/subscribe ok"},
			{"/meta/subscribe", "ext", `{}`, "/meta/subscribe 403::subscription_missing"},
			{"/meta/subscribe", "subscription", `["x"]`, "/meta/subscribe 403::subscription_invalid"},
			{"/meta/subscribe", "subscription", `[]`, "/meta/subscribe 403::subscription_invalid"},
			{"/meta/subscribe", "subscription", `"/"`, "/meta/subscribe 403::subscription_invalid"},
			{"/meta/subscribe", "subscription", `"/a//b"`, "/meta/subscribe 403::subscription_invalid"},
			{"/meta/subscribe", "subscription", `"/**/a"`, "/meta/subscribe 403::subscription_invalid"},
			{"/meta/subscribe", "subscription", `{"a":"/b"}`, "/meta/subscribe 403::subscription_invalid"},
			{"/meta/subscribe", "subscription", `"/meta/connect"`, "/meta/subscribe 403:denied_by_security_policy:subscribe_denied"},
			{"/meta/subscribe", "subscription", `["/a","/meta/**"]`, "/meta/subscribe 403:denied_by_security_policy:create_denied"},
			{"/meta/unsubscribe", "subscription", channel, "/meta/unsubscribe ok"},
			{"/meta/unsubscribe", "subscription", `"/a"`, "/meta/unsubscribe ok"},
			{"/meta/unsubscribe", "subscription", `"/never"`, "/meta/unsubscribe 400::channel_missing"},
			{"/meta/unsubscribe", "subscription", `1`, "/meta/unsubscribe 403::subscription_invalid"},
			{"/meta/other", "data", `{}`, "/meta/other 403:denied_by_security_policy:create denied"},
			{"nowhere", "data", `{}`, "nowhere 403:denied_by_security_policy:create denied"},
			{"/service/other", "data", `{}`, "ack ok"},
			{"/news", "data", `{}`, "/news ok"},
			{"", "data", `{}`, " 400::channel missing"},
		} {
			got := b.call(b.message(c.channel, c.name, c.value))
			assert.Equal(t, []string{c.want}, texts(got))
			assert.Equal(t, strconv.Itoa(b.next), got[0].ID)
			if got[0].ok() && c.name == "subscription" {
				assert.NotNil(t, got[0].Subscription)
			}
		}
		// Subscribed or not, everything comes once.
		b.call(b.message("/meta/subscribe", "subscription", channel))
		say(t, b.agent(), "Hello")
		assert.Equal(t, []string{"data 2", "data 3", "/meta/connect ok"}, texts(b.call(b.connectMessage())))

		stranger := polling(t, sim)
		stranger.id = "nobody"
		for _, m := range []string{
			stranger.message("/meta/subscribe", "subscription", channel), stranger.publishMessage("sendMessage"),
			stranger.message("/meta/disconnect"), stranger.message("/meta/connect", "connectionType", `"long-polling"`),
		} {
			got := stranger.call(m)
			require.Len(t, got, 1)
			assert.Equal(t, "402::Unknown client", got[0].Error)
			if got[0].Channel == "/meta/connect" {
				assert.JSONEq(t, `{"reconnect":"handshake","interval":0}`, string(got[0].Advice))
			} else {
				assert.Empty(t, got[0].Advice)
			}
		}
		stranger.id = ""
		assert.Equal(t, "402::Unknown client", stranger.call(stranger.connectMessage())[0].Error)
	})
}

// wire-gms D.3: when a session is over.
func TestSessionExpires(t *testing.T) {
	for name, open := range carriers {
		t.Run(name, func(t *testing.T) {
			bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
				// A held connect keeps it, and so does any message for maxInterval.
				b := open(t, sim)
				poll := b.connect()
				time.Sleep(29 * time.Second)
				require.Len(t, cometdsim.Of(sim).Clients(), 1)
				time.Sleep(2 * time.Second)
				if b.ws == nil {
					assert.Equal(t, []string{"/meta/connect ok"}, texts((<-poll).messages))
				} else {
					assert.Equal(t, []string{"/meta/connect ok"}, texts(b.got()))
				}
				for range 5 {
					time.Sleep(8 * time.Second)
					require.Contains(t, texts(b.publish("refresh")), "ack ok")
				}
				time.Sleep(11 * time.Second)
				assert.Empty(t, cometdsim.Of(sim).Clients())
				got := b.call(b.connectMessage())
				require.Len(t, got, 1)
				assert.Equal(t, "402::Unknown client", got[0].Error)
				assert.Contains(t, string(got[0].Advice), "handshake")
				b.end()
			})
		})
	}
}

// A session whose handshake was never followed up is over too.
func TestHandshakeAloneExpires(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		b := newBayeux(t, sim)
		_, _, got, err := b.post("/handshake", "["+b.message("/meta/handshake")+"]")
		require.NoError(t, err)
		require.True(t, got[0].ok())
		time.Sleep(9 * time.Second)
		assert.Len(t, cometdsim.Of(sim).Clients(), 1)
		time.Sleep(2 * time.Second)
		assert.Empty(t, cometdsim.Of(sim).Clients())
	})
}

// A client that breaks off its poll loses nothing that had not been sent, and
// in the end its session.
func TestClientGone(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		b := polling(t, sim)
		b.start()
		poll := b.connect()
		sim.Network().Reset()
		assert.Error(t, (<-poll).err)
		synctest.Wait()
		b.agent()
		time.Sleep(9 * time.Second)
		assert.Equal(t, []string{"data 2", "/meta/connect ok"}, texts(b.call(b.connectMessage())))
		poll = b.connect()
		sim.Network().Reset()
		assert.Error(t, (<-poll).err)
		time.Sleep(11 * time.Second)
		assert.Empty(t, cometdsim.Of(sim).Clients())
	})
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		b := socketed(t, sim)
		b.start()
		cometdsim.Of(sim).DropSockets()
		assert.Zero(t, b.closed())
		b.agent()
		time.Sleep(9 * time.Second)
		b.again() // wire-gms D.7: the session goes on, its queue comes with the connect
		assert.Equal(t, []string{"data 2", "/meta/connect ok"}, texts(b.call(b.connectMessage())))
		cometdsim.Of(sim).CloseSockets(1012)
		assert.Equal(t, 1012, b.closed())
		time.Sleep(11 * time.Second)
		assert.Empty(t, cometdsim.Of(sim).Clients())
	})
}

// wire-gms D.3, D.7: a newer connect cancels the older.
func TestNewerConnect(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		b := polling(t, sim)
		older := b.connect()
		newer := b.connect()
		assert.Equal(t, 500, (<-older).status)
		a := <-newer
		assert.Equal(t, []string{"/meta/connect ok"}, texts(a.messages))
	})
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		b := socketed(t, sim)
		b.connect()
		synctest.Wait()
		older := b.ws
		other := newBayeux(t, sim)
		other.id = b.id
		other.dial()
		other.connect()
		assert.Equal(t, 1000, b.closed())
		assert.Empty(t, other.got(), "held")
		assert.True(t, cometdsim.Of(sim).Clients()[0].Held)
		require.NoError(t, older.Close())
		require.NoError(t, other.ws.Close())
	})
}

// wire-gms D.3: one connect is held for each browser.
func TestMultipleClients(t *testing.T) {
	for interval, want := range map[time.Duration]string{
		0:  `{"multiple-clients":true,"reconnect":"retry","interval":2000,"timeout":30000}`,
		-1: `{"multiple-clients":true,"reconnect":"none"}`,
	} {
		opts := alone(cometdsim.New(&cometdsim.Options{MultiSessionInterval: interval}))
		bubble(t, opts, func(t *testing.T, sim *chatsim.Server) {
			one, two := polling(t, sim), newBayeux(t, sim)
			two.http.Jar = one.http.Jar
			two.shake("long-polling")
			poll := one.connect()
			got := two.call(two.connectMessage())
			require.Len(t, got, 1)
			assert.Equal(t, interval >= 0, got[0].ok())
			assert.JSONEq(t, want, string(got[0].Advice))
			<-poll
			poll = two.connect()
			assert.Len(t, (<-poll).messages, 1, "the place is free again")
		})
	}
	opts := alone(cometdsim.New(&cometdsim.Options{SessionsPerBrowser: -1}))
	bubble(t, opts, func(t *testing.T, sim *chatsim.Server) {
		one, two := polling(t, sim), newBayeux(t, sim)
		two.http.Jar = one.http.Jar
		two.shake("long-polling")
		first, second := one.connect(), two.connect()
		assert.Empty(t, second)
		<-first
		<-second
	})
}

// wire-gms D.5: what the options put into the advice.
func TestAdvice(t *testing.T) {
	opts := alone(cometdsim.New(&cometdsim.Options{
		Timeout: time.Second, Interval: 500 * time.Millisecond, MaxInterval: 20 * time.Second, TellMaxInterval: true, Hosts: []string{"b.test"},
	}))
	bubble(t, opts, func(t *testing.T, sim *chatsim.Server) {
		b := newBayeux(t, sim)
		const want = `{"reconnect":"retry","interval":500,"timeout":1000,"maxInterval":20000,"hosts":["b.test"]}`
		assert.JSONEq(t, want, string(b.shake("long-polling").Advice))
		a := <-b.connect("advice", `{"timeout":3000}`)
		assert.JSONEq(t, want, string(a.messages[0].Advice), "who sends advice gets it")
		time.Sleep(20 * time.Second)
		assert.Len(t, cometdsim.Of(sim).Clients(), 1)
		time.Sleep(time.Second)
		assert.Empty(t, cometdsim.Of(sim).Clients())
	})
}

// A connect in a longer array is not held; the messages are handled in order.
func TestBatch(t *testing.T) {
	for name, open := range carriers {
		t.Run(name, func(t *testing.T) {
			bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
				b := open(t, sim)
				b.start()
				if b.ws == nil {
					got := b.call(b.publishMessage("sendMessage", "message", `"a"`), b.publishMessage("sendMessage", "message", `"b"`), b.connectMessage())
					assert.Equal(t, []string{"data 2", "data 3", "ack ok", "ack ok", "/meta/connect ok"}, texts(got))
				} else {
					got := b.call(b.publishMessage("sendMessage", "message", `"a"`), b.publishMessage("sendMessage", "message", `"b"`))
					assert.Equal(t, []string{"ack ok", "data 2", "ack ok", "data 3"}, texts(got))
				}
				assert.Equal(t, []string{"a", "b"}, b.side().Snapshot().Lines(chatsim.Client))
				b.end()
			})
		})
	}
}

// wire-gms D.8: what was not acknowledged comes again.
func TestAcknowledge(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		b := newBayeux(t, sim)
		assert.Equal(t, true, b.shake("long-polling", `{"ack":true}`).Ext.Ack)
		poll := b.connect("ext", `{"ack":1}`)
		b.publish("requestChat", "nickname", `"Ada"`)
		a := <-poll
		require.Equal(t, []string{"data 1", "/meta/connect ok"}, texts(a.messages))
		assert.Equal(t, float64(2), a.messages[1].Ext.Ack)
		b.chat = a.messages[0].Data.ChatID

		ann := b.agent()
		sim.Faults().Add(chatsim.Fault{Op: "/meta/connect", Drop: chatsim.DropAfter})
		a = <-b.connect("ext", `{"ack":2}`)
		assert.Error(t, a.err, "the answer with index 2 is lost")
		say(t, ann, "Hello")
		a = <-b.connect("ext", `{"ack":2}`)
		assert.Equal(t, []string{"data 2", "data 3", "/meta/connect ok"}, texts(a.messages))
		poll = b.connect("ext", fmt.Sprintf(`{"ack":%v}`, a.messages[2].Ext.Ack))
		say(t, ann, "Still there?")
		assert.Equal(t, []string{"data 4", "/meta/connect ok"}, texts((<-poll).messages))
	})
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		b := socketed(t, sim, `{"ack":true}`)
		b.connect("ext", `{"ack":1}`)
		got := b.publish("requestChat", "nickname", `"Ada"`)
		require.Equal(t, []string{"ack ok", "data 1"}, texts(got))
		cometdsim.Of(sim).DropSockets()
		b.again()
		got = b.call(b.connectMessage("ext", `{"ack":1}`))
		assert.Equal(t, []string{"data 1", "/meta/connect ok"}, texts(got))
		assert.Equal(t, float64(2), got[1].Ext.Ack)
		b.connect("ext", `{"ack":2}`)
		assert.Empty(t, b.got())
		b.end()
	})
	opts := alone(cometdsim.New(&cometdsim.Options{Quirks: cometdsim.Quirks{NoAcks: true}}))
	bubble(t, opts, func(t *testing.T, sim *chatsim.Server) {
		assert.Nil(t, newBayeux(t, sim).shake("long-polling", `{"ack":true}`).Ext.Ack)
	})
}

// Nothing of Close waits for clients.
func TestCloseWithBayeuxClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(nil)
		poll, ws, idle := polling(t, sim), socketed(t, sim), socketed(t, sim)
		poll.start()
		ws.start()
		answer := poll.connect()
		idle.connect()
		before := time.Now()
		require.NoError(t, sim.Close())
		assert.Equal(t, before, time.Now())
		assert.Error(t, (<-answer).err)
		assert.Zero(t, ws.closed())
		assert.Zero(t, idle.closed())
		assert.Empty(t, cometdsim.Of(sim).Clients())
	})
}
