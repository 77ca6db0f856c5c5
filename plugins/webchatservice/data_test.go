package webchatservice_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
)

// changes returns the changes of the data store among events, as "key value", and the event ended.
func changes(events []bus.Event[any]) (list []string) {
	for _, e := range events {
		switch d := e.Data.(type) {
		case bus.DataChange:
			list = append(list, fmt.Sprint(strings.TrimPrefix(shortName(e.Name()), "data."), " ", d.Value))
		case webchatservice.EndedData:
			list = append(list, "ended")
		}
	}
	return list
}

// The data store has the vendor's keys, and tells what the events tell.
func TestDataStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()
		assert.Empty(t, r.app.Data("WebChatService"))
		_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{UserData: map[string]any{"tier": "gold"}})
		require.NoError(t, err)
		assert.Equal(t, []string{
			"userData map[tier:gold]", "sessionActive true", "capabilities {false hideChat false true}",
		}, changes(r.take()))
		m.AgentJoin(id, "Ann")
		m.AgentTyping(id, "Ann", true)
		assert.Equal(t, []string{"agentTyping true"}, changes(r.take()))
		typing, ok := webchatservice.DataAgentTyping.Get(r.app)
		assert.True(t, typing && ok)
		m.AgentSay(id, "Ann", "hello")
		assert.Equal(t, []string{"agentTyping false"}, changes(r.take()))
		m.AgentTyping(id, "Ann", true)
		time.Sleep(time.Minute) // no further sign
		assert.Equal(t, []string{"agentTyping true", "agentTyping false"}, changes(r.take()))
		_, err = call(r, webchatservice.UpdateUserData, map[string]any{"order": "7"})
		require.NoError(t, err)
		assert.Equal(t, []string{"userData map[order:7 tier:gold]"}, changes(r.take()))
		m.AgentTyping(id, "Ann", true)
		r.take()
		require.NoError(t, end(r))
		assert.Equal(t, []string{"agentTyping false", "sessionActive false", "ended"}, changes(r.take()))
		_, err = call(r, webchatservice.UpdateInteractionData, map[string]any{"routing": "vip"})
		require.NoError(t, err)
		assert.Equal(t, []string{"interactionData map[routing:vip]"}, changes(r.take()))
	})
}

func TestDataStoreOfALongLivedChat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
		defer sim.Close()
		r := newRig(t, onCometD(sim, websockets))
		defer r.stop()
		async := true
		_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada", Async: &async})
		require.NoError(t, err)
		r.take()
		mode, ok := webchatservice.DataMode.Get(r.app)
		assert.True(t, ok && mode.Async)
		require.NoError(t, end(r))
		assert.Equal(t, []string{"mode {false}", "sessionActive false", "ended"}, changes(r.take()))
	})
}

// What masks hide is hidden in the data store, too.
func TestDataStoreIsMasked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := onMemory(chattest.NewMemory(nil))
		opts.Config = &webchatservice.Config{Masks: []string{`\d{16}`}}
		r := newRig(t, opts)
		defer r.stop()
		_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{UserData: map[string]any{"card": "4111111111111111"}})
		require.NoError(t, err)
		assert.Equal(t, map[string]any{"card": "***"}, r.app.Data("WebChatService")["userData"])
	})
}
