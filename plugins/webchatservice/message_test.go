package webchatservice_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

func TestMessageJSON(t *testing.T) {
	on := true
	m := webchatservice.Message{
		Type: chat.KindTypingStarted, Index: 4, Text: "Go", Timestamp: 1718000004000, IsTyping: &on,
		From:     webchatservice.From{ID: "2", Type: chat.RoleAgent, Name: "Ann"},
		Original: chat.JSON(`{"index":4}`),
	}
	b, err := json.Marshal(m)
	require.NoError(t, err)
	assert.JSONEq(t, `{"type":"TypingStarted","index":4,"text":"Go","timestamp":1718000004000,"isTyping":true,
		"from":{"id":2,"type":"Agent","name":"Ann"},"original":{"index":4}}`, string(b))
	var back webchatservice.Message
	require.NoError(t, json.Unmarshal(b, &back))
	assert.Equal(t, m, back)
}

func TestParticipantJSON(t *testing.T) {
	b, err := json.Marshal(webchatservice.ParticipantData{Roster: webchatservice.Roster{
		Agents: map[string]webchatservice.Participant{"2": {Name: "Ann", Connected: true, ConnectedTime: 1718000002000}},
	}})
	require.NoError(t, err)
	assert.Contains(t, string(b),
		`"agents":{"2":{"name":"Ann","connected":true,"supervisor":false,"connectedTime":1718000002000,"disconnectedTime":false}}`)
	assert.Contains(t, string(b), `"numAgentsConnected":0`)
}

func TestSessionDataJSON(t *testing.T) {
	d := webchatservice.SessionData{SessionID: "c", UserID: "u", SecureKey: webchatservice.NewKey("k"), Alias: "1"}
	b, err := json.Marshal(d)
	require.NoError(t, err)
	assert.JSONEq(t, `{"sessionID":"c","userId":"u","secureKey":"k","alias":"1"}`, string(b))
	var back webchatservice.SessionData
	require.NoError(t, json.Unmarshal(b, &back))
	assert.Equal(t, d, back)
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v", d, d, d), "k\"")
}

func FuzzPartyID(f *testing.F) {
	for _, s := range []string{"2", `"2"`, `"02"`, `"c-1"`, `"-7"`, "1e3", `""`, `"9007199254740993"`, "null", "{"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var id webchatservice.PartyID
		if json.Unmarshal(b, &id) != nil {
			return
		}
		out, err := json.Marshal(id)
		require.NoError(t, err)
		var again webchatservice.PartyID
		require.NoError(t, json.Unmarshal(out, &again))
		assert.Equal(t, id, again, "what is read prints back the same")
	})
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"version":1,"sessionID":"c","secureKey":"CANARY-","heard":1718000004000,"position":{"index":3}}`))
	f.Add([]byte(`{"version":2,"sessionID":"c"}`))
	f.Add([]byte(`{"version":"CANARY-"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := webchatservice.ParseRecord(b)
		if err != nil {
			assert.NotContains(t, err.Error(), "CANARY-")
			return
		}
		out, err := json.Marshal(r)
		require.NoError(t, err)
		again, err := webchatservice.ParseRecord(out)
		require.NoError(t, err)
		assert.Equal(t, r, again)
	})
}

// TestTranscript: whatever doubles come, and wherever the driver puts late lines, each line is there once, in order,
// and lines without a place stay behind the line that they followed or before a later one.
func TestTranscript(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		indices := rapid.SliceOf(rapid.Int64Range(0, 20)).Draw(t, "indices")
		named := rapid.Bool().Draw(t, "named")
		place := func(index int64) chat.Position {
			switch {
			case index == 0:
				return chat.Position{}
			case named:
				return chat.Position{ID: fmt.Sprint(index)}
			}
			return chat.Position{Index: index + 1}
		}
		var lines []chat.Message
		bare := 0
		given := map[int64]bool{}
		for i, index := range indices {
			m := chat.Message{Index: index, Position: place(index), Raw: chat.JSON(fmt.Sprint(i))}
			before, late := int64(0), false
			for other := range given {
				late = late || other > index
				if other < index {
					before = max(before, other)
				}
			}
			if index == 0 {
				bare++
			} else if given[index] = true; late {
				behind := place(before)
				m.Behind = &behind
			}
			lines = append(lines, m)
		}
		fresh, view := webchatservice.AddLines(lines)
		want := slices.Clone(indices)
		slices.Sort(want)
		want = slices.DeleteFunc(slices.Compact(want), func(i int64) bool { return i == 0 })
		var got []int64
		for i, m := range view.Messages {
			if m.Index != 0 {
				got = append(got, m.Index)
			}
			if string(m.Original) != string(view.OriginalMessages[i]) {
				t.Fatalf("line %d and its original do not pair", i)
			}
		}
		if !slices.Equal(want, got) {
			t.Fatalf("indices %v, want %v", got, want)
		}
		if len(view.Messages) != len(want)+bare || len(fresh) != len(view.Messages) {
			t.Fatalf("%d lines, %d fresh, want %d", len(view.Messages), len(fresh), len(want)+bare)
		}
	})
}

func TestStatsJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, m := memoryRig(t)
		stats := func() (s struct{ StartTime, EndTime, Duration any }) {
			out, err := call(r, webchatservice.GetStats, struct{}{})
			require.NoError(t, err)
			j, err := json.Marshal(out)
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(j, &s))
			var back webchatservice.Stats
			require.NoError(t, json.Unmarshal(j, &back))
			assert.Equal(t, out, back)
			return s
		}
		none := stats()
		assert.Equal(t, []any{false, false, false}, []any{none.StartTime, none.EndTime, none.Duration})
		r.begin()
		assert.Equal(t, 0.0, stats().Duration, "of one line")
		time.Sleep(time.Minute)
		m.AgentSay(id, "Ann", "Hello")
		synctest.Wait()
		assert.Equal(t, 60_000.0, stats().Duration)
	})
}
