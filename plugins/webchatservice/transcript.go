package webchatservice

import (
	"slices"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// transcript keeps the lines of a session in order, each once. Their order is that in which they came, but for those
// that the driver puts elsewhere. The lines are those of the events, which are never written to again.
type transcript struct {
	entries []entry
}

// entry is a line of a transcript.
type entry struct {
	place chat.Position
	line  *Message // nil: it is not for the visitor
}

// recentLines is how far back a line is looked for that a driver says is new.
const recentLines = 16

// has reports whether a line is there already. A driver gives each line once, so of one that it puts at the end only
// the last ones are looked at: a set of all lines would cost each of them a twentieth of its way (bench, socket
// throughput). A line without a place is taken to be new, since the driver promises so.
func (t *transcript) has(place chat.Position, atEnd bool) bool {
	if place == (chat.Position{}) {
		return false
	}
	if !atEnd {
		return t.find(place) >= 0
	}
	looked := 0
	for i := len(t.entries) - 1; i >= 0 && looked < recentLines; i-- {
		switch t.entries[i].place {
		case place:
			return true
		case chat.Position{}:
		default:
			looked++
		}
	}
	return false
}

// add puts a new line at the end or, if behind is not nil, behind the line of that place. m is nil for a line that is
// not for the visitor.
func (t *transcript) add(place chat.Position, behind *chat.Position, m *Message) {
	if behind == nil {
		t.entries = append(t.entries, entry{place, m})
		return
	}
	t.entries = slices.Insert(t.entries, t.behind(*behind), entry{place, m})
}

// prepend puts an older line before all others.
func (t *transcript) prepend(place chat.Position, m *Message) {
	t.entries = slices.Insert(t.entries, 0, entry{place, m})
}

// behind is where a line stands that belongs behind the one at that place. Lines without a place stay behind the line
// that they followed. A place that is not known is the end.
func (t *transcript) behind(place chat.Position) int {
	at := 0
	if place != (chat.Position{}) {
		at = t.find(place) + 1
		if at == 0 {
			return len(t.entries)
		}
	}
	for at < len(t.entries) && t.entries[at].place == (chat.Position{}) {
		at++
	}
	return at
}

// find returns where the line at that place stands; -1 for a place that is not known. It begins at the end, since lines
// come late by a little.
func (t *transcript) find(place chat.Position) int {
	for i, e := range slices.Backward(t.entries) {
		if e.place == place {
			return i
		}
	}
	return -1
}

// around returns the ids of the lines before the first and after the last of those at these places; "" where there is
// none.
func (t *transcript) around(places []chat.Position) (before, after string) {
	first, last := len(t.entries), -1
	for _, place := range places {
		if at := t.find(place); at >= 0 {
			first, last = min(first, at), max(last, at)
		}
	}
	for i := first - 1; i >= 0 && before == ""; i-- {
		if m := t.entries[i].line; m != nil {
			before = m.ID
		}
	}
	for i := last + 1; i < len(t.entries) && after == ""; i++ {
		if m := t.entries[i].line; m != nil {
			after = m.ID
		}
	}
	return before, after
}

// lines returns the lines that are for the visitor.
func (t *transcript) lines() []*Message {
	all := make([]*Message, 0, len(t.entries))
	for _, e := range t.entries {
		if e.line != nil {
			all = append(all, e.line)
		}
	}
	return all
}

// view returns the lines so far: empty lists, not nil ones, which are null in JSON.
func (t *transcript) view() Transcript {
	lines := t.lines()
	all := make([]Message, len(lines))
	for i, m := range lines {
		all[i] = *m
	}
	return Transcript{Messages: all, OriginalMessages: originals(all)}
}

// originals returns lines as the server sent them.
func originals(lines []Message) []chat.JSON {
	all := make([]chat.JSON, len(lines))
	for i := range lines {
		all[i] = lines[i].Original
	}
	return all
}

// span returns the times of the first and the last line that have one.
func (t *transcript) span() (first, last int64) {
	for _, m := range t.lines() {
		s := m.Timestamp
		if s == 0 {
			continue
		}
		if first == 0 || s < first {
			first = s
		}
		last = max(last, s)
	}
	return first, last
}
