package webchatservice_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/bus/busconfig"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
	"github.com/cxbus/cxbus/plugins/webchatservice/wires"
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
  "transport": {"type": "pureengage-v3-rest", "headers": {"x-api-key": "CANARY-header"}, "async": {"enabled": true}}
}}`

func TestPastedConfiguration(t *testing.T) {
	c, err := busconfig.Load(&busconfig.Options{File: "pasted.json", Data: []byte(pasted), Environ: []string{}})
	require.NoError(t, err)
	cfg := webchatservice.DefaultConfig(wires.All()...)
	require.NoError(t, c.Section(webchatservice.Section).Decode(&cfg))
	require.NoError(t, cfg.Validate())
	assert.Equal(t, json.Number("12345"), cfg.Wire.Reveal()["apikey"])
	assert.Equal(t, json.Number("5000"), cfg.Wire.Reveal()["ajaxTimeout"])
	assert.NotContains(t, cfg.Wire.Reveal(), "pollRate", "what is not named keeps its default")
	assert.Equal(t, 60000, cfg.RestoreTimeout, "what is not named keeps its default")
	assert.Equal(t, map[string]any{"a": int64(1)}, cfg.UserData["CamelCase"])
	assert.Equal(t, webchatservice.Intervals{}, cfg.AriaCharRemainingIntervals)
	assert.Equal(t, webchatservice.Intervals{50, 10}, cfg.AriaIdleAlertIntervals)
	assert.Equal(t, map[string]any{"x-api-key": "CANARY-header"}, cfg.Wire.Reveal()["transport"].(map[string]any)["headers"])
	j, err := json.Marshal(cfg)
	require.NoError(t, err)
	for _, shown := range []string{fmt.Sprintf("%v %+v %#v", cfg, cfg, cfg), string(j)} {
		assert.NotContains(t, shown, "CANARY-")
		assert.NotContains(t, shown, "12345")
	}
}

// polling is a configuration with those options on polling that are not 0.
func polling(shortest, longest, idle int, mult float64) webchatservice.Config {
	w := map[string]any{}
	for name, n := range map[string]float64{
		"pollRateMin": float64(shortest), "pollRateMax": float64(longest), "pollIntervalIdle_ms": float64(idle), "pollRateMult": mult,
	} {
		if n != 0 {
			w[name] = n
		}
	}
	return webchatservice.Config{Wire: webchatservice.NewWire(w)}
}

func TestConfigIsValidated(t *testing.T) {
	tests := map[string]struct {
		cfg  webchatservice.Config
		want string // "" for valid
	}{
		"zero":           {webchatservice.Config{}, ""},
		"defaults":       {webchatservice.DefaultConfig(), ""},
		"too fast":       {polling(100, 0, 0, 0), "webchat.pollRateMin: 100 is out of range, want 250 to 30000"},
		"max below min":  {polling(2000, 1000, 0, 0), "webchat.pollRateMax: 1000 is out of range, want at least pollRateMin, which is 2000"},
		"idle below min": {polling(0, 0, 300, 0), "webchat.pollIntervalIdle_ms: 300 is out of range, want at least pollRateMin, which is 500"},
		"no growth":      {polling(0, 0, 0, 1), "webchat.pollRateMult: 1 is out of range, want 1.01 to 100"},
		"no expression":  {webchatservice.Config{Masks: []string{"a", "("}}, "webchat.masks: entry 2: error parsing regexp"},
		"negative":       {webchatservice.Config{Wire: webchatservice.NewWire(map[string]any{"ajaxTimeout": -1})}, "webchat.ajaxTimeout: -1 is out of range"},
		"no such clock":  {webchatservice.Config{Interface: webchatservice.Interface{TimeFormat: 13}}, "webchat.timeFormat: 13 is out of range, want 12 or 24"},
		"nested": {webchatservice.Config{
			CometD: webchatservice.CometD{Enabled: true}, Wire: webchatservice.NewWire(map[string]any{"cometD": map[string]any{"logLevel": "loud"}}),
		}, `webchat.cometD.logLevel: "loud" is none of the values allowed`},
		"transport":        {webchatservice.Config{Transport: webchatservice.Transport{Type: "pureconnect-v3-rest"}}, `webchat.transport.type: "pureconnect-v3-rest" is unknown`},
		"negative seconds": {webchatservice.Config{Interface: webchatservice.Interface{AutoInvite: webchatservice.AutoInvite{TimeToInviteSeconds: -1}}}, "webchat.autoInvite.timeToInviteSeconds: -1 is out of range, want at least 0"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := tt.cfg.Validate(wires.All()...)
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
			into.(*webchatservice.Config).Wire = webchatservice.NewWire(map[string]any{"pollRate": 1})
			return nil
		}})
		defer func() { require.NoError(t, b.Close(t.Context())) }()
		err := b.Start(t.Context(), webchatservice.New(&webchatservice.Options{Drivers: wires.All()}))
		assert.ErrorIs(t, err, webchatservice.ErrInvalidConfig)
		assert.ErrorContains(t, err, "webchat.pollRate: 1 is out of range")
	})
}

func TestOptionsHaveVariables(t *testing.T) {
	// Describe panics when two options share a variable or a field cannot be an option.
	fields := busconfig.Describe(webchatservice.Section, webchatservice.Schema(wires.All()))
	assert.Greater(t, len(fields), 70)
	for _, f := range fields {
		assert.NotEmpty(t, f.Doc, f.Path)
	}
}

// wholeObject is a _genesys.widgets.webchat with every option of webchatservice 2.1 to 2.9, each with a value that is
// not its default. What is a function in a page cannot be in it.
const wholeObject = `{
  "dataURL": "https://gms.example.net/genesys/2/chat/customer-support", "serverURL": "https://gms.example.net/",
  "enableUrlTrailingSlash": false, "apikey": "CANARY-apikey", "endpoint": "Environment:default",
  "enableCustomHeader": true, "xhrFields": {"withCredentials": true}, "ajaxTimeout": 4000, "fileUploadTimeout": 60000,
  "userData": {"Level": "gold", "level": {"Nested": [1, 2.5, true, null]}}, "maxMessageLength": 140,
  "pollRate": 4000, "dynamicPolling": false, "pollRateMin": 600, "pollRateMax": 5000, "pollIntervalIdle_ms": 4500,
  "pollRateMult": 1.5, "pollRateSleep": 20000, "sleepEnabled": true, "pollExceptionLimit": 7, "restoreTimeout": 120000,
  "cometD": {
    "enabled": true, "cometURL": "http://host:8080/genesys/cometd", "channel": "/service/chatV2/sales",
    "apiURL": "http://host:8080/genesys/2/chat-ntf", "websocketEnabled": false, "logLevel": "debug"
  },
  "async": {"enabled": true, "maxMessagePageSize": 30, "newMessageRestoreState": "minimized"},
  "transport": {
    "type": "purecloud-v2-sockets",
    "interactionData": {
      "routing": {"targetType": "QUEUE", "targetAddress": "Sales", "skills": ["a"], "priority": 2, "language": "en"},
      "journey": {"customerId": "c", "actionMapVersion": 3}, "userData": {"K": "v"}, "notes": "n",
      "routingContexts": [{"context": "x"}], "botName": "Robo"
    },
    "sleepEnabled": true, "dataURL": "https://api.example.net", "headers": {"x-api-key": "CANARY-header"},
    "endpoint": "e", "clientType": "web", "stream": "s", "pollTimeout": 2000, "pollIntervalMultiplier": 1.4,
    "pollExceptionLimit": 4, "maxMessagePageSize": 50, "async": {"enabled": true},
    "deploymentKey": "d", "organizationId": "o", "orgGuid": "g", "socketHeartbeatTrackerInterval": 15000,
    "socketConnectionCloseTime": 5, "socketReconnectInterval": 3000, "pagination": false, "botEventsEnabled": true,
    "hosts": ["a.example", "b.example"], "useHttps": false, "reverseProxyUrl": "https://proxy.example",
    "additionalAttrs": {"A": 1}, "environmentType": "test", "chatBotData": "def", "botCustomData": "{}",
    "useCaaS": true, "caasUrl": "https://caas.example", "markdown": true
  },
  "chatButton": {
    "enabled": true, "template": "<div>Chat</div>", "openDelay": 500, "effect": "slide", "effectDuration": 200,
    "hideDuringInvite": false, "servicePlugin": "OtherService"
  },
  "autoInvite": {"enabled": true, "timeToInviteSeconds": 10, "inviteTimeoutSeconds": 20},
  "proactive": {"enabled": true, "idleTimer": 11, "cancelTimer": 21},
  "emojis": true, "emojiList": "a:b", "uploadsEnabled": true, "confirmFormCloseEnabled": false,
  "charCountEnabled": true, "form": {"wrapper": "<table></table>", "inputs": [{"id": "cx_webchat_form_firstname"}]},
  "timeFormat": 24, "markdown": true, "minimizeOnMobileRestore": true, "unminimizeOnAlert": false,
  "inviteOnRestoreTimeout": false, "promptEndChatOnError": 50000, "endChatOnErrorThreshold": 200000,
  "metaDataEnabled": false, "ariaCharRemainingIntervals": [40, 20], "ariaIdleAlertIntervals": [90, 10],
  "actionsMenu": false, "transferLink": "t", "inviteLink": "i"
}`

// ownOptions are those that the vendor does not have.
var ownOptions = []string{"webchat.network.", "webchat.markLines", "webchat.masks", "webchat.inactivityLimit"}

func TestWholeObjectIsPasted(t *testing.T) {
	var whole map[string]any
	require.NoError(t, json.Unmarshal([]byte(wholeObject), &whole))
	block, err := yaml.Marshal(map[string]any{"webchat": whole})
	require.NoError(t, err)
	for file, data := range map[string]string{
		"page.json": `{"webchat": ` + wholeObject + `}`,
		"flow.yaml": "webchat: " + wholeObject,
		"page.yaml": string(block),
	} {
		t.Run(file, func(t *testing.T) {
			c, err := busconfig.Load(&busconfig.Options{File: file, Data: []byte(data), Environ: []string{}})
			require.NoError(t, err)
			cfg := webchatservice.DefaultConfig(wires.All()...)
			require.NoError(t, c.Section(webchatservice.Section).Decode(&cfg))
			require.NoError(t, c.CheckUnknown(webchatservice.Section))
			require.NoError(t, cfg.Validate())
			assert.Equal(t, "CANARY-apikey", cfg.Wire.Reveal()["apikey"])
			assert.Equal(t, "CANARY-header", cfg.Wire.Reveal()["transport"].(map[string]any)["headers"].(map[string]any)["x-api-key"])

			out, err := json.Marshal(cfg)
			require.NoError(t, err)
			assert.NotContains(t, string(out), "CANARY-")
			var got, want map[string]any
			require.NoError(t, json.Unmarshal(out, &got))
			require.NoError(t, json.Unmarshal([]byte(wholeObject), &want))
			want["apikey"] = "[secret]"
			want["transport"].(map[string]any)["headers"] = map[string]any{"x-api-key": "[secret]"}
			for name, v := range want {
				assert.Equal(t, v, got[name], name)
			}
		})
	}

	options := map[string]bool{}
	for _, f := range busconfig.Describe(webchatservice.Section, webchatservice.Schema(nil)) {
		options[f.Path] = true
	}
	for _, name := range webchatservice.VendorOptions() {
		options["webchat."+name] = true
	}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		if options[path] {
			delete(options, path)
			return
		}
		group, ok := v.(map[string]any)
		require.True(t, ok, "%s is no option", path)
		for name, v := range group {
			walk(path+"."+name, v)
		}
	}
	walk("webchat", whole)
	for path := range options {
		own := slices.ContainsFunc(ownOptions, func(prefix string) bool { return strings.HasPrefix(path, prefix) })
		assert.True(t, own, "%s is an option, and not in the object", path)
	}
}

// engage has options of the transport pureengage-v3-rest.
type engage struct {
	DataURL string `json:"dataURL" group:"transport"`
	Stream  string `json:"stream" group:"transport"`
}

func TestOptionsOfOtherTransportsSaySo(t *testing.T) {
	for name, tt := range map[string]struct {
		transport string
		options   map[string]any
		want      []string
	}{
		"none":    {"", nil, nil},
		"default": {"", map[string]any{"deploymentKey": "d", "headers": map[string]any{"x-api-key": "CANARY-header"}}, []string{"webchat.transport.headers", "webchat.transport.deploymentKey"}},
		"another": {"pureengage-v3-rest", map[string]any{"dataURL": "u", "stream": "s", "hosts": []string{"h"}}, []string{"webchat.transport.hosts"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				b := bus.New(&bus.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
				m := chattest.NewMemory(nil)
				require.NoError(t, b.Start(t.Context(), webchatservice.New(&webchatservice.Options{
					Config: &webchatservice.Config{
						Transport: webchatservice.Transport{Type: tt.transport}, Wire: webchatservice.NewWire(map[string]any{"transport": tt.options}),
					},
					Drivers: []chat.Factory{
						chat.NewFactory("default", func(struct{}, *chat.Options) (chat.Driver, error) { return m.Driver(), nil }, chat.Selection{}),
						chat.NewFactory("engage", func(engage, *chat.Options) (chat.Driver, error) { return m.Driver(), nil },
							chat.Selection{Transport: "pureengage-v3-rest"}),
					},
				})))
				require.NoError(t, b.Close(context.Background()))
				if tt.want == nil {
					assert.NotContains(t, log.String(), "another transport")
					return
				}
				assert.Contains(t, log.String(), "options are set that are for another transport")
				assert.Contains(t, log.String(), fmt.Sprint(tt.want))
				assert.NotContains(t, log.String(), "CANARY-")
			})
		})
	}
}
