package busconfig_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/cxbus/cxbus/bus/busconfig"
)

// Each format has a target with the same law: what it accepts means the same
// when it is written in JSON, YAML and TOML, to the last digit in JSON; what it
// refuses is told in clear lines; and the struct of a failed Decode stays as it
// was.

func FuzzYAML(f *testing.F) {
	f.Add([]byte("webchat:\n  dataURL: http://x\n  userData: {Ab: [1, 2.5, null, true], aB: 0x1F}\n"))
	f.Add([]byte("a: &a {x: 1}\nwebchat: {<<: *a, y: 2020-01-01, z: 'it''s', 12: \"\\x41\"}\n"))
	f.Add([]byte("webchat: [*a]\n---\n"))
	f.Add([]byte("webchat: |\n  one\n   two\n"))
	f.Add([]byte("webchat: {n: [0123, 08540, +49301234, 12345678901234567890, 2.50, 1_000, .5, -0, 1e3]}\n"))
	f.Add([]byte("webchat:\n  emojis:true\n  // comment\n\tx: 1\n"))
	f.Fuzz(func(t *testing.T, data []byte) { checkLaw(t, "c.yaml", data) })
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"webchat": {"dataURL": "http://x", "n": [-0, 1e3, 18446744073709551615, 2.50, 9007199254740993], "u": "\ud800\u0000"}}`))
	f.Add([]byte(`{"webchat": {"a": {}, "a": []}}`))
	f.Add([]byte(`{"_genesys": {"widgets": {"webchat": {}}}} // x`))
	f.Add([]byte("\f{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if first := checkLaw(t, "c.json", data); first != nil {
			require.Equal(t, digits(t, data), digits(t, marshal(t, map[string]any{"webchat": first})), "every number as it was written")
		}
	})
}

func FuzzTOML(f *testing.F) {
	f.Add([]byte("[webchat]\ndataURL = 'x'\nd = 1979-05-27T07:32:00Z\n[[webchat.a]]\nb.c = 0x10\n[[webchat.a]]\n"))
	f.Add([]byte("webchat = {a = 1, b = [1, {c = 2}]}\n[webchat]\n"))
	f.Add([]byte("[webchat]\nn = [9_007_199_254_740_993, 2.50, -0.0, 1e3]\n"))
	f.Fuzz(func(t *testing.T, data []byte) { checkLaw(t, "c.toml", data) })
}

// checkLaw returns the section of a file, or nil if the file was refused.
func checkLaw(t *testing.T, file string, data []byte) map[string]any {
	first, ok := decodeAny(t, file, data)
	if !ok {
		return nil
	}
	doc := map[string]any{"webchat": first}
	j := marshal(t, doc)
	viaJSON, ok := decodeAny(t, "c.json", j)
	require.True(t, ok, "JSON: %q", j)
	require.Equal(t, first, viaJSON, "JSON: %q", j)

	y, err := yaml.Marshal(inYAML(doc))
	require.NoError(t, err)
	viaYAML, ok := decodeAny(t, "c.yaml", y)
	require.True(t, ok, "YAML: %q", y)
	require.Equal(t, whole(first), whole(viaYAML), "YAML: %q", y)

	if inTOML(first) {
		o, err := toml.Marshal(doc)
		require.NoError(t, err)
		viaTOML, ok := decodeAny(t, "c.toml", o)
		require.True(t, ok, "TOML: %q", o)
		require.Equal(t, whole(first), whole(viaTOML), "TOML: %q", o)
	}

	cfg, err := busconfig.Load(&busconfig.Options{File: file, Data: data, Environ: []string{}})
	require.NoError(t, err)
	var strict chatConfig
	var shared service
	if err := cfg.Section("webchat").Decode(&strict, &shared); err != nil {
		clear(t, err)
		require.Equal(t, chatConfig{}, strict, "a Decode that fails changes nothing")
		require.Equal(t, service{}, shared, "a Decode that fails changes nothing")
	}
	return first
}

func decodeAny(t *testing.T, file string, data []byte) (map[string]any, bool) {
	cfg, err := busconfig.Load(&busconfig.Options{File: file, Data: data, Environ: []string{}})
	if err != nil {
		clear(t, err)
		require.NotContains(t, err.Error(), "\n", "one clear line")
		return nil, false
	}
	m := map[string]any{}
	if err := cfg.Section("webchat").Decode(&m); err != nil {
		clear(t, err)
		return nil, false
	}
	return m, true
}

// clear holds that an error is one of ours, and in our words.
func clear(t *testing.T, err error) {
	var e *busconfig.Error
	require.ErrorAs(t, err, &e)
	for _, raw := range []string{"yaml:", "strconv.", "json: ", "toml:", "unmarshal"} {
		require.NotContains(t, e.Text+e.Hint, raw, "%q", err)
	}
	require.LessOrEqual(t, strings.Count(err.Error(), "\n"), 200_000, "bounded")
}

func marshal(t *testing.T, v any) []byte {
	j, err := json.Marshal(v)
	require.NoError(t, err)
	return j
}

// digits reads the section of a JSON file with its numbers as they are written.
func digits(t *testing.T, data []byte) any {
	dec := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))))
	dec.UseNumber()
	var doc map[string]any
	require.NoError(t, dec.Decode(&doc))
	if section, _ := doc["webchat"].(map[string]any); section != nil {
		return section
	}
	return map[string]any{} // null, or not there
}

// whole makes one number of 1000, 1000.0 and 1e3, which the formats do not all
// tell apart.
func whole(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			out[k] = whole(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = whole(e)
		}
		return out
	case int64:
		return float64(v)
	case json.Number:
		f, _ := v.Float64()
		return f
	}
	return v
}

// inYAML is v with its long numbers as YAML writes them.
func inYAML(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			out[k] = inYAML(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = inYAML(e)
		}
		return out
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: v.String()}
	}
	return v
}

// inTOML reports whether TOML can say v: it has no null, and no number beyond
// int64 and float64.
func inTOML(v any) bool {
	switch v := v.(type) {
	case nil, json.Number:
		return false
	case map[string]any:
		for _, e := range v {
			if !inTOML(e) {
				return false
			}
		}
	case []any:
		for _, e := range v {
			if !inTOML(e) {
				return false
			}
		}
	}
	return true
}
