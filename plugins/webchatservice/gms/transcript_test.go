package gms_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

// line is a line of an agent.
func line(index int64, text string) chat.Message {
	return chat.Message{
		Index: index, Kind: chat.KindMessage, Text: text, From: chat.Party{ID: "2", Role: chat.RoleAgent, Name: "Ann"},
		Time: time.UnixMilli(1_700_000_000_000 + index).UTC(),
	}
}

func at(index int64) chat.Position { return chat.Position{Index: index} }

// take takes in an answer with these lines.
func take(t *gms.Transcript, asked, next int64, lines ...chat.Message) chat.Event {
	ev, _ := t.Take(gms.Answer{StatusTold: true, Asked: asked, Next: next, Messages: lines}, []byte("{}"))
	return ev
}

// Where lines are missing the line behind them says so, once; what turns up all the same says where it belongs.
func TestTranscriptMarksLines(t *testing.T) {
	book := gms.NewTranscript(chat.Session{}, 1, chat.Position{})
	assert.Zero(t, book.Position())
	ev := take(&book, 1, 6, line(1, "a"), line(4, "d"), line(5, "e"))
	require.Len(t, ev.Messages, 3)
	assert.Equal(t, at(2), ev.Messages[0].Position)
	assert.Nil(t, ev.Messages[0].Missing)
	assert.Equal(t, &chat.Gap{First: 2, Last: 3}, ev.Messages[1].Missing)
	assert.Nil(t, ev.Messages[2].Missing)
	assert.Equal(t, at(6), ev.Position)

	late := take(&book, 6, 6, line(3, "c"), line(4, "d"))
	require.Len(t, late.Messages, 1)
	assert.Equal(t, at(2), *late.Messages[0].Behind)
	assert.Nil(t, late.Messages[0].Missing, "that was told")
	assert.Equal(t, at(6), late.Position)

	a := gms.Answer{Messages: []chat.Message{line(2, "b"), line(3, "c"), line(4, "d"), line(5, "e"), line(6, "f")}}
	found := book.Extract(&a, 2, 6)
	require.Len(t, found, 4)
	for i, m := range found {
		assert.Equal(t, at(int64(i)+2), *m.Behind)
		assert.Nil(t, m.Missing)
	}
	require.Len(t, a.Messages, 1, "the rest goes the way of every answer")
}

// What the reader had is marked; what was lost among it is not missed.
func TestTranscriptKnowsWhatWasRead(t *testing.T) {
	book := gms.NewTranscript(chat.Session{}, 1, at(5))
	ev := take(&book, 1, 9, line(1, "a"), line(3, "c"), line(8, "h"))
	require.Len(t, ev.Messages, 3)
	assert.True(t, ev.Messages[0].Known)
	assert.True(t, ev.Messages[1].Known)
	assert.Nil(t, ev.Messages[1].Missing)
	assert.False(t, ev.Messages[2].Known)
	assert.Equal(t, &chat.Gap{First: 5, Last: 7}, ev.Messages[2].Missing, "from what was not read on")

	// The last lines that were read may have been typing, which servers forget.
	book = gms.NewTranscript(chat.Session{}, 1, at(5))
	ev = take(&book, 1, 3, line(1, "a"), line(2, "b"))
	assert.True(t, ev.Messages[1].Known)
	assert.False(t, take(&book, 3, 4, line(3, "c")).Messages[0].Known, "it has just come")
}

// A server whose nextPosition is nonsense makes no line come twice, and is not asked again and again.
func TestNonsenseNextPosition(t *testing.T) {
	book := gms.NewTranscript(chat.Session{}, 1, chat.Position{})
	lines := []chat.Message{line(1, "a"), line(2, "b"), line(3, "c")}
	take(&book, 1, 1, lines...)
	asked := 0
	for range 10 {
		if from := book.Asks(); from < 4 {
			asked++
			assert.Empty(t, take(&book, from, 1, lines...).Messages)
		} else {
			assert.Empty(t, take(&book, from, 1).Messages)
		}
	}
	assert.Equal(t, 1, asked)
}

// Whatever is lost when servers take over, each line that the last of them has comes once, and no line comes twice. Each
// server has an alias of its own, and polls come at any time.
func TestTakeoversLoseNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		book := gms.NewTranscript(chat.Session{Alias: "0"}, 1, chat.Position{})
		var server []chat.Message
		alias, count := 0, 0
		got := map[string]int{}
		places := map[chat.Position]string{}
		poll := func() {
			from := book.Asks()
			a := gms.Answer{StatusTold: true, Asked: from, Next: int64(len(server)) + 1, Session: chat.Session{Alias: fmt.Sprint(alias)}}
			for _, m := range server {
				if m.Index >= from {
					a.Messages = append(a.Messages, m)
				}
			}
			ev, _ := book.Take(a, []byte("{}"))
			for _, m := range ev.Messages {
				got[m.Text]++
				if other, taken := places[m.Position]; taken {
					t.Fatalf("%q and %q are at %v", other, m.Text, m.Position)
				}
				places[m.Position] = m.Text
			}
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				lost := rapid.IntRange(0, min(len(server), 5)).Draw(t, "lost")
				server = server[: len(server)-lost : len(server)-lost]
				alias++
			case 1, 2:
				poll()
			default:
				count++
				m := line(int64(len(server))+1, fmt.Sprint("line ", count))
				m.Time = m.Time.Add(time.Duration(count) * time.Hour)
				server = append(server, m)
			}
		}
		for range 3 {
			poll()
		}
		for _, m := range server {
			if got[m.Text] != 1 {
				t.Fatalf("%q came %d times", m.Text, got[m.Text])
			}
		}
		for text, n := range got {
			if n != 1 {
				t.Fatalf("%q came %d times", text, n)
			}
		}
	})
}

// A server that answers with a nextPosition far back, and then with lines from there, has not taken over: what
// came long ago, and is not remembered line by line, does not come again.
func TestStaleNextPosition(t *testing.T) {
	for _, next := range []int64{2, 50, 99} {
		book := gms.NewTranscript(chat.Session{}, 1, chat.Position{})
		var all []chat.Message
		for i := range int64(100) {
			all = append(all, line(i+1, fmt.Sprint("line ", i+1)))
		}
		assert.Len(t, take(&book, 1, 101, slices.Clone(all)...).Messages, 100)
		assert.Empty(t, take(&book, 101, next).Messages)
		for part := range slices.Chunk(slices.Clone(all[next-1:]), 10) {
			assert.Empty(t, take(&book, next, 101, part...).Messages, "from %d", next)
		}
		assert.Len(t, take(&book, 101, 102, line(101, "new")).Messages, 1)
	}
}
