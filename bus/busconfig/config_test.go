package busconfig_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus/busconfig"
)

// chatConfig has one option of each kind.
type chatConfig struct {
	DataURL      string            `json:"dataURL" doc:"base URL of the chat service"`
	APIKey       string            `json:"apikey" accept:"number"`
	PollRate     int               `json:"pollRate" unit:"ms" min:"1000" max:"30000"`
	PollRateIdle uint16            `json:"pollIntervalIdle_ms" unit:"ms"`
	PollRateMult float64           `json:"pollRateMult" min:"1"`
	AjaxTimeout  time.Duration     `json:"ajaxTimeout" min:"0"`
	Invite       time.Duration     `json:"timeToInviteSeconds" unit:"s"`
	Sleep        bool              `json:"sleepEnabled"`
	MaxLength    *limit            `json:"maxMessageLength"`
	UserData     map[string]any    `json:"userData"`
	Headers      map[string]string `json:"headers"`
	Hosts        []string          `json:"hosts"`
	Inputs       []input           `json:"inputs"`
	Level        string            `json:"logLevel" oneof:"info,warn,error"`
	CometD       cometD            `json:"cometD"`
	Async        *async            `json:"async"`
	Form         any               `json:"form"`
	OnReady      func()            `json:"-"`
}

type cometD struct {
	Enabled bool   `json:"enabled"`
	Channel string `json:"channel"`
	Inner   struct {
		Deep int `json:"deep"`
	} `json:"inner"`
}

type async struct {
	Enabled  bool  `json:"enabled"`
	PageSize *int8 `json:"maxMessagePageSize"`
}

type input struct {
	Name     string `json:"name"`
	Required bool   `json:"required"`
}

// limit is a number or false.
type limit int

func (l *limit) UnmarshalJSON(b []byte) error {
	if string(b) == "false" {
		*l = 0
		return nil
	}
	if json.Unmarshal(b, (*int)(l)) != nil {
		return errors.New("want a number or false")
	}
	return nil
}

func defaults() chatConfig {
	return chatConfig{
		PollRate: 3000, PollRateMult: 1.2, AjaxTimeout: 3 * time.Second, Level: "info",
		UserData: map[string]any{"origin": "default"},
		CometD:   cometD{Channel: "/service/chatV2/customer-support"},
	}
}

func load(t *testing.T, file, data string, env ...string) *busconfig.Config {
	t.Helper()
	cfg, err := busconfig.Load(&busconfig.Options{File: file, Data: []byte(data), Environ: append([]string{}, env...)})
	require.NoError(t, err)
	return cfg
}

func TestFormatsAgree(t *testing.T) {
	files := map[string]string{
		"c.yaml": `
webchat:
  dataURL: http://gms.example/chat   # the base
  apikey: 007
  pollRate: 2000
  ajaxTimeout: 1500
  timeToInviteSeconds: 0.5
  sleepEnabled: true
  maxMessageLength: false
  userData: &u
    firstName: Ada
    FIRSTNAME: Eve
    "dotted.Key": {Inner: [1, 2.5, null, true]}
  headers:
    X-Api-Key: k
  hosts: [a.example, b.example]
  inputs:
    - {name: subject, required: true}
  cometD:
    inner:
      deep: 7
  async:
    maxMessagePageSize: 20
  form: {wrapper: "<table>"}
`,
		"c.json": `{"webchat": {
	"dataURL": "http://gms.example/chat",
	"apikey": "007", "pollRate": 2000, "ajaxTimeout": 15e2, "timeToInviteSeconds": 0.5,
	"sleepEnabled": true, "maxMessageLength": false,
	"userData": {"firstName": "Ada", "FIRSTNAME": "Eve", "dotted.Key": {"Inner": [1, 2.5, null, true]}},
	"headers": {"X-Api-Key": "k"},
	"hosts": ["a.example", "b.example"],
	"inputs": [{"name": "subject", "required": true}],
	"cometD": {"inner": {"deep": 7}},
	"async": {"maxMessagePageSize": 20},
	"form": {"wrapper": "<table>"}
}}`,
		"c.toml": `
[webchat]
dataURL = "http://gms.example/chat"
apikey = "007"
pollRate = 2_000
ajaxTimeout = 1500
timeToInviteSeconds = 0.5
sleepEnabled = true
maxMessageLength = false
hosts = ["a.example", "b.example"]
cometD.inner.deep = 7
async = {maxMessagePageSize = 20}
form.wrapper = "<table>"
[webchat.userData]
firstName = "Ada"
FIRSTNAME = "Eve"
"dotted.Key" = {Inner = [1, 2.5, "null", true]}
[webchat.headers]
X-Api-Key = "k"
[[webchat.inputs]]
name = "subject"
required = true
`,
	}
	page, zero := int8(20), limit(0)
	want := defaults()
	want.DataURL, want.APIKey, want.PollRate, want.Sleep = "http://gms.example/chat", "007", 2000, true
	want.AjaxTimeout, want.Invite = 1500*time.Millisecond, 500*time.Millisecond
	want.MaxLength = &zero
	want.Headers = map[string]string{"X-Api-Key": "k"}
	want.Hosts = []string{"a.example", "b.example"}
	want.Inputs = []input{{"subject", true}}
	want.CometD.Inner.Deep = 7
	want.Async = &async{PageSize: &page}
	want.Form = map[string]any{"wrapper": "<table>"}

	for file, data := range files {
		t.Run(file, func(t *testing.T) {
			cfg := load(t, file, data)
			got := defaults()
			require.NoError(t, cfg.Section("webchat").Decode(&got))
			want := want
			var none any
			if file == "c.toml" { // which knows no null
				none = "null"
			}
			want.UserData = map[string]any{
				"firstName": "Ada", "FIRSTNAME": "Eve",
				"dotted.Key": map[string]any{"Inner": []any{int64(1), 2.5, none, true}},
			}
			assert.Equal(t, want, got)
			assert.Equal(t, []string{"webchat"}, cfg.Namespaces())
			assert.NoError(t, cfg.CheckUnknown("webchat", "demo"))
		})
	}
}

func TestDefaultsStay(t *testing.T) {
	for _, data := range []string{"", "# nothing\n", "webchat:\n", "webchat:\n  userData:\n  cometD:\n  hosts:\n", "demo: {a: 1}\n"} {
		got := defaults()
		require.NoError(t, load(t, "c.yaml", data).Section("webchat").Decode(&got))
		assert.Equal(t, defaults(), got, "file %q", data)
	}
	cfg, err := busconfig.Load(nil)
	require.NoError(t, err)
	got := defaults()
	require.NoError(t, cfg.Section("webchat").Decode(&got))
	assert.Equal(t, defaults(), got, "no file")
}

func TestDefaultsAreNotWrittenTo(t *testing.T) {
	shared := defaults()
	shared.Async = &async{}
	got := shared
	cfg := load(t, "c.yaml", "webchat: {userData: {a: 1}, async: {enabled: true}}")
	require.NoError(t, cfg.Section("webchat").Decode(&got))
	assert.True(t, got.Async.Enabled)
	assert.False(t, shared.Async.Enabled)
	assert.Equal(t, map[string]any{"origin": "default"}, shared.UserData)
	assert.Equal(t, map[string]any{"a": int64(1)}, got.UserData, "a map is one option and replaced whole")
}

func TestEnvironment(t *testing.T) {
	cfg := load(t, "c.yaml", "webchat:\n  dataURL: http://file.example\n  pollRate: 2000\n  apikey: file\n",
		"CXBUS_WEBCHAT_DATAURL=http://env.example",
		"CXBUS_WEBCHAT_APIKEY=", // set and empty: not set
		"CXBUS_WEBCHAT_POLLRATEMULT=1.5",
		"CXBUS_WEBCHAT_POLLINTERVALIDLE_MS= 700 ",
		"CXBUS_WEBCHAT_AJAXTIMEOUT=250",
		"CXBUS_WEBCHAT_SLEEPENABLED=TRUE",
		"CXBUS_WEBCHAT_MAXMESSAGELENGTH=500",
		`CXBUS_WEBCHAT_USERDATA={"firstName": "Ada", "n": 1}`,
		"CXBUS_WEBCHAT_HOSTS=a.example, b.example",
		`CXBUS_WEBCHAT_INPUTS=[{"name": "subject"}]`,
		"CXBUS_WEBCHAT_COMETD_CHANNEL=12",
		"CXBUS_WEBCHAT_COMETD_INNER_DEEP=3",
		"CXBUS_WEBCHAT_ASYNC_ENABLED=1",
		"CXBUS_WEBCHAT_FORM=plain",
		"CXBUSES=1", "HOME=/root", "webchat_dataurl=no",
	)
	got := defaults()
	require.NoError(t, cfg.Section("webchat").Decode(&got))
	require.NoError(t, cfg.CheckUnknown("webchat"))

	length := limit(500)
	want := defaults()
	want.DataURL = "http://env.example" // environment over file
	want.PollRate = 2000                // file over default
	want.APIKey = "file"
	want.PollRateMult, want.PollRateIdle, want.AjaxTimeout, want.Sleep = 1.5, 700, 250*time.Millisecond, true
	want.MaxLength = &length
	want.UserData = map[string]any{"firstName": "Ada", "n": int64(1)}
	want.Hosts = []string{"a.example", "b.example"}
	want.Inputs = []input{{Name: "subject"}}
	want.CometD.Channel, want.CometD.Inner.Deep = "12", 3
	want.Async = &async{Enabled: true}
	want.Form = "plain"
	assert.Equal(t, want, got)
}

// secret is a text or a number, and a level decodes text.
type secret struct{ text string }

func (s *secret) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, &s.text) != nil {
		s.text = string(b)
	}
	return nil
}

func TestTypesThatDecodeThemselves(t *testing.T) {
	type config struct {
		Key   secret     `json:"key"`
		Level slog.Level `json:"level"`
		Limit *limit     `json:"limit"`
		Addr  netip.Addr `json:"addr"`
	}
	for _, key := range []string{"abc", "true", "null", "[1", "12"} {
		var got config
		require.NoError(t, load(t, "", "", "CXBUS_X_KEY="+key).Section("x").Decode(&got))
		assert.Equal(t, key, got.Key.text)
	}
	var got config
	require.NoError(t, load(t, "c.yaml", "x: {key: 12345678901234567890123, level: WARN}", "CXBUS_X_LIMIT=false").Section("x").Decode(&got))
	zero := limit(0)
	assert.Equal(t, config{Key: secret{"12345678901234567890123"}, Level: slog.LevelWarn, Limit: &zero}, got)

	err := load(t, "c.yaml", "x: {level: loud}").Section("x").Decode(&got)
	assert.EqualError(t, err, "c.yaml:1: x.level: is not accepted")
	err = load(t, "c.yaml", "x: {addr: 1}").Section("x").Decode(&got)
	assert.EqualError(t, err, "c.yaml:1: x.addr: is not accepted; want text")
	require.NoError(t, load(t, "c.yaml", "x: {addr: 192.0.2.1}").Section("x").Decode(&got))
	assert.True(t, got.Addr.Is4())
}

func TestEnvironmentOfTheProcess(t *testing.T) {
	t.Setenv("MYAPP_WEBCHAT_DATAURL", "http://env.example")
	cfg, err := busconfig.Load(&busconfig.Options{Prefix: "MYAPP"})
	require.NoError(t, err)
	var got chatConfig
	require.NoError(t, cfg.Section("webchat").Decode(&got))
	assert.Equal(t, "http://env.example", got.DataURL)
}

func TestEnvironmentMendsTheFile(t *testing.T) {
	// What the environment replaces is not looked at.
	cfg := load(t, "c.yaml", "webchat: {pollRate: soon}", "CXBUS_WEBCHAT_POLLRATE=1000")
	got := defaults()
	require.NoError(t, cfg.Section("webchat").Decode(&got))
	assert.Equal(t, 1000, got.PollRate)
}

func TestNamespacesWithOnePrefix(t *testing.T) {
	cfg := load(t, "c.yaml", "web: {}\nweb_chat: {}\n", "CXBUS_WEB_CHAT_PORT=1")
	var web struct {
		Host string `json:"host"`
	}
	var chat struct {
		Port int `json:"port"`
	}
	require.NoError(t, cfg.Section("web").Decode(&web))
	require.NoError(t, cfg.Section("web_chat").Decode(&chat))
	assert.Equal(t, 1, chat.Port)
}

func TestMapTarget(t *testing.T) {
	cfg := load(t, "c.yaml", "demo: {Key: [a], key: 1}")
	var got map[string]any
	require.NoError(t, cfg.Section("demo").Decode(&got))
	assert.Equal(t, map[string]any{"Key": []any{"a"}, "key": int64(1)}, got)

	kept := map[string]int{"a": 1}
	require.NoError(t, cfg.Section("none").Decode(&kept))
	assert.Equal(t, map[string]int{"a": 1}, kept)
}

func TestYAMLMergeAndAlias(t *testing.T) {
	cfg := load(t, "c.yaml", `
base: &base {pollRate: 1500, dataURL: "http://base.example"}
webchat:
  <<: *base
  dataURL: http://own.example
  userData: {<<: [{a: 1}, {a: 2, b: 2}]}
`)
	got := defaults()
	require.NoError(t, cfg.Section("webchat").Decode(&got))
	assert.Equal(t, 1500, got.PollRate)
	assert.Equal(t, "http://own.example", got.DataURL)
	assert.Equal(t, map[string]any{"a": int64(1), "b": int64(2)}, got.UserData)
}

// TestPastedWidgetObject pastes the object of a page as it stands.
func TestPastedWidgetObject(t *testing.T) {
	type widget struct {
		DataURL  string            `json:"dataURL"`
		UserData map[string]string `json:"userData"`
		Emojis   bool              `json:"emojis"`
		CometD   cometD            `json:"cometD"`
		Auto     struct {
			Enabled bool          `json:"enabled"`
			Time    time.Duration `json:"timeToInviteSeconds" unit:"s"`
		} `json:"autoInvite"`
	}
	cfg := load(t, "c.yaml", `
webchat: {
	"dataURL": "http://gms.example/genesys/2/chat/customer-support",
	"userData": {"preferredLanguage": "DE"},
	"emojis": true,
	"cometD": {"enabled": false},
	"autoInvite": {"enabled": false, "timeToInviteSeconds": 10}
}
`)
	var got widget
	require.NoError(t, cfg.Section("webchat").Decode(&got))
	assert.Equal(t, "DE", got.UserData["preferredLanguage"])
	assert.Equal(t, 10*time.Second, got.Auto.Time)
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "bus.yaml")

	_, err := busconfig.Load(&busconfig.Options{File: file})
	require.ErrorIs(t, err, busconfig.ErrFile)
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.EqualError(t, err, file+": no such configuration file")

	_, err = busconfig.Load(&busconfig.Options{File: dir + "/bus.ini"})
	assert.EqualError(t, err, dir+"/bus.ini: unknown kind of configuration file; name it .yaml, .yml, .json or .toml")

	require.NoError(t, os.Mkdir(file, 0o700))
	_, err = busconfig.Load(&busconfig.Options{File: file})
	require.ErrorIs(t, err, busconfig.ErrFile)
	assert.EqualError(t, err, file+": cannot read the configuration file: is a directory")

	big := filepath.Join(dir, "big.json")
	require.NoError(t, os.WriteFile(big, make([]byte, 5<<20), 0o600))
	_, err = busconfig.Load(&busconfig.Options{File: big})
	assert.EqualError(t, err, big+": the configuration file is larger than 4 MiB")

	good := filepath.Join(dir, "good.TOML")
	require.NoError(t, os.WriteFile(good, []byte("[webchat]\ndataURL = 'x'\n"), 0o600))
	cfg, err := busconfig.Load(&busconfig.Options{File: good, Environ: []string{}})
	require.NoError(t, err)
	var got chatConfig
	require.NoError(t, cfg.Section("webchat").Decode(&got))
	assert.Equal(t, "x", got.DataURL)
}

func TestBadInput(t *testing.T) {
	tests := []struct {
		name string
		file string // c.yaml unless told
		data string
		env  string
		is   error
		want string // lines
	}{
		{name: "misspelt option", data: "webchat:\n  datURL: x\n", is: busconfig.ErrUnknown,
			want: "c.yaml:2: webchat.datURL: unknown option; did you mean webchat.dataURL?"},
		{name: "wrong case", data: "webchat:\n  dataUrl: x\n", is: busconfig.ErrUnknown,
			want: "c.yaml:2: webchat.dataUrl: unknown option; did you mean webchat.dataURL?"},
		{name: "two spellings", data: "webchat:\n  dataURL: x\n  DATAURL: y\n", is: busconfig.ErrDuplicate,
			want: "c.yaml:3: webchat.DATAURL: is webchat.dataURL a second time, spelt differently; keep webchat.dataURL"},
		{name: "in the wrong section", data: "webchat:\n  channel: x\n", is: busconfig.ErrUnknown,
			want: "c.yaml:2: webchat.channel: unknown option; did you mean webchat.cometD.channel?"},
		{name: "nested", file: "c.json", data: "{\"webchat\": {\n\"cometD\": {\"chanel\": \"x\"}}}", is: busconfig.ErrUnknown,
			want: "c.json:2: webchat.cometD.chanel: unknown option; did you mean webchat.cometD.channel?"},
		{name: "like nothing", data: "webchat:\n  cometD:\n    zzzzzz: x\n", is: busconfig.ErrUnknown,
			want: "c.yaml:3: webchat.cometD.zzzzzz: unknown option; known here are channel, enabled, inner"},
		{name: "in a list", data: "webchat:\n  inputs:\n    - {nam: x}\n", is: busconfig.ErrUnknown,
			want: "c.yaml:3: webchat.inputs[0].nam: unknown option; did you mean webchat.inputs[0].name?"},
		{name: "hidden field", data: "webchat: {OnReady: 1}\n", is: busconfig.ErrUnknown,
			want: "c.yaml:1: webchat.OnReady: unknown option"},

		{name: "text for a number", file: "c.toml", data: "[webchat]\n\npollRate = \"soon\"\n", is: busconfig.ErrType,
			want: "c.toml:3: webchat.pollRate: is text; want a whole number of ms, 1000 to 30000"},
		{name: "half a number", data: "webchat: {pollRate: 1000.5}", is: busconfig.ErrType,
			want: "c.yaml:1: webchat.pollRate: is not a whole number; want a whole number of ms, 1000 to 30000"},
		{name: "number for a boolean", data: "webchat: {sleepEnabled: 1}", is: busconfig.ErrType,
			want: "c.yaml:1: webchat.sleepEnabled: is a number; want true or false"},
		{name: "yes", data: "webchat: {sleepEnabled: yes}", is: busconfig.ErrType,
			want: "c.yaml:1: webchat.sleepEnabled: is text; want true or false"},
		{name: "number for a text", data: "webchat: {dataURL: 1}", is: busconfig.ErrType,
			want: "c.yaml:1: webchat.dataURL: is a number; want text: put it in quotes"},
		{name: "boolean for text or number", data: "webchat: {apikey: true}", is: busconfig.ErrType,
			want: "c.yaml:1: webchat.apikey: is true or false; want text or a number: put it in quotes"},
		{name: "duration as text", data: "webchat: {ajaxTimeout: 3s}", is: busconfig.ErrType,
			want: "c.yaml:1: webchat.ajaxTimeout: is text; want a number of ms, at least 0"},
		{name: "no value", data: "webchat:\n  dataURL:\n", is: busconfig.ErrType,
			want: "c.yaml:2: webchat.dataURL: is empty; want text"},
		{name: "text for a group", data: "webchat: {cometD: on}", is: busconfig.ErrType,
			want: "c.yaml:1: webchat.cometD: is text; want a group of options"},
		{name: "text for a map", data: "webchat: {userData: x}", is: busconfig.ErrType,
			want: "c.yaml:1: webchat.userData: is text; want a group of names and values"},
		{name: "in a map", data: "webchat:\n  headers:\n    A: {}\n    B: 2", is: busconfig.ErrType,
			want: "c.yaml:3: webchat.headers.A: is a group of options; want text\n" +
				"c.yaml:4: webchat.headers.B: is a number; want text: put it in quotes"},
		{name: "text for a list", data: "webchat: {hosts: a}", is: busconfig.ErrType,
			want: "c.yaml:1: webchat.hosts: is text; want a list"},
		{name: "section is text", data: "webchat: on", is: busconfig.ErrType,
			want: "c.yaml:1: webchat: is text; want a group of options"},
		{name: "own decoder", data: "webchat: {maxMessageLength: many}", is: busconfig.ErrType,
			want: "c.yaml:1: webchat.maxMessageLength: is not accepted; want a number or false"},
		{name: "octal for an own decoder", data: "webchat: {maxMessageLength: 0123}", is: busconfig.ErrType,
			want: "c.yaml:1: webchat.maxMessageLength: is not a plain number; put it in quotes, or write it in decimal digits"},

		{name: "too small", data: "webchat: {pollRate: 200}", is: busconfig.ErrRange,
			want: "c.yaml:1: webchat.pollRate: 200 is out of range; want a whole number of ms, 1000 to 30000"},
		{name: "too large", data: "webchat: {pollRate: 1e30}", is: busconfig.ErrRange,
			want: "c.yaml:1: webchat.pollRate: 1e30 is out of range; want a whole number of ms, 1000 to 30000"},
		{name: "negative", data: "webchat: {pollIntervalIdle_ms: -1}", is: busconfig.ErrRange,
			want: "c.yaml:1: webchat.pollIntervalIdle_ms: -1 is negative; want a whole number of ms"},
		{name: "larger than the type", data: "webchat: {pollIntervalIdle_ms: 65536}", is: busconfig.ErrRange,
			want: "c.yaml:1: webchat.pollIntervalIdle_ms: 65536 is too large; want a whole number of ms"},
		{name: "duration past the end of time", data: "webchat: {ajaxTimeout: 1e300}", is: busconfig.ErrRange,
			want: "c.yaml:1: webchat.ajaxTimeout: 1e300 is too large; want a number of ms, at least 0"},
		{name: "not one of", data: "webchat: {logLevel: loud}", is: busconfig.ErrRange,
			want: "c.yaml:1: webchat.logLevel: is none of the values allowed; want one of info, warn, error"},
		{name: "several at once", data: "webchat:\n  pollRate: 1\n  sleepEnable: true\n  hosts: 1\n", is: busconfig.ErrRange,
			want: "c.yaml:2: webchat.pollRate: 1 is out of range; want a whole number of ms, 1000 to 30000\n" +
				"c.yaml:3: webchat.sleepEnable: unknown option; did you mean webchat.sleepEnabled?\n" +
				"c.yaml:4: webchat.hosts: is a number; want a list"},

		{name: "variable of the wrong type", env: "CXBUS_WEBCHAT_POLLRATE=soon", is: busconfig.ErrType,
			want: "CXBUS_WEBCHAT_POLLRATE: webchat.pollRate: is text; want a whole number of ms, 1000 to 30000"},
		{name: "variable out of range", env: "CXBUS_WEBCHAT_POLLRATE=31000", is: busconfig.ErrRange,
			want: "CXBUS_WEBCHAT_POLLRATE: webchat.pollRate: 31000 is out of range; want a whole number of ms, 1000 to 30000"},
		{name: "variable for a map", env: "CXBUS_WEBCHAT_USERDATA=a", is: busconfig.ErrType,
			want: "CXBUS_WEBCHAT_USERDATA: webchat.userData: is text; want a group of names and values as JSON"},
		{name: "variable misspelt", env: "CXBUS_WEBCHAT_DATURL=x", is: busconfig.ErrUnknown,
			want: "CXBUS_WEBCHAT_DATURL: no option has this variable; did you mean CXBUS_WEBCHAT_DATAURL?"},
		{name: "variable into a map", env: "CXBUS_WEBCHAT_USERDATA_NAME=x", is: busconfig.ErrUnknown,
			want: "CXBUS_WEBCHAT_USERDATA_NAME: no option has this variable; CXBUS_WEBCHAT_USERDATA takes the whole of webchat.userData as JSON"},
		{name: "variable of a group", env: "CXBUS_WEBCHAT_COMETD={}", is: busconfig.ErrUnknown,
			want: "CXBUS_WEBCHAT_COMETD: no option has this variable; set the options of that group one by one, as CXBUS_WEBCHAT_COMETD_ENABLED"},
		{name: "variable not UTF-8", env: "CXBUS_WEBCHAT_DATAURL=\xff", is: busconfig.ErrMalformed,
			want: "CXBUS_WEBCHAT_DATAURL: is not UTF-8"},
		{name: "variable of no section", env: "CXBUS_WEBCHT_DATAURL=x", is: busconfig.ErrUnknown,
			want: "CXBUS_WEBCHT_DATAURL: belongs to no section; did you mean CXBUS_WEBCHAT_DATAURL?"},
		{name: "variable like nothing", env: "CXBUS_SOMETHING=x", is: busconfig.ErrUnknown,
			want: "CXBUS_SOMETHING: belongs to no section; variables begin with CXBUS_DEMO_ or CXBUS_WEBCHAT_"},

		{name: "misspelt section", data: "webchat: {}\nwebchta: {}\n", is: busconfig.ErrUnknown,
			want: "c.yaml:2: webchta: unknown section; did you mean webchat?"},
		{name: "section like nothing", data: "\nzzzzzz: {}\n", is: busconfig.ErrUnknown,
			want: "c.yaml:2: zzzzzz: unknown section; known are demo, webchat"},
		{name: "two spellings of a section", data: "webchat: {}\nWebChat: {}\n", is: busconfig.ErrDuplicate,
			want: "c.yaml:2: WebChat: is webchat a second time, spelt differently; keep webchat"},

		{name: "key twice, YAML", data: "webchat:\n  dataURL: a\n  pollRate: 1\n  dataURL: b\n", is: busconfig.ErrDuplicate,
			want: "c.yaml:4: webchat.dataURL: is there twice; the first is on line 2"},
		{name: "key twice, JSON", file: "c.json", data: "{\"webchat\": {\"dataURL\": \"a\",\n \"dataURL\": \"b\"}}", is: busconfig.ErrDuplicate,
			want: "c.json:2: webchat.dataURL: is there twice; the first is on line 1"},
		{name: "key twice in a map", file: "c.json", data: `{"webchat": {"userData": {"a": 1, "a": 2}}}`, is: busconfig.ErrDuplicate,
			want: "c.json:1: webchat.userData.a: is there twice; the first is on line 1"},
		{name: "key twice, TOML", file: "c.toml", data: "[webchat]\ndataURL = 'a'\ndataURL = 'b'\n", is: busconfig.ErrDuplicate,
			want: "c.toml:3: webchat.dataURL: is there twice; the first is on line 2"},
		{name: "table twice, TOML", file: "c.toml", data: "[webchat]\n[webchat]\n", is: busconfig.ErrDuplicate,
			want: "c.toml:2: webchat: is there twice; the first is on line 1"},

		{name: "malformed YAML", data: "webchat:\n  dataURL: \"a\n  b: [\n", is: busconfig.ErrMalformed,
			want: "c.yaml:2: a quote is not closed"},
		{name: "tabs", data: "webchat:\n\tdataURL: a\n", is: busconfig.ErrMalformed,
			want: "c.yaml:2: is indented with a tab; YAML wants blanks"},
		{name: "two documents", data: "webchat: {}\n---\nwebchat: {}\n", is: busconfig.ErrMalformed,
			want: "c.yaml:2: a second document begins; want one"},
		{name: "tag", data: "webchat: {dataURL: !secret x}\n", is: busconfig.ErrMalformed,
			want: "c.yaml:1:20: tags are not supported (a text that begins with ! wants quotes)"},
		{name: "unknown anchor", data: "webchat: {dataURL: *x}\n", is: busconfig.ErrMalformed,
			want: "c.yaml:1: a text that begins with * or & wants quotes"},
		{name: "anchor in itself", data: "webchat: &a [*a]\n", is: busconfig.ErrMalformed,
			want: "c.yaml:1: nested deeper than 200 levels"},
		{name: "number too long, TOML", file: "c.toml", data: "a = 99999999999999999999\n", is: busconfig.ErrMalformed,
			want: "c.toml:1:5: couldn't parse decimal number"},
		{name: "key that is no name", data: "webchat: {[a]: x}\n", is: busconfig.ErrMalformed,
			want: "c.yaml:1:11: a key must be a name"},
		{name: "infinity", data: "webchat: {pollRateMult: .inf}\n", is: busconfig.ErrMalformed,
			want: "c.yaml:1: infinity and not-a-number are no values of an option"},
		{name: "malformed JSON", file: "c.json", data: "{\"webchat\":\n  {\"dataURL\": x}}", is: busconfig.ErrMalformed,
			want: "c.json:2:15: invalid character 'x' looking for beginning of value"},
		{name: "truncated JSON", file: "c.json", data: "{\"webchat\": {", is: busconfig.ErrMalformed,
			want: "c.json:1:13: unexpected end of JSON input"},
		{name: "too large a number", file: "c.json", data: "{\"webchat\": 1e999}", is: busconfig.ErrMalformed,
			want: "c.json:1: the number is too large"},
		{name: "malformed TOML", file: "c.toml", data: "[webchat]\ndataURL = x\n", is: busconfig.ErrMalformed,
			want: "c.toml:2:11: incomplete number"},
		{name: "not UTF-8", data: "webchat:\n  dataURL: \"\xff\"\n", is: busconfig.ErrMalformed,
			want: "c.yaml:2:13: is not UTF-8"},
		{name: "nested too deep", file: "c.json", data: strings.Repeat(`{"a":`, 300) + "1" + strings.Repeat("}", 300), is: busconfig.ErrMalformed,
			want: "c.json:1: nested deeper than 200 levels"},
		{name: "nested 100,000 deep, JSON", file: "c.json", data: strings.Repeat("[", 100000), is: busconfig.ErrMalformed,
			want: "c.json:1:10001: invalid character '[' exceeded max depth"},
		{name: "nested 100,000 deep, YAML", data: strings.Repeat("[", 100000), is: busconfig.ErrMalformed,
			want: "c.yaml: nested too deeply"},
		{name: "aliases of aliases", data: bomb(), is: busconfig.ErrMalformed,
			want: "c.yaml:1: holds more than 200000 values"},
		{name: "not a group", data: "- webchat\n", is: busconfig.ErrType,
			want: "c.yaml: the file is a list; want one section for each namespace, as webchat"},
		{name: "a group within the number of values", data: "webchat: {form: 1}\n", want: ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.file == "" {
				tt.file = "c.yaml"
			}
			got := defaults()
			cfg, err := busconfig.Load(&busconfig.Options{File: tt.file, Data: []byte(tt.data), Environ: []string{tt.env}})
			if err == nil {
				err = errors.Join(cfg.Section("webchat").Decode(&got), cfg.CheckUnknown("demo", "webchat"))
			}
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.Error(t, err)
			assert.Equal(t, tt.want, err.Error())
			assert.ErrorIs(t, err, tt.is)
			var e *busconfig.Error
			require.ErrorAs(t, err, &e)
			assert.NotEmpty(t, e.Source)
			assert.Equal(t, defaults(), got, "a Decode that fails changes nothing")
		})
	}
}

// bomb is a small YAML file that means 10^9 values.
func bomb() string {
	var b strings.Builder
	b.WriteString("{a0: &a0 [x,x,x,x,x,x,x,x,x,x]")
	for i := 1; i < 9; i++ {
		p := "*a" + string(rune('0'+i-1))
		b.WriteString(", a" + string(rune('0'+i)) + ": &a" + string(rune('0'+i)) + " [" + strings.Repeat(p+",", 9) + p + "]")
	}
	return b.String() + "}"
}

// TestSecretsAreNotRepeated puts a secret in every wrong place.
func TestSecretsAreNotRepeated(t *testing.T) {
	const secret = "CANARY-busconfig"
	type quoting struct {
		chatConfig
		Quote quote `json:"quote"`
	}
	for _, file := range []string{"c.yaml", "c.json", "c.toml"} {
		for _, data := range []string{
			"webchat: {pollRate: " + secret + "}",
			"webchat: {logLevel: " + secret + "}",
			"webchat: {hosts: " + secret + "}",
			"webchat: " + secret,
			"webchat: {quote: " + secret + "}",
			"webchat: {quote: {a: [" + secret + "]}}",
			"webchat: {maxMessageLength: " + secret + "}",
			"webchat: {dataURL: *" + secret + "}",
			"webchat: {dataURL: !" + secret + " x}",
			"webchat: {dataURL: !!int " + secret + "}",
			"webchat: {apikey: [" + secret + "]}",
			"- " + secret,
			"webchat: {apikey: \"" + secret,
			`{"webchat": {"apikey": ` + secret + `}}`,
			`{"webchat": {"apikey": "` + secret,
			`{"webchat": {"pollRate": "` + secret + `"}}`,
			"[webchat]\napikey = " + secret,
			"[webchat]\napikey = 1" + secret,
			"[webchat]\napikey = \"" + secret,
			"[webchat]\npollRate = \"" + secret + "\"",
		} {
			cfg, err := busconfig.Load(&busconfig.Options{File: file, Data: []byte(data), Environ: []string{"CXBUS_WEBCHAT_POLLRATE=" + secret}})
			if err == nil {
				var got quoting
				err = cfg.Section("webchat").Decode(&got)
			}
			require.Error(t, err)
			assert.False(t, strings.Contains(err.Error(), secret), "the error for %s in %s holds the value", strings.ReplaceAll(data, secret, "..."), file)
		}
	}
}

func TestPrintingShowsNoValue(t *testing.T) {
	const secret = "CANARY-busconfig"
	cfg := load(t, "c.yaml", "webchat: {apikey: "+secret+"}", "CXBUS_WEBCHAT_APIKEY="+secret)
	var dump printed
	assert.Equal(&dump, cfg, load(t, "", "")) // fails, and dumps both
	for _, out := range []string{
		fmt.Sprintf("%v %+v %#v", cfg, cfg, cfg),
		fmt.Sprintf("%v %+v %#v", cfg.Section("webchat"), cfg.Section("webchat"), cfg.Section("webchat")),
		dump.String(),
	} {
		require.NotEmpty(t, out)
		assert.False(t, strings.Contains(out, secret), "printing shows the value")
	}
}

// printed is a test that keeps what it is told.
type printed struct{ strings.Builder }

func (p *printed) Errorf(format string, args ...any) { fmt.Fprintf(p, format, args...) }

// quote is a type whose error repeats what it was given.
type quote struct{}

func (*quote) UnmarshalJSON(b []byte) error { return errors.New("cannot take " + string(b)) }

func TestProgrammersMistakes(t *testing.T) {
	cfg, err := busconfig.Load(nil)
	require.NoError(t, err)
	s := cfg.Section("webchat")
	assert.PanicsWithValue(t, "busconfig: Decode wants a pointer to a struct or to a map with string keys, not struct {}", func() { _ = s.Decode(struct{}{}) })
	assert.Panics(t, func() { _ = s.Decode(nil) })
	assert.Panics(t, func() {
		_ = s.Decode(&struct {
			F func() `json:"f"`
		}{})
	})
	assert.Panics(t, func() {
		_ = s.Decode(&struct {
			A int `json:"a" min:"x"`
		}{})
	})
	assert.Panics(t, func() {
		_ = s.Decode(&struct {
			A int `json:"poll_rate"`
			B int `json:"poll-rate"`
		}{})
	}, "two options with one variable")
	assert.Panics(t, func() { busconfig.Describe("webchat", 1) })
}

func TestDescribe(t *testing.T) {
	d := defaults()
	d.AjaxTimeout = 2500 * time.Millisecond
	byPath := map[string]busconfig.Field{}
	var order []string
	for _, f := range busconfig.Describe("webchat", &d) {
		byPath[f.Path] = f
		order = append(order, f.Path)
	}
	assert.Equal(t, []string{"webchat.dataURL", "webchat.apikey", "webchat.pollRate"}, order[:3])
	assert.Equal(t, busconfig.Field{
		Path: "webchat.dataURL", Env: "CXBUS_WEBCHAT_DATAURL", Type: "string", Default: `""`, Doc: "base URL of the chat service",
	}, byPath["webchat.dataURL"])
	assert.Equal(t, busconfig.Field{
		Path: "webchat.pollRate", Env: "CXBUS_WEBCHAT_POLLRATE", Type: "number", Unit: "ms", Range: "1000 to 30000", Default: "3000",
	}, byPath["webchat.pollRate"])
	assert.Equal(t, "2500", byPath["webchat.ajaxTimeout"].Default)
	assert.Equal(t, "ms", byPath["webchat.ajaxTimeout"].Unit)
	assert.Equal(t, `"/service/chatV2/customer-support"`, byPath["webchat.cometD.channel"].Default)
	assert.Equal(t, "", byPath["webchat.async.maxMessagePageSize"].Default)
	assert.Equal(t, "{}", byPath["webchat.headers"].Default)
	assert.Equal(t, "[]", byPath["webchat.hosts"].Default)
	assert.Equal(t, "info, warn, error", byPath["webchat.logLevel"].Range)
	assert.NotContains(t, byPath, "webchat.OnReady")
}

// tree is a type that holds itself.
type tree struct {
	Name string `json:"name"`
	Next *tree  `json:"next"`
}

func TestTypeThatHoldsItself(t *testing.T) {
	cfg := load(t, "c.yaml", "x: {name: a, next: {name: b, next: {name: c}}}")
	var got tree
	require.NoError(t, cfg.Section("x").Decode(&got))
	assert.Equal(t, "c", got.Next.Next.Name)
}
