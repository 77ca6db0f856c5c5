package busschema_test

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus/busschema"
)

type base struct {
	Who string `json:"who"`
}

// odd writes itself as a number or false.
type odd int

func (o odd) MarshalJSON() ([]byte, error) {
	if o == 0 {
		return []byte("false"), nil
	}
	return json.Marshal(int(o))
}

// Answer has a member of its own name, as an embedded struct would hide it by Go's rules.
type Answer struct {
	Answer json.RawMessage `json:"answer"`
	Twice  int             `json:"twice"`
}

type Other struct {
	Twice int `json:"twice"`
	Who   int `json:"who"`
}

type payload struct {
	base
	Answer
	*Other
	Text   string          `json:"text" doc:"what it says"`
	Count  int             `json:"count,omitempty"`
	Raw    json.RawMessage `json:"raw,omitempty"`
	Any    any             `json:"any"`
	Map    map[string]any  `json:"map"`
	Bytes  []byte          `json:"bytes"`
	At     time.Time       `json:"at"`
	Addr   netip.Addr      `json:"addr"`
	Odd    odd             `json:"odd"`
	Maybe  *bool           `json:"maybe"`
	Hidden func()          `json:"-"`
}

func known() map[reflect.Type]*jsonschema.Schema {
	return map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[odd](): {AnyOf: []*jsonschema.Schema{{Type: "integer"}, {Const: jsonschema.Ptr[any](false)}}},
	}
}

// TestValuesFit: the schema of a type admits what its values are written as.
func TestValuesFit(t *testing.T) {
	yes := true
	values := []any{
		payload{},
		payload{
			base: base{"Ann"}, Answer: Answer{Answer: json.RawMessage("1")}, Other: &Other{},
			Text: "x", Count: 1, Raw: json.RawMessage(`[1,{}]`), Any: 1.5,
			Map: map[string]any{"a": nil}, Bytes: []byte{1}, At: time.Unix(1, 0), Addr: netip.MustParseAddr("::1"),
			Odd: 7, Maybe: &yes,
		},
		struct{}{},
		map[string]any{"a": 1},
		json.RawMessage(`{"a":1}`),
		[]string(nil),
	}
	for _, v := range values {
		t.Run(reflect.TypeOf(v).String(), func(t *testing.T) {
			s, err := busschema.For(reflect.TypeOf(v), known())
			require.NoError(t, err)
			r, err := s.Resolve(nil)
			require.NoError(t, err)
			b, err := json.Marshal(v)
			require.NoError(t, err)
			var plain any
			require.NoError(t, json.Unmarshal(b, &plain))
			assert.NoError(t, r.Validate(plain), "%s", b)
		})
	}
}

// TestStrict: what the bus refuses, the schema refuses.
func TestStrict(t *testing.T) {
	type in struct {
		Text string `json:"text"`
	}
	s, err := busschema.For(reflect.TypeFor[in](), nil)
	require.NoError(t, err)
	r, err := s.Resolve(nil)
	require.NoError(t, err)
	assert.NoError(t, r.Validate(map[string]any{"text": "x"}))
	assert.Error(t, r.Validate(map[string]any{"text": "x", "more": 1}), "unknown member")
	assert.Error(t, r.Validate(map[string]any{"text": 1}), "wrong type")
	assert.Error(t, r.Validate(map[string]any{}), "required")
}

func TestFields(t *testing.T) {
	s, err := busschema.For(reflect.TypeFor[payload](), known())
	require.NoError(t, err)
	assert.Contains(t, s.Properties, "answer")
	assert.NotContains(t, s.Properties, "twice", "there are two, and so none")
	assert.Equal(t, "what it says", s.Properties["text"].Description)
	assert.Contains(t, s.Required, "text")
	assert.NotContains(t, s.Required, "count")
	assert.NotContains(t, s.Properties, "Hidden")
}

func TestRefused(t *testing.T) {
	tests := []struct {
		name string
		t    reflect.Type
		want string
	}{
		{"own JSON", reflect.TypeFor[struct{ A []map[string]odd }](), "A: busschema_test.odd writes its own JSON"},
		{"function", reflect.TypeFor[struct{ F func() }](), "F: func() has no JSON"},
		{"keys", reflect.TypeFor[map[int]string](), "keys of an object"},
		{"itself", reflect.TypeFor[ring](), "ring holds itself"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := busschema.For(tt.t, nil)
			assert.ErrorContains(t, err, tt.want)
		})
	}
}

type ring struct{ Next *ring }
