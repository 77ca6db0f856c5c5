package gmscometd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmscometd"
)

func TestParse(t *testing.T) {
	got, err := gmscometd.Parse([]byte(` [{"id":"1","channel":"/meta/handshake","successful":true,"clientId":"8x1f","supportedConnectionTypes":["websocket",5],
		"advice":{"reconnect":"retry"},"ext":{"ack":true},"timestamp":"now"},
		{"channel":"/service/chatV2/cs","data":{"statusCode":0}}, null, 7, "x", [],
		{"id":4,"channel":"/service/chatV2/cs","successful":"false","error":"402::Unknown client","advice":"none","ext":7,"data":null}]`))
	require.NoError(t, err)
	assert.Equal(t, []gmscometd.Parsed{
		{
			Channel: "/meta/handshake", ID: "1", ClientID: "8x1f", Reply: true, Success: true, Advice: `{"reconnect":"retry"}`, Ack: "true",
			Types: []string{"websocket", ""},
		},
		{Channel: "/service/chatV2/cs", Data: `{"statusCode":0}`},
		{Channel: "/service/chatV2/cs", ID: "4", Reply: true, Error: "402::Unknown client", Code: "402"},
	}, got)
}

func TestParseRefuses(t *testing.T) {
	for body, want := range map[string]string{
		"": "empty", " \n": "empty", "<html>": "HTML", "{}": "no array", "7": "no array", "null": "no array", "[{]": "invalid character",
		`["a"`: "unexpected end", "[\"\xff\"]": "UTF-8", strings.Repeat("[", 20000): "",
	} {
		_, err := gmscometd.Parse([]byte(body))
		assert.ErrorContains(t, err, want, body[:min(len(body), 10)])
	}
}

// Advice merges; what is of the wrong type was not said, and what is beyond all measure is cut.
func TestAdvice(t *testing.T) {
	for name, c := range map[string]struct {
		all  []string
		want gmscometd.Advice
	}{
		"none":       {nil, gmscometd.Advice{Timeout: time.Minute}},
		"all":        {[]string{`{"reconnect":"handshake","interval":5,"timeout":30000,"maxInterval":1000,"hosts":["a"],"multiple-clients":true}`}, gmscometd.Advice{"handshake", 5 * time.Millisecond, 30 * time.Second, time.Second, true}},
		"merges":     {[]string{`{"interval":5,"reconnect":"retry"}`, `{"timeout":1}`}, gmscometd.Advice{Interval: 5 * time.Millisecond, Timeout: time.Millisecond}},
		"text":       {[]string{`{"interval":"2000","multiple-clients":"true"}`}, gmscometd.Advice{Interval: 2 * time.Second, Timeout: time.Minute, Multiple: true}},
		"wrong":      {[]string{`{"interval":{},"timeout":"soon","reconnect":5,"maxInterval":null,"hosts":7}`}, gmscometd.Advice{Timeout: time.Minute}},
		"NaN":        {[]string{`{"interval":"NaN","timeout":"Inf"}`}, gmscometd.Advice{Timeout: 10 * time.Minute}},
		"unknown":    {[]string{`{"reconnect":"perhaps"}`}, gmscometd.Advice{Timeout: time.Minute}},
		"no more":    {[]string{`{"interval":-1}`}, gmscometd.Advice{Interval: -1, Timeout: time.Minute}},
		"too much":   {[]string{`{"interval":1e300,"timeout":1e300,"maxInterval":1e300}`}, gmscometd.Advice{Interval: time.Hour, Timeout: 10 * time.Minute, MaxInterval: time.Hour}},
		"no object":  {[]string{`7`}, gmscometd.Advice{Timeout: time.Minute}},
		"fractional": {[]string{`{"interval":0.5}`}, gmscometd.Advice{Interval: 500 * time.Microsecond, Timeout: time.Minute}},
	} {
		assert.Equal(t, c.want, gmscometd.MergeAdvice(c.all...), name)
	}
}

// canceled is a context that has ended.
func canceled() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx, cancel
}

// What parses is valid JSON in valid UTF-8 and an array; a plain decode of it finds the same messages; and all of it
// can be taken in, whatever it says.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`[]`, `[{"id":"1","channel":"/meta/connect","successful":true,"advice":{"reconnect":"none","interval":-1}}]`,
		`[{"channel":"/service/chatV2/customer-support","data":{"statusCode":0,"chatEnded":true,"messages":[{"index":1,"type":"Message","text":"x","from":{"type":"Client"}}]}}]`,
		`[{"channel":"\u002fmeta","id":1e3,"ext":{"ack":"{\"a\":1}"}},{"ext":"{\"ack\":2}"}]`, `[{"a":[{"b":{}}]},null,"\"",{"channel":1}]`,
		"[{\"channel\":\"\xff\"}]", `{"channel":"x"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := gmscometd.Parse(body)
		var plain []json.RawMessage
		valid := json.Unmarshal(body, &plain) == nil && plain != nil && utf8.Valid(body)
		if valid != (err == nil) {
			t.Fatalf("error %v, but valid is %v", err, valid)
		}
		if !valid {
			return
		}
		n := 0
		for _, raw := range plain {
			var m map[string]json.RawMessage
			if bytes.TrimSpace(raw)[0] != '{' || json.Unmarshal(raw, &m) != nil {
				continue
			}
			p := got[n]
			n++
			var channel, id string
			_ = json.Unmarshal(m["channel"], &channel) // what is no text is none
			if p.Channel != channel {
				t.Fatalf("channel %q, want %q", p.Channel, channel)
			}
			if json.Unmarshal(m["id"], &id) == nil && id != "" && p.ID != id {
				t.Fatalf("id %q, want %q", p.ID, id)
			}
			if p.Data != "" && !json.Valid([]byte(p.Data)) {
				t.Fatalf("data %q", p.Data)
			}
		}
		if n != len(got) {
			t.Fatalf("%d messages, want %d", len(got), n)
		}
		taker := gmscometd.NewTaker(chat.NewSecret("geheim-0123456789"))
		ctx, cancel := canceled()
		defer cancel()
		ev, err := taker.Take(ctx, body)
		if err == nil && bytes.Contains(ev.Raw, []byte("geheim-0123456789")) {
			t.Fatal("the key shows")
		}
	})
}
