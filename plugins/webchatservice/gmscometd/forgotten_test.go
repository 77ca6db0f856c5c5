package gmscometd_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/cometdsim"
)

// A session on long-polling that one node of the server has forgotten, while its connect is still held by another: the
// new one is not taken for a second one of the same browser, and lines come at once.
func TestForgottenWhileHeld(t *testing.T) {
	bubbleOn(t, longPolling, chatsim.Options{SilenceLimit: -1}, func(t *testing.T, s *server) {
		d, w := watch(t, s)
		conn, err := d.Open(t.Context(), chat.Request{Nickname: "Ada"})
		require.NoError(t, err)
		defer conn.Close() //nolint:errcheck // it returns nil
		id := conn.Session().ID
		s.AgentJoin(id, "Ann")
		l := listen(t, conn)
		time.Sleep(10 * time.Second)
		s.Faults().Add(chatsim.Fault{Op: "sendMessage", Details: cometdsim.Fault{Elsewhere: true}})
		_, err = conn.Send(t.Context(), chat.Action{Text: "where?"})
		require.Error(t, err)
		time.Sleep(time.Second)
		handshakes := 0
		for i, e := range w.envelopes(t) {
			if e.Channel == handshake {
				handshakes++
				assert.NotContains(t, w.cookies[i], "BAYEUX_BROWSER", "it is that of the session before")
			}
		}
		assert.Equal(t, 2, handshakes)
		before := s.ops()[connect]
		time.Sleep(5 * time.Minute)
		assert.InDelta(t, 10, s.ops()[connect]-before, 2, "connects are held for 30 s")
		s.AgentSay(id, "Ann", "here")
		time.Sleep(100 * time.Millisecond)
		assert.Equal(t, []string{"here"}, l.texts())
		assert.Zero(t, l.failures())
	})
}

// The advice that there are several clients holds until the server does not give it any more, and no longer than the
// session.
func TestMultipleClientsIsNoAdviceToKeep(t *testing.T) {
	const several = `{"multiple-clients":true,"reconnect":"retry","interval":2000}`
	bubbleOn(t, longPolling, chatsim.Options{SilenceLimit: -1}, func(t *testing.T, s *server) {
		conn := s.open(t.Context())
		id := conn.Session().ID
		s.AgentJoin(id, "Ann")
		l := listen(t, conn)
		s.Faults().Add(chatsim.Fault{Op: connect, Times: 3, Details: cometdsim.Fault{Advice: several}})
		s.AgentSay(id, "Ann", "one") // ends the connect that is held
		time.Sleep(20 * time.Second)
		before := s.ops()[connect]
		time.Sleep(5 * time.Minute)
		assert.InDelta(t, 10, s.ops()[connect]-before, 2, "connects follow one another without a pause")
		s.AgentSay(id, "Ann", "two")
		s.AgentSay(id, "Ann", "three")
		time.Sleep(100 * time.Millisecond)
		assert.Equal(t, []string{"one", "two", "three"}, l.texts())

		s.Faults().Add(chatsim.Fault{Op: connect, Details: cometdsim.Fault{Advice: several}})
		s.AgentSay(id, "Ann", "four")
		time.Sleep(10 * time.Millisecond)
		cometdsim.Of(s.Server).ForgetClients()
		time.Sleep(10 * time.Second)
		s.AgentSay(id, "Ann", "five")
		time.Sleep(100 * time.Millisecond)
		assert.Equal(t, []string{"one", "two", "three", "four", "five"}, l.texts())
	})
}

// A delivery whose chatId is another chat's is none of ours: nothing of it shows, neither line nor end, and it settles
// nothing.
func TestDeliveryOfAnotherChat(t *testing.T) {
	bubble(t, chatsim.Options{}, func(t *testing.T, s *server) {
		conn := s.open(t.Context())
		session := conn.Session()
		s.AgentJoin(session.ID, "Ann")
		l := listen(t, conn)
		s.Faults().Add(chatsim.Fault{Op: "push", Rewrite: func(body []byte) []byte {
			other := strings.Replace(string(body), session.ID, "000ZZZZZZZZZZZZZ", 1)
			return []byte(strings.Replace(other, `"chatEnded":false`, `"chatEnded":true`, 1))
		}})
		s.AgentSay(session.ID, "Ann", "for somebody else")
		time.Sleep(time.Second)
		assert.Empty(t, l.texts())
		assert.Equal(t, session, conn.Session())
		s.AgentSay(session.ID, "Ann", "for us")
		time.Sleep(time.Second)
		assert.Equal(t, []string{"for us"}, l.texts())
		_, err := conn.Send(t.Context(), chat.Action{Text: "fine"})
		require.NoError(t, err)
	})
}

// A 402 to a request makes another session. Whether the server did what it was asked is seen in the transcript.
func TestForgottenWhilePublishing(t *testing.T) {
	bubble(t, chatsim.Options{SilenceLimit: -1}, func(t *testing.T, s *server) {
		conn := s.open(t.Context())
		l := listen(t, conn)
		cometdsim.Of(s.Server).ForgetClients()
		s.Faults().Add(chatsim.Fault{Op: "sendMessage", Details: cometdsim.Fault{Unsuccessful: "402::Unknown client"}})
		_, err := conn.Send(t.Context(), chat.Action{Text: "one"})
		if err != nil { // else the session was made anew before
			var e *chat.Error
			require.ErrorAs(t, err, &e)
			assert.True(t, e.Retryable(), err)
			_, err = conn.Send(t.Context(), chat.Action{Text: "one"})
			require.NoError(t, err)
		}
		s.Faults().Clear()
		s.Faults().Add(chatsim.Fault{Op: "sendMessage", Accept: true, Details: cometdsim.Fault{Unsuccessful: "402::Unknown client"}})
		r, err := conn.Send(t.Context(), chat.Action{Text: "two"})
		require.NoError(t, err, "the transcript has it")
		assert.True(t, r.Confirmed)
		time.Sleep(time.Second)
		assert.Equal(t, []string{"one", "two"}, l.texts())
		assert.Equal(t, []string{"one", "two"}, s.VisitorLines(conn.Session().ID))
	})
}

// A request that waits for another session does not hurry the client while there is none to be had.
func TestForgottenWhileDown(t *testing.T) {
	bubble(t, chatsim.Options{SilenceLimit: -1}, func(t *testing.T, s *server) {
		conn := s.open(t.Context())
		listen(t, conn)
		s.Faults().Add(always(chatsim.Fault{Op: handshake, Drop: chatsim.DropBefore}))
		s.Faults().Add(chatsim.Fault{Op: "sendMessage", Details: cometdsim.Fault{Unsuccessful: "402::Unknown client"}})
		_, err := conn.Send(t.Context(), chat.Action{Text: "one"})
		require.Error(t, err)
		assert.Less(t, s.ops()[handshake], 10)
		s.Faults().Clear()
		time.Sleep(10 * time.Second)
		_, err = conn.Send(t.Context(), chat.Action{Text: "two"})
		require.NoError(t, err)
	})
}
