package gms

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// shortKey is the length below which a key is too likely to be part of ordinary text to be hidden
// wherever it occurs; real keys have 16 characters or more (wire-gms A.2).
const shortKey = 8

// redactor takes keys out of what a server said.
type redactor struct {
	keys    []string
	escaped bool // a key has characters that JSON must write with a backslash
}

func newRedactor(first chat.Secret, more ...chat.Secret) redactor {
	var r redactor
	for _, s := range append([]chat.Secret{first}, more...) {
		k := s.Reveal()
		if len(k) >= shortKey && !slices.Contains(r.keys, k) {
			r.keys = append(r.keys, k)
			r.escaped = r.escaped || strings.ContainsFunc(k, func(c rune) bool { return c < ' ' || c == '"' || c == '\\' })
		}
	}
	return r
}

// isSecureKey reports whether a member of the response object is the session's key. A proxy's
// "SecureKey" is one, too.
func isSecureKey(name []byte) bool { return bytes.EqualFold(name, []byte("secureKey")) }

// place is where a value is.
type place struct{ begin, end int }

// envelope takes the keys out of a valid response object, and the values of secureKey, which are at these places, whatever
// they are. The result is a copy.
func (r redactor) envelope(body []byte, secureKeys []place) json.RawMessage {
	out := make([]byte, 0, len(body))
	done := 0
	for _, p := range secureKeys {
		if value := body[p.begin:p.end]; !IsNull(value) && string(value) != `""` {
			out = append(out, body[done:p.begin]...)
			out = append(out, `"`+chat.Redacted+`"`...)
			done = p.end
		}
	}
	return r.json(append(out, body[done:]...))
}

// text takes the keys out of plain text.
func (r redactor) text(s string) string {
	for _, k := range r.keys {
		s = strings.ReplaceAll(s, k, chat.Redacted)
	}
	return s
}

// Hide takes secrets out of a server's text.
func Hide(text string, secrets ...chat.Secret) string {
	return newRedactor(chat.Secret{}, secrets...).text(text)
}

// json takes the keys out of the strings of a valid JSON value, also where the JSON spells them with
// escapes. It returns raw itself when there is nothing to take out.
func (r redactor) json(raw []byte) []byte {
	if !r.suspect(raw) {
		return raw
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		if raw[i] != '"' {
			next := bytes.IndexByte(raw[i:], '"')
			if next < 0 {
				next = len(raw) - i
			}
			out = append(out, raw[i:i+next]...)
			i += next
			continue
		}
		end := skipString(raw, i)
		out = append(out, r.literal(raw[i:end])...)
		i = end
	}
	return out
}

// suspect reports whether raw may contain a key. Of the escapes of JSON only \u and \/ can stand for
// the characters of an ordinary key.
func (r redactor) suspect(raw []byte) bool {
	if len(r.keys) == 0 {
		return false
	}
	if bytes.Contains(raw, []byte(`\u`)) || bytes.Contains(raw, []byte(`\/`)) || r.escaped && bytes.IndexByte(raw, '\\') >= 0 {
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
	s := unquote(literal)
	hidden := r.text(s)
	if hidden == s {
		return literal
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(hidden) != nil { // a string always has a JSON
		return []byte(`"` + chat.Redacted + `"`)
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}
