package gmscometd_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmscometd"
)

// Whoever begins to await while the client stops is called, or has made the client go on: not neither.
func TestAwaitWhileStopping(t *testing.T) {
	d, err := gmscometd.New(chat.Config{CometD: chat.CometD{URL: "https://gms.example.net/genesys/cometd"}}, chat.Options{})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for range 2000 {
		conn, asked := d.Idle()
		called, lost := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(lost)
			gmscometd.Lose(conn)
		}()
		require.True(t, conn.(chat.Waker).Await(func() { close(called) }))
		<-lost
		if !asked() {
			select {
			case <-called:
			case <-ctx.Done():
				require.Fail(t, "nobody called, and the client stays stopped")
			}
		}
		require.NoError(t, conn.Close())
	}
}

// fill has an agent say more than waits for a receiver that stays away.
func fill(s *server, id string) {
	for n := range gmscometd.MaxQueue + 100 {
		s.AgentSay(id, "Ann", "x")
		if n%32 == 0 {
			synctest.Wait()
		}
	}
}

// A visitor who writes is not held up by a receiver that stays away.
func TestSendWhileReceiverStaysAway(t *testing.T) {
	t.Parallel()
	bubble(t, chatsim.Options{SilenceLimit: -1}, func(t *testing.T, s *server) {
		conn := s.open(t.Context())
		id := conn.Session().ID
		s.AgentJoin(id, "Ann")
		fill(s, id)
		for _, text := range []string{"one", "two", "three"} {
			begin := time.Now()
			_, err := conn.Send(t.Context(), chat.Action{Text: text})
			assert.LessOrEqual(t, time.Since(begin), 10*time.Second)
			if err != nil {
				assert.Equal(t, chat.Unknown, chat.OutcomeOf(err))
			}
		}
		assert.Equal(t, []string{"one", "two", "three"}, s.VisitorLines(id))
	})
}

// A receiver that comes back after minutes finds everything; that nothing was read meanwhile is not taken for a loss of
// the link.
func TestReceiverComesBack(t *testing.T) {
	t.Parallel()
	bubble(t, chatsim.Options{SilenceLimit: -1}, func(t *testing.T, s *server) {
		conn := s.open(t.Context())
		id := conn.Session().ID
		s.AgentJoin(id, "Ann")
		fill(s, id)
		time.Sleep(2 * time.Minute)
		l := listen(t, conn)
		time.Sleep(time.Minute)
		assert.Zero(t, l.failures())
		assert.LessOrEqual(t, s.ops()["upgrade"], 1)
		s.AgentSay(id, "Ann", "x")
		time.Sleep(time.Second)
		assert.Len(t, l.texts(), gmscometd.MaxQueue+101)
	})
}
