// Package gmsclient is a small client of the GMS Chat API over REST, for the tests of the simulators.
package gmsclient

import (
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
)

// Reply is an answer as a client sees it.
type Reply struct {
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

// Ended reports whether the answer says that the chat is over.
func (r Reply) Ended() bool { return r.ChatEnded != nil && *r.ChatEnded }

// Code returns the code of the first error, 0 without one.
func (r Reply) Code() int {
	if len(r.Errors) == 0 {
		return 0
	}
	f, _ := r.Errors[0].Code.(float64)
	return int(f)
}

// Lines returns "Type Nickname: text" of each event.
func (r Reply) Lines() []string {
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

// Indices returns the index of each event.
func (r Reply) Indices() []int {
	var out []int
	for _, m := range r.Messages {
		out = append(out, m.Index)
	}
	return out
}

// Visitor is a small client of the GMS Chat API.
type Visitor struct {
	t     testing.TB
	sim   *chatsim.Server
	Root  string
	Start Reply
}

// Post sends a body and returns the answer, or the transport's error.
func Post(sim *chatsim.Server, url, contentType, body string) (Reply, error) {
	resp, err := sim.Client().Post(url, contentType, strings.NewReader(body))
	if err != nil {
		return Reply{}, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return Reply{}, err
	}
	r := Reply{Status: resp.StatusCode, Header: resp.Header, Body: string(data)}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(data, &r); err != nil {
			return r, err
		}
	}
	return r, nil
}

// FormType is the content type of a form.
const FormType = "application/x-www-form-urlencoded"

// Values returns a form.
func Values(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

// Enter starts a chat.
func Enter(t testing.TB, sim *chatsim.Server, pairs ...string) *Visitor {
	t.Helper()
	if len(pairs) == 0 {
		pairs = []string{"nickname", "Ada"}
	}
	r, err := Post(sim, gmssim.URL(sim), FormType, Values(pairs...).Encode())
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, r.Status, r.Body)
	require.Zero(t, r.StatusCode)
	return &Visitor{t: t, sim: sim, Root: gmssim.URL(sim) + "/" + r.ChatID + "/", Start: r}
}

// Try calls an operation with the keys and returns the transport's error too.
func (v *Visitor) Try(op string, pairs ...string) (Reply, error) {
	form := Values(pairs...)
	if !form.Has("secureKey") {
		form.Set("secureKey", v.Start.SecureKey)
	}
	return Post(v.sim, v.Root+op, FormType, form.Encode())
}

// Do is Try for a request that must be answered.
func (v *Visitor) Do(op string, pairs ...string) Reply {
	v.t.Helper()
	r, err := v.Try(op, pairs...)
	require.NoError(v.t, err)
	return r
}

// Chat returns the server's side of the visitor's chat.
func (v *Visitor) Chat() *chatsim.Chat {
	v.t.Helper()
	c, ok := v.sim.Chat(v.Start.ChatID)
	require.True(v.t, ok)
	return c
}

// Upload sends a file.
func (v *Visitor) Upload(name, data string) Reply {
	v.t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	f, err := w.CreateFormFile("file", name)
	require.NoError(v.t, err)
	_, _ = io.WriteString(f, data)
	require.NoError(v.t, w.WriteField("userData[file-description]", "d"))
	require.NoError(v.t, w.WriteField("secureKey", v.Start.SecureKey))
	require.NoError(v.t, w.Close())
	r, err := Post(v.sim, v.Root+"file", w.FormDataContentType(), b.String())
	require.NoError(v.t, err)
	return r
}
