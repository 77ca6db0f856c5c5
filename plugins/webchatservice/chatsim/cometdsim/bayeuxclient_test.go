package cometdsim_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/cometdsim"
)

// wireMessage is a Bayeux message as a client sees it.
type wireMessage struct {
	ID              string          `json:"id"`
	Channel         string          `json:"channel"`
	ClientID        string          `json:"clientId"`
	Successful      *bool           `json:"successful"`
	Error           string          `json:"error"`
	Version         string          `json:"version"`
	ConnectionTypes []string        `json:"supportedConnectionTypes"`
	Subscription    any             `json:"subscription"`
	Advice          json.RawMessage `json:"advice"`
	Ext             struct {
		Ack any `json:"ack"`
	} `json:"ext"`
	Data *reply `json:"data"`
}

func (m wireMessage) ok() bool { return m.Successful != nil && *m.Successful }

// String is "/meta/connect ok", "ack 402::Unknown client", "data 1,2 end".
func (m wireMessage) String() string {
	if m.Data != nil {
		s := "data"
		if m.Data.StatusCode != 0 {
			s += fmt.Sprintf(" status %d", m.Data.StatusCode)
		}
		for i, n := range m.Data.Indices() {
			s += []string{" ", ","}[min(i, 1)] + strconv.Itoa(n)
		}
		if m.Data.Ended() {
			s += " end"
		}
		return s
	}
	name := m.Channel
	if strings.HasPrefix(name, "/service/") {
		name = "ack"
	}
	if m.ok() {
		return name + " ok"
	}
	return name + " " + m.Error
}

func texts(messages []wireMessage) []string {
	var out []string
	for _, m := range messages {
		out = append(out, m.String())
	}
	return out
}

// bayeux is a small Bayeux client: on long-polling each call is a request and
// returns its answer, on a websocket frames are collected in got.
type bayeux struct {
	t    testing.TB
	sim  *chatsim.Server
	http *http.Client
	ws   *websocket.Conn
	id   string // clientId
	next int
	key  string // secureKey
	chat string // chatId

	mu     sync.Mutex
	frames [][]wireMessage
	err    error // what ended the websocket
}

func newBayeux(t testing.TB, sim *chatsim.Server) *bayeux {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	client := *sim.Client()
	client.Jar = jar
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &bayeux{t: t, sim: sim, http: &client}
}

// polling is a client on long-polling with its first connect done.
func polling(t testing.TB, sim *chatsim.Server, ext ...string) *bayeux {
	b := newBayeux(t, sim)
	b.shake("long-polling", ext...)
	return b
}

// socketed is the same on a websocket.
func socketed(t testing.TB, sim *chatsim.Server, ext ...string) *bayeux {
	b := newBayeux(t, sim)
	b.dial()
	b.shake("websocket", ext...)
	return b
}

func (b *bayeux) dial() {
	b.t.Helper()
	d := websocket.Dialer{NetDialContext: b.sim.DialContext, Jar: b.http.Jar}
	ws, resp, err := d.Dial(strings.Replace(cometdsim.URL(b.sim), "http", "ws", 1), nil)
	require.NoError(b.t, err)
	require.NoError(b.t, resp.Body.Close())
	b.read(ws)
}

func (b *bayeux) read(ws *websocket.Conn) {
	b.ws = ws
	go func() {
		for {
			_, data, err := ws.ReadMessage()
			var messages []wireMessage
			if err == nil {
				err = json.Unmarshal(data, &messages)
			}
			b.mu.Lock()
			if err != nil {
				b.err = err
				b.mu.Unlock()
				_ = ws.Close()
				return
			}
			b.frames = append(b.frames, messages)
			b.mu.Unlock()
		}
	}()
}

// got returns the frames since the last call, once nothing moves any more.
func (b *bayeux) got() []wireMessage {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []wireMessage
	for _, f := range b.frames {
		all = append(all, f...)
	}
	b.frames = nil
	return all
}

// closed returns the code that the websocket was closed with, 0 for a broken
// connection.
func (b *bayeux) closed() int {
	b.t.Helper()
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Error(b.t, b.err)
	var e *websocket.CloseError
	if errors.As(b.err, &e) && e.Code != websocket.CloseAbnormalClosure {
		return e.Code
	}
	return 0
}

// message makes a message of alternating names and JSON values.
func (b *bayeux) message(channel string, pairs ...string) string {
	b.next++
	s := fmt.Sprintf(`{"id":"%d","channel":%q`, b.next, channel)
	if b.id != "" {
		s += fmt.Sprintf(`,"clientId":%q`, b.id)
	}
	for i := 0; i < len(pairs); i += 2 {
		s += fmt.Sprintf(`,%q:%s`, pairs[i], pairs[i+1])
	}
	return s + "}"
}

// post sends a body and returns the HTTP status, the body, and the messages of
// a 200.
func (b *bayeux) post(path, body string) (int, string, []wireMessage, error) {
	resp, err := b.http.Post(cometdsim.URL(b.sim)+path, "application/json;charset=UTF-8", strings.NewReader(body))
	if err != nil {
		return 0, "", nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp.StatusCode, string(data), nil, err
	}
	var messages []wireMessage
	err = json.NewDecoder(bytes.NewReader(data)).Decode(&messages)
	return resp.StatusCode, string(data), messages, err
}

// call sends messages and returns the answer: of a POST, or all frames that
// come at once.
func (b *bayeux) call(messages ...string) []wireMessage {
	b.t.Helper()
	body := "[" + strings.Join(messages, ",") + "]"
	if b.ws != nil {
		before := b.got()
		require.Empty(b.t, before, "unexpected frames")
		require.NoError(b.t, b.ws.WriteMessage(websocket.TextMessage, []byte(body)))
		return b.got()
	}
	status, text, got, err := b.post("/", body)
	require.NoError(b.t, err)
	require.Equal(b.t, http.StatusOK, status, text)
	return got
}

func (b *bayeux) carrier() string {
	if b.ws != nil {
		return `"websocket"`
	}
	return `"long-polling"`
}

// shake handshakes, and connects once.
func (b *bayeux) shake(carrier string, ext ...string) wireMessage {
	b.t.Helper()
	b.id = ""
	pairs := []string{"version", `"1.0"`, "supportedConnectionTypes", `["` + carrier + `"]`}
	if len(ext) > 0 {
		pairs = append(pairs, "ext", ext[0])
	}
	got := b.call(b.message("/meta/handshake", pairs...))
	require.Len(b.t, got, 1)
	require.True(b.t, got[0].ok(), got[0].Error)
	b.id = got[0].ClientID
	connected := b.call(b.connectMessage("advice", `{"timeout":0}`))
	require.Equal(b.t, []string{"/meta/connect ok"}, texts(connected))
	return got[0]
}

func (b *bayeux) connectMessage(pairs ...string) string {
	return b.message("/meta/connect", append([]string{"connectionType", b.carrier()}, pairs...)...)
}

// connect starts a connect in the background; on long-polling its answer comes
// through the channel.
func (b *bayeux) connect(pairs ...string) <-chan pollAnswer {
	body := "[" + b.connectMessage(pairs...) + "]"
	answer := make(chan pollAnswer, 1)
	if b.ws != nil {
		require.NoError(b.t, b.ws.WriteMessage(websocket.TextMessage, []byte(body)))
		return answer
	}
	go func() {
		var a pollAnswer
		a.status, _, a.messages, a.err = b.post("/connect", body)
		answer <- a
	}()
	synctest.Wait()
	return answer
}

type pollAnswer struct {
	status   int
	messages []wireMessage
	err      error
}

// publishMessage makes a publish on the service channel, with the key.
func (b *bayeux) publishMessage(operation string, pairs ...string) string {
	data := fmt.Sprintf(`{"operation":%q`, operation)
	if b.key != "" {
		data += fmt.Sprintf(`,"secureKey":%q`, b.key)
	}
	for i := 0; i < len(pairs); i += 2 {
		data += fmt.Sprintf(`,%q:%s`, pairs[i], pairs[i+1])
	}
	return b.message(cometdsim.Channel(b.sim), "data", data+"}")
}

func (b *bayeux) publish(operation string, pairs ...string) []wireMessage {
	b.t.Helper()
	return b.call(b.publishMessage(operation, pairs...))
}

// again opens another websocket for the same session.
func (b *bayeux) again() {
	b.t.Helper()
	synctest.Wait()
	b.mu.Lock()
	b.err = nil
	b.mu.Unlock()
	b.dial()
}

// start starts a chat and takes the keys of the delivery.
func (b *bayeux) start(pairs ...string) reply {
	b.t.Helper()
	if len(pairs) == 0 {
		pairs = []string{"nickname", `"Ada"`}
	}
	var got []wireMessage
	if b.ws != nil {
		b.connect()
		got = b.publish("requestChat", pairs...)
	} else {
		poll := b.connect()
		require.Equal(b.t, []string{"ack ok"}, texts(b.publish("requestChat", pairs...)))
		got = (<-poll).messages
	}
	for _, m := range got {
		if m.Data != nil {
			require.Zero(b.t, m.Data.StatusCode)
			b.key, b.chat = m.Data.SecureKey, m.Data.ChatID
			return *m.Data
		}
	}
	require.Fail(b.t, "no start result", texts(got))
	return reply{}
}

// side returns the server's side of the chat.
func (b *bayeux) side() *chatsim.Chat {
	b.t.Helper()
	c, ok := b.sim.Chat(b.chat)
	require.True(b.t, ok)
	return c
}

// agent brings one in.
func (b *bayeux) agent() *chatsim.Seat {
	b.t.Helper()
	seat, err := b.side().Join("Ann", chatsim.RoleAgent)
	require.NoError(b.t, err)
	return seat
}

func say(t testing.TB, seat *chatsim.Seat, text string) {
	t.Helper()
	_, err := seat.Say(text)
	require.NoError(t, err)
}

// end closes the websocket, if there is one.
func (b *bayeux) end() {
	if b.ws != nil {
		_ = b.ws.Close()
		synctest.Wait()
	}
}

// ackAndMore completes what a publish on long-polling was answered with what
// the next connect brings, without its reply.
func (b *bayeux) ackAndMore(got []wireMessage) []wireMessage {
	b.t.Helper()
	if b.ws == nil {
		more := b.call(b.connectMessage("advice", `{"timeout":0}`))
		got = append(got, more[:len(more)-1]...)
	}
	return got
}

// do publishes an operation and returns what was delivered for it.
func (b *bayeux) do(operation string, pairs ...string) []reply {
	b.t.Helper()
	var out []reply
	acks := 0
	for _, m := range b.ackAndMore(b.publish(operation, pairs...)) {
		switch {
		case m.Data != nil:
			out = append(out, *m.Data)
		case m.ok():
			acks++
		default:
			require.Fail(b.t, "publish failed", m.Error)
		}
	}
	require.Equal(b.t, 1, acks)
	return out
}
