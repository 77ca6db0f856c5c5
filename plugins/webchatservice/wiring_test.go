package webchatservice_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/bus/busconfig"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmsrest"
	"github.com/cxbus/cxbus/plugins/webchatservice/wires"
)

// idler is a driver that counts how often its idle connections are closed.
type idler struct {
	chat.Driver
	closed int
}

func (i *idler) CloseIdleConnections() { i.closed++ }

// startLogged starts a service with opts and returns what it logged, and how to stop it.
func startLogged(t *testing.T, opts *webchatservice.Options) (log *bytes.Buffer, app *bus.Client, stop func(), err error) {
	t.Helper()
	log = &bytes.Buffer{}
	b := bus.New(&bus.Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
	app, err = b.Register("App")
	require.NoError(t, err)
	err = b.Start(t.Context(), webchatservice.New(opts))
	return log, app, func() { require.NoError(t, b.Close(context.Background())) }, err
}

// With a driver of the program's own there is nothing for the service to make one of: what says how is a mistake, and
// each is named.
func TestDriverStandsAlone(t *testing.T) {
	for name, set := range map[string]func(o *webchatservice.Options){
		"Drivers":       func(o *webchatservice.Options) { o.Drivers = wires.All() },
		"HTTPClient":    func(o *webchatservice.Options) { o.HTTPClient = http.DefaultClient },
		"Dial":          func(o *webchatservice.Options) { o.Dial = new(net.Dialer).DialContext },
		"Headers":       func(o *webchatservice.Options) { o.Headers = map[string]chat.Secret{"X": chat.NewSecret("CANARY-x")} },
		"Authorization": func(o *webchatservice.Options) { o.Authorization = chat.NewAuthorization(nil) },
		"webchat.network": func(o *webchatservice.Options) {
			o.Config = &webchatservice.Config{Network: webchatservice.Network{ServerName: "x"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := onMemory(chattest.NewMemory(nil))
				set(opts)
				_, _, stop, err := startLogged(t, opts)
				defer stop()
				assert.ErrorIs(t, err, webchatservice.ErrInvalidConfig)
				assert.ErrorContains(t, err, name)
				assert.NotContains(t, err.Error(), "CANARY")
			})
		})
	}
}

// A configuration changes options of the service alone where the program has made the driver. What is for wires is
// named, once for each time that it is taken, and has no effect; a misspelt option is an error still. The driver's idle
// connections are its owner's.
func TestConfigureWithADriver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &idler{Driver: chattest.NewMemory(nil).Driver()}
		log, app, stop, err := startLogged(t, &webchatservice.Options{Driver: d, Config: &webchatservice.Config{
			EnableCustomHeader: true, CometD: webchatservice.CometD{Enabled: true},
			Wire: webchatservice.NewWire(map[string]any{"dataURL": "no address", "pollRate": "nonsense", "transport": map[string]any{"deploymentKey": "d"}}),
		}})
		require.NoError(t, err)
		const record = "options of wires are set, and the program has made the driver"
		assert.Equal(t, 1, strings.Count(log.String(), record), log)
		for _, option := range []string{"dataURL", "pollRate", "transport.deploymentKey", "enableCustomHeader", "cometD.enabled"} {
			assert.Contains(t, log.String(), "webchat."+option)
		}
		by := func(command, options string) error {
			_, err := app.Call(t.Context(), "WebChatService."+command, json.RawMessage(options))
			return err
		}
		require.NoError(t, by("configure", `{"maxMessageLength": 3, "cometD": {"cometURL": "http://gms.test/cometd"}}`))
		assert.Equal(t, 2, strings.Count(log.String(), record))
		assert.Contains(t, log.String(), "webchat.cometD.cometURL")
		require.NoError(t, by("startChat", `{}`))
		assert.ErrorIs(t, by("sendMessage", `{"message": "four"}`), webchatservice.ErrTooLong)
		err = by("configure", `{"maxMesageLength": 3}`)
		assert.ErrorIs(t, err, webchatservice.ErrInvalidConfig)
		assert.ErrorContains(t, err, "webchat.maxMesageLength: unknown option; did you mean webchat.maxMessageLength?")
		require.NoError(t, by("endChat", `{}`))
		stop()
		assert.Zero(t, d.closed)
	})
}

// Who gives no driver at all is told both ways to give one.
func TestNoDriverSaysHow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &webchatservice.Options{})
		defer r.stop()
		_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{})
		require.ErrorIs(t, err, webchatservice.ErrInvalidTransport)
		for _, word := range []string{"Drivers", "Driver ", "wires.All()"} {
			assert.ErrorContains(t, err, word)
		}
	})
}

// An option is judged by whose it is, wherever it stands.
func TestOptionsAreJudgedStrictly(t *testing.T) {
	for options, want := range map[string]string{
		`{"pollRte": 3000}`:                                       "webchat.pollRte: unknown option; did you mean webchat.pollRate?",
		`{"dataurl": "http://gms.test"}`:                          "webchat.dataurl: unknown option; did you mean webchat.dataURL?",
		`{"cometURL": "http://gms.test"}`:                         "webchat.cometURL: unknown option; did you mean webchat.cometD.cometURL?",
		`{"cometD": {"chanel": "x"}}`:                             "webchat.cometD.chanel: unknown option; did you mean webchat.cometD.channel?",
		`{"cometd": {"enabled": true}}`:                           "webchat.cometd: unknown option; did you mean webchat.cometD?",
		`{"cometD": true}`:                                        "webchat.cometD: is true or false, want a group of options",
		`{"network": {"prxy": "x"}}`:                              "webchat.network.prxy: unknown option; did you mean webchat.network.proxy?",
		`{"transport": {"async": {"x": 1}}}`:                      "webchat.transport.async.x: unknown option",
		`{"pollRate": "CANARY-fast"}`:                             "webchat.pollRate: is text, want a number of ms",
		`{"pollRate": 1}`:                                         "webchat.pollRate: 1 is out of range, want 1000 to 30000",
		`{"dynamicPolling": "CANARY-yes"}`:                        "webchat.dynamicPolling: is text, want true or false",
		`{"apikey": ["CANARY-key"]}`:                              "webchat.apikey: want text or a number",
		`{"cometD": {"logLevel": "loud"}}`:                        "", // the other wire's: its value is not looked at
		`{"transport": {"hosts": [1, 2]}}`:                        "", // no wire at hand
		`{"apikey": 4711, "pollRateMult": 1.50}`:                  "",
		`{"transport": {"type": "pureengage-v3-rest"}}`:           "no driver at hand speaks transport.type pureengage-v3-rest",
		`{"transport": {"type": "pureengage-v3-rest", "nil": 1}}`: "webchat.transport.nil: unknown option",
	} {
		var c webchatservice.Config
		require.NoError(t, json.Unmarshal([]byte(options), &c), options)
		err := c.Validate(wires.All()...)
		if want == "" {
			assert.NoError(t, err, options)
			continue
		}
		assert.ErrorContains(t, err, want, options)
		assert.NotContains(t, fmt.Sprint(err), "CANARY", options)
	}
	c := webchatservice.Config{Wire: webchatservice.NewWire(map[string]any{"userData": map[string]any{"a": 1}})}
	assert.ErrorContains(t, c.Validate(), "webchat.userData: is an option of the service")
}

// exotic are the options of a wire with all types that there may be.
type exotic struct {
	Text    string                 `json:"text" default:"as it is"`
	Flag    *bool                  `json:"flag" default:"true"`
	Count   int                    `json:"count" group:"exotic" min:"1" default:"7"`
	Share   float64                `json:"share" group:"exotic"`
	Pause   time.Duration          `json:"pause" group:"exotic" unit:"s" default:"2"`
	Key     chat.Secret            `json:"key" accept:"number"`
	Keys    map[string]chat.Secret `json:"keys" group:"transport"`
	Hosts   []string               `json:"hosts" group:"transport"`
	Free    map[string]any         `json:"free" group:"transport"`
	Any     any                    `json:"any"`
	Raw     json.RawMessage        `json:"raw" group:"transport.deep"`
	Unnamed string                 `json:"-"`
}

// What a section says reaches the driver with its defaults, its secrets and all of its digits, from a file, from the
// environment and from a command, together with the data that goes to the server.
func TestOptionsReachTheDriver(t *testing.T) {
	const object = `{
		"text": "a < b & c", "key": 12345678901234567890, "any": [1.10, 12345678901234567890],
		"userData": {"id": 12345678901234567890, "price": 1.10, "big": 9007199254740993, "Case": {"x": 1, "X": 2}},
		"exotic": {"share": 0.5, "pause": 1.5},
		"transport": {
			"type": "exotic-v1", "keys": {"x-api-key": "CANARY-k", "X-Api-Key": 17}, "hosts": ["b", "a"],
			"free": {"id": 12345678901234567890, "e": 1e3}, "deep": {"raw": {"n": 1.10}}, "interactionData": {"n": 12345678901234567890}
		}}`
	yes := true
	want := exotic{
		Text: "a < b & c", Flag: &yes, Count: 7, Share: 0.5, Pause: 1500 * time.Millisecond, Key: chat.NewSecret("12345678901234567890"),
		Keys: map[string]chat.Secret{"x-api-key": chat.NewSecret("CANARY-k"), "X-Api-Key": chat.NewSecret("17")}, Hosts: []string{"b", "a"},
		Free: map[string]any{"id": json.Number("12345678901234567890"), "e": json.Number("1e3")},
		Any:  []any{json.Number("1.10"), json.Number("12345678901234567890")}, Raw: json.RawMessage(`{"n":1.10}`),
	}
	var got exotic
	var m *chattest.Memory
	factory := chat.NewFactory("exotic", func(c exotic, _ *chat.Options) (chat.Driver, error) {
		got = chat.WithDefaults(c)
		return m.Driver(), nil
	}, chat.Selection{Transport: "exotic-v1"})
	read := func(t *testing.T, environ ...string) webchatservice.Config {
		c, err := busconfig.Load(&busconfig.Options{File: "a.json", Data: []byte(`{"webchat": ` + object + `}`), Environ: environ})
		require.NoError(t, err)
		cfg := webchatservice.DefaultConfig(factory)
		require.NoError(t, c.Section(webchatservice.Section).Decode(&cfg))
		return cfg
	}
	for name, configure := range map[string]func(t *testing.T, r *rig){
		"file": func(t *testing.T, r *rig) {
			_, err := call(r, webchatservice.Configure, read(t))
			require.NoError(t, err)
		},
		"command": func(t *testing.T, r *rig) { require.NoError(t, r.by("configure", object)) },
		"environment": func(t *testing.T, r *rig) {
			_, err := call(r, webchatservice.Configure, read(t, `CXBUS_WEBCHAT_EXOTIC_COUNT=8`, `CXBUS_WEBCHAT_KEY=0123`, `CXBUS_WEBCHAT_TRANSPORT_HOSTS=x, y`))
			require.NoError(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m = chattest.NewMemory(nil)
				r := newRig(t, &webchatservice.Options{
					Drivers: []chat.Factory{factory}, Config: &webchatservice.Config{Transport: webchatservice.Transport{Type: "exotic-v1"}},
				})
				defer r.stop()
				configure(t, r)
				want := want
				if name == "environment" {
					want.Count, want.Key, want.Hosts = 8, chat.NewSecret("0123"), []string{"x", "y"}
				}
				assert.Equal(t, want, got)
				r.begin()
				data := m.UserData(fmt.Sprintf("chat-%d", m.Chats()))
				assert.Equal(t, "12345678901234567890", data["id"])
				assert.Equal(t, "1.10", data["price"])
				assert.Equal(t, "9007199254740993", data["big"])
				assert.Equal(t, "map[X:2 x:1]", data["Case"], "as the wire in memory prints it")
			})
		})
	}
}

// Two wires may have an option of one name: the manual tells what each means, and what the one selected allows is what
// counts.
func TestSharedOption(t *testing.T) {
	type slow struct {
		Page int    `json:"page" group:"transport" min:"16" default:"20" doc:"lines"`
		Same string `json:"same" doc:"alike"`
	}
	type fast struct {
		Page int    `json:"page" group:"transport" max:"10" default:"5" doc:"entries"`
		Same string `json:"same" doc:"alike"`
	}
	driver := chattest.NewMemory(nil).Driver()
	factories := []chat.Factory{
		chat.NewFactory("slow", func(slow, *chat.Options) (chat.Driver, error) { return driver, nil }, chat.Selection{Transport: "slow"}),
		chat.NewFactory("fast", func(fast, *chat.Options) (chat.Driver, error) { return driver, nil }, chat.Selection{Transport: "fast"}),
	}
	fields := map[string]busconfig.Field{}
	for _, f := range busconfig.Describe(webchatservice.Section, webchatservice.Schema(factories)) {
		fields[f.Path] = f
	}
	assert.Equal(t, "slow: lines, default 20, at least 16; fast: entries, default 5, at most 10", fields["webchat.transport.page"].Doc)
	assert.Equal(t, "alike", fields["webchat.same"].Doc)
	assert.Equal(t, "CXBUS_WEBCHAT_TRANSPORT_PAGE", fields["webchat.transport.page"].Env)
	for page, want := range map[int]map[string]string{
		7:  {"slow": "webchat.transport.page: 7 is out of range, want at least 16", "fast": ""},
		17: {"slow": "", "fast": "webchat.transport.page: 17 is out of range, want at most 10"},
	} {
		for name, text := range want {
			file := fmt.Sprintf(`{"webchat": {"transport": {"type": %q, "page": %d}}}`, name, page)
			c, err := busconfig.Load(&busconfig.Options{File: "a.json", Data: []byte(file), Environ: []string{}})
			require.NoError(t, err)
			cfg := webchatservice.DefaultConfig(factories...)
			require.NoError(t, c.Section(webchatservice.Section).Decode(&cfg), "what either allows may stand in a file")
			if err = cfg.Validate(factories...); text == "" {
				assert.NoError(t, err)
			} else {
				assert.ErrorContains(t, err, text)
			}
		}
	}
}

// The environment has the options of the wires at hand, and no others, where a file may also have those of the
// vendor's.
func TestVariablesAreThoseOfTheWires(t *testing.T) {
	decode := func(data string, environ string, factories ...chat.Factory) error {
		c, err := busconfig.Load(&busconfig.Options{File: "a.json", Data: []byte(data), Environ: []string{environ}})
		require.NoError(t, err)
		cfg := webchatservice.DefaultConfig(factories...)
		return c.Section(webchatservice.Section).Decode(&cfg)
	}
	assert.NoError(t, decode(`{}`, "CXBUS_WEBCHAT_DATAURL=http://gms.test", gmsrest.Factory()))
	assert.ErrorContains(t, decode(`{}`, "CXBUS_WEBCHAT_DATAURL=http://gms.test"), "no option has this variable")
	assert.ErrorContains(t, decode(`{}`, "CXBUS_WEBCHAT_TRANSPORT_DEPLOYMENTKEY=d", wires.All()...), "no option has this variable")
	assert.NoError(t, decode(`{"webchat": {"transport": {"deploymentKey": "d"}}}`, "A=b", wires.All()...))
	assert.NoError(t, decode(`{"webchat": {"dataURL": 17}}`, "A=b"), "without the wire nobody looks at the value")
	assert.ErrorContains(t, decode(`{"webchat": {"dataURL": 17}}`, "A=b", wires.All()...), "a.json:1: webchat.dataURL: is a number")
}

// Passwords in addresses are in nothing that is printed of a configuration or a service, and what a server echoes of a
// header is hidden, whatever the header's name.
func TestPasswordsAreNotPrinted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const harmless = "CANARY-tenant-4711"
		seen := &leaks{}
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1})
		defer sim.Close()
		opts := onSim(sim)
		setWire(opts, "dataURL", strings.Replace(gmssim.URL(sim), "http://", "http://ada:CANARY-password@", 1))
		opts.Headers = map[string]chat.Secret{"X-Tenant": chat.NewSecret(harmless)}
		r := newRig(t, opts)
		r.begin()
		sim.Faults().Add(chatsim.Fault{Status: 200, Body: []byte(`{"statusCode":2,"errors":[{"code":240,"advice":"not for ` + harmless + `"}]}`)})
		_, err := call(r, webchatservice.GetFileLimits, struct{}{})
		require.ErrorContains(t, err, "not for [secret]")
		seen.show("error", err)
		for _, e := range r.take() {
			seen.show(e.Name(), e.Data)
		}
		seen.show("service", r.svc)
		seen.show("options", *opts)
		seen.show("configuration", *opts.Config)
		seen.show("wire", opts.Config.Wire)
		proxied := webchatservice.Config{Network: webchatservice.Network{Proxy: webchatservice.NewKey("http://ada:CANARY-proxy@proxy.test")}}
		seen.show("proxied", proxied)
		rest := gmsrest.Config{DataURL: "http://ada:CANARY-password@gms.test/chat", ServerURL: "ada:CANARY-password@gms.test"}
		rest.APIKey = chat.NewSecret("CANARY-apikey")
		seen.show("rest", rest)
		seen.show("errors", errors.Join(gmsrest.Config{DataURL: "http://ada:CANARY@gms.test", PollRate: -1}.Validate()))
		r.stop()
		if at := strings.Index(seen.String(), "CANARY"); at >= 0 {
			t.Errorf("shown: %s", seen.String()[max(0, at-300):at+20])
		}
		assert.Contains(t, fmt.Sprint(opts.Config.Wire), "[secret]@")
		assert.Contains(t, fmt.Sprint(rest), `"dataURL":"http://[secret]@gms.test/chat"`)
	})
}

// A header that no configuration has is asked for when the configuration is taken, not when the first chat begins.
func TestCustomHeaderIsAskedForAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(nil)
		defer sim.Close()
		opts := onSim(sim)
		opts.Config.EnableCustomHeader = true
		_, _, stop, err := startLogged(t, opts)
		assert.ErrorIs(t, err, webchatservice.ErrInvalidConfig)
		assert.ErrorContains(t, err, "webchat.enableCustomHeader")
		assert.ErrorContains(t, err, "Options.Headers or Options.Authorization")
		stop()
		opts.Authorization = chat.NewAuthorization(func(context.Context, chat.Secret) (chat.Secret, error) { return chat.NewSecret("Bearer a"), nil })
		_, _, stop, err = startLogged(t, opts)
		assert.NoError(t, err)
		stop()
	})
}
