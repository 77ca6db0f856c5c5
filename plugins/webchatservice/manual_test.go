package webchatservice_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
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

func TestManualListsTheCommands(t *testing.T) {
	var b strings.Builder
	b.WriteString("| command | what it does | options | resolves with |\n| --- | --- | --- | --- |\n")
	for _, c := range registered(t).Commands {
		short := strings.TrimPrefix(c.Name, "WebChatService.")
		if short == "COMMANDS" || short == "EVENTS" || short == "LOAD" {
			continue
		}
		name := "`" + short + "`"
		if !slices.Contains(vendorCommands, short) {
			name += " (own)"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, c.Doc, fields(c.In), fields(c.Out))
	}
	inManual(t, "commands", b.String())
}

func TestManualListsTheEvents(t *testing.T) {
	var b strings.Builder
	b.WriteString("| event | when | payload |\n| --- | --- | --- |\n")
	for _, e := range registered(t).Events {
		short := strings.TrimPrefix(e.Name, "WebChatService.")
		name := "`" + short + "`"
		if !slices.Contains(vendorEvents, short) {
			name += " (own)"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", name, e.Doc, fields(e.Type))
	}
	inManual(t, "events", b.String())
}

// fields names the options or fields of a type, as JSON has them.
func fields(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[webchatservice.Config]():
		return "the section `webchat`, see [config.md](config.md)"
	case reflect.TypeFor[webchatservice.Message]():
		return "a line, see below"
	case reflect.TypeFor[json.RawMessage]():
		return "the server's answer"
	case reflect.TypeFor[webchatservice.Prefilters]():
		return "filters by number"
	}
	switch t.Kind() {
	case reflect.Map:
		return "any names and values"
	case reflect.Struct:
	default:
		return t.String()
	}
	var list []string
	var goOnly []string
	var walk func(t reflect.Type)
	walk = func(t reflect.Type) {
		for i := range t.NumField() {
			f := t.Field(i)
			tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			switch {
			case f.Anonymous && tag == "":
				walk(f.Type)
			case tag == "-":
				goOnly = append(goOnly, "`"+f.Name+"`")
			default:
				list = append(list, "`"+tag+"`")
			}
		}
	}
	walk(t)
	out := strings.Join(list, ", ")
	if len(goOnly) > 0 {
		if out != "" {
			out += "; "
		}
		out += "in Go " + strings.Join(goOnly, ", ")
	}
	if out == "" {
		return "nothing"
	}
	return out
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
