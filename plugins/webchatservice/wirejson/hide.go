package wirejson

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// shortSecret is the length below which a secret is too likely to be a part of ordinary text to be hidden wherever it
// occurs. Real keys have 16 characters or more (wire-gms A.2).
const shortSecret = 8

// Hider takes secrets out of texts. Each occurrence becomes [chat.Redacted]. Secrets of fewer than 8 bytes are not
// looked for. The zero Hider hides nothing. A Hider is immutable.
type Hider struct {
	secrets []string
	escaped bool // a secret has characters that JSON must write with a backslash
}

// NewHider returns a Hider of these secrets.
func NewHider(secrets ...chat.Secret) Hider {
	var h Hider
	for _, s := range secrets {
		k := s.Reveal()
		if len(k) >= shortSecret && !slices.Contains(h.secrets, k) {
			h.secrets = append(h.secrets, k)
			h.escaped = h.escaped || strings.ContainsFunc(k, func(c rune) bool { return c < ' ' || c == '"' || c == '\\' })
		}
	}
	return h
}

// Text hides the secrets in plain text.
func (h Hider) Text(s string) string {
	for _, k := range h.secrets {
		s = strings.ReplaceAll(s, k, chat.Redacted)
	}
	return s
}

// Hide hides secrets in plain text: see [Hider.Text].
func Hide(text string, secrets ...chat.Secret) string { return NewHider(secrets...).Text(text) }

// Object hides the secrets in a valid JSON text, and the values at these places, whatever they are: [EachPlace] finds
// them. null and "" are left, since they hide nothing. The places rise and do not overlap. The result is a copy.
func (h Hider) Object(body []byte, values ...Place) []byte {
	out := make([]byte, 0, len(body))
	done := 0
	for _, p := range values {
		if value := body[p.Begin:p.End]; !IsNull(value) && string(value) != `""` {
			out = append(out, body[done:p.Begin]...)
			out = append(out, `"`+chat.Redacted+`"`...)
			done = p.End
		}
	}
	return h.JSON(append(out, body[done:]...))
}

// JSON hides the secrets in the strings of a valid JSON text, also where they are spelled with escapes. It returns raw
// itself when there is nothing to hide.
func (h Hider) JSON(raw []byte) []byte {
	if !h.suspect(raw) {
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
		out = append(out, h.literal(raw[i:end])...)
		i = end
	}
	return out
}

// suspect reports whether raw may contain a secret. Of the escapes of JSON only \u and \/ can stand for the characters
// of an ordinary key.
func (h Hider) suspect(raw []byte) bool {
	if len(h.secrets) == 0 {
		return false
	}
	if bytes.Contains(raw, []byte(`\u`)) || bytes.Contains(raw, []byte(`\/`)) || h.escaped && bytes.IndexByte(raw, '\\') >= 0 {
		return true
	}
	for _, k := range h.secrets {
		if bytes.Contains(raw, []byte(k)) {
			return true
		}
	}
	return false
}

// literal hides the secrets in one string of JSON, quotes included.
func (h Hider) literal(literal []byte) []byte {
	s := unquote(literal)
	hidden := h.Text(s)
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
