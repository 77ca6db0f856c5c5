package gmscometd_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/cometdsim"
)

// An HTTP status that does not say "never" invites to repeat: at a handshake each of these, since nothing was asked of the
// chat server yet.
func TestHandshakeThatFailsMayBeRepeated(t *testing.T) {
	for _, status := range []int{408, 425, 429, 500, 502, 503, 504, 507, 520, 529, 599} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			bubble(t, chatsim.Options{}, func(t *testing.T, s *server) {
				s.Faults().Add(always(chatsim.Fault{Op: "upgrade", Status: 403})) // so that both carriers come to the handshake by HTTP
				s.Faults().Add(chatsim.Fault{Op: handshake, Status: status})
				_, err := s.Driver().Open(t.Context(), chat.Request{Nickname: "Ada"})
				var e *chat.Error
				require.ErrorAs(t, err, &e)
				assert.True(t, e.Retryable(), err)
				assert.Equal(t, status, e.Status)
				if status < 500 {
					assert.NotContains(t, e.Hint, "cometURL", "it is not the address's fault")
				}
				assert.Zero(t, s.Chats())
				s.open(t.Context())
				assert.Equal(t, 1, s.Chats())
			})
		})
	}
}

// A server that cannot do it will not be able to later.
func TestHandshakeThatFailsForGood(t *testing.T) {
	for _, status := range []int{404, 501, 505} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			bubble(t, chatsim.Options{}, func(t *testing.T, s *server) {
				s.Faults().Add(always(chatsim.Fault{Op: "upgrade", Status: 403}))
				s.Faults().Add(chatsim.Fault{Op: handshake, Status: status})
				_, err := s.Driver().Open(t.Context(), chat.Request{Nickname: "Ada"})
				var e *chat.Error
				require.ErrorAs(t, err, &e)
				assert.False(t, e.Retryable(), err)
				assert.Equal(t, status, e.Status)
			})
		})
	}
}

// A request that the server did not take in is refused, may be repeated, and is there once when it was. One that
// something behind the server may have taken in may not.
func TestRequestThatFails(t *testing.T) {
	for status, outcome := range map[int]chat.Outcome{408: chat.Rejected, 425: chat.Rejected, 500: chat.Unknown, 502: chat.Unknown} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			bubbleOn(t, longPolling, chatsim.Options{}, func(t *testing.T, s *server) {
				conn := s.open(t.Context())
				l := listen(t, conn)
				s.Faults().Add(chatsim.Fault{Op: "sendMessage", Status: status, Header: http.Header{"Retry-After": {"3"}}})
				_, err := conn.Send(t.Context(), chat.Action{Text: "Hello"})
				var e *chat.Error
				require.ErrorAs(t, err, &e)
				assert.Equal(t, outcome, e.Outcome, err)
				assert.Equal(t, outcome == chat.Rejected, e.Retryable())
				assert.Equal(t, 3*time.Second, e.RetryAfter)
				assert.Empty(t, s.VisitorLines(conn.Session().ID))
				_, err = conn.Send(t.Context(), chat.Action{Text: "Hello"})
				require.NoError(t, err)
				time.Sleep(time.Second)
				assert.Equal(t, []string{"Hello"}, l.texts())
			})
		})
	}
}

// A request that is made while attempts to connect fail so may be repeated, too.
func TestRequestWithoutALink(t *testing.T) {
	for _, status := range []int{408, 425, 500, 502, 503, 520} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			bubbleOn(t, longPolling, chatsim.Options{}, func(t *testing.T, s *server) {
				conn := s.open(t.Context())
				listen(t, conn)
				outage := s.Faults().Add(chatsim.Fault{Match: func(r chatsim.Request) bool { return strings.HasPrefix(r.Op, "/meta/") }, Status: status, Times: -1})
				cometdsim.Of(s.Server).ForgetClients()
				time.Sleep(20 * time.Second)
				_, err := conn.Send(t.Context(), chat.Action{Text: "Hello"})
				var e *chat.Error
				require.ErrorAs(t, err, &e)
				assert.Equal(t, chat.NotSent, e.Outcome)
				assert.True(t, e.Retryable(), err)
				outage.Remove()
				_, err = conn.Send(t.Context(), chat.Action{Text: "Hello"})
				require.NoError(t, err)
			})
		})
	}
}

// A connection that fails is not asked more often than it tries: Receive waits for the next attempt, whatever else was
// asked meanwhile, and whatever the server advises.
func TestReceiveThatFailsIsSlow(t *testing.T) {
	for name, fault := range map[string]chatsim.Fault{
		"Refused": {Match: meta, Drop: chatsim.DropBefore},
		"Status":  {Match: meta, Status: 503},
		"None":    {Match: meta, Details: cometdsim.Fault{Unsuccessful: "403::no", Advice: `{"reconnect":"none"}`}},
		"Again":   {Match: meta, Details: cometdsim.Fault{Elsewhere: true, Advice: `{"reconnect":"handshake"}`}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, chatsim.Options{}, func(t *testing.T, s *server) {
				conn := s.open(t.Context())
				s.Faults().Add(always(fault))
				cometdsim.Of(s.Server).ForgetClients()
				cometdsim.Of(s.Server).DropSockets()
				l := listen(t, conn)
				_, err := conn.Send(t.Context(), chat.Action{Kind: chat.ActionEnd})
				require.Error(t, err)
				time.Sleep(time.Minute)
				assert.Positive(t, l.failures())
				assert.LessOrEqual(t, l.failures(), 30)
				assert.LessOrEqual(t, s.ops()[handshake], 40)
			})
		})
	}
}

func meta(r chatsim.Request) bool { return strings.HasPrefix(r.Op, "/meta/") }
