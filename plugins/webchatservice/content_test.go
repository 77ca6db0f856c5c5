package webchatservice_test

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
)

// onContent makes a check of one on a service on a wire with structured content, and a chat.
func onContent(t *testing.T, f func(t *testing.T, r *rig, m *chattest.Memory)) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(&chattest.MemoryOptions{IDs: true, Content: true})
		opts := onMemory(m)
		r := newRig(t, opts)
		defer r.stop()
		r.begin()
		f(t, r, m)
	})
}

// What a line offers is published beside its text, and a URL that could run something is not among it.
func TestStructuredContent(t *testing.T) {
	onContent(t, func(t *testing.T, r *rig, m *chattest.Memory) {
		m.AgentOffer(id, "Robo", "Pick one", &chat.Content{
			Items:        []chat.JSON{chat.JSON(`{"contentType":"QuickReply"}`)},
			QuickReplies: []chat.QuickReply{{Text: "Red", Payload: "RED", Image: "javascript:alert(1)"}, {Text: "Blue", Payload: "BLUE", Image: "https://www.example.net/b.png"}},
			Cards: []chat.Card{{
				Title: "Book", Image: "data:image/svg+xml,x", DefaultAction: &chat.CardAction{Type: "Link", URL: " JavaScript:alert(1)"},
				Actions: []chat.CardAction{
					{Type: "Link", Text: "Mail", URL: "mailto:a@example.net"}, {Type: "Link", Text: "Call", URL: "TEL:+49301234"},
					{Type: "Link", Text: "File", URL: "file:///etc/passwd"}, {Type: "Link", Text: "Nowhere", URL: "/relative"},
					{Type: "Postback", Text: "Book", Payload: "B1"},
				},
			}},
			Picker: &chat.Picker{Kind: "date", Title: "When", Times: []chat.PickerTime{{Time: 1767225600000, Duration: 1800}}},
			Form:   chat.JSON(`{"a":1}`),
		})
		d := payload[webchatservice.MessageReceivedData](t, r.take(), "messageReceived")
		require.Len(t, d.Messages, 1)
		line := d.Messages[0]
		line.Original, line.Timestamp = nil, 0
		got, err := json.Marshal(line)
		require.NoError(t, err)
		assert.JSONEq(t, `{
			"type": "Message", "id": "line-2", "text": "Pick one", "timestamp": 0, "from": {"id": 2, "type": "Agent", "name": "Robo"},
			"content": [{"contentType": "QuickReply"}],
			"quickReplies": [{"text": "Red", "payload": "RED"}, {"text": "Blue", "payload": "BLUE", "image": "https://www.example.net/b.png"}],
			"cards": [{"title": "Book", "defaultAction": {"type": "Link"}, "actions": [
				{"type": "Link", "text": "Mail", "url": "mailto:a@example.net"}, {"type": "Link", "text": "Call", "url": "TEL:+49301234"},
				{"type": "Link", "text": "File"}, {"type": "Link", "text": "Nowhere"}, {"type": "Postback", "text": "Book", "payload": "B1"}]}],
			"picker": {"kind": "date", "title": "When", "times": [{"time": 1767225600000, "duration": 1800}]},
			"form": {"a": 1}
		}`, string(got))
	})
}

// Each kind of answer goes to the server as what it is, in the vendor's words, and its text is that of the line.
func TestPostback(t *testing.T) {
	for kind, tt := range map[string]struct {
		options, text string
		want          chat.Reply
	}{
		"quickReply": {`{"message": "Red!", "type": "quickReply", "postback": {"text": "Red", "payload": "RED"}}`, "Red!",
			chat.Reply{Kind: chat.ReplyQuickReply, Text: "Red", Payload: json.RawMessage(`"RED"`)}},
		"card": {`{"message": "", "type": "card", "postback": {"payload": "B1"}}`, "B1",
			chat.Reply{Kind: chat.ReplyCard, Payload: json.RawMessage(`"B1"`)}},
		"datePicker": {`{"message": "at nine", "type": "datePicker", "postback": {"id": "line-2", "payload": {"dateTime": "2026-12-01T09:00Z"}}}`, "at nine",
			chat.Reply{Kind: chat.ReplyDatePicker, ID: "line-2", Payload: json.RawMessage(`{"dateTime":"2026-12-01T09:00Z"}`)}},
		"listPicker": {`{"message": "", "type": "listPicker", "postback": {"id": "line-2", "selectedOptions": [{"text": "A", "payload": "a"}, {"text": "B", "payload": "b"}]}}`, "A, B",
			chat.Reply{Kind: chat.ReplyListPicker, ID: "line-2", Options: []chat.PickerOption{{Text: "A", Payload: "a"}, {Text: "B", Payload: "b"}}}},
		"form": {`{"message": "", "type": "form", "postback": {"id": "line-2", "text": "filled in", "cannedResponseId": "c", "formData": {"n": 12345678901234567890}}}`, "filled in",
			chat.Reply{Kind: chat.ReplyForm, ID: "line-2", Text: "filled in", CannedResponseID: "c", FormData: json.RawMessage(`{"n":12345678901234567890}`)}},
	} {
		t.Run(kind, func(t *testing.T) {
			onContent(t, func(t *testing.T, r *rig, m *chattest.Memory) {
				_, err := r.app.Call(t.Context(), "WebChatService.sendMessage", json.RawMessage(tt.options))
				require.NoError(t, err)
				replies := m.Replies(id)
				require.Len(t, replies, 1)
				got, want := replies[0], tt.want
				if len(want.Payload) > 0 {
					assert.JSONEq(t, string(want.Payload), string(got.Payload))
				}
				if len(want.FormData) > 0 {
					assert.JSONEq(t, string(want.FormData), string(got.FormData))
					assert.Contains(t, string(got.FormData), "12345678901234567890", "digits stay")
				}
				got.Payload, want.Payload, got.FormData, want.FormData = nil, nil, nil, nil
				assert.Equal(t, want, got)
				assert.Equal(t, []string{tt.text}, m.VisitorLines(id))
			})
		})
	}
}

// An answer that waits for the network is stored, and goes out as an answer after a restart.
func TestPostbackSurvivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(&chattest.MemoryOptions{IDs: true, Content: true})
		opts := onMemory(m)
		opts.Store = webchatservice.NewMemoryStore()
		r := newRig(t, opts)
		r.begin()
		m.Partition()
		synctest.Wait()
		start(r, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{
			Message: "Red", Type: "quickReply", Postback: &webchatservice.Postback{Text: "Red", Payload: json.RawMessage(`"RED"`)},
		})
		synctest.Wait()
		r.stop()
		m.Heal()
		r = newRig(t, opts)
		defer r.stop()
		_, err := call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		replies := m.Replies(id)
		require.Len(t, replies, 1)
		assert.Equal(t, chat.ReplyQuickReply, replies[0].Kind)
		assert.JSONEq(t, `"RED"`, string(replies[0].Payload))
	})
}
