package gmsrest_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmsrest"
)

// badAnswers is what a server may answer in the place of what it should, and what the error then says:
// outcome, code, cause and mend.
var badAnswers = []struct {
	name    string
	fault   chatsim.Fault
	outcome chat.Outcome
	code    string
	text    []string // parts of the one line
}{
	{"HTML", body(200, "<html><body>It works!</body></html>"), chat.Unknown, chat.CodeBadAnswer,
		[]string{"web page (HTML)", "check that webchat.dataURL"}},
	{"Empty", body(200, ""), chat.Unknown, chat.CodeBadAnswer, []string{"empty"}},
	{"Text", body(200, "OK"), chat.Unknown, chat.CodeBadAnswer, []string{"broken JSON", "at byte 1"}},
	{"Array", body(200, "[]"), chat.Unknown, chat.CodeBadAnswer, []string{"no response object"}},
	{"Null", body(200, "null"), chat.Unknown, chat.CodeBadAnswer, []string{"no response object"}},
	{"OtherJSON", body(200, `{"status":"UP"}`), chat.Unknown, chat.CodeBadAnswer, []string{"no statusCode"}},
	{"MessagesNoArray", body(200, `{"statusCode":0,"messages":{"a":1}}`), chat.Unknown, chat.CodeBadAnswer, []string{"no response object"}},
	{"TruncatedJSON", chatsim.Fault{Truncate: 20}, chat.Unknown, chat.CodeBadAnswer, []string{"broken JSON", "unexpected end"}},
	{"InvalidUTF8", body(200, "{\"statusCode\":0,\"messages\":[{\"index\":1,\"text\":\"\xff\xfe\"}]}"), chat.Unknown, chat.CodeBadAnswer,
		[]string{"not valid UTF-8"}},
	{"Nested100000Deep", body(200, `{"statusCode":0,"userData":`+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)+"}"),
		chat.Unknown, chat.CodeBadAnswer, []string{"depth"}},
	{"TwoGigabytes", chatsim.Fault{Pad: 2 << 30}, chat.Unknown, chat.CodeTooLarge, []string{"longer than 8388608 bytes"}},
	{"Never", chatsim.Fault{Delay: time.Hour}, chat.Unknown, chat.CodeTimeout, []string{"did not answer within 3s", "webchat.ajaxTimeout"}},
	{"SlowBody", chatsim.Fault{Slow: time.Hour}, chat.Unknown, chat.CodeTimeout, []string{"did not answer within 3s"}},
	{"CutInBody", chatsim.Fault{Cut: 10}, chat.Unknown, chat.CodeNetwork, []string{"connection broke"}},
	{"ResetInsteadOfAnswer", chatsim.Fault{Drop: chatsim.DropAfter}, chat.Unknown, chat.CodeNetwork, []string{"connection broke"}},
	{"StatusCode1", chatsim.Fault{Details: gmssim.Fault{StatusCode: 1}}, chat.Rejected, chat.CodeUnavailable, []string{"statusCode 1", "try again later"}},
	{"StatusCode2", chatsim.Fault{Details: gmssim.Fault{StatusCode: 2}}, chat.Rejected, chat.CodeRefused, []string{"statusCode 2"}},
	{"StatusCode2Errors", chatsim.Fault{
		Status:  200,
		Body:    []byte(`{"statusCode":2,"chatEnded":false,"errors":[{"code":204,"advice":"4096"}]}`),
		Details: gmssim.Fault{StatusCode: 2, Errors: []gmssim.Error{{Code: 204, Advice: "4096"}}},
	},
		chat.Rejected, chat.CodeRefused, []string{"code 204, message too long (4096)", "send shorter lines"}},
	{"400WithErrors", chatsim.Fault{Details: gmssim.Fault{Errors: []gmssim.Error{{Code: 240}, {Code: 999, Advice: "bad\r\nmoon\x1b[2J"}}}},
		chat.Rejected, chat.CodeRefused, []string{"code 240, no chat can be started now; code 999 (bad  moon [2J)", "try again later"}},
	{"400CodeAsString", body(400, `{"errors":[{"code":"306","advice":null}]}`), chat.Rejected, chat.CodeRefused,
		[]string{"code 306, unknown service", "webchat.dataURL"}},
	{"400NoErrors", body(400, "Bad Request"), chat.Rejected, chat.CodeRefused, []string{"HTTP 400"}},
	{"401", body(401, "<html>login</html>"), chat.Rejected, chat.CodeUnauthorized, []string{"HTTP 401", "webchat.apikey"}},
	{"403", body(403, ""), chat.Rejected, chat.CodeForbidden, []string{"HTTP 403"}},
	{"404", body(404, "not found"), chat.Rejected, chat.CodeNotFound, []string{"HTTP 404", "service name"}},
	{"415", body(415, ""), chat.Rejected, chat.CodeHTTPStatus, []string{"HTTP 415"}},
	{"429", body(429, "", "Retry-After", "7"), chat.Rejected, chat.CodeTooMany, []string{"HTTP 429", "in 7s"}},
	{"500", body(500, "<h1>oops</h1>"), chat.Unknown, chat.CodeUnavailable, []string{"HTTP 500"}},
	{"502", body(502, ""), chat.Unknown, chat.CodeUnavailable, []string{"HTTP 502"}},
	{"503", body(503, "", "Retry-After", "120"), chat.Rejected, chat.CodeUnavailable, []string{"HTTP 503", "in 2m0s"}},
	{"507", body(507, ""), chat.Unknown, chat.CodeHTTPStatus, []string{"HTTP 507"}},
	{"Redirect", body(307, "", "Location", "http://elsewhere.test/x"), chat.Rejected, chat.CodeRedirect,
		[]string{"HTTP 307", "not sent on", "elsewhere.test"}},
}

// body is a fault that answers with this.
func body(status int, text string, header ...string) chatsim.Fault {
	f := chatsim.Fault{Status: status, Body: []byte(text), Header: make(http.Header)}
	for i := 0; i+1 < len(header); i += 2 {
		f.Header.Set(header[i], header[i+1])
	}
	return f
}

func TestBadAnswers(t *testing.T) {
	for _, c := range badAnswers {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, &chatsim.Options{Script: chatsim.Nobody})
				t.Cleanup(s.Close)
				check := func(op string, err error) {
					t.Helper()
					var e *chat.Error
					require.ErrorAs(t, err, &e)
					assert.Equal(t, c.outcome.String(), e.Outcome.String())
					assert.Equal(t, c.code, e.Code)
					assert.Equal(t, op, e.Op)
					for _, part := range c.text {
						assert.Contains(t, err.Error(), part)
					}
					if e.Status >= 500 {
						assert.NotContains(t, err.Error(), "dataURL", "the server's failure says nothing of the address")
					}
					assert.NotContains(t, err.Error(), "\n")
					assert.NotContains(t, err.Error(), "\x1b")
					assert.Less(t, len(err.Error()), 500)
				}
				fault := func(op string) {
					s.Faults().Clear()
					f := c.fault
					f.Op = op
					s.Faults().Add(f)
				}
				fault("start")
				_, err := s.Driver().Open(t.Context(), chat.Request{Nickname: "Ada"})
				check("open", err)

				conn := s.open(t.Context())
				fault("send")
				_, err = conn.Send(t.Context(), chat.Action{Text: "Hello"})
				check("send", err)

				// A poll loses nothing: what it should have brought, the next one brings.
				fault("refresh")
				_, err = conn.Receive(t.Context()) // what Open brought
				require.NoError(t, err)
				id := conn.Session().ID
				s.AgentJoin(id, "Ann")
				s.AgentSay(id, "Ann", "there?")
				var seen []string
				failed := false
				for len(seen) == 0 || seen[len(seen)-1] != "there?" {
					ev, err := conn.Receive(t.Context())
					switch {
					case err != nil:
						check("receive", err)
						failed = true
					case ev.Unavailable: // the server was reached: for a poll that is no error
						assert.Empty(t, ev.Messages)
						failed = true
					}
					for _, m := range ev.Messages {
						if m.Kind == chat.KindMessage && !m.Own {
							seen = append(seen, m.Text)
						}
					}
				}
				assert.True(t, failed, "the fault hit no poll")
				assert.Equal(t, []string{"there?"}, seen)
			})
		})
	}
}

func TestRetryAfterIsRead(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"7": 7 * time.Second, " 3600 ": time.Hour, "0": 0, "-5": 0, "soon": 0, "": 0, "99999999999999999999": 0,
		"1000000":                       24 * time.Hour,   // what asks for longer, asks for nothing sensible
		"Sat, 01 Jan 2000 00:01:30 GMT": 90 * time.Second, // a bubble's time begins in 2000
		"Fri, 31 Dec 1999 00:00:00 GMT": 0,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, &chatsim.Options{Script: chatsim.Nobody})
			t.Cleanup(s.Close)
			s.Faults().Add(body(503, "", "Retry-After", header))
			_, err := s.Driver().Open(t.Context(), chat.Request{Nickname: "Ada"})
			var e *chat.Error
			require.ErrorAs(t, err, &e)
			assert.InDelta(t, want.Seconds(), e.RetryAfter.Seconds(), 0.001, "Retry-After: %q", header)
			assert.True(t, e.Retryable())
		})
	}
}

// A date in Retry-After is held against the server's clock: that of this machine may be wrong.
func TestRetryAfterGoesByTheServersClock(t *testing.T) {
	for _, date := range []string{"Sun, 01 Jan 2040 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, &chatsim.Options{Script: chatsim.Nobody})
			t.Cleanup(s.Close)
			now, err := http.ParseTime(date)
			require.NoError(t, err)
			s.Faults().Add(body(503, "", "Retry-After", now.Add(90*time.Second).Format(http.TimeFormat), "Date", date))
			_, err = s.Driver().Open(t.Context(), chat.Request{Nickname: "Ada"})
			var e *chat.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, 90*time.Second, e.RetryAfter)
		})
	}
}

// A dial that gets no answer is given up after the time-out, and nothing was sent.
func TestDialWithoutAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, &chatsim.Options{Script: chatsim.Nobody})
		t.Cleanup(s.Close)
		s.Network().Partition()
		begin := time.Now()
		_, err := s.Driver().Open(t.Context(), chat.Request{Nickname: "Ada"})
		var e *chat.Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, chat.NotSent, e.Outcome)
		assert.Equal(t, chat.CodeTimeout, e.Code)
		assert.True(t, e.Retryable())
		assert.Equal(t, chattest.Timeout, time.Since(begin))
		assert.Contains(t, err.Error(), "no connection to the server within 3s")
	})
}

func TestNoSuchHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		t.Cleanup(s.Close)
		d, err := gmsrest.New(gmsrest.Config{DataURL: "http://nowhere.test/2/chat/x"}, &chat.Options{Dial: s.DialContext})
		require.NoError(t, err)
		_, err = d.Open(t.Context(), chat.Request{Nickname: "Ada"})
		var e *chat.Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, chat.NotSent, e.Outcome)
		assert.Contains(t, err.Error(), "no such host: nowhere.test; check webchat.dataURL")
	})
}

func TestConfigRefused(t *testing.T) {
	good := "http://gms.example.net/genesys/2/chat/cs"
	for name, c := range map[string]struct {
		config  gmsrest.Config
		headers map[string]chat.Secret
		text    string
	}{
		"no address":      {gmsrest.Config{}, nil, "webchat.dataURL is missing"},
		"no URL":          {gmsrest.Config{DataURL: "http://[::1"}, nil, "webchat.dataURL is not a URL"},
		"no scheme":       {gmsrest.Config{DataURL: "gms.example.net/genesys"}, nil, "neither http:// nor https://"},
		"other scheme":    {gmsrest.Config{DataURL: "ftp://gms.example.net/"}, nil, "neither http:// nor https://"},
		"no host":         {gmsrest.Config{DataURL: "http:///genesys"}, nil, "names no host"},
		"query":           {gmsrest.Config{DataURL: good + "?key=geheim"}, nil, "query"},
		"server URL":      {gmsrest.Config{ServerURL: "x"}, nil, "webchat.serverURL"},
		"header name":     {gmsrest.Config{DataURL: good}, headers("a b", "x"), `header "a b"`},
		"header value":    {gmsrest.Config{DataURL: good}, headers("X-A", "x\ny"), `header "X-A"`},
		"repeats":         {gmsrest.Config{DataURL: good}, headers("x-idempotency-key", "1"), "sent twice"},
		"apikey":          {gmsrest.Config{DataURL: good, Config: gms.Config{APIKey: chat.NewSecret("geheim\x00")}}, nil, "webchat.apikey"},
		"rates":           {gmsrest.Config{DataURL: good, PollRateMin: 2 * time.Second, PollRateMax: time.Second}, nil, "webchat.pollRateMax"},
		"negative rate":   {gmsrest.Config{DataURL: good, PollRate: -1}, nil, "negative"},
		"standing still":  {gmsrest.Config{DataURL: good, PollRateMult: 1}, nil, "webchat.pollRateMult"},
		"password inside": {gmsrest.Config{DataURL: "http://ada:geheim@/x"}, nil, "names no host"},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := gmsrest.New(c.config, &chat.Options{Headers: c.headers})
			assert.Nil(t, d)
			var e *chat.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, chat.CodeInvalid, e.Code)
			assert.Equal(t, chat.NotSent, e.Outcome)
			assert.Contains(t, err.Error(), c.text)
			assert.NotContains(t, err.Error(), "geheim")
		})
	}
}

func headers(name, value string) map[string]chat.Secret {
	return map[string]chat.Secret{name: chat.NewSecret(value)}
}

// What cannot be sent is refused before anything is.
func TestRequestsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, &chatsim.Options{Script: chatsim.Nobody})
		t.Cleanup(s.Close)
		check := func(err error) {
			t.Helper()
			var e *chat.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, chat.CodeInvalid, e.Code)
			assert.Equal(t, chat.NotSent, e.Outcome)
		}
		_, err := s.Driver().Open(t.Context(), chat.Request{UserData: map[string]any{"f": func() {}}})
		check(err)
		_, err = s.Driver().Open(t.Context(), chat.Request{Nickname: "\xff"})
		check(err)
		conn := s.open(t.Context())
		before := len(s.Requests())
		_, err = conn.Send(t.Context(), chat.Action{Text: "\xff"})
		check(err)
		_, err = conn.Send(t.Context(), chat.Action{Kind: 99})
		check(err)
		_, err = conn.(chat.DataUpdater).UpdateUserData(t.Context(), map[string]any{"c": make(chan int)})
		check(err)
		_, err = conn.(chat.DataUpdater).UpdateUserData(t.Context(), nil)
		require.NoError(t, err)
		_, err = s.Driver().(chat.Resumer).Resume(t.Context(), chat.ResumeRequest{Session: chat.Session{ID: "x"}})
		check(err)
		assert.Len(t, s.Requests(), before)
		_, err = conn.Send(t.Context(), chat.Action{Text: "fine"})
		require.NoError(t, err)
	})
}

// A context that has ended stops everything before it begins.
func TestEndedContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, &chatsim.Options{Script: chatsim.Nobody})
		t.Cleanup(s.Close)
		cause := errors.New("went home")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		_, err := s.Driver().Open(ctx, chat.Request{Nickname: "Ada"})
		require.ErrorIs(t, err, cause)
		assert.Equal(t, chat.NotSent, chat.OutcomeOf(err))
		assert.Zero(t, s.Chats())
	})
}
