package main

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// TestStatistics plays the events of a chat to the plugin; no chat service is needed for that.
func TestStatistics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		b := bus.New(nil)
		defer func() { assert.NoError(t, b.Close(context.WithoutCancel(ctx))) }()
		service, err := b.Register(webchatservice.Namespace)
		require.NoError(t, err)
		require.NoError(t, b.Start(ctx, &Statistics{}))

		var answered []AnsweredData
		_, err = bus.Subscribe(service, Answered, func(_ context.Context, e bus.Event[AnsweredData]) { answered = append(answered, e.Data) })
		require.NoError(t, err)
		received, err := webchatservice.MessageReceived.Bind(service)
		require.NoError(t, err)
		joined, err := webchatservice.AgentConnected.Bind(service)
		require.NoError(t, err)
		visitor, err := webchatservice.ClientConnected.Bind(service)
		require.NoError(t, err)
		ended, err := webchatservice.Ended.Bind(service)
		require.NoError(t, err)

		vera := webchatservice.From{ID: "1", Type: chat.RoleClient, Name: "Vera"}
		ann := webchatservice.From{ID: "2", Type: chat.RoleAgent, Name: "Ann"}
		line := func(at int64, from webchatservice.From, text string) webchatservice.Message {
			return webchatservice.Message{Type: chat.KindMessage, Timestamp: at, From: from, Text: text}
		}
		require.NoError(t, visitor.Publish(ctx, webchatservice.ParticipantData{Message: line(1000, vera, "")}))
		require.NoError(t, joined.Publish(ctx, webchatservice.ParticipantData{Message: line(1200, ann, "")}))
		require.NoError(t, received.Publish(ctx, webchatservice.MessageReceivedData{Messages: []webchatservice.Message{
			line(1200, ann, "Hello"), line(2000, vera, "grün?"), line(2100, vera, "??"), line(2700, ann, "ja"), line(2800, ann, "nein"),
			{Type: chat.KindTypingStarted, From: ann},
			{Type: chat.KindMessage, From: ann, Text: "of an earlier run", Restoring: true},
		}}))
		require.NoError(t, ended.Publish(ctx, webchatservice.EndedData{Reason: webchatservice.EndAgent}))

		report, err := Report.Bind(service)
		require.NoError(t, err)
		got, err := report.Call(ctx, struct{}{})
		require.NoError(t, err)
		assert.Equal(t, Figures{
			Chats: 1, Agents: []string{"Ann"},
			Speakers: []Speaker{{"Ann", "Agent", 3, 11}, {"Vera", "Client", 2, 7}},
			Answers:  1, SlowestMs: 700, FirstJoinMs: 200,
		}, got)
		require.NoError(t, service.Flush(ctx))
		assert.Equal(t, []AnsweredData{{"Ann", 700}}, answered)
	})
}
