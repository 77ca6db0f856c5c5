package gmscometd_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
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

// watched notes what goes over HTTP.
type watched struct {
	next http.RoundTripper

	mu      sync.Mutex // guards what follows
	now     int        // requests under way
	peak    int
	bodies  [][]byte
	cookies []string // of each request
}

// RoundTrip implements http.RoundTripper.
func (w *watched) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	w.mu.Lock()
	w.now++
	w.peak = max(w.peak, w.now)
	w.bodies = append(w.bodies, body)
	w.cookies = append(w.cookies, r.Header.Get("Cookie"))
	w.mu.Unlock()
	resp, err := w.next.RoundTrip(r)
	if err == nil {
		var answer []byte
		answer, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		resp.Body = io.NopCloser(bytes.NewReader(answer))
	}
	w.mu.Lock()
	w.now--
	w.mu.Unlock()
	return resp, err
}

// envelopes are the messages that were sent.
func (w *watched) envelopes(t *testing.T) (all []envelope) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, body := range w.bodies {
		var unit []envelope
		if body[0] == '[' {
			require.NoError(t, json.Unmarshal(body, &unit))
		}
		all = append(all, unit...)
	}
	return all
}

type envelope struct {
	ID, Channel, ClientID, Version, ConnectionType string
	Ext                                            map[string]any
	Advice                                         map[string]any
	Data                                           map[string]any
}

// watch makes a driver whose HTTP is noted.
func watch(t *testing.T, s *server) (*gmscometd.Driver, *watched) {
	w := &watched{next: s.Client().Transport}
	d, err := gmscometd.New(s.config(), &chat.Options{Client: &http.Client{Transport: w}, Dial: s.dial})
	require.NoError(t, err)
	return d, w
}

// Long-polling keeps to two connections, also while a session is made anew beside a request that is slow, and while the
// client leaves.
func TestTwoConnections(t *testing.T) {
	bubbleOn(t, longPolling, chatsim.Options{SilenceLimit: -1}, func(t *testing.T, s *server) {
		d, w := watch(t, s)
		conn, err := d.Open(t.Context(), chat.Request{Nickname: "Ada"})
		require.NoError(t, err)
		id := conn.Session().ID
		s.AgentJoin(id, "Ann")
		l := listen(t, conn)
		var writers sync.WaitGroup
		for range 5 {
			writers.Go(func() {
				for range 5 {
					_, _ = conn.Send(t.Context(), chat.Action{Text: "x"}) // some of them fail
					time.Sleep(100 * time.Millisecond)
				}
			})
		}
		for range 10 {
			s.Faults().Add(chatsim.Fault{Op: "sendMessage", DelayAnswer: 2 * time.Second})
			time.Sleep(500 * time.Millisecond)
			cometdsim.Of(s.Server).ForgetClients()
			s.AgentSay(id, "Ann", "y")
			time.Sleep(500 * time.Millisecond)
			s.Network().Reset()
		}
		writers.Wait()
		time.Sleep(time.Minute)
		s.Faults().Add(chatsim.Fault{Op: "sendMessage", DelayAnswer: 2 * time.Second})
		writers.Go(func() { _, _ = conn.Send(t.Context(), chat.Action{Text: "last"}) })
		time.Sleep(100 * time.Millisecond)
		require.NoError(t, conn.Close())
		writers.Wait()
		assert.Contains(t, l.texts(), "y")
		assert.Equal(t, 2, w.peak)
	})
}

// The cookies of the handshake come back with each request, those about files among them, and with the opening of a
// websocket.
func TestCookies(t *testing.T) {
	bubble(t, chatsim.Options{
		SilenceLimit: -1,
		Faces:        []chatsim.Face{gmssim.New(&gmssim.Options{Files: gmssim.FileLimits{Types: []string{"txt"}}}), cometdsim.New(&cometdsim.Options{Nodes: 3})},
	}, func(t *testing.T, s *server) {
		d, w := watch(t, s)
		conn, err := d.Open(t.Context(), chat.Request{Nickname: "Ada"})
		require.NoError(t, err)
		defer conn.Close() //nolint:errcheck // it returns nil
		listen(t, conn)
		_, err = conn.(chat.Filer).SendFile(t.Context(), chat.Upload{Name: "a.txt", Content: strings.NewReader("a"), Size: 1})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		cometdsim.Of(s.Server).DropSockets()
		time.Sleep(10 * time.Second)
		_, err = conn.Send(t.Context(), chat.Action{Text: "x"})
		require.NoError(t, err)
		w.mu.Lock()
		defer w.mu.Unlock()
		if s.carrier == longPolling {
			require.Greater(t, len(w.cookies), 5)
			assert.Empty(t, w.cookies[0])
			for _, c := range w.cookies[1:] {
				assert.Contains(t, c, "BAYEUX_BROWSER=")
			}
		} else { // over HTTP goes the file alone
			require.Len(t, w.cookies, 1)
			assert.NotEmpty(t, w.cookies[0])
			upgrades := 0
			for _, r := range s.Requests() {
				if r.Op != "upgrade" {
					continue
				}
				if upgrades++; upgrades > 1 {
					assert.NotEmpty(t, r.Header.Get("Cookie"))
				}
			}
			assert.Equal(t, 2, upgrades)
		}
		assert.Equal(t, 1, s.ops()[handshake], "the load balancer leads back to where the session is")
	})
}

// Without websockets none is tried.
func TestNoWebsocket(t *testing.T) {
	bubbleOn(t, longPolling, chatsim.Options{}, func(t *testing.T, s *server) {
		listen(t, s.open(t.Context()))
		time.Sleep(time.Hour)
		assert.Zero(t, s.ops()["upgrade"])
	})
}

// The acknowledge extension is offered; each connect says which batch came last, where the server knows it, and
// nothing of it where it does not. Message ids are never used twice.
func TestAcknowledge(t *testing.T) {
	for name, quirks := range map[string]cometdsim.Quirks{"Known": {}, "Unknown": {NoAcks: true}} {
		t.Run(name, func(t *testing.T) {
			bubbleOn(t, longPolling, chatsim.Options{SilenceLimit: -1, Faces: []chatsim.Face{cometdsim.New(&cometdsim.Options{Quirks: quirks})}}, func(t *testing.T, s *server) {
				d, w := watch(t, s)
				conn, err := d.Open(t.Context(), chat.Request{Nickname: "Ada"})
				require.NoError(t, err)
				defer conn.Close() //nolint:errcheck // it returns nil
				l := listen(t, conn)
				id := conn.Session().ID
				s.AgentJoin(id, "Ann")
				time.Sleep(time.Minute)
				s.AgentSay(id, "Ann", "one")
				time.Sleep(time.Minute)
				assert.Equal(t, []string{"one"}, l.texts())
				ids := map[string]bool{}
				var acks []any
				for _, m := range w.envelopes(t) {
					assert.False(t, ids[m.ID], "%s twice", m.ID)
					ids[m.ID] = true
					switch m.Channel {
					case handshake:
						assert.Equal(t, map[string]any{"ack": true}, m.Ext)
						assert.Equal(t, "1.0", m.Version)
					case connect:
						acks = append(acks, m.Ext["ack"])
						assert.Equal(t, "long-polling", m.ConnectionType)
					}
				}
				require.Greater(t, len(acks), 4)
				for i, ack := range acks {
					switch {
					case name == "Unknown":
						assert.Nil(t, ack)
					case i == 0:
						assert.EqualValues(t, -1, ack, "none yet")
					default:
						assert.EqualValues(t, i, ack)
					}
				}
			})
		})
	}
}

// A reply that does not come costs the request, in time and with an outcome that is not known, and not the link.
func TestReplyTimeout(t *testing.T) {
	bubble(t, chatsim.Options{SilenceLimit: -1}, func(t *testing.T, s *server) {
		conn := s.open(t.Context())
		l := listen(t, conn)
		lost := chatsim.Fault{Op: "customNotice", Match: noPoll, DelayAnswer: time.Minute}
		if s.carrier == websockets { // where all behind it would wait
			lost = chatsim.Fault{Op: "customNotice", Rewrite: func([]byte) []byte { return []byte("[]") }}
		}
		s.Faults().Add(lost)
		begin := time.Now()
		_, err := conn.(chat.Notifier).CustomNotice(t.Context(), "never", nil)
		assert.Equal(t, 3*time.Second, time.Since(begin))
		var e *chat.Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, chat.CodeTimeout, e.Code)
		assert.Equal(t, chat.Unknown, e.Outcome)
		assert.Contains(t, err.Error(), "ajaxTimeout")
		time.Sleep(2 * time.Minute)
		_, err = conn.Send(t.Context(), chat.Action{Text: "x"})
		require.NoError(t, err)
		synctest.Wait()
		assert.Equal(t, []string{"x"}, l.texts())
		assert.Zero(t, l.failures())
		assert.Equal(t, 1, s.ops()[handshake])
	})
}

// A websocket that answers no ping is given up, though it takes what is sent; after some of them long-polling takes
// over.
func TestNoPong(t *testing.T) {
	bubbleOn(t, websockets, chatsim.Options{SilenceLimit: -1, Faces: []chatsim.Face{cometdsim.New(&cometdsim.Options{Timeout: 5 * time.Minute})}}, func(t *testing.T, s *server) {
		deaf := s.Faults().Add(always(chatsim.Fault{Op: "upgrade", NoPong: true}))
		conn := s.open(t.Context())
		id := conn.Session().ID
		s.AgentJoin(id, "Ann")
		l := listen(t, conn)
		time.Sleep(34 * time.Second)
		assert.Zero(t, l.failures())
		time.Sleep(2 * time.Second)
		assert.Equal(t, 1, l.failures(), "25 s of silence, and 10 s for the pong")
		time.Sleep(5 * time.Minute)
		assert.Equal(t, []string{"long-polling"}, s.carriers())
		s.AgentSay(id, "Ann", "still there?")
		time.Sleep(time.Second)
		assert.Equal(t, []string{"still there?"}, l.texts())
		deaf.Remove()
		time.Sleep(16 * time.Minute) // 10 at most until the next try, and the connect that is held before
		assert.Equal(t, []string{"websocket"}, s.carriers(), "and back")
	})
}

// Hosts in the advice are not asked.
func TestHostsAreIgnored(t *testing.T) {
	bubble(t, chatsim.Options{}, func(t *testing.T, s *server) {
		s.Faults().Add(always(chatsim.Fault{Op: connect, Details: cometdsim.Fault{Advice: `{"reconnect":"retry","hosts":["elsewhere.test"]}`}}))
		conn := s.open(t.Context())
		l := listen(t, conn)
		time.Sleep(10 * time.Minute)
		cometdsim.Of(s.Server).DropSockets()
		time.Sleep(time.Minute)
		assert.Equal(t, "connected", gmscometd.StateOf(conn))
		assert.LessOrEqual(t, l.failures(), 1, "but for the socket that broke")
	})
}

// After each handshake the chat is attached again, once, after the last line that came.
func TestAttachedWhereItStands(t *testing.T) {
	bubble(t, chatsim.Options{SilenceLimit: -1}, func(t *testing.T, s *server) {
		conn := s.open(t.Context())
		id := conn.Session().ID
		s.AgentJoin(id, "Ann")
		l := listen(t, conn)
		var want []string
		for n := range 4 {
			s.AgentSay(id, "Ann", "x")
			time.Sleep(time.Second)
			want = append(want, string(rune('4'+n)))
			cometdsim.Of(s.Server).ForgetClients()
			time.Sleep(40 * time.Second) // the end of a connect that is held
		}
		synctest.Wait()
		var positions []string
		for _, r := range s.Requests() {
			if r.Op == "requestNotifications" {
				positions = append(positions, r.Params["transcriptPosition"])
			}
		}
		assert.Equal(t, want, positions)
		assert.Equal(t, 5, s.ops()[handshake])
		assert.Len(t, l.texts(), 4)
	})
}

// What was pushed into a websocket that was tried beside long-polling, and broke, comes all the same, from servers without
// the acknowledge extension, too.
func TestNothingIsLostOnTrial(t *testing.T) {
	for name, quirks := range map[string]cometdsim.Quirks{"Acks": {}, "NoAcks": {NoAcks: true}} {
		t.Run(name, func(t *testing.T) {
			bubbleOn(t, websockets, chatsim.Options{SilenceLimit: -1, Faces: []chatsim.Face{cometdsim.New(&cometdsim.Options{Quirks: quirks})}}, func(t *testing.T, s *server) {
				refused := s.Faults().Add(always(chatsim.Fault{Op: "upgrade", Status: 403}))
				conn := s.open(t.Context())
				id := conn.Session().ID
				s.AgentJoin(id, "Ann")
				l := listen(t, conn)
				refused.Remove()
				slow := s.Faults().Add(chatsim.Fault{Op: "upgrade", Delay: time.Second})
				cut := s.Faults().Add(chatsim.Fault{Match: func(r chatsim.Request) bool { return r.Op == connect && r.Method == http.MethodGet }, Cut: 5})
				for slow.Hits() == 0 {
					time.Sleep(100 * time.Millisecond)
				}
				s.AgentSay(id, "Ann", "into the hole") // there is no connect now: it goes with the reply to the next
				time.Sleep(5 * time.Second)
				assert.Equal(t, 1, cut.Hits())
				assert.Equal(t, []string{"long-polling"}, s.carriers())
				assert.Equal(t, []string{"into the hole"}, l.texts())
				assert.Zero(t, l.failures())
				assert.Equal(t, 1, s.ops()[handshake])
			})
		})
	}
}

// A 402 that comes late is for the session that was: the one that was made meanwhile stays.
func TestLateForgotten(t *testing.T) {
	bubbleOn(t, longPolling, chatsim.Options{SilenceLimit: -1}, func(t *testing.T, s *server) {
		conn := s.open(t.Context())
		id := conn.Session().ID
		s.AgentJoin(id, "Ann")
		l := listen(t, conn)
		time.Sleep(40 * time.Second) // a connect is held, and will be for a while
		s.Faults().Add(chatsim.Fault{Op: "customNotice", DelayAnswer: 2 * time.Second, Details: cometdsim.Fault{Unsuccessful: "402::Unknown client"}})
		s.Faults().Add(chatsim.Fault{Op: connect, Details: cometdsim.Fault{Unsuccessful: "402::Unknown client"}})
		var sent error
		var wg sync.WaitGroup
		wg.Go(func() { _, sent = conn.(chat.Notifier).CustomNotice(t.Context(), "refused", nil) })
		time.Sleep(time.Second)
		s.AgentSay(id, "Ann", "x") // ends the connect that is held
		wg.Wait()
		assert.Equal(t, chat.Rejected, chat.OutcomeOf(sent), sent)
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"x"}, l.texts())
		assert.Zero(t, l.failures())
		assert.Equal(t, 2, s.ops()[handshake])
	})
}
