package webchatservice_test

import (
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

func TestIdleAlert(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
		defer sim.Close()
		r := newRig(t, onSim(sim))
		defer r.stop()
		r.begin()
		c, ok := sim.Chat(sim.Chats()[0].ID)
		require.True(t, ok)

		require.NoError(t, c.Alert(45*time.Second))
		time.Sleep(5 * time.Second)
		d := payload[webchatservice.IdleAlertData](t, r.take(), "idleAlert")
		assert.True(t, d.Closing)
		assert.InDelta(t, 45, d.Seconds, 5)
		_, err := call(r, webchatservice.Wake, webchatservice.WakeIn{ResetIdleState: true})
		require.NoError(t, err)
		time.Sleep(2 * time.Minute)
		told := r.told()
		assert.Equal(t, 1, count(told, "idleCancelled"))
		assert.NotContains(t, told, "ended", "the notice stopped the timer")

		require.NoError(t, c.Alert(45*time.Second))
		time.Sleep(2 * time.Minute)
		ended := payload[webchatservice.EndedData](t, r.take(), "ended")
		assert.Equal(t, webchatservice.EndIdle, ended.Reason)
	})
}

// What the server does next, and when, is told; its count-down goes along as it came.
func TestIdleAlertTellsSeconds(t *testing.T) {
	for name, tt := range map[string]struct {
		alert     *chat.IdleAlert
		countdown string
		want      webchatservice.IdleAlertData
	}{
		"closing": {&chat.IdleAlert{After: 45 * time.Second, Closing: true}, "9", webchatservice.IdleAlertData{Seconds: 45, Closing: true}},
		"warning": {&chat.IdleAlert{After: 30 * time.Second}, `"30"`, webchatservice.IdleAlertData{Seconds: 30}},
		"no time": {&chat.IdleAlert{Closing: true}, "", webchatservice.IdleAlertData{Closing: true}},
		"nothing": {nil, `{"a":1}`, webchatservice.IdleAlertData{}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := &fakeLines{chattest.NewMemory(nil).Driver(), make(chan chat.Event)}
				r := newRig(t, &webchatservice.Options{Driver: fake})
				defer r.stop()
				r.begin()
				fake.lines <- chat.Event{
					IdleCountdown: chat.JSON(tt.countdown),
					Messages:      []chat.Message{{Index: 1, Position: chat.Position{Index: 2}, Kind: chat.KindIdleAlert, Idle: tt.alert}},
				}
				events := r.take()
				assert.Equal(t, tt.want, payload[webchatservice.IdleAlertData](t, events, "idleAlert"))
				received := payload[webchatservice.MessageReceivedData](t, events, "messageReceived")
				assert.Equal(t, tt.countdown, string(received.IdleTimeCountDown))
			})
		})
	}
}
