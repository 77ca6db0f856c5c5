package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
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
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
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
	vendors := strings.Fields("configure startChat endChat sendMessage sendCustomNotice sendTyping sendFilteredMessage addPrefilter " +
		"updateUserData updateInteractionData poll startPoll stopPoll pausePoll resetPollExceptions restore asyncRestore " +
		"getTranscript getAgents getStats getSessionData sendFile downloadFile getFileLimits fetchHistory " +
		"registerTypingPreviewInput registerPreProcessor verifySession sleep wake")
	require.Len(t, vendors, 30)
	for _, name := range vendors {
		assert.Contains(t, names, "WebChatService."+name)
	}
	for _, r := range rows {
		if r.Name == "WebChatService.endChat" {
			assert.Equal(t, []rejection{
				{webchatservice.ErrNoSession.Code, "There is no active chat session"},
				{webchatservice.ErrServerNotTold.Code, webchatservice.ErrServerNotTold.Text},
			}, r.Rejects)
		}
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
	vendors := strings.Fields("ready started restored restoreTimeout restoreFailed restoredOffline sessionLost ended messageReceived " +
		"clientConnected clientDisconnected agentConnected agentDisconnected supervisorConnected supervisorDisconnected " +
		"botConnected botDisconnected agentTypingStarted agentTypingStopped agentTypingTimeout clientTypingStarted " +
		"clientTypingStopped pollingStarted pollingStopped ajaxResponse error disconnected reconnected chatServerWentOffline " +
		"chatServerBackOnline chatServerTimeout sleeping waking capabilitiesChanged")
	require.Len(t, vendors, 34)
	for _, name := range vendors {
		assert.Contains(t, names, "WebChatService."+name)
	}
	assert.Contains(t, names, "Statistics.answered")
}

// TestSchemasKnown: of every type on the bus the lists say what it looks like.
func TestSchemasKnown(t *testing.T) {
	p := &program{newSim: simulator.New}
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

// listedSchemas returns the schemas that the lists show, by kind and name ("event WebChatService.ended").
func listedSchemas(t *testing.T) map[string]*jsonschema.Resolved {
	t.Helper()
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
	return schemas
}

// TestDocumentedExamples: each JSON example in the manuals fits the schema of what it is an example of.
func TestDocumentedExamples(t *testing.T) {
	example := regexp.MustCompile("(?m)^(command|result|event) `([^`]+)`:\n\n```json\n((?s:.*?))\n```$")
	schemas := listedSchemas(t)
	files, err := filepath.Glob("../../docs/*.md")
	require.NoError(t, err)
	seen := 0
	for _, file := range append(files, "../../README.md") {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		found := example.FindAllStringSubmatch(string(text), -1)
		assert.Len(t, found, strings.Count(string(text), "```json"), "%s: say above each example what it is one of", file)
		for _, m := range found {
			seen++
			var v any
			require.NoError(t, json.Unmarshal([]byte(m[3]), &v), "%s: %s %s", file, m[1], m[2])
			if s := schemas[m[1]+" "+m[2]]; assert.NotNil(t, s, "%s: %s %s is not listed", file, m[1], m[2]) {
				assert.NoError(t, s.Validate(v), "%s: %s %s", file, m[1], m[2])
			}
		}
	}
	assert.GreaterOrEqual(t, seen, 8)
}

// TestSchemasFit: what a chat really publishes and answers is what the schemas admit.
func TestSchemasFit(t *testing.T) {
	schemas := listedSchemas(t)

	var stdout string
	synctest.Test(t, func(t *testing.T) { stdout = trial{}.run(t, "demo", "--json").stdout })
	seen := 0
	for _, l := range strings.Split(strings.TrimSpace(stdout), "\n") {
		var e struct {
			Kind, Name string
			Data       any
		}
		require.NoError(t, json.Unmarshal([]byte(l), &e))
		if e.Kind == "plugin" || e.Kind == "note" {
			continue
		}
		seen++
		if s := schemas[e.Kind+" "+e.Name]; assert.NotNil(t, s, "%s %s is listed", e.Kind, e.Name) {
			assert.NoError(t, s.Validate(e.Data), l)
		}
	}
	assert.Greater(t, seen, 30)
}
