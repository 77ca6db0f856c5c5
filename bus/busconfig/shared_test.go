package busconfig_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus/busconfig"
)

// service and window share a section.
type service struct {
	DataURL string `json:"dataURL"`
	Async   struct {
		Enabled bool `json:"enabled"`
	} `json:"async"`
	MaxLength int `json:"maxMessageLength"`
	Inputs    []struct {
		ID string `json:"id"`
	} `json:"inputs"`
}

type window struct {
	Emojis bool `json:"emojis"`
	Async  struct {
		NewMessage string `json:"newMessageRestoreState"`
	} `json:"async"`
	MaxLength int `json:"maxMessageLength"`
	Inputs    []struct {
		Label string `json:"label"`
	} `json:"inputs"`
	ChatButton map[string]any `json:"chatButton"`
}

func TestSharedSection(t *testing.T) {
	cfg := load(t, "c.yaml", `
webchat:
  dataURL: http://gms.example
  emojis: true
  async: {enabled: true, newMessageRestoreState: minimized}
  maxMessageLength: 300
  inputs: [{id: a, label: A}]
  chatButton: {enabled: true, Whatever: 1}
`, "CXBUS_WEBCHAT_ASYNC_NEWMESSAGERESTORESTATE=open", "CXBUS_WEBCHAT_MAXMESSAGELENGTH=400")
	var s service
	var w window
	require.NoError(t, cfg.Section("webchat").Decode(&s, &w))
	assert.Equal(t, "http://gms.example", s.DataURL)
	assert.True(t, s.Async.Enabled)
	assert.True(t, w.Emojis)
	assert.Equal(t, "open", w.Async.NewMessage, "a variable that only one declares")
	assert.Equal(t, 400, s.MaxLength, "what both declare goes to both")
	assert.Equal(t, 400, w.MaxLength, "what both declare goes to both")
	assert.Equal(t, "a", s.Inputs[0].ID)
	assert.Equal(t, "A", w.Inputs[0].Label)
	assert.Equal(t, map[string]any{"enabled": true, "Whatever": int64(1)}, w.ChatButton)

	require.ErrorIs(t, cfg.Section("webchat").Decode(&s), busconfig.ErrUnknown, "alone, it does not know the options of the other")
}

func TestSharedSectionUnknown(t *testing.T) {
	cfg := load(t, "c.yaml", `
webchat:
  datURL: x
  emoji: true
  async: {newMessageRestoreStat: x, enabledd: 1}
  inputs: [{id: a, lable: A}]
  chatButton: {anything: 1}
  async2: {x: 1}
`, "CXBUS_WEBCHAT_EMOJI=1", `CXBUS_WEBCHAT_CHATBUTTON={"a": 1}`)
	s, w := service{DataURL: "before"}, window{MaxLength: 7}
	err := cfg.Section("webchat").Decode(&s, &w)
	require.EqualError(t, err, `c.yaml:3: webchat.datURL: unknown option; did you mean webchat.dataURL?
c.yaml:4: webchat.emoji: unknown option; did you mean webchat.emojis?
c.yaml:5: webchat.async.newMessageRestoreStat: unknown option; did you mean webchat.async.newMessageRestoreState?
c.yaml:5: webchat.async.enabledd: unknown option; did you mean webchat.async.enabled?
c.yaml:6: webchat.inputs[0].lable: unknown option; did you mean webchat.inputs[0].label?
c.yaml:8: webchat.async2: unknown option; did you mean webchat.async?
CXBUS_WEBCHAT_EMOJI: no option has this variable; did you mean CXBUS_WEBCHAT_EMOJIS?`)
	assert.Equal(t, service{DataURL: "before"}, s, "a Decode that fails changes nothing")
	assert.Equal(t, window{MaxLength: 7}, w, "a Decode that fails changes nothing")
}

func TestSharedSectionVariable(t *testing.T) {
	var s service
	var w window
	cfg := load(t, "", "", `CXBUS_WEBCHAT_INPUTS=[{"id": "a", "label": "A"}]`)
	require.NoError(t, cfg.Section("webchat").Decode(&s, &w))
	assert.Equal(t, "a", s.Inputs[0].ID)
	assert.Equal(t, "A", w.Inputs[0].Label)

	cfg = load(t, "", "", `CXBUS_WEBCHAT_INPUTS=[{"idd": "a"}]`)
	assert.EqualError(t, cfg.Section("webchat").Decode(&s, &w),
		"CXBUS_WEBCHAT_INPUTS: webchat.inputs[0].idd: unknown option; did you mean webchat.inputs[0].id?")
}

// TestSharedWithFreeForm holds that what one target takes free of form has no
// unknown options for the others.
func TestSharedWithFreeForm(t *testing.T) {
	cfg := load(t, "c.yaml", "webchat: {dataURL: x, inputs: [{z: 1}], zzz: {y: 1}}\n")
	var s service
	all := map[string]any{}
	require.NoError(t, cfg.Section("webchat").Decode(&s, &all))
	assert.Equal(t, "x", s.DataURL)
	assert.Equal(t, map[string]any{"y": int64(1)}, all["zzz"])
}

func TestConfigDecode(t *testing.T) {
	type demo struct {
		Pace int `json:"pace" max:"9"`
	}
	cfg := load(t, "c.yaml", "demo: {pace: 3}\nwebchat: {dataURL: x, emojis: true}\n")
	var s service
	var w window
	var d demo
	claims := []busconfig.Claim{{"webchat", &s}, {"demo", &d}, {"webchat", &w}}
	require.NoError(t, cfg.Decode(claims...))
	assert.Equal(t, "x", s.DataURL)
	assert.Equal(t, 3, d.Pace)
	assert.True(t, w.Emojis)

	s, w, d = service{}, window{}, demo{}
	cfg = load(t, "c.yaml", `
demo:
  pace: 10
sounds: {}
webchat:
  maxMessageLength: many
  emojis: 1
  dataUrl: x
  dataURL: y
`, "CXBUS_WEBCHAT_ASYNC_ENABLED=maybe", "CXBUS_DMO_PACE=1")
	require.EqualError(t, cfg.Decode(claims...), `c.yaml:3: demo.pace: 10 is out of range; want a whole number, at most 9
c.yaml:4: sounds: unknown section; known are webchat, demo
c.yaml:6: webchat.maxMessageLength: is text; want a whole number
c.yaml:7: webchat.emojis: is a number; want true or false
c.yaml:8: webchat.dataUrl: is webchat.dataURL a second time, spelt differently; keep webchat.dataURL
CXBUS_WEBCHAT_ASYNC_ENABLED: webchat.async.enabled: is text; want true or false
CXBUS_DMO_PACE: belongs to no section; did you mean CXBUS_DEMO_PACE?`)
	assert.Equal(t, demo{}, d, "a Decode that fails changes nothing in any section")
}

// TestOrderOnOneLine holds that a pasted object of one line is complained of in
// its own order, not in that of the struct.
func TestOrderOnOneLine(t *testing.T) {
	for file, data := range map[string]string{
		"c.json": `{"webchat": {"inputs": 1, "zzz": 2, "maxMessageLength": "x", "dataURL": 3}}`,
		"c.yaml": `webchat: {inputs: 1, zzz: 2, maxMessageLength: "x", dataURL: 3}`,
	} {
		var s service
		err := load(t, file, data).Section("webchat").Decode(&s)
		require.Error(t, err)
		assert.Regexp(t, `(?s)^\S+ webchat.inputs.*webchat.zzz.*webchat.maxMessageLength.*webchat.dataURL`, err.Error())
	}
}
