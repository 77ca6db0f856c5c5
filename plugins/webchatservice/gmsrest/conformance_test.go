package gmsrest_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmsrest"
)

// features is what this wire can do.
var features = chattest.Features{
	Confirms: true, Indexes: true, Resumes: true, Polls: true, Types: true, Updates: true, Notifies: true,
}

// TestConformance runs the suite against servers of each kind that exists.
func TestConformance(t *testing.T) {
	for name, quirks := range map[string]chatsim.Quirks{
		"Usual": {},
		"Old": {
			RequireAllKeys: true, SendReturnsAll: true, ShortKey: true, PartyIDString: true, ErrorCodeString: true,
			NextPositionZero: true,
		},
		"Sparse": {
			Terse: true, BareErrors: true, AttributesNotEchoed: true, OwnTypingHidden: true,
			TypingNotKept: true, HiddenTakeIndex: true,
		},
		"Odd": {UnknownChat404: true, BadKeyEnds: true, TypingUnnumbered: true},
	} {
		t.Run(name, func(t *testing.T) {
			f := features
			f.Indexes = !quirks.TypingUnnumbered
			chattest.Run(t, chattest.Harness{
				New: func(t *testing.T) chattest.Server {
					return newServer(t, &chatsim.Options{Script: chatsim.Nobody, Quirks: quirks})
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
}

func newServer(t *testing.T, opts *chatsim.Options) *server {
	return &server{Server: chatsim.New(opts), t: t, seats: make(map[string]*chatsim.Seat)}
}

func (s *server) config() chat.Config {
	return chat.Config{DataURL: s.GMSURL(), AjaxTimeout: chattest.Timeout}
}

func (s *server) Driver() chat.Driver {
	d, err := gmsrest.New(s.config(), chat.Options{Client: s.Client()})
	require.NoError(s.t, err)
	return d
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

func (s *server) Partition() { s.Network().Refuse() }
func (s *server) Heal()      { s.Network().Heal() }

func noPoll(r chatsim.Request) bool { return r.Op != "refresh" }

func (s *server) LoseAnswer() {
	s.Faults().Add(chatsim.Fault{Match: noPoll, Drop: chatsim.DropAfter})
}

func (s *server) Refuse(code, advice string) {
	n, err := strconv.Atoi(code)
	require.NoError(s.t, err)
	s.Faults().Add(chatsim.Fault{Match: noPoll, Errors: []chatsim.Error{{Code: n, Advice: advice}}})
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
