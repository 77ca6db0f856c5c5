package main

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/bus/busschema"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
)

func TestCommands(t *testing.T) {
	got := trial{}.run(t, "commands")
	got.requireOK(t)
	assert.Contains(t, got.stdout, "WebChatService.startChat  webchatservice.StartChatIn -> webchatservice.Answer\n    "+webchatservice.StartChat.Doc()+"\n")
	assert.Contains(t, got.stdout, "Statistics.report  struct{} -> main.Figures\n")

	got = trial{}.run(t, "commands", "--json")
	got.requireOK(t)
	var rows []commandRow
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &rows))
	var names []string
	for _, r := range rows {
		names = append(names, r.Name)
		assert.NotEmpty(t, r.Doc, r.Name)
		assert.NotEmpty(t, r.In, r.Name)
		assert.NotEmpty(t, r.Out, r.Name)
		for _, s := range []*jsonschema.Schema{r.Input, r.Result} {
			_, err := s.Resolve(nil)
			assert.NoError(t, err, r.Name)
		}
	}
	assert.True(t, slices.IsSorted(names), names)
	for _, name := range strings.Fields("configure startChat endChat sendMessage sendTyping updateUserData restore getTranscript " +
		"getAgents getStats getSessionData poll startPoll stopPoll verifySession") {
		assert.Contains(t, names, "WebChatService."+name)
	}
	assert.NotContains(t, got.stdout, listNamespace+".")
}

func TestEvents(t *testing.T) {
	got := trial{}.run(t, "events")
	got.requireOK(t)
	assert.Contains(t, got.stdout, "WebChatService.messageReceived  webchatservice.MessageReceivedData\n    "+webchatservice.MessageReceived.Doc()+"\n")

	got = trial{}.run(t, "events", "--json")
	got.requireOK(t)
	var rows []eventRow
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &rows))
	var names []string
	for _, r := range rows {
		names = append(names, r.Name)
		assert.NotEmpty(t, r.Doc, r.Name)
		assert.NotEmpty(t, r.Type, r.Name)
		_, err := r.Payload.Resolve(nil)
		assert.NoError(t, err, r.Name)
	}
	assert.True(t, slices.IsSorted(names), names)
	for _, name := range strings.Fields("ready started ended messageReceived agentConnected agentTypingStarted clientConnected disconnected reconnected error") {
		assert.Contains(t, names, "WebChatService."+name)
	}
	assert.Contains(t, names, "Statistics.answered")
}

// TestSchemasKnown: of every type on the bus the lists say what it looks like.
func TestSchemasKnown(t *testing.T) {
	p := &program{newSim: chatsim.New}
	require.NoError(t, p.eachPlugin(t.Context(), func(info bus.PluginInfo) error {
		var types []reflect.Type
		for _, c := range info.Commands {
			types = append(types, c.In, c.Out)
		}
		for _, e := range info.Events {
			types = append(types, e.Type)
		}
		for _, typ := range types {
			_, err := busschema.For(typ, ownJSON())
			assert.NoError(t, err, "say in ownJSON what it writes")
		}
		return nil
	}))
}

// TestSchemasFit: what a chat really publishes and answers is what the schemas admit.
func TestSchemasFit(t *testing.T) {
	schemas := map[string]*jsonschema.Resolved{}
	resolve := func(name string, s *jsonschema.Schema) {
		r, err := s.Resolve(nil)
		require.NoError(t, err, name)
		schemas[name] = r
	}
	var commands []commandRow
	require.NoError(t, json.Unmarshal([]byte(trial{}.run(t, "commands", "--json").stdout), &commands))
	for _, c := range commands {
		resolve("command "+c.Name, c.Input)
		resolve("result "+c.Name, c.Result)
	}
	var events []eventRow
	require.NoError(t, json.Unmarshal([]byte(trial{}.run(t, "events", "--json").stdout), &events))
	for _, e := range events {
		resolve("event "+e.Name, e.Payload)
	}

	var stdout string
	synctest.Test(t, func(t *testing.T) { stdout = trial{}.run(t, "demo", "--json").stdout })
	seen := 0
	for _, l := range strings.Split(strings.TrimSpace(stdout), "\n") {
		var e struct {
			Kind, Name string
			Data       any
		}
		require.NoError(t, json.Unmarshal([]byte(l), &e))
		if e.Kind == "plugin" {
			continue
		}
		seen++
		if s := schemas[e.Kind+" "+e.Name]; assert.NotNil(t, s, "%s %s is listed", e.Kind, e.Name) {
			assert.NoError(t, s.Validate(e.Data), l)
		}
	}
	assert.Greater(t, seen, 30)
}
