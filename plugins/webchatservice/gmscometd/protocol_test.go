package gmscometd_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/cometdsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmscometd"
)

// ops counts the requests of each operation.
func (s *server) ops() map[string]int {
	n := make(map[string]int)
	for _, r := range s.Requests() {
		n[r.Op]++
	}
	return n
}

// carriers are those of the sessions that live.
func (s *server) carriers() (all []string) {
	for _, c := range cometdsim.Of(s.Server).Clients() {
		all = append(all, c.Carrier)
	}
	return all
}

// listening receives in the background, for as long as the test runs.
type listening struct {
	mu     sync.Mutex
	events []chat.Event
	errs   []error
}

func listen(t *testing.T, conn chat.Conn) *listening {
	l := &listening{}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			ev, err := conn.Receive(ctx)
			if errors.Is(err, io.EOF) || errors.Is(err, chat.ErrClosed) || ctx.Err() != nil {
				return
			}
			l.mu.Lock()
			if err != nil {
				l.errs = append(l.errs, err)
			} else {
				l.events = append(l.events, ev)
			}
			l.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return l
}

// texts are those of the messages so far.
func (l *listening) texts() (all []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ev := range l.events {
		for _, m := range ev.Messages {
			if m.Kind == chat.KindMessage {
				all = append(all, m.Text)
			}
		}
	}
	return all
}

func (l *listening) failures() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.errs)
}

// An idle chat costs one connect for each time that the server holds it, and says so to nobody.
func TestIdleChat(t *testing.T) {
	bubble(t, chatsim.Options{}, func(t *testing.T, s *server) {
		conn := s.open(t.Context())
		l := listen(t, conn)
		time.Sleep(time.Hour)
		assert.Equal(t, "connected", gmscometd.StateOf(conn))
		assert.InDelta(t, 120, s.ops()[connect], 3)
		assert.Len(t, l.events, 1)
		assert.Zero(t, l.failures())
		assert.Equal(t, 1, s.ops()[handshake])
		require.NoError(t, conn.Close())
		synctest.Wait()
		assert.Equal(t, "disconnected", gmscometd.StateOf(conn))
		assert.Equal(t, 1, s.ops()["/meta/disconnect"])
		assert.Empty(t, cometdsim.Of(s.Server).Clients(), "the server was told")
	})
}

// A socket that breaks is replaced by another one, which goes on with the same clientId; what was pushed meanwhile comes
// once.
func TestClientIDOnANewSocket(t *testing.T) {
	bubbleOn(t, websockets, chatsim.Options{}, func(t *testing.T, s *server) {
		conn := s.open(t.Context())
		id, client := conn.Session().ID, gmscometd.ClientID(conn)
		s.AgentJoin(id, "Ann")
		l := listen(t, conn)
		for range 3 {
			time.Sleep(40 * time.Second)
			cometdsim.Of(s.Server).DropSockets()
			s.AgentSay(id, "Ann", "x")
			time.Sleep(3 * time.Second)
			assert.Equal(t, client, gmscometd.ClientID(conn))
		}
		assert.Equal(t, []string{"x", "x", "x"}, l.texts())
		assert.Equal(t, 3, l.failures())
		assert.Equal(t, 1, s.ops()[handshake])
		assert.Equal(t, 3, s.ops()["requestNotifications"])
		assert.Equal(t, []string{"websocket"}, s.carriers())
	})
}

// A connection that is closed as soon as the end has come out has still told the end.
func TestClosedWhileEnding(t *testing.T) {
	bubble(t, chatsim.Options{Keep: 100}, func(t *testing.T, s *server) {
		for range 30 {
			conn := s.open(t.Context())
			closed := make(chan error, 1)
			go func() {
				for {
					ev, err := conn.Receive(t.Context())
					if ev.Ended || err != nil {
						closed <- errors.Join(err, conn.Close())
						return
					}
				}
			}()
			synctest.Wait()
			_, err := conn.Send(t.Context(), chat.Action{Kind: chat.ActionEnd})
			require.NoError(t, err)
			require.NoError(t, <-closed)
		}
	})
}

// A connection that the server closes in good order has broken: the chat goes on.
func TestClosedIsNotEnded(t *testing.T) {
	bubble(t, chatsim.Options{SilenceLimit: -1}, func(t *testing.T, s *server) {
		s.network = chatsim.NewNetwork()
		t.Cleanup(func() { require.NoError(t, s.network.Close()) })
		hangUp := bridge(t, s.network, s.Server)
		conn := s.open(t.Context())
		_, err := conn.Receive(t.Context())
		require.NoError(t, err)
		synctest.Wait()
		hangUp()
		_, err = conn.Receive(t.Context())
		require.Error(t, err)
		require.NotErrorIs(t, err, io.EOF)
		_, err = conn.Receive(t.Context())
		require.NoError(t, err)
		_, err = conn.Send(t.Context(), chat.Action{Text: "still here"})
		require.NoError(t, err)
	})
}

// Where no websocket can be had, or those there are stop working, long-polling takes over, and websockets are tried
// again later, less and less often.
func TestFallBackAndReturn(t *testing.T) {
	bubbleOn(t, websockets, chatsim.Options{SilenceLimit: -1}, func(t *testing.T, s *server) {
		broken := s.Faults().Add(always(chatsim.Fault{Op: "upgrade", Status: 403}))
		conn := s.open(t.Context())
		id := conn.Session().ID
		s.AgentJoin(id, "Ann")
		l := listen(t, conn)
		assert.Equal(t, []string{"long-polling"}, s.carriers())
		time.Sleep(10 * time.Minute)
		assert.Less(t, broken.Hits(), 8)
		assert.Greater(t, broken.Hits(), 2)
		broken.Remove()
		time.Sleep(11 * time.Minute)
		assert.Equal(t, []string{"websocket"}, s.carriers())
		assert.Equal(t, 1, s.ops()[handshake], "the session went over")
		s.AgentSay(id, "Ann", "on a socket")
		time.Sleep(time.Second)
		assert.Equal(t, []string{"on a socket"}, l.texts())
		assert.Zero(t, l.failures())

		// A gateway that kills sockets soon after they opened.
		dead := s.Faults().Add(always(chatsim.Fault{Match: func(r chatsim.Request) bool {
			return r.Op == connect && r.Method == "GET"
		}, Close: 1001}))
		cometdsim.Of(s.Server).DropSockets()
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"long-polling"}, s.carriers())
		s.AgentSay(id, "Ann", "by polling")
		time.Sleep(time.Second)
		assert.Equal(t, []string{"on a socket", "by polling"}, l.texts())
		dead.Remove()
	})
}

// A half-open link is found out: by a ping that is not answered, and by a connect that the server keeps for ever.
func TestHalfOpen(t *testing.T) {
	bubbleOn(t, websockets, chatsim.Options{SilenceLimit: -1, Faces: []chatsim.Face{cometdsim.New(&cometdsim.Options{Timeout: 5 * time.Minute})}}, func(t *testing.T, s *server) {
		conn := s.open(t.Context())
		l := listen(t, conn)
		time.Sleep(4 * time.Minute)
		assert.Zero(t, l.failures(), "pings are answered")
		s.Network().Stall()
		time.Sleep(40 * time.Second)
		assert.NotZero(t, l.failures())
		s.Network().Heal()
		time.Sleep(20 * time.Second)
		assert.Equal(t, "connected", gmscometd.StateOf(conn))
	})
	bubble(t, chatsim.Options{SilenceLimit: -1}, func(t *testing.T, s *server) {
		conn := s.open(t.Context())
		l := listen(t, conn)
		s.Faults().Add(chatsim.Fault{Op: connect, Details: cometdsim.Fault{Hold: true}})
		time.Sleep(90 * time.Second)
		assert.Equal(t, 1, l.failures(), "the connect is 10 s late")
		assert.Equal(t, "connected", gmscometd.StateOf(conn))
	})
}

// While the server is away attempts are 8 s apart at most, and not much closer; a session that is away for longer than
// the server keeps it is not asked for, and the chat goes on in another one.
func TestOutage(t *testing.T) {
	bubble(t, chatsim.Options{SilenceLimit: -1, Faces: []chatsim.Face{cometdsim.New(&cometdsim.Options{TellMaxInterval: true})}}, func(t *testing.T, s *server) {
		conn := s.open(t.Context())
		id := conn.Session().ID
		s.AgentJoin(id, "Ann")
		l := listen(t, conn)
		time.Sleep(time.Minute)
		before := s.Network().Dials()
		s.Network().Refuse()
		time.Sleep(10 * time.Minute)
		dials := s.Network().Dials() - before
		assert.Greater(t, dials, 70)
		assert.Less(t, dials, 160)
		assert.Greater(t, l.failures(), 70)
		s.AgentSay(id, "Ann", "back")
		connects := s.ops()[connect]
		s.Network().Heal()
		time.Sleep(9 * time.Second)
		assert.Equal(t, []string{"back"}, l.texts())
		assert.Equal(t, 2, s.ops()[handshake])
		assert.LessOrEqual(t, s.ops()[connect]-connects, 3)
	})
}

// What the server pushed into an answer that was lost comes with the acknowledge extension, and with the attaching
// where the server does not have that.
func TestNothingIsLost(t *testing.T) {
	for name, quirks := range map[string]cometdsim.Quirks{"Acks": {}, "NoAcks": {NoAcks: true}, "OnlyConnect": {MetaConnectDeliverOnly: true}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, chatsim.Options{SilenceLimit: -1, Faces: []chatsim.Face{cometdsim.New(&cometdsim.Options{Quirks: quirks})}}, func(t *testing.T, s *server) {
				conn := s.open(t.Context())
				id := conn.Session().ID
				s.AgentJoin(id, "Ann")
				l := listen(t, conn)
				time.Sleep(time.Minute)
				var want []string
				for _, text := range []string{"one", "two", "three"} {
					s.Faults().Add(chatsim.Fault{Op: connect, Drop: chatsim.DropAfter})
					s.AgentSay(id, "Ann", text)
					want = append(want, text)
					time.Sleep(50 * time.Second)
				}
				assert.Equal(t, want, l.texts())
			})
		})
	}
}

// Several requests in one unit are answered each by its id.
func TestBatch(t *testing.T) {
	bubble(t, chatsim.Options{}, func(t *testing.T, s *server) {
		conn := s.open(t.Context())
		s.Faults().Add(chatsim.Fault{Op: "startTyping", Details: cometdsim.Fault{Unsuccessful: "403::no"}})
		said, err := gmscometd.PublishAll(t.Context(), conn, "sendMessage", "startTyping", "customNotice")
		require.NoError(t, err)
		assert.Equal(t, []bool{true, false, true}, said)
		assert.Equal(t, []string{"sendMessage"}, s.VisitorLines(conn.Session().ID))
	})
}

// A line that Bayeux took and that the transcript does not show is not confirmed. A refusal that comes late is not
// taken for that of the next line.
func TestNotConfirmed(t *testing.T) {
	bubble(t, chatsim.Options{SilenceLimit: -1}, func(t *testing.T, s *server) {
		conn := s.open(t.Context())
		l := listen(t, conn)
		s.Faults().Add(chatsim.Fault{Op: "sendMessage", Late: 5 * time.Second, Details: gmssim.Fault{StatusCode: 2, Errors: []gmssim.Error{{Code: 204}}}})
		begin := time.Now()
		_, err := conn.Send(t.Context(), chat.Action{Text: "refused, but late"})
		require.Error(t, err)
		assert.Equal(t, chat.Unknown, chat.OutcomeOf(err))
		time.Sleep(4*time.Second - time.Since(begin))
		s.Faults().Add(chatsim.Fault{Op: "sendMessage", DelayAnswer: 2 * time.Second})
		r, err := conn.Send(t.Context(), chat.Action{Text: "fine"})
		require.NoError(t, err)
		assert.True(t, r.Confirmed)
		assert.Equal(t, []string{"fine"}, l.texts())
	})
}

// Two goroutines at most for each chat: the one that receives is the caller's.
func TestGoroutines(t *testing.T) {
	bubble(t, chatsim.Options{}, func(t *testing.T, s *server) {
		var conns []chat.Conn
		for range 10 {
			conns = append(conns, s.open(t.Context()))
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		buffer := make([]byte, 4<<20)
		stacks := strings.Split(string(buffer[:runtime.Stack(buffer, true)]), "\n\n")
		mine := 0
		for _, stack := range stacks {
			created := stack[max(strings.LastIndex(stack, "created by "), 0):]
			if strings.Contains(created, "webchatservice/gmscometd.(*") || strings.Contains(created, "webchatservice/bayeux.(*") {
				mine++
			}
		}
		assert.LessOrEqual(t, mine, len(conns), "one for each chat")
		assert.Positive(t, mine)
	})
}
