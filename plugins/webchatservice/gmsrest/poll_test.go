package gmsrest_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmsrest"
)

// The pace is that of webchatservice 5.4, to the millisecond.
func TestPollPace(t *testing.T) {
	bubble(t, chatsim.Options{}, func(t *testing.T, s *server) {
		begin := time.Now()
		conn := s.open(t.Context())
		listen(t, conn, 21*time.Second)
		assert.Equal(t, []int64{500, 600, 720, 864, 1036, 1243, 1491, 1789, 2146, 2575, 3000, 3000}, gaps(s.polls(begin)))
	})
}

// A line sent sets the pace back, and so does one that comes; a poll with nothing new does not.
func TestActivitySetsPaceBack(t *testing.T) {
	bubble(t, chatsim.Options{}, func(t *testing.T, s *server) {
		conn := s.open(t.Context())
		id := conn.Session().ID
		listen(t, conn, 20*time.Second)
		begin := time.Now()
		before := len(s.polls(begin))
		_, err := conn.Send(t.Context(), chat.Action{Text: "Hello"})
		require.NoError(t, err)
		listen(t, conn, 2*time.Second)
		after := gaps(s.polls(begin)[before:])
		assert.LessOrEqual(t, after[0], int64(500), "after a line sent")
		assert.Equal(t, []int64{600, 720}, after[1:])

		listen(t, conn, 18*time.Second)
		s.AgentJoin(id, "Ann")
		before = len(s.polls(begin))
		listen(t, conn, 6*time.Second)
		after = gaps(s.polls(begin)[before:])
		assert.Equal(t, []int64{500, 600, 720}, after[1:4], "after the poll that brought a line")
	})
}

func TestFixedPaceAndSleep(t *testing.T) {
	bubble(t, chatsim.Options{}, func(t *testing.T, s *server) {
		c := s.config()
		c.DynamicPolling, c.PollRate, c.PollRateSleep = new(bool), 2*time.Second, 20*time.Second
		d, err := gmsrest.New(c, &chat.Options{Client: s.Client()})
		require.NoError(t, err)
		begin := time.Now()
		conn, err := d.Open(t.Context(), chat.Request{Nickname: "Ada"})
		require.NoError(t, err)
		defer conn.Close()
		listen(t, conn, 5*time.Second)
		assert.Equal(t, []int64{2000, 2000}, gaps(s.polls(begin)))
		conn.(chat.Poller).Sleep(true)
		listen(t, conn, 25*time.Second)
		assert.Equal(t, []int64{2000, 2000, 20000}, gaps(s.polls(begin)))
		conn.(chat.Poller).Sleep(false)
		listen(t, conn, time.Second)
		assert.Len(t, s.polls(begin), 4, "awake, a poll was due")
	})
}

// A slow server is asked again only after it has answered, and not at once. A failed poll keeps the
// position and the pace.
func TestOnePollInFlight(t *testing.T) {
	bubble(t, chatsim.Options{}, func(t *testing.T, s *server) {
		s.Faults().Add(chatsim.Fault{Op: "refresh", Times: -1, Delay: 2 * time.Second})
		begin := time.Now()
		conn := s.open(t.Context())
		listen(t, conn, 4*time.Second)
		assert.Equal(t, []int64{500, 2250}, gaps(s.polls(begin)))
		s.Faults().Clear()

		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		slow := s.Faults().Add(chatsim.Fault{Op: "refresh", Delay: time.Second})
		done := make(chan error, 1)
		go func() {
			_, err := conn.Receive(ctx)
			done <- err
		}()
		for slow.Hits() == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		_, err := conn.(chat.Poller).Poll(t.Context())
		var e *chat.Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, chat.CodeBusy, e.Code)
		assert.Equal(t, "chat: poll: previous poll has not finished", err.Error())
		require.NoError(t, <-done)
	})
}

// What the visitor has typed travels with each poll; one that the server finds too long is left out
// until the text changes, and costs no event.
func TestPreview(t *testing.T) {
	bubble(t, chatsim.Options{Faces: []chatsim.Face{gmssim.New(&gmssim.Options{MaxMessage: 10})}}, func(t *testing.T, s *server) {
		conn := s.open(t.Context())
		id := conn.Session().ID
		text := "Hel"
		conn.(chat.Poller).Preview(func() string { return text })
		listen(t, conn, 600*time.Millisecond)
		assert.Equal(t, "Hel", s.chat(id).Snapshot().Preview)
		text = strings.Repeat("x", 20)
		s.AgentJoin(id, "Ann")
		for _, ev := range listen(t, conn, 5*time.Second) {
			assert.Empty(t, ev.Errors)
		}
		assert.Equal(t, int64(3), conn.Position().Index, "the agent's join came in spite of it")
		text = "Hello"
		listen(t, conn, 5*time.Second)
		assert.Equal(t, "Hello", s.chat(id).Snapshot().Preview)
	})
}
