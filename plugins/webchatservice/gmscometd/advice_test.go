package gmscometd_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/cometdsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmscometd"
)

// The server's advice is followed: interval, timeout, several clients, and another handshake.
func TestAdviceIsFollowed(t *testing.T) {
	bubble(t, chatsim.Options{Faces: []chatsim.Face{cometdsim.New(&cometdsim.Options{Timeout: 10 * time.Second, Interval: 5 * time.Second})}}, func(t *testing.T, s *server) {
		conn := s.open(t.Context())
		id := conn.Session().ID
		s.AgentJoin(id, "Ann")
		l := listen(t, conn)
		time.Sleep(150 * time.Second)
		assert.InDelta(t, 10, s.ops()[connect], 2, "held for 10 s, 5 s between")
		s.AgentSay(id, "Ann", "x")
		time.Sleep(6 * time.Second)
		assert.Equal(t, []string{"x"}, l.texts())
		assert.Zero(t, l.failures())
	})
	bubbleOn(t, longPolling, chatsim.Options{Faces: []chatsim.Face{cometdsim.New(&cometdsim.Options{SessionsPerBrowser: -1})}}, func(t *testing.T, s *server) {
		conn := s.open(t.Context())
		listen(t, conn)
		s.Faults().Add(chatsim.Fault{Op: connect, Times: 1, Details: cometdsim.Fault{Advice: `{"multiple-clients":true,"reconnect":"retry","interval":20000}`}})
		s.AgentJoin(conn.Session().ID, "Ann") // ends the connect that is held
		time.Sleep(time.Second)
		s.AgentSay(conn.Session().ID, "Ann", "x")
		before := s.ops()[connect]
		time.Sleep(15 * time.Second)
		assert.LessOrEqual(t, s.ops()[connect], before+1)
	})
	// Each connection has cookies of its own, and so none is taken for a second window of another.
	bubbleOn(t, longPolling, chatsim.Options{}, func(t *testing.T, s *server) {
		d := s.Driver()
		for range 3 {
			conn, err := d.Open(t.Context(), chat.Request{Nickname: "Ada"})
			require.NoError(t, err)
			listen(t, conn)
			t.Cleanup(func() { require.NoError(t, conn.Close()) })
		}
		time.Sleep(10*time.Minute + time.Second)
		assert.Len(t, s.connected(), 3)
		assert.InDelta(t, 60, s.ops()[connect], 10)
	})
}

// A client that was told to stop stops; who receives makes it begin anew.
func TestAdviceNone(t *testing.T) {
	bubble(t, chatsim.Options{SilenceLimit: -1}, func(t *testing.T, s *server) {
		conn := s.open(t.Context())
		_, err := conn.Receive(t.Context())
		require.NoError(t, err)
		s.Faults().Add(chatsim.Fault{Op: connect, Details: cometdsim.Fault{Unsuccessful: "403::no", Advice: `{"reconnect":"none"}`}})
		_, err = conn.Receive(t.Context())
		require.ErrorContains(t, err, "wants no other")
		assert.Equal(t, "disconnected", gmscometd.StateOf(conn))
		before := s.ops()[handshake]
		time.Sleep(time.Minute)
		assert.Equal(t, before, s.ops()[handshake])
		_, err = conn.Receive(t.Context())
		require.NoError(t, err)
		assert.Equal(t, before+1, s.ops()[handshake])
		_, err = conn.Send(t.Context(), chat.Action{Text: "back"})
		require.NoError(t, err)
	})
}
