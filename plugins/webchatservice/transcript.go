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
	indices   ranges
	ids       map[string]struct{}
}

// mark notes that a line was seen and reports whether it is new.
func (t *transcript) mark(m *Message) bool {
	switch {
	case m.Index != 0:
		return t.indices.add(m.Index)
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

// ranges is a set of indices: ranges in rising order, one where nothing is missing.
type ranges []struct{ first, last int64 }

// add puts an index into the set and reports whether it was not in it.
func (r *ranges) add(i int64) bool {
	s := *r
	at := len(s) // of the first range behind i
	for at > 0 && s[at-1].first > i {
		at--
	}
	if at > 0 && s[at-1].last >= i {
		return false
	}
	joinsLeft, joinsRight := at > 0 && s[at-1].last == i-1, at < len(s) && s[at].first == i+1
	switch {
	case joinsLeft && joinsRight:
		s[at-1].last = s[at].last
		s = slices.Delete(s, at, at+1)
	case joinsLeft:
		s[at-1].last = i
	case joinsRight:
		s[at].first = i
	default:
		s = slices.Insert(s, at, struct{ first, last int64 }{i, i})
	}
	*r = s
	return true
}
