package cometdsim_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/cometdsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
)

// each runs a test on each carrier, with one chat.
func each(t *testing.T, opts *chatsim.Options, f func(t *testing.T, sim *chatsim.Server, b *bayeux)) {
	t.Helper()
	for name, open := range carriers {
		t.Run(name, func(t *testing.T) {
			bubble(t, opts, func(t *testing.T, sim *chatsim.Server) {
				b := open(t, sim)
				b.start()
				f(t, sim, b)
				b.end()
			})
		})
	}
}

func (b *bayeux) said() []string { return b.side().Snapshot().Lines(chatsim.Client) }

// send publishes a line in the background of what a fault does to it; on
// long-polling it returns the request's end.
func (b *bayeux) send(text string) (int, []wireMessage, error) {
	b.t.Helper()
	body := "[" + b.publishMessage("sendMessage", "message", `"`+text+`"`) + "]"
	if b.ws != nil {
		require.NoError(b.t, b.ws.WriteMessage(websocket.TextMessage, []byte(body)))
		return 0, b.got(), nil
	}
	status, _, got, err := b.post("/", body)
	return status, got, err
}

func TestBayeuxFaultDrop(t *testing.T) {
	each(t, alone(), func(t *testing.T, sim *chatsim.Server, b *bayeux) {
		for drop, want := range map[chatsim.Drop][]string{chatsim.DropBefore: nil, chatsim.DropAfter: {"a"}} {
			before := len(b.said())
			sim.Faults().Add(chatsim.Fault{Op: "sendMessage", Drop: drop})
			_, got, err := b.send("a")
			assert.Empty(t, got)
			if b.ws == nil {
				assert.ErrorIs(t, err, syscall.ECONNRESET)
			} else {
				assert.Zero(t, b.closed())
				b.again()
				b.call(b.connectMessage("advice", `{"timeout":0}`))
			}
			assert.Len(t, b.said(), before+len(want))
			b.ackAndMore(b.got())
		}
	})
}

func TestBayeuxFaultLate(t *testing.T) {
	each(t, alone(), func(t *testing.T, sim *chatsim.Server, b *bayeux) {
		sim.Faults().Add(chatsim.Fault{Op: "sendMessage", Late: 5 * time.Second})
		_, _, err := b.send("a")
		if b.ws == nil {
			assert.Error(t, err)
		} else {
			assert.Zero(t, b.closed())
		}
		time.Sleep(4 * time.Second)
		assert.Empty(t, b.said())
		time.Sleep(2 * time.Second)
		assert.Equal(t, []string{"a"}, b.said())
	})
}

// A delay of the message is one of all, a delay of its reply lets deliveries
// go: the acknowledgement comes last.
func TestBayeuxFaultDelay(t *testing.T) {
	each(t, alone(), func(t *testing.T, sim *chatsim.Server, b *bayeux) {
		sim.Faults().Add(chatsim.Fault{Op: "sendMessage", Delay: 5 * time.Second})
		sim.Faults().Add(chatsim.Fault{Op: "sendMessage", DelayAnswer: 5 * time.Second})
		before := time.Now()
		if b.ws != nil {
			b.send("a")
			time.Sleep(5 * time.Second)
			assert.Equal(t, []string{"ack ok", "data 2"}, texts(b.got()))
			_, got, _ := b.send("b")
			assert.Equal(t, []string{"data 3"}, texts(got))
			time.Sleep(5 * time.Second)
			assert.Equal(t, []string{"ack ok"}, texts(b.got()))
			return
		}
		b.send("a")
		assert.Equal(t, 5*time.Second, time.Since(before))
		poll := b.connect()
		assert.Equal(t, []string{"data 2", "/meta/connect ok"}, texts((<-poll).messages))
		poll = b.connect()
		acked := make(chan time.Time, 1)
		before = time.Now()
		go func() {
			b.send("b")
			acked <- time.Now()
		}()
		assert.Equal(t, []string{"data 3", "/meta/connect ok"}, texts((<-poll).messages))
		assert.Equal(t, before, time.Now())
		assert.Equal(t, 5*time.Second, (<-acked).Sub(before))
	})
}

func TestBayeuxFaultReply(t *testing.T) {
	each(t, alone(), func(t *testing.T, sim *chatsim.Server, b *bayeux) {
		sim.Faults().Add(chatsim.Fault{Op: "sendMessage", Details: cometdsim.Fault{Unsuccessful: "402::Unknown client", Advice: `[1]`}})
		sim.Faults().Add(chatsim.Fault{Op: "sendMessage", Accept: true, Details: cometdsim.Fault{Unsuccessful: "500::late"}})
		_, got, err := b.send("a")
		require.NoError(t, err)
		assert.Equal(t, []string{"ack 402::Unknown client"}, texts(got))
		assert.JSONEq(t, `[1]`, string(got[0].Advice), "advice of any kind")
		assert.Empty(t, b.said())
		_, got, err = b.send("b")
		require.NoError(t, err)
		assert.Equal(t, "ack 500::late", got[0].String())
		assert.Equal(t, []string{"b"}, b.said())
		b.ackAndMore(b.got())

		sim.Faults().Add(chatsim.Fault{Op: "/meta/connect", Details: cometdsim.Fault{Elsewhere: true}})
		got = b.call(b.connectMessage())
		assert.Equal(t, []string{"/meta/connect 402::Unknown client"}, texts(got))
		assert.Contains(t, string(got[0].Advice), "handshake")
		assert.Len(t, cometdsim.Of(sim).Clients(), 1, "it lives on")
		sim.Faults().Add(chatsim.Fault{Op: "/meta/connect", Details: cometdsim.Fault{Advice: `{"reconnect":"none"}`}})
		b.call(b.connectMessage("advice", `{"timeout":0}`))
	})
	assert.Panics(t, func() {
		var f chatsim.Faults
		f.Add(chatsim.Fault{Details: cometdsim.Fault{Advice: "{"}})
	})
}

// wire-gms D.2: a handshake refused, with advice and without.
func TestBayeuxFaultHandshake(t *testing.T) {
	for _, advice := range []string{"", `{"reconnect":"none"}`} {
		bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
			sim.Faults().Add(chatsim.Fault{Op: "/meta/handshake", Details: cometdsim.Fault{Unsuccessful: "403::Handshake denied", Advice: advice}})
			b := newBayeux(t, sim)
			got := b.call(b.message("/meta/handshake"))
			assert.Equal(t, []string{"/meta/handshake 403::Handshake denied"}, texts(got))
			assert.Equal(t, advice, string(got[0].Advice))
			assert.Empty(t, got[0].ClientID)
			assert.Empty(t, cometdsim.Of(sim).Clients())
			b.shake("long-polling")
		})
	}
}

func TestBayeuxFaultHold(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		b := polling(t, sim)
		b.start()
		sim.Faults().Add(chatsim.Fault{Op: "/meta/connect", Details: cometdsim.Fault{Hold: true}})
		poll := b.connect()
		b.agent()
		time.Sleep(time.Hour)
		assert.Empty(t, poll)
		assert.Equal(t, []string{"data 2", "/meta/connect ok"}, texts(b.call(b.connectMessage())), "a new connect ends it")
		assert.Equal(t, 500, (<-poll).status)
	})
}

// What the server answers to a POST in place of Bayeux.
func TestBayeuxFaultStatus(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		b := polling(t, sim)
		for _, status := range []int{302, 401, 403, 413, 500, 503} {
			sim.Faults().Add(chatsim.Fault{Op: "/meta/connect", Status: status, Header: http.Header{"Location": {"/login"}}, Body: []byte("<html>no</html>")})
			got, body, _, err := b.post("/connect", "["+b.connectMessage()+"]")
			require.NoError(t, err)
			assert.Equal(t, status, got)
			assert.Equal(t, "<html>no</html>", body)

			sim.Faults().Add(chatsim.Fault{Op: "upgrade", Status: status, Body: []byte("no")})
			d := websocket.Dialer{NetDialContext: sim.DialContext}
			_, resp, err := d.Dial(strings.Replace(cometdsim.URL(sim), "http", "ws", 1), nil)
			assert.ErrorIs(t, err, websocket.ErrBadHandshake)
			assert.Equal(t, status, resp.StatusCode)
		}
		for name, f := range map[string]chatsim.Fault{
			"not JSON":  {Status: 200, Body: []byte("<html>")},
			"truncated": {Truncate: 9},
			"cut":       {Cut: 9},
			"rewritten": {Rewrite: func([]byte) []byte { return []byte(`{"a":1}`) }},
		} {
			f.Op = "/meta/connect"
			sim.Faults().Add(f)
			_, _, _, err := b.post("/connect", "["+b.connectMessage("advice", `{"timeout":0}`)+"]")
			assert.Error(t, err, name)
		}
		sim.Faults().Add(chatsim.Fault{Op: "/meta/connect", Pad: 4 << 20})
		_, body, _, err := b.post("/connect", "["+b.connectMessage("advice", `{"timeout":0}`)+"]")
		require.NoError(t, err)
		assert.Greater(t, len(body), 4<<20)
	})
}

// What a websocket does that no websocket should.
func TestBayeuxFaultFrames(t *testing.T) {
	type got struct {
		kind int
		data string
		err  error
	}
	for _, c := range []struct {
		name  string
		fault chatsim.Fault
		check func(t *testing.T, g got)
	}{
		{"binary", chatsim.Fault{Binary: true}, func(t *testing.T, g got) {
			assert.Equal(t, websocket.BinaryMessage, g.kind)
			assert.True(t, json.Valid([]byte(g.data)))
		}},
		{"fragments", chatsim.Fault{Fragment: 1}, func(t *testing.T, g got) {
			assert.Equal(t, websocket.TextMessage, g.kind)
			assert.True(t, json.Valid([]byte(g.data)))
		}},
		{"binary fragments", chatsim.Fault{Fragment: 3, Binary: true}, func(t *testing.T, g got) {
			assert.Equal(t, websocket.BinaryMessage, g.kind)
			assert.True(t, json.Valid([]byte(g.data)))
		}},
		{"invalid UTF-8", chatsim.Fault{Rewrite: func([]byte) []byte { return []byte("[\xff]") }}, func(t *testing.T, g got) {
			assert.Equal(t, "[\xff]", g.data)
		}},
		{"truncated", chatsim.Fault{Truncate: 5}, func(t *testing.T, g got) { assert.Len(t, g.data, 5) }},
		{"padded", chatsim.Fault{Pad: 70000}, func(t *testing.T, g got) {
			assert.Greater(t, len(g.data), 70000)
			assert.True(t, json.Valid([]byte(g.data)))
		}},
		{"padded fragments", chatsim.Fault{Pad: 70000, Fragment: 69000}, func(t *testing.T, g got) {
			assert.True(t, json.Valid([]byte(g.data)))
		}},
		{"slow", chatsim.Fault{Slow: 10 * time.Second}, func(t *testing.T, g got) { assert.True(t, json.Valid([]byte(g.data))) }},
		{"cut", chatsim.Fault{Cut: 5}, func(t *testing.T, g got) { assert.ErrorContains(t, g.err, "unexpected EOF") }},
		{"close", chatsim.Fault{Close: 1012}, func(t *testing.T, g got) { assert.True(t, websocket.IsCloseError(g.err, 1012), g.err) }},
		{"status", chatsim.Fault{Status: 500}, func(t *testing.T, g got) { assert.True(t, websocket.IsCloseError(g.err, 1011), g.err) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
				d := websocket.Dialer{NetDialContext: sim.DialContext}
				ws, resp, err := d.Dial(strings.Replace(cometdsim.URL(sim), "http", "ws", 1), nil)
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				c.fault.Op = "/meta/handshake"
				sim.Faults().Add(c.fault)
				before := time.Now()
				require.NoError(t, ws.WriteMessage(websocket.TextMessage, []byte(`[{"channel":"/meta/handshake"}]`)))
				kind, data, err := ws.ReadMessage()
				c.check(t, got{kind, string(data), err})
				assert.Equal(t, c.fault.Slow, time.Since(before))
				require.NoError(t, ws.Close())
			})
		})
	}
}

// A socket that answers no ping, one that answers nothing, one that takes long
// to open, one that breaks at once.
func TestBayeuxFaultUpgrade(t *testing.T) {
	for _, c := range []struct {
		name         string
		fault        chatsim.Fault
		pong, answer bool
	}{
		{"none", chatsim.Fault{Skip: 9}, true, true},
		{"no pong", chatsim.Fault{NoPong: true}, false, true},
		{"mute", chatsim.Fault{Mute: true}, false, false},
		{"slow", chatsim.Fault{Delay: 5 * time.Second}, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
				c.fault.Op = "upgrade"
				sim.Faults().Add(c.fault)
				b := newBayeux(t, sim)
				before := time.Now()
				b.dial()
				assert.Equal(t, c.fault.Delay, time.Since(before))
				pong := false
				b.ws.SetPongHandler(func(data string) error {
					pong = data == "x"
					return nil
				})
				require.NoError(t, b.ws.WriteControl(websocket.PingMessage, []byte("x"), time.Time{}))
				got := b.call(b.message("/meta/handshake"))
				assert.Equal(t, c.pong, pong)
				assert.Equal(t, c.answer, len(got) == 1)
				b.end()
			})
		})
	}
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		for _, drop := range []chatsim.Drop{chatsim.DropBefore, chatsim.DropAfter} {
			sim.Faults().Add(chatsim.Fault{Op: "upgrade", Drop: drop})
			d := websocket.Dialer{NetDialContext: sim.DialContext}
			ws, _, err := d.Dial(strings.Replace(cometdsim.URL(sim), "http", "ws", 1), nil)
			if err == nil {
				_, _, err = ws.ReadMessage()
				_ = ws.Close()
			}
			assert.ErrorIs(t, err, syscall.ECONNRESET)
		}
	})
}

// What a fault does to the answer of an operation, which is a delivery.
func TestBayeuxFaultDelivery(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault chatsim.Fault
		want  string
		said  int
	}{
		{"status code", chatsim.Fault{Details: gmssim.Fault{StatusCode: 1}}, "data status 1", 1},
		{"status code though accepted", chatsim.Fault{Accept: true, Details: gmssim.Fault{StatusCode: 1}}, "data status 1", 2},
		{"errors", chatsim.Fault{Details: gmssim.Fault{Errors: []gmssim.Error{{Code: 204}}}}, "data status 2", 1},
		{"double", chatsim.Fault{Double: true}, "data 3,3", 2},
		{"overlap", chatsim.Fault{Overlap: 9}, "data 1,2,3", 2},
		{"shuffle", chatsim.Fault{Overlap: 9, Shuffle: true}, "data 3,2,1", 2},
		{"omit", chatsim.Fault{Omit: 1}, "data", 2},
		{"no index", chatsim.Fault{NoIndex: true}, "data 0", 2},
		{"repeat", chatsim.Fault{Repeat: true}, "data 2", 2},
		{"end", chatsim.Fault{EndChat: true}, "data 3,4 end", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, alone(), func(t *testing.T, sim *chatsim.Server, b *bayeux) {
				b.do("sendMessage", "message", `"a"`)
				c.fault.Op = "sendMessage"
				sim.Faults().Add(c.fault)
				got := b.ackAndMore(b.publish("sendMessage", "message", `"b"`))
				require.NotEmpty(t, got)
				assert.Equal(t, c.want, got[len(got)-1].String())
				assert.Len(t, b.said(), c.said)
				if strings.HasPrefix(c.name, "status code though") {
					say(t, b.agent(), "Hello")
				}
			})
		})
	}
}

// What a fault does to events that nobody asked for: late, twice, changed.
func TestBayeuxFaultPush(t *testing.T) {
	each(t, alone(), func(t *testing.T, sim *chatsim.Server, b *bayeux) {
		sim.Faults().Add(chatsim.Fault{Times: -1, Double: true}) // names no push
		late := sim.Faults().Add(chatsim.Fault{Op: "push", Delay: 5 * time.Second})
		twice := sim.Faults().Add(chatsim.Fault{Op: "push", Repeat: true})
		changed := sim.Faults().Add(chatsim.Fault{Op: "push", Rewrite: func(b []byte) []byte {
			return []byte(strings.Replace(string(b), `"index":4`, `"index":40`, 1))
		}})
		lost := sim.Faults().Add(chatsim.Fault{Op: "push", Drop: chatsim.DropAfter})
		overlap := sim.Faults().Add(chatsim.Fault{Op: "push", Overlap: 2, Chat: b.chat})
		sim.Faults().Add(chatsim.Fault{Op: "push", Chat: "another", Details: gmssim.Fault{StatusCode: 1}})
		ann := b.agent()
		for range 4 {
			say(t, ann, "a")
		}
		var got []wireMessage
		if b.ws != nil {
			got = b.got()
		} else {
			got = b.ackAndMore(nil)
		}
		assert.Equal(t, []string{"data 3", "data 3", "data 40", "data 4,5,6"}, texts(got))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if b.ws != nil {
			got = b.got()
		} else {
			got = b.ackAndMore(nil)
		}
		assert.Equal(t, []string{"data 2"}, texts(got), "overtaken by all others")
		for _, sw := range []*chatsim.Switch{late, twice, changed, lost, overlap} {
			assert.Equal(t, 1, sw.Hits())
		}
	})
}

// wire-gms B.7: a server that comes back knows no session, and the chats or
// not.
func TestBayeuxRestart(t *testing.T) {
	for _, memory := range []bool{true, false} {
		each(t, alone(), func(t *testing.T, sim *chatsim.Server, b *bayeux) {
			b.agent()
			sim.Restart(memory)
			if b.ws != nil {
				assert.Zero(t, b.closed())
				b.got() // what had got through
				b.again()
			}
			got := b.call(b.connectMessage())
			require.Len(t, got, 1)
			assert.Equal(t, "402::Unknown client", got[0].Error)
			b.shake(strings.Trim(b.carrier(), `"`))
			answer := b.do("requestNotifications", "transcriptPosition", "2")
			require.Len(t, answer, 1)
			assert.Equal(t, memory, answer[0].StatusCode == 0)
			assert.Equal(t, !memory, answer[0].Ended())
			if memory {
				assert.Equal(t, []int{2}, answer[0].Indices())
				assert.Equal(t, "205", answer[0].Alias)
			}
		})
	}
	// A held connect is told.
	each(t, alone(), func(t *testing.T, sim *chatsim.Server, b *bayeux) {
		if b.ws == nil {
			poll := b.connect()
			assert.Equal(t, 1, cometdsim.Of(sim).ForgetClients())
			assert.Equal(t, []string{"/meta/connect 402::Unknown client"}, texts((<-poll).messages))
			return
		}
		assert.Equal(t, 1, cometdsim.Of(sim).ForgetClients())
		got := b.got()
		assert.Equal(t, []string{"/meta/connect 402::Unknown client"}, texts(got))
		assert.Contains(t, string(got[0].Advice), "handshake")
	})
}

// wire-gms B.1: several nodes behind one address need the cookie to come back,
// and a balancer that minds it.
func TestNodes(t *testing.T) {
	for _, lost := range []bool{false, true} {
		opts := alone(cometdsim.New(&cometdsim.Options{Nodes: 2, Quirks: cometdsim.Quirks{NoAffinity: lost}}))
		bubble(t, opts, func(t *testing.T, sim *chatsim.Server) {
			b := newBayeux(t, sim)
			got := b.call(b.message("/meta/handshake"))
			b.id = got[0].ClientID
			var answers []bool
			for range 4 {
				answers = append(answers, b.call(b.connectMessage("advice", `{"timeout":0}`))[0].ok())
			}
			if lost {
				assert.Equal(t, []bool{false, true, false, true}, answers)
			} else {
				assert.Equal(t, []bool{true, true, true, true}, answers)
			}
			assert.Zero(t, cometdsim.Of(sim).Clients()[0].Node)
			other := newBayeux(t, sim)
			other.call(other.message("/meta/handshake"))
			nodes := map[int]int{}
			for _, c := range cometdsim.Of(sim).Clients() {
				nodes[c.Node]++
			}
			if !lost {
				assert.Equal(t, map[int]int{0: 1, 1: 1}, nodes)
			}
			// A websocket is one request; chats are everybody's.
			ws := socketed(t, sim)
			ws.start()
			far := socketed(t, sim)
			far.key = ws.key
			assert.Equal(t, []int{1}, far.do("requestNotifications")[0].Indices())
			say(t, ws.agent(), "Hello")
			assert.Equal(t, []string{"data 2", "data 3"}, texts(far.got()))
			ws.end()
			far.end()
		})
	}
}

func TestBayeuxQuirks(t *testing.T) {
	for _, c := range []struct {
		name string
		face chatsim.Face
		test func(t *testing.T, sim *chatsim.Server)
	}{
		{"NoCometD", cometdsim.New(&cometdsim.Options{Quirks: cometdsim.Quirks{NoCometD: true}}), func(t *testing.T, sim *chatsim.Server) {
			b := newBayeux(t, sim)
			status, _, _, err := b.post("", "["+b.message("/meta/handshake")+"]")
			require.NoError(t, err)
			assert.Equal(t, 404, status)
			r, err := post(sim, cometdsim.FilesURL(sim), formType, "operation=fileGetLimits")
			require.NoError(t, err)
			assert.Equal(t, 404, r.Status)
		}},
		{"NoWebsocket", cometdsim.New(&cometdsim.Options{Quirks: cometdsim.Quirks{NoWebsocket: true}}), func(t *testing.T, sim *chatsim.Server) {
			d := websocket.Dialer{NetDialContext: sim.DialContext}
			_, resp, err := d.Dial(strings.Replace(cometdsim.URL(sim), "http", "ws", 1), nil)
			assert.ErrorIs(t, err, websocket.ErrBadHandshake)
			assert.Equal(t, 400, resp.StatusCode)
			assert.NotContains(t, newBayeux(t, sim).shake("long-polling").ConnectionTypes, "websocket")
		}},
		{"StrictHandshake", cometdsim.New(&cometdsim.Options{Quirks: cometdsim.Quirks{StrictHandshake: true}}), func(t *testing.T, sim *chatsim.Server) {
			b := newBayeux(t, sim)
			for _, pairs := range [][]string{nil, {"version", `"1.0"`}, {"version", `"1.0"`, "supportedConnectionTypes", `["pigeon"]`}} {
				got := b.call(b.message("/meta/handshake", pairs...))
				assert.Equal(t, []string{"/meta/handshake 403::Handshake denied"}, texts(got))
				assert.JSONEq(t, `{"reconnect":"none"}`, string(got[0].Advice))
			}
			b.shake("long-polling")
		}},
		{"MetaConnectDeliverOnly", cometdsim.New(&cometdsim.Options{Quirks: cometdsim.Quirks{MetaConnectDeliverOnly: true}}), func(t *testing.T, sim *chatsim.Server) {
			b := socketed(t, sim)
			b.connect()
			got := b.publish("requestChat", "nickname", `"Ada"`)
			assert.Equal(t, []string{"ack ok", "data 1", "/meta/connect ok"}, texts(got))
			b.chat, b.key = got[1].Data.ChatID, got[1].Data.SecureKey
			b.agent()
			assert.Empty(t, b.got())
			assert.Equal(t, []string{"ack ok"}, texts(b.publish("sendMessage", "message", `"a"`)))
			assert.Equal(t, []string{"data 2", "data 3", "/meta/connect ok"}, texts(b.call(b.connectMessage())))
			b.end()
		}},
		{"DeliverFirst", cometdsim.New(&cometdsim.Options{Quirks: cometdsim.Quirks{DeliverFirst: true}}), func(t *testing.T, sim *chatsim.Server) {
			b := socketed(t, sim)
			assert.Equal(t, []string{"data 1", "ack ok"}, texts(b.publish("requestChat", "nickname", `"Ada"`)))
			b.end()
			b = polling(t, sim)
			assert.Equal(t, []string{"data 1", "ack ok"}, texts(b.publish("requestChat", "nickname", `"Ada"`)))
		}},
		{"SilentSuccess", cometdsim.New(&cometdsim.Options{Quirks: cometdsim.Quirks{SilentSuccess: true}}), func(t *testing.T, sim *chatsim.Server) {
			b := socketed(t, sim)
			b.start()
			assert.Empty(t, b.do("updateData", "userData", `{"a":"b"}`))
			assert.Len(t, b.do("refresh", "transcriptPosition", "9"), 1)
			assert.Len(t, b.do("sendMessage", "message", `"a"`), 1)
			assert.Len(t, b.do("sendMessage", "message", `""`), 1)
			b.end()
		}},
		{"TypingUnnumbered", gmssim.New(&gmssim.Options{Quirks: gmssim.Quirks{TypingUnnumbered: true}}), func(t *testing.T, sim *chatsim.Server) {
			b := socketed(t, sim)
			b.start()
			ann := b.agent()
			_, err := ann.Type("")
			require.NoError(t, err)
			assert.Equal(t, []string{"data 2", "data 0"}, texts(b.got()))
			assert.Equal(t, []int{1, 2}, b.do("refresh")[0].Indices(), "it comes once")
			b.end()
		}},
		{"HiddenTakeIndex", gmssim.New(&gmssim.Options{Quirks: gmssim.Quirks{HiddenTakeIndex: true}}), func(t *testing.T, sim *chatsim.Server) {
			b := socketed(t, sim)
			b.start()
			ann := b.agent()
			_, err := ann.Whisper("psst")
			require.NoError(t, err)
			say(t, ann, "Hello")
			assert.Equal(t, []string{"data 2", "data 4"}, texts(b.got()))
			b.end()
		}},
		{"Terse", gmssim.New(&gmssim.Options{Quirks: gmssim.Quirks{Terse: true, OmitChatEnded: true}}), func(t *testing.T, sim *chatsim.Server) {
			b := socketed(t, sim)
			b.start()
			b.agent()
			got := b.got()
			require.Len(t, got, 1)
			assert.Empty(t, got[0].Data.SecureKey)
			assert.Nil(t, got[0].Data.ChatEnded)
			b.end()
		}},
		{"BadKeyEnds", gmssim.New(&gmssim.Options{Quirks: gmssim.Quirks{BadKeyEnds: true}}), func(t *testing.T, sim *chatsim.Server) {
			b := socketed(t, sim)
			b.start()
			b.key = "wrong"
			b.publish("sendMessage", "message", `"a"`, "chatId", `"`+b.chat+`"`)
			assert.Equal(t, chatsim.EndedByBadKey, b.side().Snapshot().Reason)
			b.end()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			opts := alone(c.face)
			bubble(t, opts, c.test)
		})
	}
}

// Browsers on other sites may open sockets or not.
func TestWebsocketOrigin(t *testing.T) {
	opts := alone()
	opts.Origins = []string{"https://shop.example"}
	bubble(t, opts, func(t *testing.T, sim *chatsim.Server) {
		for origin, want := range map[string]int{"https://shop.example": 101, "https://evil.example": 403, "": 101} {
			h := http.Header{}
			if origin != "" {
				h.Set("Origin", origin)
			}
			d := websocket.Dialer{NetDialContext: sim.DialContext}
			ws, resp, err := d.Dial(strings.Replace(cometdsim.URL(sim), "http", "ws", 1), h)
			if err == nil {
				require.NoError(t, ws.Close())
			}
			assert.Equal(t, want, resp.StatusCode, origin)
		}
	})
}

// The log has every message, and gives nothing away.
func TestBayeuxRequestLog(t *testing.T) {
	each(t, alone(), func(t *testing.T, sim *chatsim.Server, b *bayeux) {
		b.publish("updateData", "userData", `{"k":"v"}`)
		var ops []string
		for _, r := range sim.Requests() {
			assert.Equal(t, "cometd", r.Wire)
			ops = append(ops, r.Op)
			if r.Op == "updateData" {
				assert.Equal(t, map[string]string{"secureKey": "[redacted]"}, r.Params)
				assert.Equal(t, map[string]string{"k": "v"}, r.UserData)
				assert.Equal(t, b.chat, r.Chat)
			}
		}
		want := []string{"/meta/handshake", "/meta/connect", "requestChat", "/meta/connect", "updateData"}
		if b.ws != nil {
			want = []string{"upgrade", "/meta/handshake", "/meta/connect", "/meta/connect", "requestChat", "updateData"}
		}
		assert.Equal(t, want, ops)
	})
}
