package gmsrest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmsrest"
)

// bubble runs f in a synctest bubble with a server that has nobody at its desk.
func bubble(t *testing.T, opts chatsim.Options, f func(t *testing.T, s *server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		opts.Script = chatsim.Nobody
		s := newServer(t, &opts)
		t.Cleanup(s.Close)
		f(t, s)
	})
}

// polls returns when the server was polled, from begin on.
func (s *server) polls(begin time.Time) []time.Duration {
	synctest.Wait() // the server has noticed what was given up
	var at []time.Duration
	for _, r := range s.Requests() {
		if r.Op == "refresh" {
			at = append(at, r.Time.Sub(begin))
		}
	}
	return at
}

// listen receives for d.
func listen(t *testing.T, conn chat.Conn, d time.Duration) (events []chat.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	for {
		ev, err := conn.Receive(ctx)
		switch {
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, io.EOF):
			return events
		case err == nil:
			events = append(events, ev)
		}
	}
}

// gaps turns times into milliseconds between them, beginning with the first.
func gaps(at []time.Duration) []int64 {
	var out []int64
	last := time.Duration(0)
	for _, a := range at {
		out = append(out, (a - last).Milliseconds())
		last = a
	}
	return out
}

// What a start carries, and what every later request does (wire-gms A.1, A.2, A.7).
func TestWhatIsSent(t *testing.T) {
	bubble(t, chatsim.Options{Faces: []chatsim.Face{gmssim.New(&gmssim.Options{APIKey: "k-1"})}}, func(t *testing.T, s *server) {
		c := s.config()
		c.DataURL += "//"
		c.APIKey = chat.NewSecret("k-1")
		c.Endpoint = "chat_ep"
		d, err := gmsrest.New(c, &chat.Options{Client: s.Client(), Headers: headers("x-trace", "t-1")})
		require.NoError(t, err)
		conn, err := d.Open(t.Context(), chat.Request{
			Nickname: "Ada", FirstName: "Ada", LastName: "Byron", Email: "ada@example.net", Subject: "Bill",
			UserData: map[string]any{"TimeZone": 60, "vip": true, "none": nil, "list": []int{1, 2}, "Key Case": "x"},
		})
		require.NoError(t, err)
		defer conn.Close()
		_, err = conn.Send(t.Context(), chat.Action{Text: "as I said", MessageType: "note", ParentID: "17"})
		require.NoError(t, err)
		_, err = conn.(chat.Typer).Typing(t.Context(), true, "He")
		require.NoError(t, err)
		_, err = conn.(chat.Notifier).CustomNotice(t.Context(), "n", json.RawMessage(`{"purpose":"cancel-idle-timer"}`))
		require.NoError(t, err)
		all := s.Requests()
		start := all[0]
		assert.True(t, strings.HasSuffix(start.Path, "/customer-support/"), start.Path)
		assert.Equal(t, http.MethodPost, start.Method)
		assert.Equal(t, "application/x-www-form-urlencoded; charset=UTF-8", start.Header.Get("Content-Type"))
		assert.Equal(t, "t-1", start.Header.Get("X-Trace"))
		assert.Equal(t, map[string]string{"TimeZone": "60", "vip": "true", "none": "", "list": "[1,2]", "Key Case": "x"}, start.UserData)
		want := map[string]string{
			"nickname": "Ada", "firstName": "Ada", "lastName": "Byron", "emailAddress": "ada@example.net", "subject": "Bill",
			"endpoint": "chat_ep", "text": "", "alias": "", "userId": "",
		}
		for name, value := range want {
			assert.Equal(t, value, start.Params[name], name)
		}
		send := all[1]
		assert.True(t, strings.HasSuffix(send.Path, "/customer-support/"+conn.Session().ID+"/send"), send.Path)
		assert.Equal(t, conn.Session().UserID, send.Params["userId"])
		assert.Equal(t, conn.Session().Alias, send.Params["alias"])
		assert.Equal(t, "as I said", send.Params["message"])
		assert.Equal(t, "note", send.Params["messageType"])
		assert.Equal(t, "2", send.Params["transcriptPosition"])
		assert.JSONEq(t, `{"general-properties":{"related-event-id":"17"}}`, send.Params["eventAttributes"])
		assert.Equal(t, "He", all[2].Params["message"])
		assert.JSONEq(t, `{"purpose":"cancel-idle-timer"}`, all[3].Params["eventAttributes"])
		for _, r := range all {
			assert.Equal(t, http.StatusOK, r.Status)
		}
	})
}

func TestStartWithoutSlash(t *testing.T) {
	bubble(t, chatsim.Options{}, func(t *testing.T, s *server) {
		c := s.config()
		c.EnableURLTrailingSlash = new(bool)
		d, err := gmsrest.New(c, &chat.Options{Client: s.Client()})
		require.NoError(t, err)
		conn, err := d.Open(t.Context(), chat.Request{Nickname: "Ada"})
		require.NoError(t, err)
		defer conn.Close()
		assert.True(t, strings.HasSuffix(s.Requests()[0].Path, "/customer-support"))
	})
}

// A change of the alias is told with an event, and used from then on (wire-gms A.2).
func TestAliasChange(t *testing.T) {
	bubble(t, chatsim.Options{}, func(t *testing.T, s *server) {
		conn := s.open(t.Context())
		old := conn.Session()
		listen(t, conn, time.Second)
		gmssim.Of(s.Server).SetAlias(777)
		var told []chat.Session
		for _, ev := range listen(t, conn, 10*time.Second) {
			if ev.Session != nil {
				told = append(told, *ev.Session)
			}
		}
		want := old
		want.Alias = "777"
		require.Equal(t, []chat.Session{want}, told)
		assert.Equal(t, want, conn.Session())
		_, err := conn.Send(t.Context(), chat.Action{Text: "x"})
		require.NoError(t, err)
		all := s.Requests()
		assert.Equal(t, "777", all[len(all)-1].Params["alias"])
	})
}

// Who ended a chat.
func TestEndReasons(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(s *server, id string)
		want chat.EndReason
	}{
		"Agent":   {func(s *server, id string) { _ = s.seats[id+"Ann"].End() }, chat.EndAgent},
		"Silence": {func(s *server, id string) { time.Sleep(time.Minute) }, chat.EndServer},
		"Server": {func(s *server, id string) {
			s.AgentLeave(id, "Ann")
			s.AgentJoin(id, "Bob")
			s.AgentLeave(id, "Bob")
			seat, err := s.chat(id).Join("ESP", chatsim.RoleSystem)
			require.NoError(t, err)
			_, err = seat.Say("all agents are busy")
			require.NoError(t, err)
			s.EndChat(id)
		}, chat.EndServer},
		"Forgot": {func(s *server, _ string) { s.Restart(false) }, chat.EndServer},
		"Idle":   {func(*server, string) { time.Sleep(time.Minute) }, chat.EndIdle},
	} {
		for _, quirks := range []gmssim.Quirks{{}, {UnknownChat404: true}, {EndedChat400: true, BareErrors: true}} {
			t.Run(name, func(t *testing.T) {
				opts := chatsim.Options{IdleAlert: 10 * time.Second, IdleClose: 10 * time.Second, SilenceLimit: -1, Faces: []chatsim.Face{gmssim.New(&gmssim.Options{Quirks: quirks})}}
				if name == "Silence" {
					opts = chatsim.Options{Faces: []chatsim.Face{gmssim.New(&gmssim.Options{Quirks: quirks})}}
				}
				bubble(t, opts, func(t *testing.T, s *server) {
					conn := s.open(t.Context())
					id := conn.Session().ID
					s.AgentJoin(id, "Ann")
					listen(t, conn, time.Second)
					c.end(s, id)
					events := listen(t, conn, time.Minute)
					require.NotEmpty(t, events)
					last := events[len(events)-1]
					assert.True(t, last.Ended)
					if !quirks.EndedChat400 { // which keeps the last lines to itself
						assert.Equal(t, c.want, last.EndedBy)
					}
					_, err := conn.Receive(t.Context())
					assert.Equal(t, io.EOF, err)
				})
			})
		}
	}
}

// What was said between the last poll and the visitor's end is not lost.
func TestLastLinesBeforeEnd(t *testing.T) {
	bubble(t, chatsim.Options{}, func(t *testing.T, s *server) {
		conn := s.open(t.Context())
		id := conn.Session().ID
		s.AgentJoin(id, "Ann")
		listen(t, conn, time.Second)
		s.AgentSay(id, "Ann", "wait")
		_, err := conn.Send(t.Context(), chat.Action{Kind: chat.ActionEnd})
		require.NoError(t, err)
		events := listen(t, conn, time.Second)
		require.Len(t, events, 1)
		assert.Equal(t, "wait", events[0].Messages[0].Text)
		assert.Equal(t, chat.EndVisitor, events[0].EndedBy)
		assert.True(t, events[0].Ended)
	})
}

// Resumed while the chat server behind GMS is away: the session lives (wire-gms A.9).
func TestResumeOffline(t *testing.T) {
	bubble(t, chatsim.Options{}, func(t *testing.T, s *server) {
		session := s.open(t.Context()).Session()
		s.Faults().Add(body(200, `{"statusCode":1,"chatEnded":false}`))
		conn, err := s.Driver().(chat.Resumer).Resume(t.Context(), chat.ResumeRequest{Session: session})
		require.NoError(t, err)
		defer conn.Close()
		ev, err := conn.Receive(t.Context())
		require.NoError(t, err)
		assert.True(t, ev.Unavailable)
		ev, err = conn.Receive(t.Context())
		require.NoError(t, err)
		assert.False(t, ev.Unavailable)
		assert.Len(t, ev.Messages, 1, "the transcript from the beginning")

		s.Faults().Add(chatsim.Fault{Op: "refresh", Details: gmssim.Fault{StatusCode: 1}})
		s.Faults().Add(body(200, `{"statusCode":1}`))
		_, err = s.Driver().(chat.Resumer).Resume(t.Context(), chat.ResumeRequest{Session: session})
		if err != nil {
			assert.Equal(t, chat.Rejected, chat.OutcomeOf(err), "not gone: it may pass")
		}
	})
}

// Connections that the driver keeps for later are closed on request; those of a client that was given
// to it are not its own.
func TestIdleConnections(t *testing.T) {
	bubble(t, chatsim.Options{}, func(t *testing.T, s *server) {
		for _, own := range []bool{false, true} {
			o := &chat.Options{Client: s.Client()}
			if own {
				o = &chat.Options{Dial: s.DialContext}
			}
			d, err := gmsrest.New(s.config(), o)
			require.NoError(t, err)
			conn, err := d.Open(t.Context(), chat.Request{Nickname: "Ada"})
			require.NoError(t, err)
			require.NoError(t, conn.Close())
			synctest.Wait()
			before := s.Network().Conns()
			d.CloseIdleConnections()
			synctest.Wait()
			closed := before - s.Network().Conns()
			assert.Equal(t, own, closed == 1, "%d closed", closed)
		}
	})
}

// served opens a chat on handler, over real sockets.
func served(t *testing.T, handler http.Handler) chat.Conn {
	listener := httptest.NewServer(handler)
	t.Cleanup(listener.Close)
	d, err := gmsrest.New(gmsrest.Config{DataURL: listener.URL}, nil)
	require.NoError(t, err)
	t.Cleanup(d.CloseIdleConnections)
	conn, err := d.Open(t.Context(), chat.Request{Nickname: "Ada"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return conn
}

// The same over real sockets, with the client that a driver makes for itself.
func TestLoopback(t *testing.T) {
	sim := simulator.New(nil) // the scripted agent
	defer sim.Close()
	listener := httptest.NewServer(sim.Handler())
	defer listener.Close()
	d, err := gmsrest.Factory().New(&gmsrest.Config{
		DataURL: sim.BaseURLs(listener.Listener.Addr().String())["gms"], PollRateMin: 20 * time.Millisecond,
		Config: gms.Config{AjaxTimeout: -1},
	}, nil)
	require.NoError(t, err)
	ctx := t.Context() // it takes as long as the machine needs
	conn, err := d.Open(ctx, chat.Request{Nickname: "Ada"})
	require.NoError(t, err)
	defer conn.Close()
	sent := false
	for {
		ev, err := conn.Receive(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		for _, m := range ev.Messages {
			switch {
			case !sent && m.From.Role == chat.RoleAgent && strings.Contains(m.Text, "Hello"):
				sent = true
				_, err := conn.Send(ctx, chat.Action{Text: "Grüße 👋"})
				require.NoError(t, err)
			case m.Text == "You said: Grüße 👋":
				_, err := conn.Send(ctx, chat.Action{Kind: chat.ActionEnd})
				require.NoError(t, err)
			}
		}
	}
	assert.True(t, sent)
}

// A connection that the server closes without an answer has broken: the chat goes on.
func TestClosedIsNotEnded(t *testing.T) {
	bubble(t, chatsim.Options{}, func(t *testing.T, s *server) {
		var closing atomic.Bool
		dial := func(ctx context.Context, network, address string) (net.Conn, error) {
			if !closing.Load() {
				return s.DialContext(ctx, network, address)
			}
			near, far := net.Pipe()
			go func() {
				if r, err := http.ReadRequest(bufio.NewReader(far)); err == nil {
					_, _ = io.Copy(io.Discard, r.Body)
				}
				_ = far.Close()
			}()
			return near, nil
		}
		d, err := gmsrest.New(gmsrest.Config{DataURL: gmssim.URL(s.Server), Config: gms.Config{AjaxTimeout: time.Second}}, &chat.Options{Dial: dial})
		require.NoError(t, err)
		conn, err := d.Open(t.Context(), chat.Request{Nickname: "Ada"})
		require.NoError(t, err)
		t.Cleanup(func() {
			require.NoError(t, conn.Close())
			d.CloseIdleConnections()
		})
		_, err = conn.Receive(t.Context())
		require.NoError(t, err)
		closing.Store(true)
		s.Network().Reset()
		_, err = conn.Receive(t.Context())
		require.Error(t, err)
		require.NotErrorIs(t, err, io.EOF)
		closing.Store(false)
		_, err = conn.Receive(t.Context())
		require.NoError(t, err)
	})
}
