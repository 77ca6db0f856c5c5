package chat

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Redacted is what is printed in the place of a secret.
const Redacted = "[secret]"

// pad hides the text of secrets from everything that prints a value by reflection. It is chosen
// once for the process and never changes, so that equal secrets are equal values.
var pad = func() (p [64]byte) {
	if _, err := rand.Read(p[:]); err != nil { // crypto/rand.Read never fails; it ends the process instead
		panic(err)
	}
	return p
}()

// Secret is a key, token or password that must not be seen. Every way of printing it (all verbs of
// fmt, JSON and other text encodings, log/slog, dumps made by reflection) shows [Redacted], or
// nothing for the empty secret. Only [Secret.Reveal] gives the text.
//
// The zero Secret is the empty one. Secrets can be compared with ==.
type Secret struct{ sealed string }

// NewSecret hides text.
func NewSecret(text string) Secret { return Secret{sealed: mask(text)} }

// Reveal returns the text. Call it where the secret goes onto the wire or into a store, and
// nowhere else.
func (s Secret) Reveal() string { return mask(s.sealed) }

// IsZero reports whether the secret is empty.
func (s Secret) IsZero() bool { return s.sealed == "" }

// String returns [Redacted], or "" for the empty secret.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return Redacted
}

// GoString is String.
func (s Secret) GoString() string { return s.String() }

// Format implements [fmt.Formatter]: every verb prints what String returns.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue implements [slog.LogValuer].
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements [encoding.TextMarshaler], and so rules JSON, YAML and TOML too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler], so that fields of configurations can be
// Secrets. It refuses [Redacted], which stands where a secret was left out.
func (s *Secret) UnmarshalText(text []byte) error {
	if string(text) == Redacted {
		return errors.New("chat: " + Redacted + " stands for a secret that was left out, and is none")
	}
	*s = NewSecret(string(text))
	return nil
}

func mask(text string) string {
	b := []byte(text)
	for i := range b {
		b[i] ^= pad[i%len(pad)]
	}
	return string(b)
}
