package gmscometd_test

import (
	"bytes"
	"net/http"
	"strings"
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

const (
	handshake = "/meta/handshake"
	connect   = "/meta/connect"
)

// always is a fault that stays.
func always(f chatsim.Fault) chatsim.Fault {
	f.Times = -1
	return f
}

// saying answers an operation with this body, whatever it should be.
func saying(op, body string) chatsim.Fault {
	return always(chatsim.Fault{Op: op, Rewrite: func([]byte) []byte { return []byte(body) }})
}

// strange adds fields that nobody knows to the first message of a unit, and a message of somebody else that ends
// the chat.
func strange(unit []byte) []byte {
	return bytes.Replace(unit, []byte("[{"), []byte(
		`[{"channel":"/service/chatV2/customer-support","clientId":"somebody","data":{"statusCode":0,"chatEnded":true}},`+
			`{"channel":"/meta/unheard-of","id":"1000000","successful":true},{"a":{"b":[{}]}},{"unknown":{"a":[1]},"timestamp":"now","ext":{"x":1},`), 1)
}

// A start that meets nonsense ends in time, with an error that says what is wrong and what to look at, or works all
// the same. "" means that it works.
func TestOpenMeetsNonsense(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault chatsim.Fault
		code  string // "" for success
		says  string
	}{
		"not JSON":               {saying(handshake, "nonsense"), chat.CodeBadAnswer, "broken JSON"},
		"no array":               {saying(handshake, `{"channel":"/meta/handshake"}`), chat.CodeBadAnswer, "no array"},
		"web page":               {saying(handshake, "<html>log in</html>"), chat.CodeBadAnswer, "web page"},
		"nothing in it":          {saying(handshake, "[]"), "any", ""},
		"deep":                   {saying(handshake, strings.Repeat("[", 1<<20)), chat.CodeBadAnswer, ""},
		"not UTF-8":              {saying(handshake, "[{\"channel\":\"\xff\"}]"), chat.CodeBadAnswer, "UTF-8"},
		"no clientId":            {saying(handshake, `[{"id":"1","channel":"/meta/handshake","successful":true},{"id":"2","channel":"/meta/handshake","successful":true}]`), chat.CodeBadAnswer, "clientId"},
		"another one's id":       {saying(connect, `[{"id":"1","channel":"/meta/connect","clientId":"somebody","successful":true},{"id":"2","channel":"/meta/connect","clientId":"somebody","successful":true},{"id":"3","channel":"/meta/connect","clientId":"somebody","successful":true},{"id":"4","channel":"/meta/connect","clientId":"somebody","successful":true}]`), "any", ""},
		"100 MB":                 {always(chatsim.Fault{Op: handshake, Pad: 100 << 20}), chat.CodeTooLarge, "longer than"},
		"advice of another type": {always(chatsim.Fault{Op: connect, Details: cometdsim.Fault{Advice: `{"reconnect":7,"interval":"x","timeout":{},"hosts":3,"maxInterval":[]}`}}), "", ""},
		"advice is no object":    {always(chatsim.Fault{Op: connect, Details: cometdsim.Fault{Advice: `"retry"`}}), "", ""},
		"refused":                {always(chatsim.Fault{Op: handshake, Details: cometdsim.Fault{Unsuccessful: "403::Handshake denied", Advice: `{"reconnect":"none"}`}}), chat.CodeForbidden, "Handshake denied"},
		"refused, no advice":     {always(chatsim.Fault{Op: handshake, Details: cometdsim.Fault{Unsuccessful: "500::later"}}), chat.CodeRefused, "500::later"},
		"refused, no reason":     {saying(handshake, `[{"id":"1","successful":false},{"id":"2","successful":false}]`), chat.CodeRefused, "no reason"},
		"publish refused":        {always(chatsim.Fault{Op: "requestChat", Details: cometdsim.Fault{Unsuccessful: "403:denied_by_security_policy:publish denied"}}), chat.CodeForbidden, "publish denied"},
		"forgotten at once":      {always(chatsim.Fault{Op: connect, Details: cometdsim.Fault{Elsewhere: true}}), chat.CodeNetwork, "402"},
		"no start":               {always(chatsim.Fault{Op: "requestChat", Details: gmssim.Fault{Errors: []gmssim.Error{{Code: 240}}}}), chat.CodeRefused, "no chat can be started now"},
		"start without status":   {always(chatsim.Fault{Op: "requestChat", Late: time.Hour}), "any", ""},
		"HTTP 302":               {always(chatsim.Fault{Op: handshake, Status: 302, Header: http.Header{"Location": {"http://elsewhere.test/x"}}}), chat.CodeRedirect, "elsewhere.test"},
		"HTTP 401":               {always(chatsim.Fault{Op: handshake, Status: 401}), chat.CodeUnauthorized, "401"},
		"HTTP 403":               {always(chatsim.Fault{Op: handshake, Status: 403}), chat.CodeForbidden, "403"},
		"HTTP 404":               {always(chatsim.Fault{Op: handshake, Status: 404}), chat.CodeNotFound, "enable_notification_mode"},
		"HTTP 413":               {always(chatsim.Fault{Op: handshake, Status: 413}), chat.CodeRefused, "413"},
		"HTTP 500":               {always(chatsim.Fault{Op: handshake, Status: 500}), chat.CodeUnavailable, "500"},
		"HTTP 503":               {always(chatsim.Fault{Op: handshake, Status: 503, Header: http.Header{"Retry-After": {"7"}}}), chat.CodeUnavailable, "try again in 7s"},
		"upgrade 302":            {always(chatsim.Fault{Op: "upgrade", Status: 302}), "", ""},
		"upgrade 403":            {always(chatsim.Fault{Op: "upgrade", Status: 403}), "", ""},
		"upgrade 503":            {always(chatsim.Fault{Op: "upgrade", Status: 503}), "", ""},
		"upgrade breaks":         {always(chatsim.Fault{Op: "upgrade", Drop: chatsim.DropAfter}), "", ""},
		"upgrade hangs":          {always(chatsim.Fault{Op: "upgrade", Delay: time.Hour}), "", ""},
		"socket says nothing":    {always(chatsim.Fault{Op: "upgrade", Mute: true}), "", ""},
		"binary":                 {always(chatsim.Fault{Binary: true}), "", ""},
		"bytes one by one":       {always(chatsim.Fault{Fragment: 1}), "", ""},
		"no pong":                {always(chatsim.Fault{Op: "upgrade", NoPong: true}), "", ""},
		"unknown fields":         {always(chatsim.Fault{Rewrite: strange}), "", ""},
		"half an answer":         {always(chatsim.Fault{Op: handshake, Truncate: 10}), chat.CodeBadAnswer, "broken JSON"},
		"breaks off":             {always(chatsim.Fault{Op: handshake, Drop: chatsim.DropAfter}), chat.CodeNetwork, "broke"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, chatsim.Options{}, func(t *testing.T, s *server) {
				s.Faults().Add(c.fault)
				begin := time.Now()
				conn, err := s.Driver().Open(t.Context(), chat.Request{Nickname: "Ada"})
				assert.LessOrEqual(t, time.Since(begin), 20*time.Second)
				if c.code == "" {
					require.NoError(t, err)
					_, err = conn.Send(t.Context(), chat.Action{Text: "Hello"})
					require.NoError(t, err)
					require.NoError(t, conn.Close())
					return
				}
				var e *chat.Error
				require.ErrorAs(t, err, &e)
				if c.code != "any" {
					assert.Equal(t, c.code, e.Code, err)
				}
				assert.Contains(t, err.Error(), c.says)
				synctest.Wait()
				assert.Empty(t, s.connected(), "a session was left")
			})
		})
	}
}

// connected are the Bayeux sessions that a client keeps.
func (s *server) connected() (held []string) {
	for _, c := range cometdsim.Of(s.Server).Clients() {
		if c.Held {
			held = append(held, c.ID)
		}
	}
	return held
}

// In the midst of a chat nonsense costs a reconnection at most: what is said meanwhile comes out.
func TestChatMeetsNonsense(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]chatsim.Fault{
		"not JSON":       {Op: connect, Rewrite: func([]byte) []byte { return []byte("nonsense") }},
		"not UTF-8":      {Op: connect, Rewrite: func([]byte) []byte { return []byte("[\"\xff\"]") }},
		"100 MB":         {Op: connect, Pad: 100 << 20},
		"binary":         {Op: connect, Binary: true},
		"half":           {Op: connect, Truncate: 5},
		"cut":            {Op: connect, Cut: 5},
		"HTTP 302":       {Op: connect, Status: 302, Header: http.Header{"Location": {"http://elsewhere.test/x"}}},
		"HTTP 401":       {Op: connect, Status: 401},
		"HTTP 403":       {Op: connect, Status: 403},
		"HTTP 413":       {Op: connect, Status: 413},
		"HTTP 500":       {Op: connect, Status: 500},
		"HTTP 503":       {Op: connect, Status: 503, Header: http.Header{"Retry-After": {"2"}}},
		"no array":       {Op: connect, Rewrite: func([]byte) []byte { return []byte(`{"successful":true}`) }},
		"empty":          {Op: connect, Rewrite: func([]byte) []byte { return nil }},
		"strange":        {Op: connect, Rewrite: strange, Times: -1},
		"server leaves":  {Op: connect, Rewrite: func([]byte) []byte { return []byte(`[{"channel":"/meta/disconnect","successful":true}]`) }},
		"one by one":     {Fragment: 1, Times: -1},
		"wrong advice":   {Op: connect, Times: -1, Details: cometdsim.Fault{Advice: `{"reconnect":7,"interval":"x","timeout":[],"hosts":{}}`}},
		"402":            {Op: connect, Details: cometdsim.Fault{Unsuccessful: "402::Unknown client"}},
		"handshake":      {Op: connect, Details: cometdsim.Fault{Advice: `{"reconnect":"handshake"}`}},
		"none":           {Op: connect, Details: cometdsim.Fault{Advice: `{"reconnect":"none"}`}},
		"no more":        {Op: connect, Details: cometdsim.Fault{Advice: `{"interval":-1}`}},
		"retry":          {Op: connect, Details: cometdsim.Fault{Unsuccessful: "500::busy", Advice: `{"reconnect":"retry","interval":1000}`}},
		"held for ever":  {Op: connect, Details: cometdsim.Fault{Hold: true}},
		"close 1011":     {Op: connect, Close: 1011},
		"bad push":       {Op: "push", Rewrite: func([]byte) []byte { return []byte(`{"statusCode":{}}`) }},
		"strange push":   {Op: "push", Rewrite: func([]byte) []byte { return []byte(`{"statusCode":0,"new":{"a":1},"messages":7}`) }},
		"push is a list": {Op: "push", Rewrite: func([]byte) []byte { return []byte(`[1,2]`) }},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, chatsim.Options{SilenceLimit: -1}, func(t *testing.T, s *server) {
				conn := s.open(t.Context())
				id := conn.Session().ID
				s.AgentJoin(id, "Ann")
				received := ledger{next: 1}
				done := make(chan struct{})
				go func() {
					defer close(done)
					received.follow(t.Context(), conn)
				}()
				time.Sleep(time.Second)
				s.Faults().Add(fault)
				for range 20 {
					s.AgentSay(id, "Ann", "still there?")
					time.Sleep(15 * time.Second)
				}
				s.EndChat(id)
				<-done
				assert.Equal(t, whole(s.chat(id).Snapshot()), received.lines)
			})
		})
	}
}

// Two servers that know nothing of one another answer in turn: that is told, and no hot loop.
func TestServersInTurn(t *testing.T) {
	bubbleOn(t, longPolling, chatsim.Options{
		Faces: []chatsim.Face{cometdsim.New(&cometdsim.Options{Nodes: 2, Quirks: cometdsim.Quirks{NoAffinity: true}})},
	}, func(t *testing.T, s *server) {
		begin := time.Now()
		_, err := s.Driver().Open(t.Context(), chat.Request{Nickname: "Ada"})
		require.ErrorContains(t, err, "load balancer")
		assert.Less(t, time.Since(begin), 5*time.Second)
		assert.Less(t, len(s.Requests()), 20)
	})
	// With a cookie that leads back, or on a socket, all is well.
	bubble(t, chatsim.Options{Faces: []chatsim.Face{cometdsim.New(&cometdsim.Options{Nodes: 3})}}, func(t *testing.T, s *server) {
		conn := s.open(t.Context())
		for range 5 {
			_, err := conn.Send(t.Context(), chat.Action{Text: "x"})
			require.NoError(t, err)
		}
	})
}

func TestConfiguration(t *testing.T) {
	good := gmscometd.Config{CometURL: "https://gms.example.net/genesys/cometd"}
	for name, c := range map[string]struct {
		change func(*gmscometd.Config)
		says   string
	}{
		"no address":   {func(c *gmscometd.Config) { c.CometURL = "" }, "webchat.cometD.cometURL is missing"},
		"no URL":       {func(c *gmscometd.Config) { c.CometURL = "http://[::1" }, "webchat.cometD.cometURL is not a URL"},
		"files no URL": {func(c *gmscometd.Config) { c.APIURL = "ftp://x" }, "webchat.cometD.apiURL begins with"},
		"channel":      {func(c *gmscometd.Config) { c.Channel = "chat" }, "webchat.cometD.channel is no channel"},
		"meta channel": {func(c *gmscometd.Config) { c.Channel = "/meta/connect" }, "webchat.cometD.channel is no channel"},
		"wildcard":     {func(c *gmscometd.Config) { c.Channel = "/service/**" }, "webchat.cometD.channel is no channel"},
	} {
		changed := good
		c.change(&changed)
		_, err := gmscometd.Factory().New(&changed, nil)
		var e *chat.Error
		require.ErrorAs(t, err, &e, name)
		assert.Equal(t, chat.CodeInvalid, e.Code)
		assert.Contains(t, err.Error(), c.says)
	}
	d, err := gmscometd.Factory().New(&good, nil)
	require.NoError(t, err)
	d.(chat.IdleCloser).CloseIdleConnections()

	bubble(t, chatsim.Options{}, func(t *testing.T, s *server) {
		c := s.config()
		c.APIURL, c.Channel = "", "/service/chatV2/nothing"
		d, err := gmscometd.New(c, &chat.Options{Client: s.client(), Dial: s.dial})
		require.NoError(t, err)
		_, err = d.Open(t.Context(), chat.Request{Nickname: "Ada"})
		require.ErrorContains(t, err, "check the service name in webchat.cometD.channel")
		c.Channel = ""
		d, err = gmscometd.New(c, &chat.Options{Client: s.client(), Dial: s.dial})
		require.NoError(t, err)
		conn, err := d.Open(t.Context(), chat.Request{Nickname: "Ada"})
		require.NoError(t, err)
		assert.False(t, conn.Capabilities().Files, "no address for files, no files")
		_, err = conn.(chat.Filer).DeleteFile(t.Context(), "F1")
		assert.Equal(t, chat.Unsupported("delete file"), err)
		_, err = conn.Send(t.Context(), chat.Action{Text: "\xff"})
		assert.Equal(t, chat.NotSent, chat.OutcomeOf(err))
		_, err = conn.(chat.Notifier).CustomNotice(t.Context(), "", bytes.Repeat([]byte("["), 3))
		assert.Equal(t, chat.NotSent, chat.OutcomeOf(err))
		require.NoError(t, conn.Close())
	})
}
