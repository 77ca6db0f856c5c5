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
// to other lines, which the new one never had. It shows in two ways: the new server's nextPosition is below the
// position that it was asked for, and a line has the index of another one, with another text and another time. The zero
// takeover has seen nothing.
type takeover struct {
	// ask, if it is not 0, is where the server's transcript seems to end: the lines from there on are asked for, and
	// show whether they are others.
	ask int64
	// doubted: lines showed that the server's nextPosition was not to be believed.
	doubted bool
	lines   []spoken // the last ones that came, a ring
	oldest  int      // in lines
	cuts    []cut    // in rising order of both
	count   int      // how often there was a takeover
}

// spoken is what tells one line from another one with its index.
type spoken struct {
	index int64
	time  time.Time
	text  string
}

// cut is where a generation of indices begins.
type cut struct {
	index      int64
	generation int
}

// generation names what an index belongs to, in positions: "" until something was taken over.
func (t *takeover) generation(index int64) string {
	for _, c := range slices.Backward(t.cuts) {
		if c.index <= index {
			return strconv.Itoa(c.generation)
		}
	}
	return ""
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

// listen takes in where the server says that its transcript ends. A stale answer says less than is known, too: so
// what counts is the position that this answer was asked for.
func (t *takeover) listen(a *Answer) {
	if a.Next > 0 && a.Next < a.Asked && !a.Ended && !t.doubted && a.StatusCode == StatusOK {
		t.ask = a.Next
	}
}

// other reports whether a line is another one than that which came with its index.
func (t *takeover) other(m *chat.Message) bool {
	i := slices.IndexFunc(t.lines, func(s spoken) bool { return s.index == m.Index })
	return i >= 0 && t.lines[i].text != m.Text && !t.lines[i].time.Equal(m.Time) && !m.Time.IsZero() && !t.lines[i].time.IsZero()
}

// judge returns the index from which on the lines are others, if m, whose index was given out before, shows that; else 0.
func (t *takeover) judge(m *chat.Message) int64 {
	asked := t.ask > 0 && m.Index >= t.ask
	switch other := t.other(m); {
	case asked && (other || !slices.ContainsFunc(t.lines, func(s spoken) bool { return s.index == m.Index })):
		return t.ask
	case other:
		return m.Index
	case asked: // the server has it, whatever it says
		t.ask, t.doubted = 0, true
	}
	return 0
}

// after is the index of the first line behind a place. A place among lines that are others now is where those begin.
func (t *takeover) after(p chat.Position) int64 {
	generation, _ := strconv.Atoi(p.ID) // "" is 0
	index := max(p.Index, 1)
	for _, c := range t.cuts {
		if c.generation > generation {
			index = min(index, c.index)
		}
	}
	return index
}

// cut takes in that the lines from index on are others.
func (t *takeover) cut(index int64) {
	t.ask = 0
	t.count++
	t.cuts = slices.DeleteFunc(t.cuts, func(c cut) bool { return c.index >= index })
	t.cuts = append(t.cuts, cut{index, t.count})
	t.lines = slices.DeleteFunc(slices.Concat(t.lines[t.oldest:], t.lines[:t.oldest]), func(s spoken) bool { return s.index >= index })
	t.oldest = 0
}
