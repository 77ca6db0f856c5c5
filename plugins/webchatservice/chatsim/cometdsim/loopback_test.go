package cometdsim_test

import (
	"bytes"
	"encoding/json"
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
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/cometdsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
)

// One conversation over each carrier, on real sockets and in real time.
func TestLoopbackCometD(t *testing.T) {
	sim := simulator.New(&chatsim.Options{Script: chatsim.Scripted(&chatsim.ScriptOptions{JoinDelay: -1, ReplyDelay: -1})})
	defer sim.Close()
	front := httptest.NewServer(sim.Handler())
	defer front.Close()
	base := sim.BaseURLs(front.Listener.Addr().String())["cometd"]
	const shake = `[{"id":"1","channel":"/meta/handshake"}]`
	connect := func(id string) string {
		return `[{"id":"2","channel":"/meta/connect","clientId":"` + id + `"}]`
	}
	start := func(id string) string {
		return `[{"id":"3","channel":"` + cometdsim.Channel(sim) + `","clientId":"` + id + `","data":{"operation":"requestChat","nickname":"Ada"}}]`
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
