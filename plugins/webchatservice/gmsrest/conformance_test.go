package gmsrest_test

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmsrest"
)

// features is what this wire can do.
var features = chattest.Features{
	Confirms: true, Indexes: true, Resumes: true, Wakes: true, Holes: true, Authorizes: true,
	Capabilities: chat.Capabilities{
		Files: true, Refetch: true, Polling: true, Typing: true, UserData: true, Notices: true, URLs: true, Nicknames: true,
		ReadMarks: true, IdleReset: true,
	},
}

// TestConformance runs the suite against servers of each kind that exists.
func TestConformance(t *testing.T) {
	for name, quirks := range map[string]gmssim.Quirks{
		"Usual": {},
		"Old": {
			RequireAllKeys: true, SendReturnsAll: true, ShortKey: true, PartyIDString: true, ErrorCodeString: true,
			NextPositionZero: true,
		},
		"Sparse": {
			Terse: true, BareErrors: true, AttributesNotEchoed: true, OwnTypingHidden: true,
			TypingNotKept: true, HiddenTakeIndex: true,
		},
		"Odd":    {UnknownChat404: true, BadKeyEnds: true, TypingUnnumbered: true},
		"Marked": {},
	} {
		t.Run(name, func(t *testing.T) {
			f := features
			f.Indexes = !quirks.TypingUnnumbered
			f.ClientID = name == "Marked"
			chattest.Run(t, chattest.Harness{
				New: func(t *testing.T) chattest.Server {
					s := newServer(t, &chatsim.Options{
						Script: chatsim.Nobody,
						Faces:  []chatsim.Face{gmssim.New(&gmssim.Options{Quirks: quirks, Files: gmssim.FileLimits{MaxFiles: 3, MaxFileSize: 1000, Types: []string{"txt"}}})},
					})
					s.mark = name == "Marked"
					return s
				},
				Features: f,
			})
		})
	}
}

// server makes a simulator a chattest.Server.
type server struct {
	*chatsim.Server
	t     *testing.T
	seats map[string]*chatsim.Seat
	delay *chatsim.Switch
	mark  bool
	gate  *gate

	forget int // lines that are lost as soon as they are said
}

func newServer(t *testing.T, opts *chatsim.Options) *server {
	return &server{Server: simulator.New(opts), t: t, seats: make(map[string]*chatsim.Seat), gate: &gate{}}
}

func (s *server) config() gmsrest.Config {
	return gmsrest.Config{DataURL: gmssim.URL(s.Server), Config: gms.Config{AjaxTimeout: chattest.Timeout, MarkLines: s.mark}}
}

func (s *server) Driver() chat.Driver {
	d, err := gmsrest.New(s.config(), &chat.Options{Client: s.client()})
	require.NoError(s.t, err)
	return d
}

// AuthorizedDriver implements chattest.AuthServer.
func (s *server) AuthorizedDriver(a *chat.Authorization) chat.Driver {
	d, err := gmsrest.New(s.config(), &chat.Options{Client: s.client(), Authorization: a})
	require.NoError(s.t, err)
	return d
}

// Demand implements chattest.AuthServer.
func (s *server) Demand(authorization string) { s.gate.demand.Store(&authorization) }

// client is the simulator's, behind the gate.
func (s *server) client() *http.Client {
	client := *s.Client()
	return &http.Client{Transport: gated{s.gate, client.Transport}}
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
	e, err := s.seats[id+name].Say(text)
	require.NoError(s.t, err)
	if s.forget > 0 {
		s.forget--
		require.True(s.t, s.chat(id).Forget(e.Index))
	}
}

// Withhold implements chattest.HoleServer: the next answer to a poll leaves them out.
func (s *server) Withhold(_ string, n int) {
	s.Faults().Add(chatsim.Fault{Op: "refresh", Omit: n, Match: func(chatsim.Request) bool { return true }})
}

// Forget implements chattest.HoleServer.
func (s *server) Forget(_ string, n int) { s.forget = n }

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

func noPoll(r chatsim.Request) bool { return r.Op != "refresh" }

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

func (s *server) Close() { require.NoError(s.t, s.Server.Close()) }

// open starts a chat on the simulator.
func (s *server) open(ctx context.Context) chat.Conn {
	conn, err := s.Driver().Open(ctx, chat.Request{Nickname: "Ada"})
	require.NoError(s.t, err)
	s.t.Cleanup(func() { require.NoError(s.t, conn.Close()) })
	return conn
}
