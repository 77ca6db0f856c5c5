package webchatservice_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/bus/busconfig"
	"github.com/cxbus/cxbus/plugins/webchatservice"
)

// pasted is a configuration as sites have it, with options of all kinds.
const pasted = `{"webchat": {
  "dataURL": "https://gms.example.net/genesys/2/chat/customer-support/",
  "apikey": 12345,
  "endpoint": "Environment:default",
  "enableCustomHeader": true,
  "xhrFields": {"withCredentials": false},
  "userData": {"preferredLanguage": "EN", "CamelCase": {"a": 1}},
  "ajaxTimeout": 5000, "pollRateMin": 250, "pollRateMax": 4000, "pollRateMult": 1.5,
  "emojis": true, "timeFormat": 24,
  "cometD": {"enabled": false, "cometURL": "http://host/genesys/cometd"},
  "async": {"enabled": false, "newMessageRestoreState": "minimized"},
  "chatButton": {"enabled": true, "openDelay": 500},
  "autoInvite": {"enabled": false, "timeToInviteSeconds": 10},
  "ariaCharRemainingIntervals": false, "ariaIdleAlertIntervals": [50, 10],
  "form": {"wrapper": "<table></table>", "inputs": [{"id": "cx_webchat_form_firstname"}]},
  "transport": {"type": "pureengage-v3-rest", "headers": {"x-api-key": "canary"}, "async": {"enabled": true}}
}}`

func TestPastedConfiguration(t *testing.T) {
	c, err := busconfig.Load(&busconfig.Options{File: "pasted.json", Data: []byte(pasted), Environ: []string{}})
	require.NoError(t, err)
	cfg := webchatservice.DefaultConfig()
	require.NoError(t, c.Section(webchatservice.Section).Decode(&cfg))
	require.NoError(t, cfg.Validate())
	assert.Equal(t, "12345", cfg.APIKey.Reveal())
	assert.Equal(t, 5000, cfg.AjaxTimeout)
	assert.Equal(t, 3000, cfg.PollRate, "what is not named keeps its default")
	assert.True(t, *cfg.DynamicPolling)
	assert.Equal(t, map[string]any{"a": int64(1)}, cfg.UserData["CamelCase"])
	assert.Equal(t, webchatservice.Intervals{}, cfg.AriaCharRemainingIntervals)
	assert.Equal(t, webchatservice.Intervals{50, 10}, cfg.AriaIdleAlertIntervals)
	assert.Equal(t, "canary", cfg.Transport.Headers["x-api-key"].Reveal())
	j, err := json.Marshal(cfg)
	require.NoError(t, err)
	for _, shown := range []string{fmt.Sprintf("%v %+v %#v", cfg, cfg, cfg), string(j)} {
		assert.NotContains(t, shown, "canary")
		assert.NotContains(t, shown, "12345")
	}
}

func TestConfigIsValidated(t *testing.T) {
	tests := map[string]struct {
		cfg  webchatservice.Config
		want string // "" for valid
	}{
		"zero":             {webchatservice.Config{}, ""},
		"defaults":         {webchatservice.DefaultConfig(), ""},
		"too fast":         {webchatservice.Config{PollRateMin: 100}, "webchat.pollRateMin: 100 is out of range, want 250 to 30000"},
		"max below min":    {webchatservice.Config{PollRateMin: 2000, PollRateMax: 1000}, "webchat.pollRateMax: 1000 is out of range, want at least pollRateMin, which is 2000"},
		"idle below min":   {webchatservice.Config{PollIntervalIdle: 300}, "webchat.pollIntervalIdle_ms: 300 is out of range, want at least pollRateMin, which is 500"},
		"no growth":        {webchatservice.Config{PollRateMult: 1}, "webchat.pollRateMult: 1 is out of range, want 1.01 to 100"},
		"negative":         {webchatservice.Config{AjaxTimeout: -1}, "webchat.ajaxTimeout: -1 is out of range"},
		"no such clock":    {webchatservice.Config{Interface: webchatservice.Interface{TimeFormat: 13}}, "webchat.timeFormat: 13 is out of range, want 12 or 24"},
		"nested":           {webchatservice.Config{CometD: webchatservice.CometD{LogLevel: "loud"}}, `webchat.cometD.logLevel: "loud" is none of the values allowed`},
		"transport":        {webchatservice.Config{Transport: webchatservice.Transport{Type: "pureconnect-v3-rest"}}, `webchat.transport.type: "pureconnect-v3-rest" is unknown`},
		"negative seconds": {webchatservice.Config{Interface: webchatservice.Interface{AutoInvite: webchatservice.AutoInvite{TimeToInviteSeconds: -1}}}, "webchat.autoInvite.timeToInviteSeconds: -1 is out of range, want at least 0"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := tt.cfg.Validate()
			if tt.want == "" {
				assert.NoError(t, err)
				return
			}
			if name == "transport" {
				assert.ErrorIs(t, err, webchatservice.ErrInvalidTransport)
			} else {
				assert.ErrorIs(t, err, webchatservice.ErrInvalidConfig)
			}
			assert.ErrorContains(t, err, tt.want)
		})
	}
}

func TestWrongConfigurationFailsTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(&bus.Options{Configure: func(section string, into any) error {
			assert.Equal(t, "webchat", section)
			into.(*webchatservice.Config).PollRate = 1
			return nil
		}})
		defer func() { require.NoError(t, b.Close(t.Context())) }()
		err := b.Start(t.Context(), webchatservice.New(nil))
		assert.ErrorIs(t, err, webchatservice.ErrInvalidConfig)
		assert.ErrorContains(t, err, "webchat.pollRate: 1 is out of range")
	})
}

func TestOptionsHaveVariables(t *testing.T) {
	// Describe panics when two options share a variable or a field cannot be an option.
	fields := busconfig.Describe(webchatservice.Section, webchatservice.DefaultConfig())
	assert.Greater(t, len(fields), 90)
	for _, f := range fields {
		assert.NotEmpty(t, f.Doc, f.Path)
	}
}
