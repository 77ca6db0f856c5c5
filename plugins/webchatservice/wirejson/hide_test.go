package wirejson_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/wirejson"
)

func TestHideText(t *testing.T) {
	secrets := []chat.Secret{{}, chat.NewSecret("geheim-0123456789"), chat.NewSecret("short")}
	assert.Equal(t, "a "+chat.Redacted+" b short", wirejson.Hide("a geheim-0123456789 b short", secrets...))
	assert.Equal(t, "nothing to hide", wirejson.Hider{}.Text("nothing to hide"))
}

func TestHideJSON(t *testing.T) {
	h := wirejson.NewHider(chat.NewSecret("geheim-0123456789"), chat.NewSecret(`quo"ted\key`))
	for body, want := range map[string]string{
		`{"a":"x geheim-0123456789 y","n":1e400}`:        `{"a":"x [secret] y","n":1e400}`,
		`{"a":"\u0067eheim-0123456789"}`:                 `{"a":"[secret]"}`,
		`{"geheim-0123456789":1}`:                        `{"[secret]":1}`,
		`{"a":"quo\"ted\\key"}`:                          `{"a":"[secret]"}`,
		`["geheim-","0123456789"]`:                       `["geheim-","0123456789"]`,
		`{"a":"\u0041 is not told apart, and stays <>"}`: `{"a":"\u0041 is not told apart, and stays <>"}`,
	} {
		assert.Equal(t, want, string(h.JSON([]byte(body))), body)
	}
	body := []byte(`{"a":"nothing"}`)
	assert.Same(t, &body[0], &h.JSON(body)[0], "what has nothing to hide is not copied")
}

// The values at the places given are hidden, whatever they are.
func TestHideObject(t *testing.T) {
	for value, want := range map[string]string{`"abc"`: `"[secret]"`, "12345": `"[secret]"`, "{}": `"[secret]"`, "null": "null", `""`: `""`} {
		body := []byte(`{"k":` + value + `,"x":1}`)
		var at []wirejson.Place
		wirejson.EachPlace(body, func(name []byte, p wirejson.Place) {
			if string(name) == "k" {
				at = append(at, p)
			}
		})
		got := wirejson.NewHider().Object(body, at...)
		assert.Equal(t, `{"k":`+want+`,"x":1}`, string(got))
		got[0] = 'x'
		assert.Equal(t, byte('{'), body[0], "it is a copy")
	}
}

// What is hidden is valid JSON, and the secret is in none of its strings; what has no secret stays as it is.
func FuzzHide(f *testing.F) {
	const key = "9f31c07a55e2d8b4"
	for _, seed := range []string{
		`{"a":"` + key + `"}`, `{"a":"\u0039f31c07a55e2d8b4"}`, `["` + key + key + `"]`, `{"a":{"b":["x` + key + `y\\"]}}`, `"9f31c07a\u0035\u0035e2d8b4"`, `1`,
	} {
		f.Add([]byte(seed))
	}
	h := wirejson.NewHider(chat.NewSecret(key))
	f.Fuzz(func(t *testing.T, body []byte) {
		if !wirejson.Valid(body) {
			return
		}
		got := h.JSON(body)
		require.True(t, json.Valid(got), "%s", got)
		had := false
		for raw, check := range map[*[]byte]func(string){
			&body: func(s string) { had = had || strings.Contains(s, key) },
			&got:  func(s string) { assert.NotContains(t, s, key) },
		} {
			dec := json.NewDecoder(bytes.NewReader(*raw))
			for {
				token, err := dec.Token()
				if err != nil {
					break
				}
				if s, ok := token.(string); ok {
					check(s)
				}
			}
		}
		if !had {
			assert.Equal(t, string(body), string(got))
		}
	})
}
