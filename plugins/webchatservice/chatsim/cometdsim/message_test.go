package cometdsim_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/cometdsim"
)

// Names are exact, unknown fields are dropped, null is nothing.
func TestParseBayeux(t *testing.T) {
	for body, want := range map[string]string{
		`{"channel":"/a","Channel":"/b","x":{"y":1}}`:                             `{"channel":"/a"}`,
		`[{"channel":null,"clientId":null,"advice":{"timeout":0,"x":1}}]`:         `{"advice":{"timeout":0}}`,
		`[{"id":7,"data":[1]}]`:                                                   `{"id":7,"data":[1]}`,
		` [ {"id":"a","ext":{"ack":true,"timesync":{}},"version":"1.0"} ] `:       `{"id":"a","version":"1.0","ext":{"ack":true}}`,
		`[{"supportedConnectionTypes":["websocket"],"subscription":"/a"}]`:        `{"supportedConnectionTypes":["websocket"],"subscription":"/a"}`,
		`[{"channel":"/a","channel":"/b","data":{"é":"\ud83d\ude00"},"id":null}]`: `{"channel":"/b","id":null,"data":{"é":"\ud83d\ude00"}}`,
	} {
		got, err := cometdsim.ParseBayeux([]byte(body))
		require.NoError(t, err, body)
		require.Len(t, got, 1)
		assert.JSONEq(t, want, string(got[0]), body)
	}
}

// What is refused is no JSON, or holds no objects with fields of the right
// kinds. What is taken is the same when it is written out and read again, alone
// and in an array, and its data are read the same way.
func FuzzParseBayeux(f *testing.F) {
	for _, seed := range []string{
		"", "[]", "null", `[{}]`, `[[]]`, `{"channel":1}`, "[{\"channel\":\"\xff\"}]", `[{"id":{}}]`, `[{"ext":{"ack":-1}}]`,
		`[{"id":"1","version":"1.0","minimumVersion":"1.0","channel":"/meta/handshake","supportedConnectionTypes":["websocket","long-polling"],"advice":{"timeout":60000,"interval":0},"ext":{"ack":true}}]`,
		`[{"id":"2","channel":"/meta/connect","connectionType":"long-polling","advice":{"timeout":0},"clientId":"8x1f"}]`,
		`[{"channel":"/service/chatV2/customer-support","clientId":"8x1f","id":"4","data":{"operation":"sendMessage","secureKey":"k","message":"Hello","userData":{"a":"b","n":1},"eventAttributes":{"x":{}}}}]`,
		`[{"channel":"/meta/subscribe","subscription":["/a"]},{"channel":"/meta/unsubscribe","subscription":"/a"}]`,
		`{"data":{"operation":"x","transcriptPosition":-1,"auth":{},"userData":null,"eventAttributes":null}}`,
		`[{"advice":{"timeout":"0"}}]`, `[{"advice":[]}]`, `[{"advice":{"timeout":1e999}}]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		messages, err := cometdsim.ParseBayeux(body)
		if valid := json.Valid(body) && utf8.Valid(body); valid == cometdsim.NotJSON(err) {
			t.Fatalf("ParseBayeux(%q) = %v, but it is JSON: %v", body, err, valid)
		}
		if err != nil {
			return
		}
		again, err := cometdsim.ParseBayeux(append(append([]byte("["), bytes.Join(messages, []byte(","))...), ']'))
		require.NoError(t, err)
		require.Equal(t, messages, again, "%q", body)
		for _, m := range messages {
			alone, err := cometdsim.ParseBayeux(m)
			require.NoError(t, err)
			require.Equal(t, [][]byte{m}, alone)
			var fields struct{ Data json.RawMessage }
			require.NoError(t, json.Unmarshal(m, &fields))
			values, userData, op, ok := cometdsim.ReadData(fields.Data)
			if !ok {
				continue
			}
			data := map[string]any{"operation": op, "userData": userData}
			for name, v := range values {
				data[name] = v
				if name == "eventAttributes" {
					data[name] = json.RawMessage(v)
				}
			}
			b, err := json.Marshal(data)
			require.NoError(t, err)
			values2, userData2, op2, ok := cometdsim.ReadData(b)
			require.True(t, ok, "%s", b)
			require.Equal(t, op, op2)
			require.Equal(t, userData, userData2)
			for name, v := range values {
				if name == "eventAttributes" {
					require.JSONEq(t, v, values2[name])
					continue
				}
				require.Equal(t, v, values2[name], name)
			}
		}
	})
}
