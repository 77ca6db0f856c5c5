package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

func TestColours(t *testing.T) {
	var plain, coloured bytes.Buffer
	start := time.Unix(0, 0)
	for _, k := range []kind{kindPlugin, kindCommand, kindResult, kindEvent} {
		e := entry{Time: start.Add(1500 * time.Millisecond), Kind: k, Name: "Greeter.hello", By: "Demo", Data: map[string]any{"a": 1}}
		require.NoError(t, textTrace(&plain, false, start)(e))
		require.NoError(t, textTrace(&coloured, true, start)(e))
	}
	assert.NotContains(t, plain.String(), "\x1b")
	assert.Contains(t, plain.String(), "  1.500  command  Greeter.hello  {\"a\":1}  by Demo\n")
	for _, colour := range []string{magenta, cyan, green, yellow} {
		assert.Contains(t, coloured.String(), "\x1b["+colour+"m")
	}
	assert.Equal(t, strings.Count(coloured.String(), "\x1b[0m")*2, strings.Count(coloured.String(), "\x1b["), "each is switched off again")

	env := func(vars map[string]string) func(string) string { return func(k string) string { return vars[k] } }
	assert.False(t, colours(&plain, env(nil)), "no terminal")
	assert.True(t, wantsColours(env(nil)))
	assert.False(t, wantsColours(env(map[string]string{"NO_COLOR": "1"})))
	assert.False(t, wantsColours(env(map[string]string{"TERM": "dumb"})))
}

func TestSummaries(t *testing.T) {
	ann := webchatservice.From{ID: "2", Type: chat.RoleAgent, Name: "Ann\x1b"}
	tests := []struct {
		data any
		want string
	}{
		{nil, ""},
		{struct{}{}, ""},
		{map[string]string{"a": "\u202e"}, `{"a":"\u202e"}`},
		{webchatservice.EndedData{Reason: webchatservice.EndLost}, "by lost, the server does not know"},
		{webchatservice.ParticipantData{Message: webchatservice.Message{From: ann}}, `Ann\x1b (agent)`},
		{webchatservice.MessageReceivedData{Messages: []webchatservice.Message{
			{Type: chat.KindTypingStopped, From: ann}, {Type: chat.KindPushURL, From: ann, Text: "http://x"},
		}}, `Ann\x1b ceased to type | Ann\x1b sent a link: http://x`},
		{webchatservice.SendMessageIn{Message: strings.Repeat("é", 200)}, "“" + strings.Repeat("é", summaryWidth-1) + "…”"},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, summary(entry{Data: tt.data}))
	}
}

func TestTraceError(t *testing.T) {
	var b bytes.Buffer
	cause := &bus.Error{Code: "webchat.no-session", Op: "WebChatService.endChat", Text: "There is no active chat session", Hint: "start one"}
	write := jsonTrace(&b)
	require.NoError(t, write(entry{Kind: kindResult, Name: "WebChatService.endChat", By: "WebChatService", Error: fmt.Errorf("again: %w", cause)}))
	require.NoError(t, write(entry{Kind: kindPlugin, Name: "X", By: "bus", Error: errors.New("plain")}))
	var got []map[string]any
	for _, l := range strings.Split(strings.TrimSpace(b.String()), "\n") {
		var m map[string]any
		require.NoError(t, json.Unmarshal([]byte(l), &m))
		got = append(got, m)
	}
	e := got[0]["error"].(map[string]any)
	assert.Equal(t, "webchat.no-session", e["code"])
	assert.Equal(t, "start one", e["hint"])
	assert.Contains(t, e["text"], "There is no active chat session")
	assert.Nil(t, got[0]["data"])
	assert.Equal(t, map[string]any{"code": "", "text": "plain", "hint": ""}, got[1]["error"])
}

// TestTraceOrder: entries are written in the order in which they came, and all of them before close
// returns; nobody waits for the writing.
func TestTraceOrder(t *testing.T) {
	hold := make(chan struct{})
	var got []string
	tr := newTrace(func(e entry) error {
		<-hold
		got = append(got, e.Name)
		return nil
	}, func() { t.Error("nothing failed") })
	var want []string
	for i := range 1000 {
		tr.add(entry{Name: fmt.Sprint(i)})
		want = append(want, fmt.Sprint(i))
	}
	close(hold)
	require.NoError(t, tr.close())
	assert.Equal(t, want, got)
	tr.add(entry{Name: "too late"})

	var none *trace
	none.add(entry{Name: "dropped"})
}
