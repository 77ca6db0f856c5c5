package wirejson_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/wirejson"
)

func TestValue(t *testing.T) {
	for body, want := range map[string]string{
		" \t\r\n{\"a\":1}\n": `{"a":1}`, "7": "7", ` "x" `: `"x"`, "null": "null",
	} {
		got, err := wirejson.Value([]byte(body))
		require.NoError(t, err)
		assert.Equal(t, want, string(got))
	}
	for body, want := range map[string]error{
		"": wirejson.ErrEmpty, " \n": wirejson.ErrEmpty, " <!doctype html>": wirejson.ErrHTML, "\"\xff\"": wirejson.ErrUTF8,
	} {
		_, err := wirejson.Value([]byte(body))
		assert.ErrorIs(t, err, want, "%q", body)
	}
	for _, body := range []string{`{"a":}`, "\f{}", "\xef\xbb\xbf{}", "{} {}"} { // a form feed and a byte order mark are no space
		_, err := wirejson.Value([]byte(body))
		var syntax *json.SyntaxError
		require.ErrorAs(t, err, &syntax, "%q", body)
		assert.Contains(t, wirejson.Unreadable(err), "broken JSON (at byte ")
	}
	assert.Equal(t, "the server's answer is empty", wirejson.Unreadable(wirejson.ErrEmpty))
}

// Digits, escapes and order stay as they were written.
func TestScanChangesNothing(t *testing.T) {
	body := []byte(`{ "n" : 9007199254740993 , "e":1E400, "t":"a\u00e4\n", "o":{"a":[1,{"b":2}],"a":null}, "\u006e":-0.50 }`)
	require.True(t, wirejson.Valid(body))
	var names, values []string
	assert.True(t, wirejson.EachMember(body, func(name, value []byte) {
		names, values = append(names, string(name)), append(values, string(value))
	}))
	assert.Equal(t, []string{"n", "e", "t", "o", "n"}, names)
	assert.Equal(t, []string{"9007199254740993", "1E400", `"a\u00e4\n"`, `{"a":[1,{"b":2}],"a":null}`, "-0.50"}, values)
	assert.True(t, wirejson.EachPlace(body, func(_ []byte, at wirejson.Place) {
		assert.Equal(t, values[0], string(body[at.Begin:at.End]))
		values = values[1:]
	}))
	assert.False(t, wirejson.EachMember([]byte(`[1]`), func(_, _ []byte) { t.Error("it is no object") }))
	assert.False(t, wirejson.EachElement([]byte(`{}`), func([]byte) { t.Error("it is no array") }))
	assert.True(t, wirejson.EachElement([]byte(` [ ]`), func([]byte) { t.Error("there is none") }))
}

// What is given out cannot be appended to over what follows it.
func TestScanGivesOutWhatItHas(t *testing.T) {
	body := []byte(`{"a":1,"b":2}`)
	wirejson.EachMember(body, func(_, value []byte) { _ = append(value, "xxx"...) })
	assert.Equal(t, `{"a":1,"b":2}`, string(body))
	body = []byte(`[1,2]`)
	wirejson.EachElement(body, func(value []byte) { _ = append(value, "xxx"...) })
	assert.Equal(t, `[1,2]`, string(body))
}

func TestScalar(t *testing.T) {
	for value, want := range map[string]string{
		"": "", "null": "", `""`: "", `"a\/b\ud83d\ude00"`: "a/b\U0001f600", "12.50": "12.50", "true": "true", `{"a":1}`: `{"a":1}`,
	} {
		assert.Equal(t, want, wirejson.Scalar([]byte(value)), value)
	}
}

func TestInteger(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "-7": -7, "9007199254740993": 9007199254740993, "9223372036854775807": 1<<63 - 1, "1.7e12": 1700000000000, "12.0": 12,
	} {
		got, ok := wirejson.Integer(text)
		assert.True(t, ok, text)
		assert.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "x", "1.5", "1e999", "9223372036854775808", "NaN", "Inf", "1e16"} {
		_, ok := wirejson.Integer(text)
		assert.False(t, ok, text)
	}
}

// Objects on the way may be wrapped in strings; of members that come twice the last one counts, as in encoding/json.
func TestDig(t *testing.T) {
	for body, want := range map[string]string{
		`{"a":{"b":1}}`: "1", `{"a":"{\"b\":{\"c\":2}}"}`: `{"c":2}`, `{"a":{"b":1,"b":[3]}}`: "[3]",
		`{"a":7}`: "", `{"a":"{"}`: "", `{}`: "", `7`: "", `"{\"a\":{\"b\":\"x\"}}"`: `"x"`,
	} {
		assert.Equal(t, want, string(wirejson.Dig([]byte(body), "a", "b")), body)
	}
	assert.Equal(t, "7", string(wirejson.Dig([]byte("7"))))
}

func TestOneLine(t *testing.T) {
	assert.Equal(t, "a b  [31mc d", wirejson.OneLine("a\nb\x00\x1b[31mc\u2028d"))
	long := wirejson.OneLine(string(bytes.Repeat([]byte("ä"), 300)))
	assert.Equal(t, 203, utf8.RuneCountInString(long))
}

// What scans gives what encoding/json gives.
func FuzzScan(f *testing.F) {
	for _, s := range validSeeds {
		f.Add([]byte(s))
	}
	f.Add([]byte(`{"a":{"b":"\u0061"},"\u0061":[1,"]",{"}":"\""}],"c":"{\"b\":2}"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		value, err := wirejson.Value(body)
		if valid := json.Valid(body) && utf8.Valid(body); valid != (err == nil) {
			t.Fatalf("error %v, but valid is %v", err, valid)
		}
		if err != nil {
			return
		}
		if again, err := wirejson.Value(value); err != nil || !bytes.Equal(again, value) {
			t.Fatalf("value %q of %q, error %v", again, value, err)
		}
		members := make(map[string]string)
		object := wirejson.EachMember(value, func(name, v []byte) {
			var s string
			if json.Unmarshal([]byte(`"`+string(name)+`"`), &s) != nil {
				s = string(name) // it was given out without its escapes
			}
			members[s] = string(v)
		})
		var want map[string]json.RawMessage
		if plain := json.Unmarshal(value, &want) == nil && want != nil; plain != object {
			t.Fatalf("object is %v, want %v", object, plain)
		}
		for name, v := range want {
			if bytes.ContainsRune([]byte(name), '\\') { // as above
				continue
			}
			if members[name] != string(v) {
				t.Fatalf("member %q is %q, want %q", name, members[name], v)
			}
		}
		var elements []json.RawMessage
		n := 0
		if json.Unmarshal(value, &elements) != nil {
			elements = nil
		}
		wirejson.EachElement(value, func(v []byte) {
			if n >= len(elements) || !bytes.Equal(elements[n], v) {
				t.Fatalf("element %d is %q of %q", n, v, elements)
			}
			n++
		})
		if n != len(elements) {
			t.Fatalf("%d elements, want %d", n, len(elements))
		}
	})
}
