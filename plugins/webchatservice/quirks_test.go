package webchatservice_test

import (
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
)

// Wherever the sources on the server differ, both are true for the service: a chat goes its way, and the application is
// told the same.
func TestEveryQuirk(t *testing.T) {
	kinds := reflect.TypeFor[gmssim.Quirks]()
	for i := range kinds.NumField() {
		name := kinds.Field(i).Name
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var quirks gmssim.Quirks
				reflect.ValueOf(&quirks).Elem().Field(i).SetBool(true)
				sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody, Faces: []chatsim.Face{gmssim.New(&gmssim.Options{Quirks: quirks})}})
				defer sim.Close()
				opts := onSim(sim)
				opts.Store = webchatservice.NewMemoryStore()
				r := newRig(t, opts)
				_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
				require.NoError(t, err)
				c, ok := sim.Chat(sim.Chats()[0].ID)
				require.True(t, ok)
				ann, err := c.Join("Ann", chatsim.RoleAgent)
				require.NoError(t, err)
				_, err = ann.Type("He")
				require.NoError(t, err)
				say(t, ann, "Hello")
				_, err = call(r, webchatservice.SendTyping, webchatservice.SendTypingIn{Message: "Hi"})
				require.NoError(t, err)
				require.NoError(t, send(r, "Hi"))
				require.NoError(t, send(r, "Hi"))
				_, err = ann.Whisper("psst")
				require.NoError(t, err)
				say(t, ann, "Bye")
				time.Sleep(5 * time.Second)
				events := r.take()
				assert.Equal(t, []string{"Hello", "Hi", "Hi", "Bye"}, texts(events))
				told := map[string]int{}
				for _, e := range events {
					told[e.Name()]++
				}
				for event, times := range map[string]int{
					"started": 1, "clientConnected": 1, "agentConnected": 1, "agentTypingStarted": 1, "agentTypingStopped": 1,
					"clientTypingStarted": 1, "clientTypingStopped": 1, "error": 0, "disconnected": 0, "chatServerWentOffline": 0,
				} {
					assert.Equal(t, times, told["WebChatService."+event], event)
				}
				if !quirks.HiddenTakeIndex && !quirks.TypingNotKept {
					assert.Empty(t, gaps(events))
				}
				r.stop()

				r = newRig(t, opts)
				defer r.stop()
				_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
				if quirks.OmitChatEnded { // an answer that does not say that the chat lives is an end to the vendor's service, too
					require.ErrorIs(t, err, webchatservice.ErrSessionOver)
					return
				}
				require.NoError(t, err)
				assert.Equal(t, []string{"Hello", "Bye"}, r.lines(chat.RoleAgent))
				assert.Equal(t, []string{"Hi", "Hi"}, r.lines(chat.RoleClient))
				require.NoError(t, send(r, "back"))
				require.NoError(t, end(r))
				events = r.take()
				assert.Equal(t, webchatservice.EndVisitor, payload[webchatservice.EndedData](t, events, "ended").Reason)
				assert.True(t, sim.Chats()[0].Ended)
			})
		})
	}
}
