package gmscometd_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/cometdsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmscometd"
)

// features is what this wire can do. On a websocket, credentials are asked for when it opens, and no more.
func features(carrier string) chattest.Features {
	return chattest.Features{
		Confirms: true, Indexes: true, Resumes: true, Wakes: true, Authorizes: carrier == longPolling,
		Capabilities: chat.Capabilities{
			Files: true, History: true, Refetch: true, Typing: true, UserData: true, Notices: true, URLs: true, Nicknames: true,
			ReadMarks: true, IdleReset: true,
		},
	}
}

const (
	websockets  = "Websocket"
	longPolling = "LongPolling"
)

// TestConformance runs the suite over both carriers, against servers of each kind that exists.
func TestConformance(t *testing.T) {
	t.Parallel()
	for name, quirks := range map[string]struct {
		gms    gmssim.Quirks
		cometd cometdsim.Quirks
	}{
		"Usual": {},
		"Old": {
			gmssim.Quirks{
				RequireAllKeys: true, SendReturnsAll: true, ShortKey: true, PartyIDString: true, ErrorCodeString: true,
				NextPositionZero: true,
			},
			cometdsim.Quirks{NoAcks: true, SilentSuccess: true},
		},
		"Sparse": {
			gmssim.Quirks{
				Terse: true, BareErrors: true, AttributesNotEchoed: true, OwnTypingHidden: true,
				TypingNotKept: true, HiddenTakeIndex: true,
			},
			cometdsim.Quirks{MetaConnectDeliverOnly: true},
		},
		"Odd": {
			gmssim.Quirks{UnknownChat404: true, BadKeyEnds: true, TypingUnnumbered: true},
			cometdsim.Quirks{DeliverFirst: true},
		},
		"Marked": {},
	} {
		for _, carrier := range []string{websockets, longPolling} {
			t.Run(name+"/"+carrier, func(t *testing.T) {
				f := features(carrier)
				f.Indexes = !quirks.gms.TypingUnnumbered
				f.ClientID = name == "Marked"
				chattest.Run(t, chattest.Harness{
					New: func(t *testing.T) chattest.Server {
						s := newServer(t, carrier, &chatsim.Options{
							Script: chatsim.Nobody,
							Faces: []chatsim.Face{
								gmssim.New(&gmssim.Options{Quirks: quirks.gms, Files: gmssim.FileLimits{MaxFiles: 3, MaxFileSize: 1000, Types: []string{"txt"}}}),
								cometdsim.New(&cometdsim.Options{Quirks: quirks.cometd}),
							},
						})
						s.mark = name == "Marked"
						return s
					},
					Features: f,
				})
			})
		}
	}
}

// server makes a simulator a chattest.Server.
type server struct {
	*chatsim.Server
	t       *testing.T
	carrier string
	seats   map[string]*chatsim.Seat
	delay   *chatsim.Switch
	mark    bool
	gate    *gate
	network *chatsim.Network // nil: the server's own
}

func newServer(t *testing.T, carrier string, opts *chatsim.Options) *server {
	return &server{Server: simulator.New(opts), t: t, carrier: carrier, seats: make(map[string]*chatsim.Seat), gate: &gate{}}
}

func (s *server) config() gmscometd.Config {
	sockets := s.carrier != longPolling
	return gmscometd.Config{
		CometURL: cometdsim.URL(s.Server), APIURL: cometdsim.FilesURL(s.Server), WebsocketEnabled: &sockets,
		Config: gms.Config{AjaxTimeout: chattest.Timeout, MarkLines: s.mark},
	}
}

func (s *server) Driver() chat.Driver {
	d, err := gmscometd.New(s.config(), &chat.Options{Client: s.client(), Dial: s.dial})
	require.NoError(s.t, err)
	return d
}

// AuthorizedDriver implements chattest.AuthServer.
func (s *server) AuthorizedDriver(a *chat.Authorization) chat.Driver {
	d, err := gmscometd.New(s.config(), &chat.Options{Client: s.client(), Dial: s.dial, Authorization: a})
	require.NoError(s.t, err)
	return d
}

// Demand implements chattest.AuthServer.
func (s *server) Demand(authorization string) {
	synctest.Wait() // the poll that follows an event is on its way
	s.gate.demand.Store(&authorization)
}

// client is the simulator's, behind the gate.
func (s *server) client() *http.Client {
	client := s.Client()
	if s.network != nil {
		client = s.network.Client()
	}
	return &http.Client{Transport: gated{s.gate, client.Transport}}
}

func (s *server) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if s.network != nil {
		return s.network.DialContext(ctx, network, address)
	}
	return s.DialContext(ctx, network, address)
}

// gate is a gateway that wants credentials.
type gate struct{ demand atomic.Pointer[string] }

type gated struct {
	gate *gate
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (g gated) RoundTrip(r *http.Request) (*http.Response, error) {
	want := g.gate.demand.Load()
	if want == nil || *want == "" || *want == r.Header.Get("Authorization") {
		return g.next.RoundTrip(r)
	}
	// It takes in the request before it answers, as a gateway may.
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return nil, err
	}
	_ = r.Body.Close()
	return &http.Response{
		StatusCode: http.StatusUnauthorized, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"text/html"}}, Body: io.NopCloser(strings.NewReader("<h1>" + r.Header.Get("Authorization") + "</h1>")),
	}, nil
}

func (s *server) chat(id string) *chatsim.Chat {
	c, ok := s.Chat(id)
	require.True(s.t, ok, "no chat %q", id)
	return c
}

func (s *server) AgentJoin(id, name string) {
	seat, err := s.chat(id).Join(name, chatsim.RoleAgent)
	require.NoError(s.t, err)
	s.seats[id+name] = seat
}

func (s *server) AgentSay(id, name, text string) {
	_, err := s.seats[id+name].Say(text)
	require.NoError(s.t, err)
}

func (s *server) AgentTyping(id, name string, on bool) {
	var err error
	if on {
		_, err = s.seats[id+name].Type("")
	} else {
		_, err = s.seats[id+name].StopTyping()
	}
	require.NoError(s.t, err)
}

func (s *server) AgentLeave(id, name string) { require.NoError(s.t, s.seats[id+name].Leave()) }
func (s *server) EndChat(id string)          { s.chat(id).End() }
func (s *server) Chats() int                 { return len(s.Server.Chats()) }

func (s *server) VisitorLines(id string) []string {
	return s.chat(id).Snapshot().Lines(chatsim.Client)
}

func (s *server) VisitorTyping(id string) bool         { return s.chat(id).Snapshot().Typing }
func (s *server) UserData(id string) map[string]string { return s.chat(id).Snapshot().UserData }
func (s *server) Ended(id string) bool                 { return s.chat(id).Snapshot().Ended }

func (s *server) Notices(id string) []string {
	var texts []string
	for _, e := range s.chat(id).Snapshot().Events {
		if e.Type == chatsim.CustomNotice {
			texts = append(texts, e.Text)
		}
	}
	return texts
}

func (s *server) AgentFile(id, name, fileName, contentType string, data []byte) string {
	f, err := s.seats[id+name].SendFile(fileName, contentType, data)
	require.NoError(s.t, err)
	return f.ID
}

func (s *server) Files(id string) []chattest.File {
	var files []chattest.File
	for _, f := range s.chat(id).Snapshot().Files {
		if f.From == chatsim.Client && !f.Deleted {
			files = append(files, chattest.File{
				ID: f.ID, Name: f.Name, ContentType: f.ContentType, Data: f.Data, Description: f.UserData["file-description"],
			})
		}
	}
	return files
}

func (s *server) Read(id string) int64 { return int64(s.chat(id).Snapshot().ReadUpTo) }

func (s *server) Partition() { s.Network().Refuse() }
func (s *server) Heal()      { s.Network().Heal() }

// noPoll matches what a visitor asks for, and not what keeps the link.
func noPoll(r chatsim.Request) bool {
	return r.Op != "upgrade" && r.Op != "requestNotifications" && !strings.HasPrefix(r.Op, "/meta/")
}

func (s *server) LoseAnswer() {
	s.Faults().Add(chatsim.Fault{Match: noPoll, Drop: chatsim.DropAfter})
}

func (s *server) Refuse(code, advice string) {
	n, err := strconv.Atoi(code)
	require.NoError(s.t, err)
	s.Faults().Add(chatsim.Fault{Match: noPoll, Details: gmssim.Fault{Errors: []gmssim.Error{{Code: n, Advice: advice}}}})
}

func (s *server) Delay(d time.Duration) {
	if s.delay != nil {
		s.delay.Remove()
		s.delay = nil
	}
	if d > 0 {
		s.delay = s.Faults().Add(chatsim.Fault{Match: noPoll, Times: -1, Delay: d})
	}
}

func (s *server) Close() {
	if s.t.Failed() {
		for _, r := range s.Requests() {
			s.t.Log(r.Time.Format("05.000000"), r.Op, r.Status, r.Params)
		}
	}
	require.NoError(s.t, s.Server.Close())
}

// open starts a chat on the simulator.
func (s *server) open(ctx context.Context) chat.Conn {
	conn, err := s.Driver().Open(ctx, chat.Request{Nickname: "Ada"})
	require.NoError(s.t, err)
	s.t.Cleanup(func() { require.NoError(s.t, conn.Close()) })
	return conn
}
