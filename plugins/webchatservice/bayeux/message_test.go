package bayeux_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/bayeux"
)

func TestParse(t *testing.T) {
	got, err := bayeux.Parse([]byte(` [{"id":"1","channel":"/meta/handshake","successful":true,"clientId":"8x1f","supportedConnectionTypes":["websocket",5],
		"advice":{"reconnect":"retry"},"ext":{"ack":true},"timestamp":"now"},
		{"channel":"/service/chatV2/cs","data":{"statusCode":0}}, null, 7, "x", [],
		{"id":4,"channel":"/service/chatV2/cs","successful":"false","error":"402::Unknown client","advice":"none","ext":7,"data":null}]`))
	require.NoError(t, err)
	assert.Equal(t, []bayeux.Parsed{
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
		_, err := bayeux.Parse([]byte(body))
		assert.ErrorContains(t, err, want, body[:min(len(body), 10)])
	}
}

// What parses is valid JSON in valid UTF-8 and an array; a plain decode of it finds the same messages; and what is delivered
// of it is what was parsed.
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
		got, err := bayeux.Parse(body)
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
		for _, m := range bayeux.Deliver(body) {
			if !json.Valid([]byte(m.Data)) || !slices.ContainsFunc(got, func(p bayeux.Parsed) bool { return p.Channel == m.Channel && p.Data == m.Data }) {
				t.Fatalf("delivery %q on %q", m.Data, m.Channel)
			}
		}
	})
}
