package webchatservice_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// vendorCommands and vendorEvents are the names of webchatservice 3 and 4.1.
var (
	vendorCommands = strings.Fields(`configure startChat endChat sendMessage sendCustomNotice sendTyping
		sendFilteredMessage addPrefilter updateUserData updateInteractionData poll startPoll stopPoll pausePoll
		resetPollExceptions restore asyncRestore getTranscript getAgents getStats getSessionData sendFile
		downloadFile getFileLimits fetchHistory registerTypingPreviewInput registerPreProcessor verifySession
		sleep wake`)
	vendorEvents = strings.Fields(`ready started restored restoreTimeout restoreFailed restoredOffline sessionLost
		ended messageReceived clientConnected clientDisconnected agentConnected agentDisconnected
		supervisorConnected supervisorDisconnected botConnected botDisconnected agentTypingStarted
		agentTypingStopped agentTypingTimeout clientTypingStarted clientTypingStopped pollingStarted
		pollingStopped ajaxResponse error disconnected reconnected chatServerWentOffline chatServerBackOnline
		chatServerTimeout sleeping waking capabilitiesChanged`)
)

// registered returns what the service has on a bus.
func registered(t *testing.T) (info bus.PluginInfo) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		defer r.stop()
		info = r.app.Registry()["WebChatService"]
	})
	return info
}

func TestSurface(t *testing.T) {
	require.Len(t, vendorCommands, 30)
	require.Len(t, vendorEvents, 34)
	info := registered(t)
	var commands, events []string
	for _, c := range info.Commands {
		commands = append(commands, strings.TrimPrefix(c.Name, "WebChatService."))
		assert.NotEmpty(t, c.Doc, c.Name)
	}
	for _, e := range info.Events {
		events = append(events, strings.TrimPrefix(e.Name, "WebChatService."))
		assert.NotEmpty(t, e.Doc, e.Name)
	}
	assert.Subset(t, commands, vendorCommands)
	assert.Subset(t, events, vendorEvents)
}

// shortName is the name of a command or event of the service without its namespace.
func shortName(full string) string { return strings.TrimPrefix(full, "WebChatService.") }

// title is the short name in a heading or a row; own marks what the vendor does not have.
func title(short string, vendor []string) string {
	if slices.Contains(vendor, short) {
		return "`" + short + "`"
	}
	return "`" + short + "` (own)"
}

func TestManualListsTheCommands(t *testing.T) {
	docs := fieldDocs(t)
	var list, details strings.Builder
	list.WriteString("| command | what it does |\n| --- | --- |\n")
	for _, c := range registered(t).Commands {
		short := shortName(c.Name)
		if short == "COMMANDS" || short == "EVENTS" || short == "LOAD" {
			continue
		}
		fmt.Fprintf(&list, "| %s | %s |\n", title(short, vendorCommands), c.Doc)
		fmt.Fprintf(&details, "### %s\n\n%s\n\n", title(short, vendorCommands), c.Doc)
		fields(t, &details, docs, "Options", "option", c.In)
		fields(t, &details, docs, "Resolves with", "result", c.Out)
		var codes []string
		for _, e := range webchatservice.Rejections()[short] {
			codes = append(codes, "`"+string(e.Code)+"`")
		}
		if len(codes) == 0 {
			codes = []string{"nothing of its own"}
		}
		fmt.Fprintf(&details, "Rejects with %s.\n\n", strings.Join(codes, ", "))
	}
	inManual(t, "commands", list.String())
	inManual(t, "command details", details.String())
}

func TestManualListsTheEvents(t *testing.T) {
	docs := fieldDocs(t)
	var list, details strings.Builder
	list.WriteString("| event | when | payload |\n| --- | --- | --- |\n")
	seen := map[reflect.Type]bool{}
	for _, e := range registered(t).Events {
		short := shortName(e.Name)
		if strings.HasPrefix(short, "data.") {
			continue // in a table of its own
		}
		payload := jsonType(e.Type)
		if e.Type.Kind() == reflect.Struct && e.Type.NumField() > 0 {
			payload = "`" + e.Type.Name() + "`"
			if !seen[e.Type] {
				seen[e.Type] = true
				fields(t, &details, docs, "`"+e.Type.Name()+"`", "field", e.Type)
			}
		}
		if payload == "{}" {
			payload = "nothing: `{}`"
		}
		fmt.Fprintf(&list, "| %s | %s | %s |\n", title(short, vendorEvents), e.Doc, payload)
	}
	for _, also := range []reflect.Type{
		reflect.TypeFor[webchatservice.From](), reflect.TypeFor[webchatservice.Participant](), reflect.TypeFor[webchatservice.ServerError](),
		reflect.TypeFor[webchatservice.Postback](), reflect.TypeFor[chat.QuickReply](), reflect.TypeFor[chat.Card](), reflect.TypeFor[chat.CardAction](),
		reflect.TypeFor[chat.Picker](), reflect.TypeFor[chat.PickerTime](), reflect.TypeFor[chat.PickerOption](),
	} {
		fields(t, &details, docs, "`"+also.Name()+"`", "field", also)
	}
	inManual(t, "events", list.String())
	inManual(t, "payloads", details.String())
}

// dataRow describes a value of the data store.
func dataRow[T any](d bus.DataOf[T]) string {
	return fmt.Sprintf("| `%s` | %s | %s |\n", shortName(d.Name()), jsonType(reflect.TypeFor[T]()), d.Doc())
}

func TestManualListsTheData(t *testing.T) {
	rows := []string{
		dataRow(webchatservice.DataSessionActive), dataRow(webchatservice.DataSleeping), dataRow(webchatservice.DataAgentTyping),
		dataRow(webchatservice.DataUserData), dataRow(webchatservice.DataInteractionData), dataRow(webchatservice.DataCapabilities),
		dataRow(webchatservice.DataMode),
	}
	inManual(t, "data", "| key | value | meaning |\n| --- | --- | --- |\n"+strings.Join(rows, ""))
	changes := 0
	for _, e := range registered(t).Events {
		if strings.HasPrefix(shortName(e.Name), "data.") {
			changes++
		}
	}
	assert.Len(t, rows, changes, "each has its event")
}

// fieldDocs returns the comments of the fields of all structs of the package, and of structured content, by
// "Type.Field".
func fieldDocs(t *testing.T) map[string]string {
	t.Helper()
	docs := map[string]string{}
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range append(files, filepath.Join("chat", "content.go")) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if st, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range st.Fields.List {
					text := f.Doc.Text()
					if text == "" {
						text = f.Comment.Text()
					}
					for _, ident := range f.Names {
						docs[spec.Name.Name+"."+ident.Name] = strings.Join(strings.Fields(text), " ")
					}
				}
			}
			return true
		})
	}
	return docs
}

// fields writes a table of the fields of a type, as JSON has them; those that only Go has come last.
func fields(tt *testing.T, w io.Writer, docs map[string]string, what, column string, t reflect.Type) {
	switch t {
	case reflect.TypeFor[webchatservice.Config]():
		fmt.Fprintf(w, "%s: the section `webchat`, see [config.md](config.md).\n\n", what)
		return
	case reflect.TypeFor[webchatservice.Prefilters]():
		fmt.Fprintf(w, "%s: an object of filters by number.\n\n", what)
		return
	}
	if t.Kind() == reflect.Map {
		fmt.Fprintf(w, "%s: any names and values.\n\n", what)
		return
	}
	if t.Kind() == reflect.Struct && t.NumField() == 0 {
		fmt.Fprintf(w, "%s: none.\n\n", what)
		return
	}
	fmt.Fprintf(w, "%s:\n\n| %s | type | meaning |\n| --- | --- | --- |\n", what, column)
	var goOnly strings.Builder
	var walk func(t reflect.Type)
	walk = func(t reflect.Type) {
		for i := range t.NumField() {
			f := t.Field(i)
			tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			doc := meaning(f.Name, docs[t.Name()+"."+f.Name])
			if f.IsExported() && !f.Anonymous {
				assert.NotEmpty(tt, doc, "comment of field %s.%s", t.Name(), f.Name)
			}
			switch {
			case f.Anonymous && tag == "" && f.Type.Kind() == reflect.Pointer:
				walk(f.Type.Elem())
			case f.Anonymous && tag == "":
				walk(f.Type)
			case !f.IsExported():
			case tag == "-":
				fmt.Fprintf(&goOnly, "| `%s` in Go | `%s` | %s |\n", f.Name, f.Type, doc)
			default:
				fmt.Fprintf(w, "| `%s` | %s | %s |\n", tag, jsonType(f.Type), doc)
			}
		}
	}
	walk(t)
	fmt.Fprintf(w, "%s\n", goOnly.String())
}

// meaning is the comment of a field without what is for Go alone: its name, and links.
func meaning(name, doc string) string {
	for _, verb := range []string{" is ", " are ", ": "} {
		if rest, ok := strings.CutPrefix(doc, name+verb); ok {
			doc = rest
			break
		}
	}
	return strings.ReplaceAll(brackets.ReplaceAllString(doc, "$1"), "|", "\\|")
}

// brackets are the links of a Go comment.
var brackets = regexp.MustCompile(`\[([A-Z][A-Za-z.]*)\]`)

// jsonType names a type as JSON has it.
func jsonType(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[json.RawMessage](), reflect.TypeFor[chat.JSON]():
		return "any JSON"
	case reflect.TypeFor[webchatservice.LineID](), reflect.TypeFor[webchatservice.PartyID]():
		return "string or number"
	case reflect.TypeFor[webchatservice.Key]():
		return "string, a secret"
	case reflect.TypeFor[webchatservice.Time]():
		return "number (ms) or false"
	case reflect.TypeFor[webchatservice.Elapsed]():
		return "number (ms) or false"
	case reflect.TypeFor[webchatservice.Filter]():
		return "object `{source, flags}`"
	case reflect.TypeFor[webchatservice.Filters]():
		return "object `{source, flags}`, or array of these"
	case reflect.TypeFor[[]byte]():
		return "string, base64"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int64:
		return "number"
	case reflect.String:
		return "string"
	case reflect.Interface:
		return "any"
	case reflect.Pointer:
		return jsonType(t.Elem())
	case reflect.Slice:
		return "array: " + jsonType(t.Elem())
	case reflect.Map:
		if t.Elem() == reflect.TypeFor[webchatservice.Participant]() {
			return "object by id: " + jsonType(t.Elem())
		}
		return "object"
	}
	if t.NumField() == 0 {
		return "{}"
	}
	var names []string
	for i := range t.NumField() {
		if tag, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); tag != "-" && tag != "" {
			names = append(names, tag)
		}
	}
	if len(names) > 4 {
		return "`" + t.Name() + "`"
	}
	return "object `{" + strings.Join(names, ", ") + "}`"
}

func TestManualListsTheRejections(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, parser.ParseComments)
	require.NoError(t, err)
	var b strings.Builder
	b.WriteString("| code | text | in Go | when |\n| --- | --- | --- | --- |\n")
	seen := map[string]bool{}
	for _, d := range file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.VAR {
			continue
		}
		for _, s := range g.Specs {
			v := s.(*ast.ValueSpec)
			values := map[string]string{}
			for _, e := range v.Values[0].(*ast.UnaryExpr).X.(*ast.CompositeLit).Elts {
				kv := e.(*ast.KeyValueExpr)
				text, err := strconv.Unquote(kv.Value.(*ast.BasicLit).Value)
				require.NoError(t, err)
				values[kv.Key.(*ast.Ident).Name] = text
			}
			name := v.Names[0].Name
			_, when, ok := strings.Cut(strings.Join(strings.Fields(v.Doc.Text()), " "), name+": ")
			require.True(t, ok, "the comment of %s begins with its name and a colon", name)
			assert.False(t, seen[values["Code"]], "code %s comes twice", values["Code"])
			seen[values["Code"]] = true
			fmt.Fprintf(&b, "| `%s` | `%s` | `%s` | %s |\n", values["Code"], values["Text"], name, when)
		}
	}
	inManual(t, "rejections", b.String())
}
