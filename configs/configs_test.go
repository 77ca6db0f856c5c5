// Package configs_test loads each configuration file that the project ships
// and holds its comments, and the tables of docs/config.md, to what the code
// says of each option.
package configs_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus/busconfig"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmscometd"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmsrest"
	"github.com/cxbus/cxbus/plugins/webchatservice/wires"
)

var update = flag.Bool("update", false, "rewrite the tables of docs/config.md")

// sections are the namespaces that a file may hold, with their defaults.
var sections = map[string]any{
	"webchat": webchatservice.Schema(wires.All()),
}

// set is what each file changes; everything else is the default.
var set = map[string]func(*webchatservice.Config){
	"gms-rest.yaml": func(c *webchatservice.Config) {
		c.Wire = wire(`{"dataURL": "https://gms.example.net/genesys/2/chat/customer-support"}`)
	},
	"gms-cometd.yaml": func(c *webchatservice.Config) {
		c.CometD.Enabled = true
		c.Wire = wire(`{"cometD": {
			"cometURL": "http://127.0.0.1:8080/genesys/cometd", "apiURL": "http://127.0.0.1:8080/genesys/2/chat-ntf"}}`)
	},
	"busdemo.yaml": func(c *webchatservice.Config) {
		c.Wire = wire(`{"dataURL": "http://127.0.0.1:8080/genesys/2/chat/customer-support", "pollRateMin": 250, "pollRateMax": 1000}`)
		c.UserData = map[string]any{"preferredLanguage": "EN", "origin": "busdemo"}
		c.MaxMessageLength = 500
	},
}

// wire returns the options of an object.
func wire(object string) webchatservice.Wire {
	var c webchatservice.Config
	if err := json.Unmarshal([]byte(object), &c); err != nil {
		panic(err)
	}
	return c.Wire
}

func files(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob("*.*ml")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	return names
}

func load(t *testing.T, file string, data []byte) webchatservice.Config {
	t.Helper()
	cfg, err := busconfig.Load(&busconfig.Options{File: file, Data: data, Environ: []string{}})
	require.NoError(t, err)
	got := webchatservice.DefaultConfig(wires.All()...)
	require.NoError(t, cfg.Section("webchat").Decode(&got))
	require.NoError(t, cfg.CheckUnknown("webchat"))
	return got
}

func TestFilesLoad(t *testing.T) {
	for _, file := range files(t) {
		t.Run(file, func(t *testing.T) {
			require.Contains(t, set, file, "say in this test what the file sets")
			want := webchatservice.DefaultConfig(wires.All()...)
			set[file](&want)

			data, err := os.ReadFile(file)
			require.NoError(t, err)
			got := load(t, file, data)
			assert.Equal(t, want, got)
			assert.NoError(t, got.Validate(wires.All()...))

			all := load(t, file, uncomment(data))
			normalise(&all)
			normalise(&want)
			assert.Equal(t, want, all, "with all options that are commented out")
		})
	}
}

// TestPastedWidgetObject takes over the object of a page, as JSON and as YAML.
func TestPastedWidgetObject(t *testing.T) {
	const object = `{
	"dataURL": "https://gms.example.net/genesys/2/chat/customer-support/",
	"apikey": 4711,
	"ajaxTimeout": 10000,
	"userData": {"Subject": "Order", "subject": "kept apart"},
	"emojis": true,
	"uploadsEnabled": false,
	"cometD": {"enabled": false, "cometURL": "https://gms.example.net/genesys/cometd", "websocketEnabled": true},
	"async": {"enabled": true, "newMessageRestoreState": "minimized"},
	"autoInvite": {"enabled": false, "timeToInviteSeconds": 10, "inviteTimeoutSeconds": 30},
	"chatButton": {"enabled": true, "openDelay": 1000, "effect": "fade", "hideDuringInvite": true},
	"form": {"wrapper": "<table></table>", "inputs": [{"id": "cx_webchat_form_firstname", "name": "firstname"}]},
	"ariaCharRemainingIntervals": false,
	"minimizeOnMobileRestore": true,
	"transport": {"type": "pureengage-v3-rest", "headers": {"x-api-key": "k"}, "interactionData": {"routing": {"targetType": "QUEUE"}}}
}`
	for _, file := range []string{"page.json", "page.yaml"} {
		c := load(t, file, []byte(`{"webchat": `+object+`}`))
		options := c.Wire.Reveal()
		assert.Equal(t, json.Number("4711"), options["apikey"])
		assert.Equal(t, map[string]any{"Subject": "Order", "subject": "kept apart"}, c.UserData)
		assert.Equal(t, map[string]any{"cometURL": "https://gms.example.net/genesys/cometd", "websocketEnabled": true}, options["cometD"])
		assert.Equal(t, 10, c.AutoInvite.TimeToInviteSeconds)
		assert.Empty(t, c.AriaCharRemainingIntervals)
		assert.Equal(t, map[string]any{"headers": map[string]any{"x-api-key": "k"}}, options["transport"])
		assert.NoError(t, c.Validate())
	}
}

// option is a line of a file that holds an option, commented out or not.
// Text in a comment begins with "# ", an option with "#" alone.
var option = regexp.MustCompile(`^( +)(#?)([A-Za-z_]+):(.*)$`)

func uncomment(data []byte) []byte {
	lines := strings.Split(string(data), "\n")
	for i, l := range lines {
		if option.MatchString(l) {
			lines[i] = option.ReplaceAllString(l, "$1$3:$4")
		}
	}
	return []byte(strings.Join(lines, "\n"))
}

// normalise makes an empty map or list of none, and a default of an option of a wire that is not there, which mean the same.
func normalise(c *webchatservice.Config) {
	if c.UserData == nil {
		c.UserData = map[string]any{}
	}
	if c.Masks == nil {
		c.Masks = []string{}
	}
	var defaults webchatservice.Config
	for _, f := range busconfig.Describe("webchat", sections["webchat"]) {
		object := f.Default
		for _, name := range slices.Backward(strings.Split(strings.TrimPrefix(f.Path, "webchat."), ".")) {
			object = fmt.Sprintf("{%q: %s}", name, object)
		}
		if err := json.Unmarshal([]byte(object), &defaults); f.Default != "" && err != nil {
			panic(err)
		}
	}
	options := defaults.Wire.Reveal()
	overlay(options, c.Wire.Reveal())
	c.Wire = webchatservice.NewWire(options)
}

// overlay puts what over says over what under says.
func overlay(under, over map[string]any) {
	for name, value := range over {
		if group, ok := value.(map[string]any); ok && under[name] != nil {
			overlay(under[name].(map[string]any), group)
			continue
		}
		under[name] = value
	}
}

func TestFilesExplainEachOption(t *testing.T) {
	known := map[string]busconfig.Field{}
	for ns, defaults := range sections {
		for _, f := range busconfig.Describe(ns, defaults) {
			known[f.Path] = f
		}
	}
	for _, file := range files(t) {
		t.Run(file, func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			lines := strings.Split(string(data), "\n")
			section, group := "", ""
			for i, l := range lines {
				if name, ok := strings.CutSuffix(l, ":"); ok && !strings.ContainsAny(name, " #") {
					section = name
					continue
				}
				m := option.FindStringSubmatch(l)
				if m == nil {
					continue
				}
				if len(m[1]) == 2 {
					group = ""
				}
				path := strings.Join(slices.DeleteFunc([]string{section, group, m[3]}, func(s string) bool { return s == "" }), ".")
				f, ok := known[path]
				if !ok {
					group = m[3] // a group, or an entry of a free-form map
					continue
				}
				assert.Equal(t, m[1]+"# "+explain(f), lines[i-1], "line %d, above %s", i, path)
				assert.Regexp(t, `^ +# \w`, lines[i-2], "line %d: the meaning of %s", i-1, path)
			}
		})
	}
}

// explain is the line that stands above an option in a file.
func explain(f busconfig.Field) string {
	s := typeOf(f)
	if f.Unit != "" {
		s += " (" + f.Unit + ")"
	}
	if f.Range != "" {
		s += ", " + f.Range
	}
	return s + ", default " + defaultOf(f)
}

// typeOf names the types of options that decode themselves.
func typeOf(f busconfig.Field) string {
	if f.Path == "webchat.apikey" {
		return "string or number"
	}
	if f.Path == "webchat.network.proxy" {
		return "string"
	}
	return f.Type
}

func defaultOf(f busconfig.Field) string {
	if f.Default == "" {
		return "none"
	}
	return f.Default
}

// TestGMSRestIsComplete wants each option of the wire in its file, and no other.
func TestGMSRestIsComplete(t *testing.T) {
	data, err := os.ReadFile("gms-rest.yaml")
	require.NoError(t, err)
	for _, f := range busconfig.Describe("webchat", sections["webchat"]) {
		path := strings.TrimPrefix(f.Path, "webchat.")
		group, name, nested := strings.Cut(path, ".")
		switch {
		case path == "async.enabled" || group == "xhrFields" || group == "network":
			assert.Regexp(t, `(?m)^  `+group+`:\n(    .*\n|\n)*    #?`+name+`:`, string(data), "gms-rest.yaml lacks %s", path)
		case nested: // the user interface, and other wires
			assert.NotRegexp(t, `(?m)^  `+group+`:\n(    .*\n|\n)*    #?`+name+`:`, string(data), "gms-rest.yaml has %s", path)
		case optionOf(gmsrest.Factory(), path):
			assert.Regexp(t, `(?m)^  #?`+path+`:`, string(data), "gms-rest.yaml lacks %s", path)
		default:
			assert.NotRegexp(t, `(?m)^  #?`+path+`:`, string(data), "gms-rest.yaml has %s", path)
		}
	}
}

// TestGMSCometDIsComplete wants each option of the wire in its file: those of
// the groups cometD and async, and those of gms-rest.yaml but where requests
// go and how it is polled.
func TestGMSCometDIsComplete(t *testing.T) {
	data, err := os.ReadFile("gms-cometd.yaml")
	require.NoError(t, err)
	for _, f := range busconfig.Describe("webchat", sections["webchat"]) {
		path := strings.TrimPrefix(f.Path, "webchat.")
		group, name, nested := strings.Cut(path, ".")
		switch {
		case nested && group != "cometD" && group != "async" && group != "xhrFields" && group != "network":
			continue // the user interface, and other wires
		case nested:
			assert.Regexp(t, `(?m)^  `+group+`:\n(    .*\n|\n)*    #?`+name+`:`, string(data), "gms-cometd.yaml lacks %s", path)
		case optionOf(gmscometd.Factory(), path) && path != "sleepEnabled": // nothing is polled
			assert.Regexp(t, `(?m)^  #?`+path+`:`, string(data), "gms-cometd.yaml lacks %s", path)
		default:
			assert.NotRegexp(t, `(?m)^  #?`+path+`:`, string(data), "gms-cometd.yaml has %s", path)
		}
	}
}

// optionOf reports whether an option is one of a wire, or stands in Config itself, not among those of the user interface.
func optionOf(wire chat.Factory, name string) bool {
	if slices.ContainsFunc(chat.OptionsOf(reflect.TypeOf(wire.Config()).Elem()), func(o chat.Option) bool { return o.Path == name }) {
		return true
	}
	c := reflect.TypeFor[webchatservice.Config]()
	for i := range c.NumField() {
		f := c.Field(i)
		if n, _, _ := strings.Cut(f.Tag.Get("json"), ","); n == name && !f.Anonymous {
			return true
		}
	}
	return false
}

// TestManual holds the tables of docs/config.md to the code.
func TestManual(t *testing.T) {
	const file = "../docs/config.md"
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	text := string(data)
	for ns, defaults := range sections {
		begin, end := fmt.Sprintf("<!-- options of %s -->\n", ns), fmt.Sprintf("<!-- end of %s -->\n", ns)
		head, rest, ok := strings.Cut(text, begin)
		require.True(t, ok, "%s has no line %q", file, begin)
		old, tail, ok := strings.Cut(rest, end)
		require.True(t, ok, "%s has no line %q", file, end)
		want := "\n" + table(ns, busconfig.Describe(ns, defaults)) + "\n"
		if *update {
			text = head + begin + want + end + tail
			continue
		}
		assert.Equal(t, want, old, "go test ./configs -update rewrites it")
	}
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
}

func table(ns string, fields []busconfig.Field) string {
	var b strings.Builder
	b.WriteString("| option | type | unit | range | default | meaning |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, f := range fields {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | `%s` | %s |\n",
			strings.TrimPrefix(f.Path, ns+"."), typeOf(f), f.Unit, f.Range, defaultOf(f), escape(f.Doc))
	}
	return b.String()
}

// escape keeps what stands in angle brackets or bars visible in a table.
func escape(s string) string {
	return strings.NewReplacer("<", "&lt;", ">", "&gt;", "|", "\\|").Replace(s)
}
