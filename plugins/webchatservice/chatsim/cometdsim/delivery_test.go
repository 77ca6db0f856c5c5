package cometdsim_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/cometdsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
)

// wire-gms A.3: the vendor's mobile client reads chatId and messages of each delivery, whatever else it holds.
func TestDeliveryIsWhole(t *testing.T) {
	terse := gmssim.New(&gmssim.Options{Quirks: gmssim.Quirks{Terse: true, BareErrors: true, OmitChatEnded: true}})
	for name, face := range map[string]*gmssim.Face{"usual": gmssim.New(nil), "terse": terse} {
		t.Run(name, func(t *testing.T) {
			bubble(t, alone(face), func(t *testing.T, sim *chatsim.Server) {
				b := newBayeux(t, sim)
				b.shake("long-polling")
				got := 0
				look := func(messages ...string) {
					t.Helper()
					_, body, _, err := b.post("", "["+strings.Join(messages, ",")+"]")
					require.NoError(t, err)
					var raw []struct {
						Data map[string]json.RawMessage `json:"data"`
					}
					require.NoError(t, json.Unmarshal([]byte(body), &raw))
					for _, m := range raw {
						if m.Data == nil {
							continue
						}
						got++
						assert.Contains(t, m.Data, "chatId", body)
						assert.Regexp(t, `^\[`, string(m.Data["messages"]), body)
					}
				}
				for _, m := range []string{
					b.publishMessage("requestChat"), b.publishMessage("sendMessage", "message", `"nobody"`),
					b.publishMessage("requestChat", "nickname", `"Ada"`), b.publishMessage("updateData", "userData", `{"k":"v"}`),
				} {
					look(m)
					look(b.connectMessage())
				}
				assert.Equal(t, 4, got)
			})
		})
	}
}

// What is no text in attached data is attached as its JSON.
func TestNestedUserData(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		b := polling(t, sim)
		b.start("nickname", `"Ada"`, "userData", `{"plan":"gold","order":{ "id": 9007199254740993, "lines":["a"]},"n":7}`)
		assert.Equal(t, map[string]string{"plan": "gold", "order": `{"id":9007199254740993,"lines":["a"]}`, "n": "7"}, b.side().Snapshot().UserData)
	})
}

// RFC 6455 5.5.1, 7.4.1: a close frame has a code of two bytes, or none.
func TestCloseFrames(t *testing.T) {
	for name, tt := range map[string]struct {
		payload []byte
		code    int
	}{
		"without a code": {nil, websocket.CloseNormalClosure},
		"half a code":    {[]byte{3}, websocket.CloseProtocolError},
		"with a code":    {websocket.FormatCloseMessage(websocket.CloseGoingAway, "bye"), websocket.CloseGoingAway},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
				b := socketed(t, sim)
				require.NoError(t, b.ws.WriteControl(websocket.CloseMessage, tt.payload, time.Time{}))
				assert.Equal(t, tt.code, b.closed())
			})
		})
	}
}

// Addresses that were put together with a slash too many are served, without a redirect, which would make a GET of a POST.
func TestSlashes(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		const shake = `[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}]`
		for path, want := range map[string]int{
			"//genesys//cometd": 200, "/genesys/cometd/": 200, "/genesys/cometd//handshake": 200, "/genesys": 404,
		} {
			resp, err := sim.Client().Post("http://sim.test"+path, "application/json", strings.NewReader(shake))
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			assert.Equal(t, want, resp.StatusCode, path)
		}
		root := strings.TrimSuffix(gmssim.URL(sim), "/customer-support")
		for path, want := range map[string]int{
			root + "//customer-support": http.StatusOK, root + "/customer-support/": http.StatusOK, root: http.StatusNotFound,
			root + "/": http.StatusNotFound, cometdsim.FilesURL(sim) + "/": http.StatusBadRequest, cometdsim.FilesURL(sim) + "/x": http.StatusNotFound,
		} {
			r, err := post(sim, path, formType, "nickname=Ada")
			require.NoError(t, err)
			assert.Equal(t, want, r.Status, path)
		}
		assert.Len(t, sim.Chats(), 2)
	})
}

// The answer to a POST of publishes has what was queued before, and nothing of what the publishes have caused, though a
// connect has taken deliveries meanwhile, or has brought back what was lost.
func TestAnswerHasWhatWasQueuedBefore(t *testing.T) {
	q := cometdsim.NewQueue()
	q.Deliver(`"before"`)
	mark := q.Cork()
	q.Deliver(`"caused"`)
	assert.Equal(t, 1, q.TakeBefore(mark))

	q = cometdsim.NewQueue()
	q.Deliver(`"before"`)
	mark = q.Cork()
	assert.Equal(t, 1, q.TakeAll(), "a connect takes it")
	q.Deliver(`"caused"`)
	assert.Zero(t, q.TakeBefore(mark))

	q = cometdsim.NewQueue()
	q.Deliver(`"lost"`)
	assert.Equal(t, 1, q.TakeAll())
	q.Deliver(`"before"`)
	mark = q.Cork()
	q.Deliver(`"caused"`)
	q.Lost()
	assert.Equal(t, 2, q.TakeBefore(mark))
}
