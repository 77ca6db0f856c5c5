package bayeux_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/bayeux"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// A session that the server has forgotten is made anew: that is no failure.
func TestForgotten(t *testing.T) {
	both(t, func(t *testing.T, s *server, c *client) {
		begin(t, c)
		id := c.ClientID()
		time.Sleep(10 * time.Second)
		s.forget()
		time.Sleep(time.Second)
		assert.Equal(t, []string{"disconnected", "connected"}, c.take())
		assert.NotEqual(t, id, c.ClientID())
		s.push("new")
		assert.Equal(t, []string{`"new"`}, c.take())
	})
}

// A handshake that the server asks for waits for as long as the same message says, in which nothing else is asked. Retry
// and Close end the wait.
func TestHandshakeIsAdvisedForLater(t *testing.T) {
	both(t, func(t *testing.T, s *server, c *client) {
		begin(t, c)
		later := func() {
			s.set(func() {
				s.answer = func(in, reply fields) {
					if in["channel"] == connect {
						reply["successful"], reply["error"] = false, "402::Unknown client"
						reply["advice"] = fields{"reconnect": "handshake", "interval": 20000}
						s.answer = nil
					}
				}
			})
			s.push("end of the connect")
			for c.State() != bayeux.StateRehandshaking { // on a websocket it is answered in its time
				time.Sleep(100 * time.Millisecond)
			}
			time.Sleep(19 * time.Second)
			c.take()
		}
		later()
		handshakes, connects := s.messages(handshake), s.messages(connect)
		assert.Equal(t, 1, handshakes)
		assert.Empty(t, c.ClientID())
		c.Retry()
		time.Sleep(time.Second)
		assert.Equal(t, 2, s.messages(handshake), "at once")
		assert.Equal(t, []string{"connected"}, c.take())

		later()
		assert.Equal(t, 2, s.messages(handshake))
		time.Sleep(2 * time.Second)
		assert.Equal(t, 3, s.messages(handshake))
		assert.Equal(t, []string{"connected"}, c.take())
		assert.LessOrEqual(t, s.messages(connect)-connects, 6)

		later()
		c.Close()
		assert.Equal(t, 3, s.messages(handshake))
	})
}

// The answer 402 to a request makes the session anew, too, and the request is refused.
func TestForgottenWhilePublishing(t *testing.T) {
	both(t, func(t *testing.T, s *server, c *client) {
		begin(t, c)
		s.set(func() {
			s.answer = func(in, reply fields) {
				if in["channel"] == "/news" {
					reply["successful"], reply["error"] = false, "402::Unknown client"
				}
			}
		})
		replies, e := c.Publish(t.Context(), "say", "/news", json.RawMessage(`1`))
		if e == nil {
			e = c.Refused("say", replies[0])
		}
		assert.ErrorIs(t, e, bayeux.ErrUnknownClient)
		time.Sleep(time.Second)
		assert.Equal(t, []string{"disconnected", "connected"}, c.take())
	})
}

// Attempts follow one another after pauses that double, up to 8 s in use; Retry ends a pause.
func TestPauses(t *testing.T) {
	both(t, func(t *testing.T, s *server, c *client) {
		begin(t, c)
		c.InUse()
		s.network.Refuse()
		time.Sleep(2 * time.Minute)
		c.mu.Lock()
		failed := c.failed
		c.mu.Unlock()
		require.Greater(t, len(failed), 10)
		for i := 1; i < len(failed); i++ {
			pause := failed[i].Sub(failed[i-1])
			assert.LessOrEqual(t, pause, 8*time.Second)
			if i > 4 {
				assert.GreaterOrEqual(t, pause, 4*time.Second)
			}
		}
		assert.NotEqual(t, bayeux.StateConnected, c.State())
		c.take()
		s.network.Heal()
		c.Retry()
		assert.Equal(t, "connected", last(c.take()), "at once")
	})
}

// A client that is advised to stop stops, until Resume.
func TestStopped(t *testing.T) {
	both(t, func(t *testing.T, s *server, c *client) {
		begin(t, c)
		s.set(func() {
			s.answer = func(in, reply fields) {
				if in["channel"] == connect {
					reply["successful"], reply["error"], reply["advice"] = false, "403::no", fields{"reconnect": "none"}
				}
			}
		})
		s.push("end of the connect")
		time.Sleep(time.Minute)
		assert.Contains(t, c.take(), "failed "+chat.CodeForbidden)
		assert.True(t, c.Stopped())
		handshakes := s.messages(handshake)
		time.Sleep(time.Hour)
		assert.Equal(t, handshakes, s.messages(handshake))
		_, e := c.Publish(t.Context(), "say", "/news", json.RawMessage(`1`))
		assert.Equal(t, chat.NotSent, e.Outcome)
		s.set(func() { s.answer = nil })
		c.Resume()
		time.Sleep(2 * time.Second)
		assert.Equal(t, []string{"disconnected", "connected"}, c.take())
	})
}

func last(all []string) string {
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1]
}

// The advice that there are several clients is obeyed as long as the server gives it. A server need not say that it is
// over.
func TestMultipleClients(t *testing.T) {
	run(t, false, func(t *testing.T, s *server, c *client) {
		begin(t, c)
		several := 5
		s.set(func() {
			s.answer = func(in, reply fields) {
				if in["channel"] != connect {
					return
				}
				if several--; several >= 0 { // it is answered at once
					reply["advice"] = fields{"multiple-clients": true, "reconnect": "retry", "interval": 2000}
					in["advice"] = map[string]any{"timeout": 0.0}
				}
			}
		})
		s.push("end of the connect")
		time.Sleep(9 * time.Second)
		assert.InDelta(t, 6, s.messages(connect), 1, "they are 2 s apart")
		time.Sleep(2 * time.Second)
		c.take()
		for n := range 10 {
			s.push(n)
			assert.Equal(t, []string{fmt.Sprint(n)}, c.take(), "at once")
		}
		assert.Zero(t, c.Lag())
	})
}

// What was advised in one session does not count in the next, and the cookie of one does not go into it. The cookie of
// the load balancer does.
func TestNewSessionBeginsAnew(t *testing.T) {
	run(t, false, func(t *testing.T, s *server, c *client) {
		begin(t, c)
		s.set(func() {
			s.answer = func(in, reply fields) {
				if in["channel"] == connect {
					reply["advice"] = fields{"interval": 60000}
				} else if in["channel"] == handshake {
					delete(reply, "advice")
				}
			}
		})
		s.push("end of the connect")
		assert.Equal(t, []string{`"end of the connect"`}, c.take())
		s.set(func() { s.answer = nil })
		s.forget()
		time.Sleep(61 * time.Second)
		assert.Equal(t, []string{"disconnected", "connected"}, c.take())
		assert.Zero(t, c.Lag())
		s.mu.Lock()
		defer s.mu.Unlock()
		n := 0
		for i, m := range s.took { // each POST has one message
			if m["channel"] == handshake {
				assert.NotContains(t, s.cookies[i], "BAYEUX_BROWSER")
				assert.Equal(t, n > 0, strings.Contains(s.cookies[i], "NODE=1"))
				n++
			} else {
				assert.Contains(t, s.cookies[i], "BAYEUX_BROWSER=")
			}
		}
		assert.Equal(t, 2, n)
	})
}

// A handshake that the server answers with an HTTP status is tried again.
func TestHandshakeIsTriedAgain(t *testing.T) {
	for _, status := range []int{408, 425, 500, 502, 503} {
		run(t, false, func(t *testing.T, s *server, c *client) {
			failures := 3
			s.set(func() {
				s.status = func(fields) int {
					if failures--; failures >= 0 {
						return status
					}
					return 0
				}
			})
			c.Start()
			time.Sleep(10 * time.Second)
			told := c.take()
			assert.Equal(t, "connected", last(told), "%d: %v", status, told)
			assert.Equal(t, bayeux.StateConnected, c.State())
		})
	}
}
