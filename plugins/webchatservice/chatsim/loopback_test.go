package chatsim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
)

// The same over real sockets and in real time: a conversation, and a
// connection that breaks.
func TestLoopback(t *testing.T) {
	sim := chatsim.New(&chatsim.Options{Script: chatsim.Scripted(&chatsim.ScriptOptions{ReplyDelay: -1})})
	defer sim.Close()
	front := httptest.NewServer(sim.Handler())
	defer front.Close()
	client := front.Client()
	base := sim.BaseURLs(front.Listener.Addr().String())["gms"]

	call := func(path string, pairs ...string) error {
		resp, err := client.PostForm(base+path, values(pairs...))
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return errors.Join(errors.New(resp.Status), resp.Body.Close())
		}
		return resp.Body.Close()
	}
	require.NoError(t, call("/", "nickname", "Ada"))
	c, err := sim.Desk().Next(t.Context())
	require.NoError(t, err)
	assert.Error(t, call("/"+c.ID()+"/send", "message", "no key"))
	for n := 0; ; n++ {
		e, err := c.Next(t.Context(), n)
		require.NoError(t, err)
		if e.Type == chatsim.Message {
			assert.Contains(t, e.Text, "Hello")
			break
		}
	}
	sim.Faults().Add(chatsim.Fault{Drop: chatsim.DropAfter})
	assert.ErrorIs(t, call("/", "nickname", "Eve"), syscall.ECONNRESET)
	eve, err := sim.Desk().Next(t.Context())
	require.NoError(t, err, "accepted though the answer was lost")
	eve.End()

	// Handlers that another server runs end with the simulator.
	sim.Faults().Add(chatsim.Fault{Delay: 1 << 40})
	failed := make(chan error, 1)
	go func() { failed <- call("/", "nickname", "Bea") }()
	require.NoError(t, sim.Close())
	assert.Error(t, <-failed)
	_, err = c.Next(context.Background(), 99)
	assert.ErrorIs(t, err, chatsim.ErrClosed)
	assert.ErrorContains(t, call("/", "nickname", "Zoe"), "503")
}

// One conversation over each carrier, on real sockets and in real time.
func TestLoopbackCometD(t *testing.T) {
	sim := chatsim.New(&chatsim.Options{Script: chatsim.Scripted(&chatsim.ScriptOptions{JoinDelay: -1, ReplyDelay: -1})})
	defer sim.Close()
	front := httptest.NewServer(sim.Handler())
	defer front.Close()
	base := sim.BaseURLs(front.Listener.Addr().String())["cometd"]
	const shake = `[{"id":"1","channel":"/meta/handshake"}]`
	connect := func(id string) string {
		return `[{"id":"2","channel":"/meta/connect","clientId":"` + id + `"}]`
	}
	start := func(id string) string {
		return `[{"id":"3","channel":"` + sim.Channel() + `","clientId":"` + id + `","data":{"operation":"requestChat","nickname":"Ada"}}]`
	}
	// talk handshakes, starts a chat and receives until the agent has greeted.
	talk := func(send func(string) error, receive func() []byte) {
		require.NoError(t, send(shake))
		var shaken []wireMessage
		require.NoError(t, json.Unmarshal(receive(), &shaken))
		id := shaken[0].ClientID
		require.NoError(t, send(connect(id)))
		receive()
		require.NoError(t, send(start(id)))
		for !bytes.Contains(receive(), []byte("Hello Ada")) {
			require.NoError(t, send(connect(id)))
		}
	}

	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	client := &http.Client{Transport: front.Client().Transport, Jar: jar}
	var answer []byte
	talk(func(body string) error {
		resp, err := client.Post(base, "application/json", strings.NewReader(body))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		answer, err = io.ReadAll(resp.Body)
		return err
	}, func() []byte { return answer })

	ws, _, err := websocket.DefaultDialer.Dial(strings.Replace(base, "http", "ws", 1), nil)
	require.NoError(t, err)
	defer ws.Close()
	var held bool
	talk(func(body string) error {
		if strings.Contains(body, "/meta/connect") {
			if held { // one at a time
				return nil
			}
			held = true
		}
		return ws.WriteMessage(websocket.TextMessage, []byte(body))
	}, func() []byte {
		_, data, err := ws.ReadMessage()
		require.NoError(t, err)
		return data
	})
	require.NoError(t, sim.Close())
	for err = nil; err == nil; {
		_, _, err = ws.ReadMessage()
	}
	assert.ErrorIs(t, err, syscall.ECONNRESET, "a websocket ends with the server")
}
