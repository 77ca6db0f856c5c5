package wirejson_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"

	"github.com/cxbus/cxbus/plugins/webchatservice/wirejson"
)

var validSeeds = []string{
	``, ` `, `null`, `nul`, `nulls`, `true`, `false`, `falsy`, `0`, `-0`, `01`, `-`, `1.`, `1.5`, `.5`, `1e5`, `1e`, `1E+5`, `1e-`, `12345678901234567890`,
	`""`, `"`, `"a`, `"abcdefgh"`, `"abcdefghi\"jkl"`, `"\u00e4"`, `"\u00g4"`, `"\u00e`, `"\x"`, `"\`, "\"\x01\"", "\"abcdefg\x1fh\"", "\"\x7f\"", `"ä"`,
	"\"abcdefg\xff\"", "\"\xc3\"", "\"\xed\xa0\x80\"", "\"\xef\xbf\xbd\"", "{\"\xff\":1}",
	`{}`, `{ }`, `{"a":1}`, `{"a":1,}`, `{"a" : [1 , {"b":null}] }`, `{a:1}`, `{"a"1}`, `{"a":}`, `{,}`, `{"a":1 "b":2}`, `{"a":1`,
	`[]`, `[ ]`, `[1,2]`, `[1,]`, `[,1]`, `[1 2]`, `[`, `]`, `[1]]`, `[] []`, "\n[\t1\r]\n", "\v1", "\xef\xbb\xbf1",
	strings.Repeat("[", 99) + strings.Repeat("]", 99), strings.Repeat("[", 300) + strings.Repeat("]", 300),
	strings.Repeat(`{"a":`, 300) + `1` + strings.Repeat("}", 300), strings.Repeat("[", 300), strings.Repeat("[", 10001) + strings.Repeat("]", 10001),
	strings.Repeat("[", 200) + "\"\xff\"" + strings.Repeat("]", 200),
}

// TestValid holds that it says what the standard library says.
func TestValid(t *testing.T) {
	for _, s := range validSeeds {
		assert.Equal(t, json.Valid([]byte(s)) && utf8.ValidString(s), wirejson.Valid([]byte(s)), "%.80q", s)
	}
	// Each character in each place of eight, alone and among others.
	for c := range 256 {
		for at := range 20 {
			s := []byte(`"` + strings.Repeat("x", 20) + `"`)
			s[at+1] = byte(c)
			assert.Equal(t, json.Valid(s) && utf8.Valid(s), wirejson.Valid(s), "%q", s)
		}
	}
}

func FuzzValid(f *testing.F) {
	for _, s := range validSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if want, got := json.Valid(b) && utf8.Valid(b), wirejson.Valid(b); want != got {
			t.Fatalf("Valid(%q) = %v, want %v", b, got, want)
		}
	})
}

func BenchmarkValid(b *testing.B) {
	body := []byte(`{"statusCode":0,"messages":[` + strings.Repeat(`{"from":{"nickname":"Ann","participantId":2,"type":"Agent"},"index":17,"type":"Message",`+
		`"text":"a line of a conversation of ordinary length","messageType":"text","utcTime":1709280000000},`, 19) + `{}]}`)
	for name, f := range map[string]func([]byte) bool{"wirejson": wirejson.Valid, "std": func(b []byte) bool { return json.Valid(b) && utf8.Valid(b) }} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if !f(body) {
					b.Fatal("it is valid")
				}
			}
		})
	}
}
