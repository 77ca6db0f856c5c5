package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
)

// FuzzDeskOrder: whatever comes as an order is answered with {} or with one error; what is refused has changed
// nothing; and what is read is what was written.
func FuzzDeskOrder(f *testing.F) {
	const chat = "CHAT" // stands for the id of the chat, which is another one in each run
	for _, o := range []deskOrder{
		{Agent: "Ann", Chat: chat, Do: "say", Text: "Hello"}, {Agent: "Ann", Chat: chat, Do: "end"},
		{Agent: "Ann", Chat: chat, Do: "file", Name: "a.txt", ContentType: "text/plain", Data: []byte("data")},
		{Agent: "Ann", Chat: chat, Do: "transfer", Text: "Bob"}, {Agent: "Bob", Chat: chat, Do: "say"},
	} {
		b, err := json.Marshal(o)
		require.NoError(f, err)
		f.Add(string(b))
	}
	for _, s := range []string{"", "{", "null", "[]", "{}{}", `{"agent":"Ann","do":1}`, `{"Agent":"Ann","agent":"Bob"}`, "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
		defer func() { assert.NoError(t, sim.Close()) }()
		resp, err := sim.Client().Post(gmssim.URL(sim), "application/x-www-form-urlencoded", strings.NewReader("nickname=Vera"))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		id := sim.Chats()[0].ID
		body = strings.ReplaceAll(body, chat, id)
		d := newDesk(sim)
		defer d.close()
		d.mu.Lock()
		for _, name := range []string{"Ann", "Bob"} {
			d.agents[name] = &deskAgent{wake: make(chan struct{}, 1), seats: make(map[string]*chatsim.Seat)}
		}
		d.mu.Unlock()
		require.NoError(t, d.carryOut(deskOrder{Agent: "Ann", Chat: id, Do: "join"}))
		before := sim.Chats()[0]

		r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1"+deskPath+"/do", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r)

		var answer map[string]string
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
		if w.Code == http.StatusOK {
			assert.Empty(t, answer)
		} else {
			assert.Contains(t, []int{http.StatusBadRequest, http.StatusConflict}, w.Code)
			assert.Len(t, answer, 1)
			assert.NotEmpty(t, answer["error"])
			assert.Equal(t, before, sim.Chats()[0])
		}
		o, err := readOrder(strings.NewReader(body))
		if err != nil {
			assert.Equal(t, http.StatusBadRequest, w.Code)
			return
		}
		again, err := json.Marshal(o)
		require.NoError(t, err)
		o2, err := readOrder(bytes.NewReader(again))
		require.NoError(t, err)
		if len(o.Data) == 0 {
			o.Data = nil // an empty file is no file
		}
		assert.Equal(t, o, o2)
	})
}
