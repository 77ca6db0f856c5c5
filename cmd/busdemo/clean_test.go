package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

func TestClean(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""},
		{"plain text, größer, 日本語", "plain text, größer, 日本語"},
		{"a\tb", "a b"},
		{"two\nlines\r", `two\nlines\r`},
		{"\x1b[31mred\x1b[0m", `\x1b[31mred\x1b[0m`},
		{"\x00\x07\x7f", `\x00\x07\x7f`},
		{"\u009b31m", `\x9b31m`},
		{"\x9b31m", "\ufffd31m"},
		{"\u202egnp.exe", `\u{202e}gnp.exe`},
		{"\u2066\u2069\u200e\u061c", `\u{2066}\u{2069}\u{200e}\u{61c}`},
		{"\u2028\u2029\ufeff", `\u{2028}\u{2029}\u{feff}`},
		{"\U000e0041", `\u{e0041}`},
		{"👩\u200d🔧", "👩\u200d🔧"},
		{"\xff\xfe", "\ufffd\ufffd"},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, clean(tt.in), "clean(%q)", tt.in)
	}
	assert.Equal(t, []string{"one", "two", "", `\x1bthree`}, cleanLines("one\r\ntwo\n\n\x1bthree\n\n"))
	assert.Equal(t, []string{""}, cleanLines("\n"))
	assert.Equal(t, `a; b \x1b c; d`, oneLine(errors.Join(errors.New("a\n\n"), errors.New("b \x1b c\r\nd"))))
}

// FuzzClean: whatever comes in, what comes out is text that a terminal only shows; and the JSON of it
// means the same as before.
func FuzzClean(f *testing.F) {
	for _, s := range []string{"", "plain", "\x1b[2J", "\u009b1m\u202e\u2066", "\xff\x9b", "a\r\nb\tc", "\U000e0041\U0001f469", `{"a":"\u001b"}`} {
		f.Add(s)
	}
	safe := func(t *testing.T, s string) {
		if !utf8.ValidString(s) || strings.IndexFunc(s, unsafeRune) >= 0 {
			t.Fatalf("unsafe: %q", s)
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		once := clean(s)
		safe(t, once)
		assert.Equal(t, once, clean(once))
		for _, l := range cleanLines(s) {
			safe(t, l)
		}
		b, err := json.Marshal(map[string]string{s: s})
		assert.NoError(t, err)
		escaped := cleanJSON(b)
		safe(t, string(escaped))
		var before, after map[string]string
		assert.NoError(t, json.Unmarshal(b, &before))
		assert.NoError(t, json.Unmarshal(escaped, &after))
		assert.Equal(t, before, after)
	})
}
