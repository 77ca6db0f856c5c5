package webchatservice

import (
	"encoding/json"
	"slices"
)

// transcript keeps the lines of a session in order, each once. Lines are known by their index, else
// by their id; what has neither is taken to be new, since the driver promises so. The slices it gives
// out are never written to again.
type transcript struct {
	messages  []Message
	originals []json.RawMessage
	indices   map[int64]struct{}
	ids       map[string]struct{}
}

// mark notes that a line was seen and reports whether it is new.
func (t *transcript) mark(m *Message) bool {
	switch {
	case m.Index != 0:
		if _, seen := t.indices[m.Index]; seen {
			return false
		}
		if t.indices == nil {
			t.indices = make(map[int64]struct{})
		}
		t.indices[m.Index] = struct{}{}
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
func (t *transcript) insert(m Message) {
	at := len(t.messages)
	// A late line goes before the first one of a higher index; those without an index stay behind the
	// line that they followed.
	for i := len(t.messages) - 1; i >= 0 && m.Index != 0; i-- {
		if index := t.messages[i].Index; index > m.Index {
			at = i
		} else if index != 0 {
			break
		}
	}
	if at == len(t.messages) {
		t.messages = append(t.messages, m)
		t.originals = append(t.originals, m.Original)
		return
	}
	t.messages = slices.Insert(slices.Clone(t.messages), at, m) // readers hold the old ones
	t.originals = slices.Insert(slices.Clone(t.originals), at, m.Original)
}

// view returns the lines so far.
func (t *transcript) view() Transcript {
	n := len(t.messages)
	v := Transcript{Messages: t.messages[:n:n], OriginalMessages: t.originals[:n:n]}
	if n == 0 { // an empty list, not null, in JSON
		v = Transcript{Messages: []Message{}, OriginalMessages: []json.RawMessage{}}
	}
	return v
}

// span returns the times of the first and the last line that have one.
func (t *transcript) span() (first, last int64) {
	for i := range t.messages {
		s := t.messages[i].Timestamp
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
