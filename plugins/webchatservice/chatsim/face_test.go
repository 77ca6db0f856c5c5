package chatsim_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
)

// plain is the face of a wire that no vendor has: a client enters with a token of its own, and what it says is the
// body of a request. It notes what is sent to its clients, two for each chat.
type plain struct {
	host *chatsim.Host

	mu                sync.Mutex
	sent              map[string][]string // by client
	restarted, closed int
}

type plainKey struct{}

func (p *plain) Name() string { return "plain" }

func (p *plain) Open(h *chatsim.Host, mux *http.ServeMux) {
	p.host, p.sent = h, map[string][]string{}
	mux.HandleFunc("POST /plain/{token}", func(w http.ResponseWriter, r *http.Request) {
		x, ok := h.Exchange(w, r, "plain")
		if !ok {
			return
		}
		x.Log.Op = "say"
		x.TakeFault()
		if x.Fault.Status != 0 {
			x.Replace()
			return
		}
		c, ok := h.ByToken(r.PathValue("token"))
		if !ok {
			var err error
			c, err = h.Enter(chatsim.Entry{
				Service: "shop", Visitor: chatsim.Visitor{Nickname: "Ada"}, Token: r.PathValue("token"),
				Prepare: func(tx *chatsim.Tx) { tx.SetValue(plainKey{}, new(int)) },
			})
			if err != nil {
				x.Plain(http.StatusServiceUnavailable)
				return
			}
		}
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		c.Update(func(tx *chatsim.Tx) {
			tx.Heard()
			switch text := body.String(); text {
			case "bye":
				tx.End(chatsim.EndedByVisitor)
			default:
				tx.Add(chatsim.Event{Type: chatsim.Message, Text: text, Content: json.RawMessage(`{"quick":"reply"}`)})
			}
		})
		x.Send(http.StatusOK, "text/plain", nil)
	})
}

func (p *plain) BaseURLs(hostport string) map[string]string {
	return map[string]string{"plain": "http://" + hostport + "/plain/"}
}

func (p *plain) RandomFault(*rand.Rand) chatsim.Fault {
	return chatsim.Fault{Wire: "plain", Status: 500}
}

func (p *plain) Changed(tx *chatsim.Tx) {
	told, ok := tx.Value(plainKey{}).(*int)
	if !ok {
		return // a chat of another wire
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range tx.After(*told) {
		if e.Hidden {
			continue
		}
		for client := range 2 {
			key := fmt.Sprint(tx.Chat().ID(), client)
			p.sent[key] = append(p.sent[key], strings.TrimSpace(fmt.Sprintf("%s %s %s%s", e.Type, e.From.Nickname, e.Text, e.Content)))
		}
	}
	*told = tx.Len()
}

func (p *plain) Restart(bool) { p.restarted++ }
func (p *plain) Close()       { p.closed++ }

// A wire of one's own is a face: its clients meet the script, the desk and the faults, and are told of all that happens
// in their chats, at once, in order, and of nothing else.
func TestFace(t *testing.T) {
	p := &plain{}
	bubble(t, alone(p), func(t *testing.T, sim *chatsim.Server) {
		say := func(text string) int {
			resp, err := sim.Client().Post(sim.URL("plain")+"t-1", "text/plain", strings.NewReader(text))
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			return resp.StatusCode
		}
		require.Equal(t, http.StatusOK, say("Hi"))
		c, err := sim.Desk().Next(t.Context())
		require.NoError(t, err)
		bot, err := c.Join("robo", chatsim.RoleBot)
		require.NoError(t, err)
		_, err = bot.SayRich("Red or blue?", json.RawMessage(`["red","blue"]`))
		require.NoError(t, err)
		require.NoError(t, bot.Leave())
		ann, err := c.Join("Ann", chatsim.RoleAgent)
		require.NoError(t, err)
		_, err = ann.Whisper("psst")
		require.NoError(t, err)

		sim.Faults().Add(p.RandomFault(nil))
		enter(t, sim).Do("send", "message", "elsewhere") // neither the fault nor the face concerns another wire
		require.Equal(t, 500, say("lost"))
		require.Equal(t, http.StatusOK, say("bye"))
		want := []string{
			"ParticipantJoined Ada", `Message Ada Hi{"quick":"reply"}`, "ParticipantJoined robo", `Message robo Red or blue?["red","blue"]`,
			"ParticipantLeft robo", "ParticipantJoined Ann", "ParticipantLeft Ada", "ParticipantLeft Ann",
		}
		assert.Equal(t, map[string][]string{c.ID() + "0": want, c.ID() + "1": want}, p.sent)
		s := c.Snapshot()
		assert.Equal(t, "shop", s.Service)
		assert.Equal(t, []string{"Hi"}, s.Lines(chatsim.Client))
		for _, q := range sim.Requests() {
			if q.Wire == "plain" {
				assert.Equal(t, "say", q.Op)
			}
		}
		sim.Restart(true)
		assert.Equal(t, 1, p.restarted)
	})
	assert.Equal(t, 1, p.closed)
}

// A chat of one wire does not exist for the operations of another.
func TestFaceApart(t *testing.T) {
	p := &plain{}
	bubble(t, alone(p), func(t *testing.T, sim *chatsim.Server) {
		v := enter(t, sim)
		resp, err := sim.Client().Post(sim.URL("plain")+"t-1", "text/plain", strings.NewReader("Hi"))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		other := sim.Chats()[1].ID
		r, err := post(sim, strings.Replace(v.Root, v.Start.ChatID, other, 1)+"send", formType, values("secureKey", "t-1", "message", "x").Encode())
		require.NoError(t, err)
		assert.Equal(t, 2, r.StatusCode)
		assert.True(t, r.Ended())
	})
}

// Connections that live keep a visitor in; with the last one the limit begins.
func TestConnected(t *testing.T) {
	opts := alone()
	opts.SilenceLimit = time.Minute
	bubble(t, opts, func(t *testing.T, sim *chatsim.Server) {
		c := enter(t, sim).Chat()
		c.Update(func(tx *chatsim.Tx) { tx.Connected(); tx.Connected() })
		time.Sleep(10 * time.Minute)
		c.Update(func(tx *chatsim.Tx) { tx.Disconnected() })
		time.Sleep(10 * time.Minute)
		assert.False(t, c.Snapshot().Ended)
		c.Update(func(tx *chatsim.Tx) { tx.Disconnected() })
		time.Sleep(61 * time.Second)
		assert.Equal(t, chatsim.EndedBySilence, c.Snapshot().Reason)
	})
}

// Two faces of one name would share their addresses.
func TestFacesOfOneName(t *testing.T) {
	assert.PanicsWithValue(t, "chatsim: two faces have the name plain", func() {
		chatsim.New(&chatsim.Options{Faces: []chatsim.Face{&plain{}, &plain{}}})
	})
}
