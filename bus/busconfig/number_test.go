package busconfig_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDigitsStay holds that a free-form map hands numbers out as they were written.
func TestDigitsStay(t *testing.T) {
	tests := []struct {
		file, written string
		want          any
	}{
		{"c.json", "1", int64(1)},
		{"c.json", "2.5", 2.5},
		{"c.json", "9007199254740993", int64(9007199254740993)}, // 2^53 + 1
		{"c.json", "9223372036854775807", int64(9223372036854775807)},
		{"c.json", "9223372036854775808", json.Number("9223372036854775808")},
		{"c.json", "18446744073709551617", json.Number("18446744073709551617")},
		{"c.json", "3.14159265358979323846", json.Number("3.14159265358979323846")},
		{"c.json", "2.50", json.Number("2.50")},
		{"c.json", "1e3", json.Number("1e3")},

		{"c.yaml", "1", int64(1)},
		{"c.yaml", "2.5", 2.5},
		{"c.yaml", "9007199254740993", int64(9007199254740993)},
		{"c.yaml", "12345678901234567890", json.Number("12345678901234567890")},
		{"c.yaml", "2.50", json.Number("2.50")},
		{"c.yaml", "0123", "0123"},
		{"c.yaml", "08540", "08540"},
		{"c.yaml", "+49301234", "+49301234"},
		{"c.yaml", "0x1F", "0x1F"},
		{"c.yaml", "1_000", "1_000"},
		{"c.yaml", ".5", ".5"},
		{"c.yaml", "12:30", "12:30"},
		{"c.yaml", "2024-05-02", "2024-05-02"},
		{"c.yaml", "2024-05-02T10:00:00Z", "2024-05-02T10:00:00Z"},
		{"c.yaml", "no", "no"},

		{"c.toml", "9007199254740993", int64(9007199254740993)},
		{"c.toml", "2024-05-02", "2024-05-02"},
	}
	type options struct {
		UserData map[string]any  `json:"userData"`
		Any      any             `json:"any"`
		Raw      json.RawMessage `json:"raw"`
	}
	for _, tt := range tests {
		data := map[string]string{
			"c.json": `{"x": {"userData": {"n": [` + tt.written + `]}, "any": {"n": ` + tt.written + `}, "raw": {"n": ` + tt.written + `}}}`,
			"c.yaml": "x:\n  userData: {n: [" + tt.written + "]}\n  any: {n: " + tt.written + "}\n  raw: {n: " + tt.written + "}\n",
			"c.toml": "[x]\nuserData.n = [" + tt.written + "]\nany.n = " + tt.written + "\nraw.n = " + tt.written + "\n",
		}[tt.file]
		var got options
		require.NoError(t, load(t, tt.file, data).Section("x").Decode(&got), tt.written)
		assert.Equal(t, map[string]any{"n": []any{tt.want}}, got.UserData, "%s in %s", tt.written, tt.file)
		assert.Equal(t, map[string]any{"n": tt.want}, got.Any, "%s in %s", tt.written, tt.file)
		want, err := json.Marshal(map[string]any{"n": tt.want})
		require.NoError(t, err)
		assert.Equal(t, string(want), string(got.Raw), "%s in %s", tt.written, tt.file)
	}
	var got options
	require.NoError(t, load(t, "", "", `CXBUS_X_USERDATA={"n": 18446744073709551617}`, "CXBUS_X_ANY=08540").Section("x").Decode(&got))
	assert.Equal(t, map[string]any{"n": json.Number("18446744073709551617")}, got.UserData)
	assert.Equal(t, "08540", got.Any)
}
