package gmsrest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmsrest"
)

// Credentials in the address go into a header, and are in no error.
func TestBasicAuthentication(t *testing.T) {
	bubble(t, chatsim.Options{Faces: []chatsim.Face{gmssim.New(&gmssim.Options{User: "ada", Password: "geheim"})}}, func(t *testing.T, s *server) {
		c := s.config()
		_, err := s.Driver().Open(t.Context(), chat.Request{Nickname: "Ada"})
		require.ErrorContains(t, err, "HTTP 401")
		c.DataURL = strings.Replace(c.DataURL, "http://", "http://ada:geheim@", 1)
		d, err := gmsrest.New(c, &chat.Options{Client: s.Client()})
		require.NoError(t, err)
		conn, err := d.Open(t.Context(), chat.Request{Nickname: "Ada"})
		require.NoError(t, err)
		defer conn.Close()
		s.Partition()
		_, err = conn.Send(t.Context(), chat.Action{Text: "x"})
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "geheim")
	})
}

// A wrong key is the end: the server will never take the chat's requests again.
func TestWrongKey(t *testing.T) {
	bubble(t, chatsim.Options{}, func(t *testing.T, s *server) {
		session := s.open(t.Context()).Session()
		session.SecureKey = chat.NewSecret("0123456789abcdef")
		_, err := s.Driver().(chat.Resumer).Resume(t.Context(), chat.ResumeRequest{Session: session})
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "0123456789abcdef")
		assert.NotEqual(t, chat.Unknown, chat.OutcomeOf(err))
	})
}

// A gateway that repeats a credential in its answer does not get it shown.
func TestAnswersShowNoCredentials(t *testing.T) {
	bubble(t, chatsim.Options{}, func(t *testing.T, s *server) {
		c := s.config()
		c.APIKey = chat.NewSecret("CANARY-api-key")
		d, err := gmsrest.New(c, &chat.Options{Client: s.Client(), Headers: headers("authorization", "Bearer CANARY-token")})
		require.NoError(t, err)
		s.Faults().Add(body(403, `{"errors":[{"code":"CANARY-api-key","advice":"Bearer CANARY-token, or CANARY-token"}]}`))
		_, err = d.Open(t.Context(), chat.Request{Nickname: "Ada"})
		var e *chat.Error
		require.ErrorAs(t, err, &e)
		assert.NotContains(t, fmt.Sprintf("%v %+v %#v %s", err, e, e, e.Answer), "CANARY-")
		assert.Len(t, e.Errors, 1)
	})
}

// Cookies are kept when the configuration asks for it, and only then.
func TestCredentials(t *testing.T) {
	for _, with := range []bool{false, true} {
		bubble(t, chatsim.Options{}, func(t *testing.T, s *server) {
			s.Faults().Add(chatsim.Fault{Op: "start", Header: http.Header{"Set-Cookie": {"route=n1"}}})
			c := s.config()
			c.WithCredentials = with
			d, err := gmsrest.New(c, &chat.Options{Client: s.Client()})
			require.NoError(t, err)
			conn, err := d.Open(t.Context(), chat.Request{Nickname: "Ada"})
			require.NoError(t, err)
			defer conn.Close()
			_, err = conn.Send(t.Context(), chat.Action{Text: "x"})
			require.NoError(t, err)
			assert.Equal(t, with, s.Requests()[1].Header.Get("Cookie") != "")
		})
	}
}
