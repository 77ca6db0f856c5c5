package gmscometd_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmscometd"
)

// Events that wait are merged if they have nothing but lines that follow one another: none is lost, none moves, and what
// says more than that, or comes late, is an event of its own.
func TestQueueMergesLinesAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var events []chat.Event
		var lines []int64
		special, index, high := 0, int64(0), int64(0)
		for range rapid.IntRange(0, 200).Draw(t, "events") {
			ev := chat.Event{Position: chat.Position{Index: int64(len(lines) + 1)}}
			for range rapid.SampledFrom([]int{1, 1, 1, 2, 100, 0}).Draw(t, "lines") {
				index++
				lines = append(lines, index)
				m := chat.Message{Index: index, Position: chat.Position{Index: index + 1}}
				if index <= high {
					m.Behind = &chat.Position{Index: index}
				}
				high = max(high, index)
				ev.Messages = append(ev.Messages, m)
			}
			ev.Position.Index = int64(len(lines) + 1)
			switch rapid.IntRange(0, 30).Draw(t, "what") {
			case 0:
				ev.Unavailable = true
			case 1:
				ev.Session = &chat.Session{Alias: "2"}
			case 2:
				ev.Raw = chat.JSON("{}")
			case 3:
				ev.IdleCountdown = chat.JSON("5")
			case 4:
				ev.Errors = []chat.ServerError{{Code: "1"}}
			case 5:
				ev.Ended = true
			default:
				special--
			}
			special++
			events = append(events, ev)
			if rapid.IntRange(0, 10).Draw(t, "late") == 0 { // the next ones are of lines before
				index = rapid.Int64Range(0, index).Draw(t, "index")
			}
		}
		out, waiting := gmscometd.Merge(events)
		var got []int64
		for i, ev := range out {
			alone := ev.Unavailable || ev.Session != nil || ev.Raw != nil || ev.IdleCountdown != nil || ev.Errors != nil || ev.Ended
			if alone {
				special--
			}
			for i, m := range ev.Messages {
				got = append(got, m.Index)
				assert.False(t, i > 0 && m.Index <= ev.Messages[i-1].Index, "out of order")
			}
			if len(ev.Messages) > 0 {
				assert.EqualValues(t, len(got)+1, ev.Position.Index)
			}
			assert.Equal(t, max(len(ev.Messages), 1), waiting[i]-waiting[i+1])
		}
		assert.Equal(t, lines, got)
		assert.Zero(t, special)
		assert.Zero(t, waiting[len(waiting)-1])
	})
}

// Lines that come faster than they are received come in fewer events.
func TestLinesThatWaitBecomeOneEvent(t *testing.T) {
	bubble(t, chatsim.Options{SilenceLimit: -1}, func(t *testing.T, s *server) {
		conn, id := who(t, s)
		var want []string
		for i := range 200 {
			want = append(want, fmt.Sprint("line ", i))
			s.AgentSay(id, "Ann", want[i])
		}
		synctest.Wait()
		l := listen(t, conn)
		synctest.Wait()
		assert.Equal(t, want, l.texts())
		assert.Less(t, len(l.events), 20)
	})
}
