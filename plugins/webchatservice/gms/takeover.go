package gms

import (
	"slices"
	"strconv"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// rememberedLines is how many lines a takeover knows by what they say. A server that takes over lacks the last ones.
const rememberedLines = 32

// takeover finds out when another server has taken the chat over and gives indices anew that the one before had given
// to other lines, which the new one never had. It shows when a line has the index of another one, with another text and
// another time. To see such lines they are asked for once more when there is reason to: the new server's nextPosition is below
// the position that it was asked for, or its alias is another one. The zero takeover has seen nothing.
type takeover struct {
	// ends is where the server's transcript seems to end, if that is before the position that it was asked for; else 0.
	ends int64
	// doubted: lines showed that the server's nextPosition was not to be believed.
	doubted bool
	// recheck is from where on lines are asked for once more, since another server answers; 0: there is no need.
	recheck int64

	lines  []spoken // the last ones that came, a ring
	oldest int      // in lines
	cuts   []cut    // the latest last
	count  int      // how often there was a takeover
}

// spoken is what tells one line from another one with its index.
type spoken struct {
	index int64
	time  time.Time
	text  string
}

// cut is where a generation of indices begins, and ends.
type cut struct {
	from, to   int64 // to is not included
	generation int
	behind     chat.Position // of the last line that lost its index there, if others came behind it; else zero
}

// generation names what an index belongs to, in positions: "" until something was taken over.
func (t *takeover) generation(index int64) string {
	if c := t.of(index); c != nil {
		return strconv.Itoa(c.generation)
	}
	return ""
}

// of returns the generation that an index belongs to; nil for the first.
func (t *takeover) of(index int64) *cut {
	for i := range slices.Backward(t.cuts) {
		if c := &t.cuts[i]; c.from <= index && index < c.to {
			return c
		}
	}
	return nil
}

// note remembers a line.
func (t *takeover) note(m *chat.Message) {
	s := spoken{m.Index, m.Time, m.Text}
	if len(t.lines) < rememberedLines {
		t.lines = append(t.lines, s)
		return
	}
	t.lines[t.oldest] = s
	t.oldest = (t.oldest + 1) % rememberedLines
}

// asks is the index from which on the server should be asked for lines, of which next is the first that is new.
func (t *takeover) asks(next int64) int64 {
	if t.ends > 0 {
		next = min(next, t.ends)
	}
	if t.recheck > 0 {
		next = min(next, t.recheck)
	}
	return next
}

// listen takes in where the server says that its transcript ends. A stale answer says less than is known, too: so
// what counts is the position that this answer was asked for. A server that has a line, whatever it says, is not believed
// any more.
func (t *takeover) listen(a *Answer) {
	if t.ends > 0 && slices.ContainsFunc(a.Messages, func(m chat.Message) bool { return m.Index >= t.ends && t.same(&m) }) {
		t.ends, t.doubted = 0, true
	}
	if a.Next > 0 && a.Next < a.Asked && !a.Ended && !t.doubted && a.StatusCode == StatusOK {
		t.ends = a.Next
	}
}

// check has the lines that are remembered asked for once more, since another server answers.
func (t *takeover) check() {
	t.doubted = false
	for i, s := range t.lines {
		if i == 0 || s.index < t.recheck {
			t.recheck = s.index
		}
	}
}

// checked takes in that the lines of an answer were judged. A server that has fewer lines than came, of which next would be
// the following one, is asked on.
func (t *takeover) checked(a *Answer, next int64) {
	if t.recheck > 0 && a.Asked > 0 && a.Asked <= t.recheck && (a.Next == 0 || a.Next >= next) {
		t.recheck = 0
	}
}

// remembered returns what came with the index of a line; nil for nothing that is remembered.
func (t *takeover) remembered(m *chat.Message) *spoken {
	if i := slices.IndexFunc(t.lines, func(s spoken) bool { return s.index == m.Index }); i >= 0 {
		return &t.lines[i]
	}
	return nil
}

// other reports whether a line is another one than that which came with its index.
func (t *takeover) other(m *chat.Message) bool {
	s := t.remembered(m)
	return s != nil && s.text != m.Text && !s.time.Equal(m.Time) && !m.Time.IsZero() && !s.time.IsZero()
}

// later reports whether a line was said after all that are remembered: then it cannot have come before them. A line that
// is said to be older may be one that came long ago, and is not remembered any more.
func (t *takeover) later(m *chat.Message) bool {
	return !m.Time.IsZero() && !slices.ContainsFunc(t.lines, func(s spoken) bool { return !s.time.Before(m.Time) })
}

// same reports whether a line is the one that came with its index, as far as one can see.
func (t *takeover) same(m *chat.Message) bool { return t.remembered(m) != nil && !t.other(m) }

// judge returns the index from which on the lines are others, if m, whose index was given out before, shows that; else 0.
func (t *takeover) judge(m *chat.Message) int64 {
	switch other := t.other(m); {
	case t.ends > 0 && m.Index >= t.ends && (other || t.remembered(m) == nil && t.later(m)):
		return t.ends
	case other:
		return m.Index
	}
	return 0
}

// after is the index of the first line behind a place. A place among lines that are others now is where those begin.
func (t *takeover) after(p chat.Position) int64 {
	generation, _ := strconv.Atoi(p.ID) // "" is 0
	index := max(p.Index, 1)
	for _, c := range t.cuts {
		if c.generation > generation && c.from < p.Index && p.Index <= c.to {
			index = min(index, c.from)
		}
	}
	return index
}

// cut takes in that the lines of these ranges are others.
func (t *takeover) cut(ranges []cut) {
	t.ends = 0
	t.count++
	for _, r := range ranges {
		r.generation = t.count
		t.cuts = append(slices.DeleteFunc(t.cuts, func(c cut) bool { return c.from >= r.from && c.to <= r.to }), r)
	}
	t.lines = slices.Concat(t.lines[t.oldest:], t.lines[:t.oldest])
	t.lines = slices.DeleteFunc(t.lines, func(s spoken) bool {
		return slices.ContainsFunc(ranges, func(r cut) bool { return s.index >= r.from && s.index < r.to })
	})
	t.oldest = 0
}
