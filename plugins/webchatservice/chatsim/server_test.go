package chatsim_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
)

// The standard conversation, which other people's clients rely on.
func TestScriptedConversation(t *testing.T) {
	bubble(t, nil, func(t *testing.T, sim *chatsim.Server) {
		v := enter(t, sim)
		time.Sleep(300 * time.Millisecond)
		synctest.Wait()
		r := v.Do("refresh", "transcriptPosition", "2")
		require.Len(t, r.Messages, 2, "joined and greeted within 300 ms")
		assert.Equal(t, "ParticipantJoined Ann", r.Lines()[0])
		assert.Contains(t, r.Messages[1].Text, "Hello")

		v.Do("send", "message", " <b>häh?</b>\t\"quoted\" ")
		time.Sleep(5 * time.Second)
		v.Do("send", "message", "transfer")
		time.Sleep(5 * time.Second)
		v.Do("send", "message", " BYE ")
		time.Sleep(5 * time.Second)
		r = v.Do("refresh", "transcriptPosition", "4")
		assert.Equal(t, []string{
			`Message Ada:  <b>häh?</b>	"quoted" `,
			"TypingStarted Ann",
			`Message Ann: You said:  <b>häh?</b>	"quoted" `,
			"Message Ada: transfer",
			"TypingStarted Ann",
			"Message Ann: You said: transfer",
			"ParticipantJoined Bob",
			"ParticipantLeft Ann",
			"TypingStarted Bob",
			"Message Bob: Hello Ada, this is Bob. I take over from Ann.",
			"Message Ada:  BYE ",
			"TypingStarted Bob",
			"Message Bob: You said:  BYE ",
			"TypingStarted Bob",
			"Message Bob: Goodbye, Ada.",
			"ParticipantLeft Bob",
			"ParticipantLeft Ada",
		}, r.Lines())
		assert.True(t, r.Ended())
		s := v.Chat().Snapshot()
		assert.True(t, s.Ended)
		assert.Equal(t, chatsim.EndedByAgent, s.Reason)
	})
}
