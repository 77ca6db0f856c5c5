package chat_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// JSON is written, read and left out as encoding/json's raw message is, and is printed as text.
func TestJSON(t *testing.T) {
	type holder[J any] struct {
		Always J   `json:"always"`
		Maybe  J   `json:"maybe,omitempty"`
		List   []J `json:"list,omitempty"`
	}
	for _, text := range []string{
		`{"always":{"a":12345678901234567890}}`, `{"always":null}`, `{"always":[1, 2],"maybe":"é","list":[1,null,{}]}`, `{}`,
	} {
		var got holder[chat.JSON]
		var want holder[json.RawMessage]
		require.NoError(t, json.Unmarshal([]byte(text), &got))
		require.NoError(t, json.Unmarshal([]byte(text), &want))
		a, err := json.Marshal(got)
		require.NoError(t, err)
		b, err := json.Marshal(want)
		require.NoError(t, err)
		assert.Equal(t, string(b), string(a))
	}
	_, err := json.Marshal(chat.JSON(`{`))
	assert.Error(t, err, "what is no JSON is not passed on")
	assert.Error(t, (*chat.JSON)(nil).UnmarshalJSON(nil))

	raw := chat.JSON(`{"a":1}`)
	assert.Equal(t, `{"a":1} [{"a":1}] {{"a":1}  []}`, fmt.Sprint(raw, []chat.JSON{raw}, holder[chat.JSON]{Always: raw}))
	assert.Empty(t, fmt.Sprint(chat.JSON(nil)))
	assert.Zero(t, testing.AllocsPerRun(10, func() { _, _ = raw.MarshalJSON() }))
}
