package busconfig_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus/busconfig"
)

// TestPasted is what people paste who have a page with the widget on it.
func TestPasted(t *testing.T) {
	const comment, blank = "a comment begins with #, not with //", "put a blank after the colon"
	const script = "is JavaScript; keep the object alone, without assignments, functions and semicolons, below the name of its section"
	const section = "write webchat: above its options and indent them"
	tests := []struct {
		name, file, data, want string
	}{
		{"the object without its section", "c.yaml", "dataURL: x\nemojis: true\nchatButton: {}\n",
			"c.yaml:1: dataURL: is an option of webchat, not a section; " + section},
		{"the same in JSON", "c.json", `{"emojis": true, "zzzzzzz": 1}`,
			"c.json:1: emojis: is an option of webchat, not a section; write {\"webchat\": {...}}\n" +
				"c.json:1: zzzzzzz: unknown section; known are webchat"},
		{"the same in TOML", "c.toml", "emojis = true\n",
			"c.toml:1: emojis: is an option of webchat, not a section; write [webchat] above its options"},
		{"the object of the page", "c.json", `{"_genesys": {"widgets": {"main": {}, "webchat": {"dataURL": "x"}}}}`,
			"c.json:1: _genesys: unknown section; put what is in _genesys.widgets at the top of the file: write {\"webchat\": {...}}"},
		{"its widgets", "c.yaml", "widgets:\n  webchat: {dataURL: x}\n",
			"c.yaml:1: widgets: unknown section; put what is in widgets at the top of the file: " + section},

		{"a comment in JSON", "c.json", "{\n  // base\n  \"webchat\": {}}",
			"c.json:2:3: invalid character '/' looking for beginning of object key string; " +
				"JSON has no comments: remove them, or name the file .yaml and begin them with #"},
		{"an option commented out", "c.yaml", "webchat:\n  // dataURL: CANARY-1\n  emojis: true\n", "c.yaml:2: webchat: " + comment},
		{"a section commented out", "c.yaml", "// webchat: CANARY-1\n", "c.yaml:1: " + comment},
		{"a comment above", "c.yaml", "// base\nwebchat: {}\n", "c.yaml:1: " + comment},
		{"a comment in a group", "c.yaml", "webchat:\n  // base\n  dataURL: x\n", "c.yaml:2: " + comment},
		{"a comment at the end", "c.yaml", "webchat:\n  dataURL: x\n  // base\n", "c.yaml:3: " + comment},
		{"a comment in braces", "c.yaml", "webchat: {\n  // base\n  \"dataURL\": x}\n", "c.yaml:2: " + comment},
		{"a comment behind a comma", "c.yaml", "webchat: {\n  \"dataURL\": x, // base\n  \"emojis\":true}\n", "c.yaml:2: webchat: " + comment},
		{"a long comment", "c.yaml", "webchat: {\n  /* base */\n  \"dataURL\": x}\n", "c.yaml:2: " + comment},

		{"no blank", "c.yaml", "webchat:\n  dataURL: x\n  emojis:true\n", "c.yaml:3: " + blank},
		{"no blank, first", "c.yaml", "webchat:\n  emojis:true\n  dataURL: x\n", "c.yaml:2: " + blank},
		{"no blank, alone", "c.yaml", "webchat:\n  emojis:true\n", "c.yaml:1: webchat: is text; want a group of options; " + blank},
		{"no blank, in braces", "c.yaml", "webchat: {emojis:true}\n", "c.yaml:1: webchat.emojis: " + blank},
		{"no blank before a secret", "c.yaml", "webchat: {apikey:CANARY-1}\n", "c.yaml:1: webchat.apikey: " + blank},
		{"no blank, in a group", "c.yaml", "webchat: {async: enabled:true}\n", "c.yaml:1: webchat.async: is text; want a group of options; " + blank},

		{"an assignment", "c.yaml", "window._genesys.widgets.webchat = {\n  dataURL: 'x'\n};\n", "c.yaml:1: " + script},
		{"a function", "c.yaml", "webchat: {\n  dataURL: 'x',\n  onReady: function(){ return 1; }\n}\n", "c.yaml:3: " + script},
		{"single quotes in JSON", "c.json", `{'webchat': {}}`,
			"c.json:1:2: invalid character '\\'' looking for beginning of object key string; JSON wants double quotes"},
		{"names without quotes in JSON", "c.json", `{webchat: {}}`,
			"c.json:1:2: invalid character 'w' looking for beginning of object key string; names want double quotes, or name the file .yaml"},
		{"a comma too many in JSON", "c.json", `{"webchat": {"emojis": true,}}`,
			"c.json:1:29: invalid character '}' looking for beginning of object key string; remove the comma before it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg, err := busconfig.Load(&busconfig.Options{File: tt.file, Data: []byte(tt.data), Environ: []string{}})
			if err == nil {
				err = cfg.Decode(busconfig.Claim{"webchat", &service{}}, busconfig.Claim{"webchat", &window{}})
			}
			assert.EqualError(t, err, tt.want)
		})
	}
}

// TestSlashesInTexts holds that an address is no comment, and that a colon in a
// text is no missing blank.
func TestSlashesInTexts(t *testing.T) {
	cfg := load(t, "c.yaml", "x: {a: http://x, \"b//c\": urn:y, 'd:e': , n:m: 2, '//': 1}\n")
	var got map[string]any
	err := cfg.Section("x").Decode(&got)
	require.NoError(t, err)
}

// TestYAMLTexts holds that a mistake in a YAML file is told in words for people.
func TestYAMLTexts(t *testing.T) {
	tests := []struct{ data, want string }{
		{"a:\n  b: 1\n c: 2\n", "c.yaml:2: the indentation is wrong, or a quote ends too early"},
		{"a:\n  b: c: d\n", "c.yaml:2: there is a colon too many, or the indentation is wrong; a text with a colon wants quotes"},
		{"a: [1, 2\n", "c.yaml:1: a comma or a ] is missing"},
		{"a: {b: 1\n", "c.yaml:1: a comma or a } is missing"},
		{"a: 'x\n", "c.yaml:2: a quote is not closed"},
		{"a:\n  - b\n  c: 1\n", "c.yaml:1: the indentation is wrong, or a list ends here and goes on"},
		{"a: @x\n", "c.yaml:1: a text that begins with @, ` or % wants quotes"},
		{"a: %x\n", "c.yaml:1: a text that begins with @, ` or % wants quotes"},
		{"a: \"\\q\"\n", "c.yaml:1: an unknown escape; in double quotes a backslash is written \\\\"},
		{"a: 1\nb: x\x01\n", "c.yaml:2: holds a control character"},
		{"a: 1\nb: *x\n", "c.yaml:2: a text that begins with * or & wants quotes"},
		{"a: [1,,2]\n", "c.yaml:1: a value is missing"},
		{"a: |x\n", "c.yaml:1: there is something behind | or >"},
		{"a: !<x\n", "c.yaml:1: tags are not supported (a text that begins with ! wants quotes)"},
		{"%FOO\n---\na: 1\n", "c.yaml:1: a line that begins with % wants quotes"},
		{"a: 1\nb\n", "c.yaml:2: a name without a colon"},
	}
	for _, tt := range tests {
		_, err := busconfig.Load(&busconfig.Options{File: "c.yaml", Data: []byte(tt.data), Environ: []string{}})
		assert.EqualError(t, err, tt.want, "%q", tt.data)
	}
}

// TestWhatTypesSay holds that a type's own words are shown, and those of the
// standard library are not.
func TestWhatTypesSay(t *testing.T) {
	type config struct {
		Limit *limit `json:"limit"`
		Count count  `json:"count"`
	}
	for data, want := range map[string]string{
		"x: {limit: [1]}":                    "c.yaml:1: x.limit: is not accepted; want a number or false",
		"x: {count: 1.5}":                    "c.yaml:1: x.count: is not accepted; want a whole number",
		"x: {count: many}":                   "c.yaml:1: x.count: is not accepted; want a number",
		`x: {count: "1e99"}`:                 "c.yaml:1: x.count: is not accepted; want a number",
		`x: {count: "99999999999999999999"}`: "c.yaml:1: x.count: is not accepted; the number is too large",
	} {
		var c config
		assert.EqualError(t, load(t, "c.yaml", data).Section("x").Decode(&c), want)
	}
}

// count is a type that leaves its errors to the standard library.
type count int

func (c *count) UnmarshalJSON(b []byte) (err error) {
	if b[0] == '"' {
		*(*int)(c), err = strconv.Atoi(string(b[1 : len(b)-1]))
		return err
	}
	return json.Unmarshal(b, (*int)(c))
}

func TestNoRegularFile(t *testing.T) {
	// Reading it as a pipe would wait for its writer.
	_, err := busconfig.Load(&busconfig.Options{File: linkTo(t, os.DevNull)})
	require.ErrorIs(t, err, busconfig.ErrFile)
	assert.ErrorContains(t, err, "the configuration is not a regular file")
}

func linkTo(t *testing.T, target string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "c.yaml")
	require.NoError(t, os.Symlink(target, name))
	return name
}
