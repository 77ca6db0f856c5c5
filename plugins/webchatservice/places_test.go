package webchatservice_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
)

// memoryWires are what a Memory can be: a wire that numbers lines, one that names them.
var memoryWires = map[string]*chattest.MemoryOptions{"Numbers": nil, "Names": {IDs: true}}

// onWires makes a check of one on a service with a server in memory of each kind, and a chat.
func onWires(t *testing.T, f func(t *testing.T, m *chattest.Memory, opts *webchatservice.Options)) {
	for name, o := range memoryWires {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := chattest.NewMemory(o)
				f(t, m, onMemory(m))
			})
		})
	}
}

// Of 200 lines, each that a subscriber with a small mailbox was not given is named in a gap, whatever the wire.
func TestEachLineIsGivenOrMissed(t *testing.T) {
	onWires(t, func(t *testing.T, m *chattest.Memory, opts *webchatservice.Options) {
		b := bus.New(&bus.Options{MailboxSoft: 8, MailboxHard: 16, SlowAfter: -1})
		app, err := b.Register("App")
		require.NoError(t, err)
		app.Ready()
		hold := make(chan struct{})
		var order []string // what came: texts of lines, and gaps
		got := map[string]int{}
		_, err = bus.Subscribe(app, webchatservice.MessageReceived, func(_ context.Context, e bus.Event[webchatservice.MessageReceivedData]) {
			<-hold
			for _, line := range e.Data.Messages {
				got[line.Text]++
				order = append(order, line.Text)
			}
		})
		require.NoError(t, err)
		var missed []webchatservice.TranscriptGapData
		_, err = bus.Subscribe(app, webchatservice.TranscriptGap, func(_ context.Context, e bus.Event[webchatservice.TranscriptGapData]) {
			missed = append(missed, e.Data)
		})
		require.NoError(t, err)
		require.NoError(t, b.Start(t.Context(), webchatservice.New(opts)))
		defer func() { require.NoError(t, b.Close(context.Background())) }()
		_, err = app.Call(t.Context(), "WebChatService.startChat", webchatservice.StartChatIn{Nickname: "Ada"})
		require.NoError(t, err)
		for i := range 200 {
			m.AgentSay(id, "Bob", fmt.Sprint("line ", i))
			synctest.Wait()
			if i == 150 {
				close(hold)
				synctest.Wait()
			}
		}
		require.NotEmpty(t, missed)
		whole, err := app.Call(t.Context(), "WebChatService.getTranscript", nil)
		require.NoError(t, err)
		all := whole.(webchatservice.Transcript).Messages
		require.Len(t, all, 201)
		named := map[string]int{} // where each line stands
		for i, line := range all {
			if line.ID != "" {
				named[line.ID] = i
			}
		}
		lost := map[int]bool{}
		for _, gap := range missed {
			assert.Equal(t, webchatservice.GapOverflow, gap.Reason)
			for i, line := range all {
				switch before, open := named[gap.BeforeID], gap.BeforeID == ""; {
				case line.Index != 0:
					lost[i] = lost[i] || line.Index >= gap.From && line.Index <= gap.To
				default:
					require.NotEmpty(t, gap.AfterID)
					lost[i] = lost[i] || i > named[gap.AfterID] && (open || i < before)
				}
			}
		}
		for i, line := range all {
			if line.Type == chat.KindMessage {
				assert.Equal(t, !lost[i], got[line.Text] == 1, "line %d: given %d times, missed %v", i, got[line.Text], lost[i])
			}
		}
	})
}

// Lines that the server left out are fetched, and those that it has lost are told before what comes behind them.
func TestGapOnEachWire(t *testing.T) {
	onWires(t, func(t *testing.T, m *chattest.Memory, opts *webchatservice.Options) {
		r := newRig(t, opts)
		defer r.stop()
		r.begin()
		m.AgentSay(id, "Bob", "one")
		r.take()
		m.Withhold(id, 2)
		for _, text := range []string{"two", "three", "four"} {
			m.AgentSay(id, "Bob", text)
		}
		time.Sleep(time.Second)
		events := r.take()
		assert.Equal(t, []string{"two", "three", "four"}, texts(events))
		assert.Empty(t, gaps(events))

		m.Forget(id, 1)
		m.AgentSay(id, "Bob", "lost")
		m.AgentSay(id, "Bob", "six")
		m.AgentSay(id, "Bob", "seven")
		time.Sleep(10 * time.Second)
		events = r.take()
		assert.Equal(t, []string{"six", "seven"}, texts(events))
		told := gaps(events)
		require.Len(t, told, 1)
		whole, err := call(r, webchatservice.GetTranscript, struct{}{})
		require.NoError(t, err)
		lines := whole.Messages
		want := webchatservice.TranscriptGapData{Reason: webchatservice.GapServer}
		if before, after := lines[len(lines)-3], lines[len(lines)-2]; after.ID != "" {
			want.AfterID, want.BeforeID = before.ID, after.ID
		} else {
			want.From, want.To = after.Index-1, after.Index-1
		}
		assert.Equal(t, want, told[0])
		var order []string
		for _, e := range events {
			switch e.Data.(type) {
			case webchatservice.TranscriptGapData, webchatservice.MessageReceivedData:
				order = append(order, shortName(e.Name()))
			}
		}
		assert.Equal(t, "transcriptGap", order[0])
		assert.Equal(t, []string{"one", "two", "three", "four", "six", "seven"}, transcriptOf(r))
	})
}

// A line that comes late goes where it belongs, and does not come as a new one.
func TestLateLineOnEachWire(t *testing.T) {
	onWires(t, func(t *testing.T, m *chattest.Memory, opts *webchatservice.Options) {
		r := newRig(t, opts)
		defer r.stop()
		r.begin()
		m.AgentSay(id, "Bob", "one")
		m.Hold(id, 2, time.Second)
		for _, text := range []string{"two", "three", "four"} {
			m.AgentSay(id, "Bob", text)
		}
		assert.Equal(t, []string{"one", "four"}, texts(r.take()))
		time.Sleep(2 * time.Second)
		events := r.take()
		d := payload[webchatservice.MessageReceivedData](t, events, "messageReceived")
		assert.True(t, d.OldMessages)
		assert.Equal(t, []string{"three", "two"}, texts(events), "newest first")
		m.AgentSay(id, "Bob", "five")
		assert.Equal(t, []string{"five"}, texts(r.take()))
		assert.Equal(t, []string{"one", "two", "three", "four", "five"}, transcriptOf(r))
	})
}

// edit changes the stored record of a session.
func edit(t *testing.T, store *webchatservice.MemoryStore, change func(record map[string]any)) {
	t.Helper()
	const key = "" // no SessionKey
	raw, err := store.Load(t.Context(), key)
	require.NoError(t, err)
	require.NotNil(t, raw, "nothing is stored")
	var record map[string]any
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	require.NoError(t, dec.Decode(&record))
	change(record)
	raw, err = json.Marshal(record)
	require.NoError(t, err)
	require.NoError(t, store.Save(t.Context(), key, raw))
}

// A restore knows which lines were read before, and takes none of them for the echo of a message that was under way.
func TestRestoreOnEachWire(t *testing.T) {
	onWires(t, func(t *testing.T, m *chattest.Memory, opts *webchatservice.Options) {
		store := webchatservice.NewMemoryStore()
		opts.Store = store
		r := newRig(t, opts)
		r.begin()
		require.NoError(t, send(r, "yes"))
		m.AgentSay(id, "Bob", "read")
		r.take()
		before, err := call(r, webchatservice.GetTranscript, struct{}{})
		require.NoError(t, err)
		read := before.Messages[len(before.Messages)-1]
		r.stop()
		m.AgentSay(id, "Bob", "unread")
		edit(t, store, func(record map[string]any) {
			record["outbox"] = []any{map[string]any{"id": "m-1", "text": "yes", "state": "unknown", "created": time.Now().UnixMilli()}}
		})

		r = newRig(t, opts)
		defer r.stop()
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		events := r.take()
		assert.Equal(t, webchatservice.RestoredData{ReadMark: read.Index, ReadMarkID: read.ID}, payload[webchatservice.RestoredData](t, events, "restored"))
		d := payload[webchatservice.MessageReceivedData](t, events, "messageReceived")
		assert.Equal(t, read.Index, d.ReadMark)
		assert.Equal(t, read.ID, d.ReadMarkID)
		assert.Equal(t, []string{"yes", "read", "unread"}, texts(events))
		for _, e := range events {
			if s, ok := e.Data.(webchatservice.MessageStateData); ok {
				assert.Equal(t, webchatservice.MessageUnknown, s.State, "an older line settles nothing")
			}
		}
	})
}

// Whatever place a record names, also one that somebody has made up, new lines come as new ones.
func TestTamperedRecord(t *testing.T) {
	for _, place := range []map[string]any{
		{"index": int64(math.MaxInt64)}, {"index": int64(math.MinInt64)}, {"index": int64(math.MaxInt64 - 1)}, {"index": -1},
		{"index": 1 << 40}, {"id": "nothing"}, {"index": int64(math.MaxInt64), "id": "7"},
	} {
		t.Run(fmt.Sprint(place), func(t *testing.T) {
			check := func(t *testing.T, opts *webchatservice.Options, say func(text string)) {
				store := webchatservice.NewMemoryStore()
				opts.Store = store
				r := newRig(t, opts)
				r.begin()
				say("before")
				time.Sleep(5 * time.Second)
				r.stop()
				edit(t, store, func(record map[string]any) { record["position"] = place })
				r = newRig(t, opts)
				defer r.stop()
				_, err := call(r, webchatservice.Restore, webchatservice.RestoreIn{})
				require.NoError(t, err)
				r.take()
				say("one")
				say("two")
				time.Sleep(5 * time.Second)
				events := r.take()
				assert.Equal(t, []string{"one", "two"}, texts(events))
				assert.Empty(t, gaps(events))
				for _, e := range events {
					if d, ok := e.Data.(webchatservice.MessageReceivedData); ok {
						assert.False(t, d.OldMessages)
					}
				}
				assert.Equal(t, []string{"before", "one", "two"}, transcriptOf(r))
			}
			t.Run("Memory", func(t *testing.T) {
				onWires(t, func(t *testing.T, m *chattest.Memory, opts *webchatservice.Options) {
					check(t, opts, func(text string) { m.AgentSay(id, "Bob", text) })
				})
			})
			t.Run("GMS", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1})
					defer sim.Close()
					var ann *chatsim.Seat
					check(t, onSim(sim), func(text string) {
						if ann == nil {
							c, ok := sim.Chat(sim.Chats()[0].ID)
							require.True(t, ok)
							var err error
							ann, err = c.Join("Ann", chatsim.RoleAgent)
							require.NoError(t, err)
						}
						say(t, ann, text)
					})
				})
			})
		})
	}
}

// Older lines of a long-lived chat come page by page, to the beginning.
func TestHistoryOnEachWire(t *testing.T) {
	onWires(t, func(t *testing.T, m *chattest.Memory, opts *webchatservice.Options) {
		opts.Store = webchatservice.NewMemoryStore()
		opts.Config = &webchatservice.Config{}
		opts.Config.Async.Enabled, opts.Config.Async.MaxMessagePageSize = true, 4
		r := newRig(t, opts)
		r.begin()
		var want []string
		for i := range 15 {
			m.AgentSay(id, "Bob", fmt.Sprint(i))
			want = append(want, fmt.Sprint(i))
		}
		r.take()
		r.stop()
		r = newRig(t, opts)
		defer r.stop()
		_, err := call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		assert.Equal(t, want[11:], texts(r.take()))
		var pages [][]string
		for {
			if _, err = call(r, webchatservice.FetchHistory, struct{}{}); err != nil {
				break
			}
			events := r.take()
			d := payload[webchatservice.MessageReceivedData](t, events, "messageReceived")
			assert.True(t, d.OldMessages)
			page := texts(events)
			slices.Reverse(page)
			pages = append(pages, page)
		}
		require.ErrorIs(t, err, webchatservice.ErrNoHistory)
		slices.Reverse(pages)
		assert.Equal(t, want[:11], slices.Concat(pages...))
		assert.Len(t, pages, 3)
		assert.Equal(t, want, transcriptOf(r))
	})
}
