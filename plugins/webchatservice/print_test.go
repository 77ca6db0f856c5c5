package webchatservice_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
)

// What a server sent is text where it is printed, in results and in events.
func TestRawAnswersPrintAsText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
		defer sim.Close()
		r := newRig(t, onSim(sim))
		defer r.stop()

		result, err := r.app.Call(t.Context(), "WebChatService.startChat", map[string]any{"nickname": "Ada"})
		require.NoError(t, err)
		assert.Regexp(t, `^\{0 \{.*"statusCode":0.*\}\}$`, fmt.Sprint(result))
		key, err := call(r, webchatservice.GetSessionData, struct{}{})
		require.NoError(t, err)
		assert.NotContains(t, fmt.Sprint(result), key.SecureKey.Reveal())

		events := r.take()
		answers, lines := 0, 0
		for _, e := range events {
			switch data := e.Data.(type) {
			case chat.JSON:
				answers++
				assert.Equal(t, string(data), fmt.Sprint(data))
				assert.Contains(t, fmt.Sprintln(e), `"statusCode":0`, "the event as a whole")
			case webchatservice.MessageReceivedData:
				lines++
				assert.Contains(t, fmt.Sprint(data.OriginalMessages), `[{`)
				assert.Contains(t, fmt.Sprintf("%+v", data), `OriginalMessages:[{"`)
				assert.Contains(t, fmt.Sprint(data.Messages[0]), string(data.OriginalMessages[0]))
			}
		}
		assert.Positive(t, answers)
		assert.Positive(t, lines)
		transcript, err := r.app.Call(t.Context(), "WebChatService.getTranscript", nil)
		require.NoError(t, err)
		assert.Contains(t, fmt.Sprint(transcript), `"type":"ParticipantJoined"`)
	})
}
