package chatsim_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
)

// reply is an answer as a client sees it.
type reply struct {
	Status int         `json:"-"`
	Header http.Header `json:"-"`
	Body   string      `json:"-"`

	StatusCode      int               `json:"statusCode"`
	ChatID          string            `json:"chatId"`
	Alias           string            `json:"alias"`
	UserID          string            `json:"userId"`
	SecureKey       string            `json:"secureKey"`
	ChatEnded       *bool             `json:"chatEnded"`
	NextPosition    int               `json:"nextPosition"`
	IdleTimerExpire int               `json:"idleTimerExpire"`
	UserData        map[string]string `json:"userData"`
	Errors          []struct {
		Code   any    `json:"code"`
		Advice string `json:"advice"`
	} `json:"errors"`
	Messages []struct {
		From struct {
			Nickname      string `json:"nickname"`
			ParticipantID any    `json:"participantId"`
			Type          string `json:"type"`
		} `json:"from"`
		Index       int               `json:"index"`
		Type        string            `json:"type"`
		Text        string            `json:"text"`
		MessageType string            `json:"messageType"`
		UTCTime     int64             `json:"utcTime"`
		UserData    map[string]string `json:"userData"`
		Attributes  json.RawMessage   `json:"eventAttributes"`
	} `json:"messages"`
}

func (r reply) ended() bool { return r.ChatEnded != nil && *r.ChatEnded }

func (r reply) code() int {
	if len(r.Errors) == 0 {
		return 0
	}
	f, _ := r.Errors[0].Code.(float64)
	return int(f)
}

// lines returns "Type Nickname: text" of each event.
func (r reply) lines() []string {
	var out []string
	for _, m := range r.Messages {
		line := m.Type + " " + m.From.Nickname
		if m.Text != "" {
			line += ": " + m.Text
		}
		out = append(out, line)
	}
	return out
}

func (r reply) indices() []int {
	var out []int
	for _, m := range r.Messages {
		out = append(out, m.Index)
	}
	return out
}

// visitor is a small client of the GMS Chat API.
type visitor struct {
	t     testing.TB
	sim   *chatsim.Server
	root  string
	start reply
}

// post sends a body and returns the answer, or the transport's error.
func post(sim *chatsim.Server, url, contentType, body string) (reply, error) {
	resp, err := sim.Client().Post(url, contentType, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{}, err
	}
	r := reply{Status: resp.StatusCode, Header: resp.Header, Body: string(data)}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(data, &r); err != nil {
			return r, err
		}
	}
	return r, nil
}

const formType = "application/x-www-form-urlencoded"

func values(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

// enter starts a chat.
func enter(t testing.TB, sim *chatsim.Server, pairs ...string) *visitor {
	t.Helper()
	if len(pairs) == 0 {
		pairs = []string{"nickname", "Ada"}
	}
	r, err := post(sim, sim.GMSURL(), formType, values(pairs...).Encode())
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, r.Status, r.Body)
	require.Zero(t, r.StatusCode)
	return &visitor{t: t, sim: sim, root: sim.GMSURL() + "/" + r.ChatID + "/", start: r}
}

// try calls an operation with the keys and returns the transport's error too.
func (v *visitor) try(op string, pairs ...string) (reply, error) {
	form := values(pairs...)
	if !form.Has("secureKey") {
		form.Set("secureKey", v.start.SecureKey)
	}
	return post(v.sim, v.root+op, formType, form.Encode())
}

func (v *visitor) do(op string, pairs ...string) reply {
	v.t.Helper()
	r, err := v.try(op, pairs...)
	require.NoError(v.t, err)
	return r
}

// chat returns the server's side of the visitor's chat.
func (v *visitor) chat() *chatsim.Chat {
	v.t.Helper()
	c, ok := v.sim.Chat(v.start.ChatID)
	require.True(v.t, ok)
	return c
}

// bubble runs f in a synctest bubble with a server of its own: what sleeps in f sleeps in fake time.
func bubble(t *testing.T, opts *chatsim.Options, f func(t *testing.T, sim *chatsim.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sim := chatsim.New(opts)
		defer func() { assert.NoError(t, sim.Close()) }()
		f(t, sim)
	})
}

// alone is a server that no script plays on.
func alone() *chatsim.Options { return &chatsim.Options{Script: chatsim.Nobody} }

// The standard conversation, which other people's clients rely on.
func TestScriptedConversation(t *testing.T) {
	bubble(t, nil, func(t *testing.T, sim *chatsim.Server) {
		v := enter(t, sim)
		time.Sleep(300 * time.Millisecond)
		synctest.Wait()
		r := v.do("refresh", "transcriptPosition", "2")
		require.Len(t, r.Messages, 2, "joined and greeted within 300 ms")
		assert.Equal(t, "ParticipantJoined Ann", r.lines()[0])
		assert.Contains(t, r.Messages[1].Text, "Hello")

		v.do("send", "message", " <b>häh?</b>\t\"quoted\" ")
		time.Sleep(5 * time.Second)
		v.do("send", "message", "transfer")
		time.Sleep(5 * time.Second)
		v.do("send", "message", " BYE ")
		time.Sleep(5 * time.Second)
		r = v.do("refresh", "transcriptPosition", "4")
		assert.Equal(t, []string{
			`Message Ada:  <b>häh?</b>	"quoted" `,
			"TypingStarted Ann",
			`Message Ann: You said:  <b>häh?</b>	"quoted" `,
			"Message Ada: transfer",
			"TypingStarted Ann",
			"Message Ann: You said: transfer",
			"ParticipantJoined Bob",
			"ParticipantLeft Ann",
			"TypingStarted Bob",
			"Message Bob: Hello Ada, this is Bob. I take over from Ann.",
			"Message Ada:  BYE ",
			"TypingStarted Bob",
			"Message Bob: You said:  BYE ",
			"TypingStarted Bob",
			"Message Bob: Goodbye, Ada.",
			"ParticipantLeft Bob",
			"ParticipantLeft Ada",
		}, r.lines())
		assert.True(t, r.ended())
		s := v.chat().Snapshot()
		assert.True(t, s.Ended)
		assert.Equal(t, chatsim.EndedByAgent, s.Reason)
	})
}
