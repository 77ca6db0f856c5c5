package webchatservice_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
)

// account is what an application has said in a chat and what it was told, to be compared with what the server knows.
type account struct {
	rig  *rig // nobody else takes its events
	chat *chatsim.Chat
	ann  *chatsim.Seat // of an agent
	sent []sentLine

	// What balance has found.
	outages int // how often the connection was said to be lost
	gaps    int // lines that were not given
}

type sentLine struct {
	text   string
	future *bus.Future[webchatservice.SendMessageOut]
}

// say sends a line of the visitor. It does not wait.
func (a *account) say(text string) {
	f := start(a.rig, a.rig.t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: text})
	a.sent = append(a.sent, sentLine{text, f})
}

// hear lets the agent say a line.
func (a *account) hear(t *testing.T, text string) {
	t.Helper()
	_, err := a.ann.Say(text)
	require.NoError(t, err)
}

// balance compares, once every line has had its time. What was said to be sent is on the server once and in order, what
// was said not to be sent is not there. Each line of the transcript was published once and in order, or named in a gap.
func (a *account) balance(t *testing.T) {
	t.Helper()
	whole := a.chat.Snapshot()

	// What was sent.
	var certain, possible []string
	for i, s := range a.sent {
		select {
		case <-s.future.Done():
		default:
			t.Fatalf("message %d (%s) has not settled", i, s.text)
		}
		_, err := s.future.Result(t.Context())
		switch {
		case err == nil:
			certain, possible = append(certain, s.text), append(possible, s.text)
		case errors.Is(err, webchatservice.ErrSendUnknown):
			possible = append(possible, s.text)
		default:
			assert.ErrorIs(t, err, webchatservice.ErrNotSent)
		}
	}
	lines := whole.Lines(chatsim.Client)
	assert.True(t, within(certain, lines), "said to be sent: %q\nis there: %q", certain, lines)
	assert.True(t, within(lines, possible), "is there: %q\nmay have been sent: %q", lines, possible)

	// What was received.
	var got, late []int64
	missing := map[int64]bool{}
	states := map[string][]webchatservice.MessageState{}
	connection := []string{}
	for _, e := range a.rig.take() {
		switch d := e.Data.(type) {
		case webchatservice.MessageReceivedData:
			for _, m := range d.Messages {
				if d.OldMessages { // given up, and there all the same
					assert.True(t, missing[m.Index], "line %d comes late without having been missed", m.Index)
					delete(missing, m.Index)
					late = append(late, m.Index)
					continue
				}
				got = append(got, m.Index)
			}
		case webchatservice.MessageStateData:
			states[d.MessageID] = append(states[d.MessageID], d.State)
		case webchatservice.TranscriptGapData:
			for i := d.From; i <= d.To; i++ {
				missing[i] = true
			}
		case webchatservice.DisconnectedData:
			connection = append(connection, "disconnected")
		case webchatservice.EndedData:
			t.Errorf("ended: %v", d)
		}
		if e.Name() == "WebChatService.reconnected" {
			connection = append(connection, "reconnected")
		}
	}
	a.outages, a.gaps = (len(connection)+1)/2, len(missing)
	for i, name := range connection {
		assert.Equal(t, []string{"disconnected", "reconnected"}[i%2], name, "they alternate: %v", connection)
	}
	assert.Len(t, states, len(a.sent))
	for id, s := range states {
		require.Contains(t, []int{2, 3}, len(s), "%s: %v", id, s)
		assert.Equal(t, webchatservice.MessagePending, s[0], "%s: %v", id, s)
		assert.Contains(t, []webchatservice.MessageState{
			webchatservice.MessageSent, webchatservice.MessageFailed, webchatservice.MessageUnknown,
		}, s[1], "%s: %v", id, s)
		if len(s) == 3 { // the transcript has shown it after all
			assert.Equal(t, []webchatservice.MessageState{webchatservice.MessageUnknown, webchatservice.MessageSent}, s[1:], "%s: %v", id, s)
		}
	}
	assert.True(t, slices.IsSorted(got), "in order: %v", got)
	got = append(got, late...)
	slices.Sort(got)
	assert.Equal(t, got, slices.Compact(slices.Clone(got)), "once")
	for _, e := range whole.Events {
		_, found := slices.BinarySearch(got, int64(e.Index))
		assert.True(t, found != missing[int64(e.Index)], "line %d (%s %q): published %v, gap %v", e.Index, e.Type, e.Text, found, missing[int64(e.Index)])
	}
}

// within reports whether part is what is left of whole when some are taken out.
func within(part, whole []string) bool {
	for _, s := range whole {
		if len(part) > 0 && part[0] == s {
			part = part[1:]
		}
	}
	return len(part) == 0
}
