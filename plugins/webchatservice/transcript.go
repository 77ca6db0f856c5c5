package webchatservice

import (
	"encoding/json"
	"slices"

	"github.com/cxbus/cxbus/plugins/webchatservice/indexset"
)

// transcript keeps the lines of a session in order, each once. Lines are known by their index, else
// by their id; what has neither is taken to be new, since the driver promises so. The lines are those
// of the events, which are never written to again.
type transcript struct {
	lines   []*Message
	indices indexset.Set
	ids     map[string]struct{}
}

// mark notes that a line was seen and reports whether it is new.
func (t *transcript) mark(m *Message) bool {
	switch {
	case m.Index != 0:
		return t.indices.Add(m.Index)
	case m.ID != "":
		if _, seen := t.ids[m.ID]; seen {
			return false
		}
		if t.ids == nil {
			t.ids = make(map[string]struct{})
		}
		t.ids[m.ID] = struct{}{}
	}
	return true
}

// insert puts a new line in its place.
func (t *transcript) insert(m *Message) {
	at := len(t.lines)
	// A late line goes before the first one of a higher index; those without an index stay behind the
	// line that they followed.
	for i := len(t.lines) - 1; i >= 0 && m.Index != 0; i-- {
		if index := t.lines[i].Index; index > m.Index {
			at = i
		} else if index != 0 {
			break
		}
	}
	t.lines = slices.Insert(t.lines, at, m)
}

// view returns the lines so far: empty lists, not nil ones, which are null in JSON.
func (t *transcript) view() Transcript {
	all := make([]Message, len(t.lines))
	for i, m := range t.lines {
		all[i] = *m
	}
	return Transcript{Messages: all, OriginalMessages: originals(all)}
}

// originals returns lines as the server sent them.
func originals(lines []Message) []json.RawMessage {
	all := make([]json.RawMessage, len(lines))
	for i := range lines {
		all[i] = lines[i].Original
	}
	return all
}

// span returns the times of the first and the last line that have one.
func (t *transcript) span() (first, last int64) {
	for _, m := range t.lines {
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
