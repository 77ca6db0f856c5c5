package gmscometd_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/cometdsim"
)

// On long-polling two requests bring what the server delivers. A push can overtake the answer that attaches the chat
// again: it is not taken for that answer, and its line waits for those before it.
func TestPushOvertakesTheAnswerThatAttaches(t *testing.T) {
	quirks := cometdsim.Quirks{DeliverFirst: true} // the answer comes with the reply to the request for it
	bubbleOn(t, longPolling, chatsim.Options{
		SilenceLimit: -1, Faces: []chatsim.Face{cometdsim.New(&cometdsim.Options{Quirks: quirks})},
	}, func(t *testing.T, s *server) {
		conn := s.open(t.Context())
		id := conn.Session().ID
		s.AgentJoin(id, "Ann")
		time.Sleep(time.Second)
		_, err := conn.Receive(t.Context())
		require.NoError(t, err)
		late := s.Faults().Add(chatsim.Fault{Op: "requestNotifications", DelayAnswer: 100 * time.Millisecond})
		cometdsim.Of(s.Server).ForgetClients()
		s.AgentSay(id, "Ann", "one")
		for late.Hits() == 0 {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(10 * time.Millisecond)
		s.AgentSay(id, "Ann", "two")
		s.AgentSay(id, "Ann", "three")

		var texts []string
		for len(texts) < 3 {
			ev, err := conn.Receive(t.Context())
			require.NoError(t, err)
			for _, m := range ev.Messages {
				if m.Kind == chat.KindMessage {
					texts = append(texts, m.Text)
					assert.Nil(t, m.Missing, "no line is told as missing: %q", m.Text)
					assert.Nil(t, m.Behind, "no line is late: %q", m.Text)
				}
			}
		}
		assert.Equal(t, []string{"one", "two", "three"}, texts)
	})
}
