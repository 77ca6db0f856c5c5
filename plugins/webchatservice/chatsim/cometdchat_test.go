package chatsim_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
)

// A chat that the agent ends, on either carrier: the last events come with the
// end (wire-gms B.3).
func TestAgentEndsOnEitherCarrier(t *testing.T) {
	for name, open := range map[string]func(testing.TB, *chatsim.Server, ...string) *bayeux{"long-polling": polling, "websocket": socketed} {
		t.Run(name, func(t *testing.T) {
			bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
				b := open(t, sim)
				b.start()
				seat := b.agent()
				seat.End()
				var got []wireMessage
				if b.ws == nil {
					got = (<-b.connect()).messages
				} else {
					got = b.got()
				}
				data := ""
				for _, m := range got {
					if m.Data != nil {
						data = m.String()
					}
				}
				assert.Contains(t, data, "end")
				if b.ws != nil {
					require.NoError(t, b.ws.Close())
				}
			})
		})
	}
}

// The session belongs to the cookie of its handshake (wire-gms B.1, D.2).
func TestCookieIsChecked(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		b := polling(t, sim)
		stranger := newBayeux(t, sim)
		stranger.id = b.id
		status, _, got, err := stranger.post("/connect", "["+stranger.connectMessage()+"]")
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, status)
		assert.Equal(t, []string{"/meta/connect 402::Unknown client"}, texts(got))
	})
}
