package gmsrest

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// shortKey is the length below which a key is too likely to be part of ordinary text to be hidden
// wherever it occurs; real keys have 16 characters or more (wire-gms A.2).
const shortKey = 8

// redactor takes keys out of what a server said.
type redactor struct{ keys []string }

func newRedactor(keys ...string) redactor {
	var r redactor
	for _, k := range keys {
		if len(k) >= shortKey && (len(r.keys) == 0 || r.keys[0] != k) {
			r.keys = append(r.keys, k)
		}
	}
	return r
}

// text takes the keys out of plain text.
func (r redactor) text(s string) string {
	for _, k := range r.keys {
		s = strings.ReplaceAll(s, k, chat.Redacted)
	}
	return s
}

// envelope takes the keys out of a response object, and the value of secureKey whatever it is. The
// result is a copy.
func (r redactor) envelope(body []byte) json.RawMessage {
	out := r.json(bytes.Clone(body))
	var members map[string]json.RawMessage
	if json.Unmarshal(out, &members) != nil {
		return nil
	}
	changed := false
	for name, value := range members {
		// As encoding/json matches names: a proxy's "SecureKey" is read as one, too.
		if strings.EqualFold(name, "secureKey") && !harmless(value) {
			members[name] = json.RawMessage(`"` + chat.Redacted + `"`)
			changed = true
		}
	}
	if !changed {
		return out
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(members) != nil {
		return nil
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

// harmless reports whether a value of secureKey shows nothing.
func harmless(value json.RawMessage) bool {
	switch string(value) {
	case `""`, `null`, `"` + chat.Redacted + `"`:
		return true
	}
	return false
}

// json takes the keys out of the strings of a JSON value, also where the JSON spells them with
// escapes. It returns raw itself when there is nothing to take out.
func (r redactor) json(raw json.RawMessage) json.RawMessage {
	if len(r.keys) == 0 || !r.suspect(raw) {
		return raw
	}
	var out []byte
	for rest := []byte(raw); ; {
		begin := bytes.IndexByte(rest, '"')
		if begin < 0 {
			return append(out, rest...)
		}
		end := begin + 1
		for end < len(rest) && rest[end] != '"' {
			if rest[end] == '\\' {
				end++
			}
			end++
		}
		if end >= len(rest) { // not JSON after all; show nothing of it
			return append(out, rest[:begin]...)
		}
		literal := rest[begin : end+1]
		out = append(out, rest[:begin]...)
		out = append(out, r.literal(literal)...)
		rest = rest[end+1:]
	}
}

// suspect reports whether raw may contain a key.
func (r redactor) suspect(raw []byte) bool {
	if bytes.IndexByte(raw, '\\') >= 0 {
		return true
	}
	for _, k := range r.keys {
		if bytes.Contains(raw, []byte(k)) {
			return true
		}
	}
	return false
}

// literal takes the keys out of one string of JSON, quotes included.
func (r redactor) literal(literal []byte) []byte {
	var s string
	if json.Unmarshal(literal, &s) != nil {
		return literal
	}
	hidden := r.text(s)
	if hidden == s {
		return literal
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(hidden) != nil {
		return []byte(`"` + chat.Redacted + `"`)
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}
