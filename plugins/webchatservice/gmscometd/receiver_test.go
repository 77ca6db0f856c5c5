package gmscometd_test

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmscometd"
)

// refusing answers each handshake with a refusal for good.
type refusing struct{ handshakes atomic.Int64 }

func (r *refusing) RoundTrip(req *http.Request) (*http.Response, error) {
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return nil, err
	}
	r.handshakes.Add(1)
	body := `[{"id":"` + strconv.FormatInt(r.handshakes.Load(), 10) + `","channel":"/meta/handshake","successful":false,"advice":{"reconnect":"none"}}]`
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
}

// Whoever begins to await while the client stops is called, or has made the client go on: not neither.
func TestAwaitWhileStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 2000 {
			var server refusing
			d, err := gmscometd.New(gmscometd.Config{CometURL: "https://gms.example.net/genesys/cometd", WebsocketEnabled: new(bool)},
				&chat.Options{Client: &http.Client{Transport: &server}})
			require.NoError(t, err)
			conn, err := d.Connect(t.Context())
			require.NoError(t, err)
			called := make(chan struct{})
			require.True(t, conn.(chat.Waker).Await(func() { close(called) }))
			select {
			case <-called:
			case <-time.After(10 * time.Second):
				require.Greater(t, server.handshakes.Load(), int64(1), "nobody called, and the client stays stopped")
			}
			require.NoError(t, conn.Close())
		}
	})
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

// A receiver that stays away does not make memory grow without end: the reading stops, and goes on with it.
func TestReceiverStaysAway(t *testing.T) {
	t.Parallel()
	bubble(t, chatsim.Options{SilenceLimit: -1}, func(t *testing.T, s *server) {
		conn := s.open(t.Context())
		id := conn.Session().ID
		s.AgentJoin(id, "Ann")
		const lines = gmscometd.MaxQueue + 100
		for n := range lines {
			s.AgentSay(id, "Ann", "x")
			if n%32 == 0 {
				synctest.Wait()
			}
		}
		l := listen(t, conn)
		time.Sleep(time.Minute)
		assert.Len(t, l.texts(), lines)
		last := int64(0)
		for _, ev := range l.events {
			for _, m := range ev.Messages {
				require.Greater(t, m.Index, last)
				last = m.Index
			}
		}
	})
}
