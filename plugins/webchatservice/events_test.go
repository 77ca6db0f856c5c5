package webchatservice_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
)

// payloadFields are the fields of each event's payload in JSON: those that are always there and, after a question
// mark, those that may be (webchatservice 4.1 to 4.3). ajaxResponse is whatever the server says.
var payloadFields = map[string]string{
	"ready":                  "",
	"started":                "sessionID userId alias",
	"restored":               "?async ?readMark",
	"restoreTimeout":         "reason",
	"restoreFailed":          "error",
	"restoredOffline":        "",
	"sessionLost":            "error",
	"ended":                  "reason serverTold",
	"messageReceived":        "messages originalMessages restoring sessionData oldMessages ?idleTimeCountDown ?readMark",
	"clientConnected":        participantFields,
	"clientDisconnected":     participantFields,
	"agentConnected":         participantFields,
	"agentDisconnected":      participantFields,
	"supervisorConnected":    participantFields,
	"supervisorDisconnected": participantFields,
	"botConnected":           participantFields,
	"botDisconnected":        participantFields,
	"agentTypingStarted":     lineFields,
	"agentTypingStopped":     lineFields,
	"agentTypingTimeout":     lineFields,
	"clientTypingStarted":    "",
	"clientTypingStopped":    "",
	"pollingStarted":         "",
	"pollingStopped":         "",
	"ajaxResponse":           "statusCode ?chatId ?chatEnded ?alias ?userId ?secureKey ?nextPosition ?messages ?errors ?userData",
	"error":                  "code text status ?hint ?operation ?statusCode ?errors ?errorReason ?filename ?responseJSON",
	"disconnected":           "error",
	"reconnected":            "",
	"chatServerWentOffline":  "",
	"chatServerBackOnline":   "",
	"chatServerTimeout":      "",
	"sleeping":               "",
	"waking":                 "",
	"capabilitiesChanged":    "async asyncClose pagination fileUpload",
}

const (
	participantFields = "message agents bots external numAgentsConnected numSupervisorsConnected numBotsConnected numExternalConnected"
	lineFields        = "type timestamp from ?index ?id ?text ?userData ?fileDetails ?isTyping ?html ?bubble ?restoring ?content ?quickReplies ?cards ?picker ?form ?original"
)

// TestEveryEvent makes the service publish each of the vendor's events, and holds the payloads to the fields above.
func TestEveryEvent(t *testing.T) {
	seen := map[string]int{}
	note := func(t *testing.T, r *rig) {
		for _, e := range r.take() {
			short := shortName(e.Name())
			if !slices.Contains(vendorEvents, short) {
				continue
			}
			seen[short]++
			j, err := json.Marshal(e.Data)
			require.NoError(t, err)
			var got map[string]json.RawMessage
			require.NoError(t, json.Unmarshal(j, &got), "%s: %s", short, j)
			for _, name := range strings.Fields(payloadFields[short]) {
				name, optional := strings.CutPrefix(name, "?")
				if _, ok := got[name]; !ok {
					assert.True(t, optional, "%s lacks %s: %s", short, name, j)
				}
				delete(got, name)
			}
			assert.Empty(t, slices.Collect(maps.Keys(got)), "%s has more: %s", short, j)
		}
	}

	t.Run("pushed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := chattest.NewMemory(nil)
			opts := onMemory(m)
			opts.Store, opts.GiveUpAfter = webchatservice.NewMemoryStore(), time.Minute
			again := func() *rig { return newRig(t, opts) }
			restore := func(r *rig) { _ = r.by("restore", `{}`) }
			r := again()
			r.begin0()
			for name, role := range map[string]chat.Role{"Bob": chat.RoleAgent, "Sue": chat.RoleSupervisor, "Robo": chat.RoleBot} {
				m.Say(id, name, role, chat.KindParticipantJoined, "")
				m.Say(id, name, role, chat.KindParticipantLeft, "")
			}
			m.AgentJoin(id, "Ann")
			m.AgentTyping(id, "Ann", true)
			m.AgentTyping(id, "Ann", false)
			m.AgentTyping(id, "Ann", true)
			time.Sleep(time.Minute)
			require.NoError(t, r.by("sendTyping", `{"message": "He"}`))
			require.NoError(t, send(r, "Hello"))
			m.Refuse("204", "too long")
			require.Error(t, send(r, "Hello"))
			m.Partition()
			time.Sleep(10 * time.Second)
			m.Heal()
			time.Sleep(10 * time.Second)
			for range 6 {
				m.Unavailable(id, true)
				synctest.Wait()
			}
			m.Unavailable(id, false)
			note(t, r)
			r.stop()

			m.Partition()
			r = again()
			restore(r)
			m.Heal()
			restore(r)
			time.Sleep(time.Second)
			note(t, r)
			m.Partition()
			time.Sleep(10 * time.Minute)
			m.Heal()
			note(t, r)
			r.begin0()
			r.stop()
			time.Sleep(2 * time.Minute)
			r = again()
			restore(r)
			note(t, r)
			r.stop()
		})
	})
	t.Run("polled", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
			defer sim.Close()
			opts := onSim(sim)
			opts.Config.SleepEnabled = true
			opts.Store = webchatservice.NewMemoryStore()
			r := newRig(t, opts)
			r.begin0()
			note(t, r)
			r.stop()
			sim.Faults().Add(chatsim.Fault{Op: "refresh", Status: 200, Body: []byte(`{"statusCode":1,"chatEnded":false}`)})
			r = newRig(t, opts)
			defer r.stop()
			require.NoError(t, r.by("restore", `{}`))
			require.NoError(t, r.by("sleep", `{}`))
			require.NoError(t, r.by("wake", `{}`))
			require.NoError(t, r.by("stopPoll", `{}`))
			require.NoError(t, r.by("startPoll", `{}`))
			sim.Network().Partition()
			time.Sleep(2 * time.Minute)
			sim.Network().Heal()
			time.Sleep(2 * time.Minute)
			note(t, r)
		})
	})
	for _, event := range vendorEvents {
		assert.Positive(t, seen[event], "%s was published", event)
	}
	assert.Len(t, payloadFields, 34)
}

// TestVendorsOrder holds the order of events to webchatservice 4.7; ended is the last here, and who was not there
// does not leave.
func TestVendorsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1})
		defer sim.Close()
		opts := onSim(sim)
		opts.Store = webchatservice.NewMemoryStore()
		r := newRig(t, opts)
		r.take()
		r.begin0()
		assert.Equal(t, []string{"started", "ajaxResponse", "pollingStarted", "clientConnected", "messageReceived"}, r.all()[:5])
		c, ok := sim.Chat(sim.Chats()[0].ID)
		require.True(t, ok)
		ann, err := c.Join("Ann", chatsim.RoleAgent)
		require.NoError(t, err)
		_, err = c.Join("Sue", chatsim.RoleSupervisor)
		require.NoError(t, err)
		_, err = ann.Say("Hello")
		require.NoError(t, err)
		time.Sleep(500 * time.Millisecond)
		assert.Equal(t, []string{"agentConnected", "supervisorConnected", "messageReceived", "ajaxResponse"}, r.all())
		r.stop()

		r = newRig(t, opts)
		defer r.stop()
		r.take()
		require.NoError(t, r.by("restore", `{}`))
		order := slices.DeleteFunc(r.all(), func(s string) bool { return s == "ajaxResponse" })
		assert.Equal(t, []string{"restored", "clientConnected", "agentConnected", "supervisorConnected", "messageReceived", "pollingStarted"}, order)
		time.Sleep(10 * time.Second)
		r.take()
		require.NoError(t, end(r))
		order = slices.DeleteFunc(r.all(), func(s string) bool { return s == "ajaxResponse" || s == "messageReceived" })
		assert.ElementsMatch(t, []string{"pollingStopped", "clientDisconnected", "agentDisconnected", "supervisorDisconnected", "ended"}, order)
		assert.Equal(t, "ended", order[len(order)-1])
	})
}
