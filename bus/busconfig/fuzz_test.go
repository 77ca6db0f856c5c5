package busconfig_test

import (
	"encoding/json"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/cxbus/cxbus/bus/busconfig"
)

// FuzzFormatsAgree reads foreign bytes in each format. What one accepts means
// the same when it is written in another.
func FuzzFormatsAgree(f *testing.F) {
	f.Add(byte(0), []byte("webchat:\n  dataURL: http://x\n  userData: {Ab: [1, 2.5, null, true], aB: 0x1F}\n"))
	f.Add(byte(0), []byte("a: &a {x: 1}\nwebchat: {<<: *a, y: 2020-01-01, z: 'it''s', 12: \"\\x41\"}\n"))
	f.Add(byte(0), []byte("webchat: [*a]\n---\n"))
	f.Add(byte(0), []byte("webchat: |\n  one\n   two\n"))
	f.Add(byte(1), []byte(`{"webchat": {"dataURL": "http://x", "n": [-0, 1e3, 18446744073709551615], "u": "\ud800\u0000"}}`))
	f.Add(byte(1), []byte(`{"webchat": {"a": {}, "a": []}}`))
	f.Add(byte(2), []byte("[webchat]\ndataURL = 'x'\nd = 1979-05-27T07:32:00Z\n[[webchat.a]]\nb.c = 0x10\n[[webchat.a]]\n"))
	f.Add(byte(2), []byte("webchat = {a = 1, b = [1, {c = 2}]}\n[webchat]\n"))
	f.Fuzz(func(t *testing.T, format byte, data []byte) {
		file := []string{"c.yaml", "c.json", "c.toml"}[format%3]
		first, ok := decodeAny(t, file, data)
		if !ok {
			return
		}
		check(t, first)
		var strict chatConfig
		cfg, err := busconfig.Load(&busconfig.Options{File: file, Data: data, Environ: []string{}})
		require.NoError(t, err)
		if err := cfg.Section("webchat").Decode(&strict); err != nil {
			require.Equal(t, chatConfig{}, strict, "a Decode that fails changes nothing")
		}
	})
}

func check(t *testing.T, first map[string]any) {
	doc := map[string]any{"webchat": first}
	j, err := json.Marshal(doc)
	require.NoError(t, err)
	viaJSON, ok := decodeAny(t, "c.json", j)
	require.True(t, ok, "JSON: %q", j)
	require.Equal(t, whole(first), whole(viaJSON), "JSON: %q", j)

	y, err := yaml.Marshal(doc)
	require.NoError(t, err)
	viaYAML, ok := decodeAny(t, "c.yaml", y)
	require.True(t, ok, "YAML: %q", y)
	require.Equal(t, whole(first), whole(viaYAML), "YAML: %q", y)

	if hasNull(first) { // which TOML cannot say
		return
	}
	o, err := toml.Marshal(doc)
	require.NoError(t, err)
	viaTOML, ok := decodeAny(t, "c.toml", o)
	require.True(t, ok, "TOML: %q", o)
	require.Equal(t, whole(first), whole(viaTOML), "TOML: %q", o)
}

func decodeAny(t *testing.T, file string, data []byte) (map[string]any, bool) {
	cfg, err := busconfig.Load(&busconfig.Options{File: file, Data: data, Environ: []string{}})
	if err != nil {
		var e *busconfig.Error
		require.ErrorAs(t, err, &e)
		require.NotContains(t, err.Error(), "\n", "one clear line")
		return nil, false
	}
	m := map[string]any{}
	if err := cfg.Section("webchat").Decode(&m); err != nil {
		return nil, false
	}
	return m, true
}

// whole makes one number of 1000 and 1000.0, which JSON does not tell apart.
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
	}
	return v
}

func hasNull(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		for _, e := range v {
			if hasNull(e) {
				return true
			}
		}
	case []any:
		for _, e := range v {
			if hasNull(e) {
				return true
			}
		}
	}
	return false
}
