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
	// ask, if it is not 0, is from where on lines are asked for once more.
	ask int64
	// checking: the reason is the alias, so ask is where lines are known, not where the server's transcript seems to end.
	checking bool
	base     int64 // while checking: the lines from there on are the new server's
	// doubted: lines showed that the server's nextPosition was not to be believed.
	doubted bool
	lines   []spoken // the last ones that came, a ring
	oldest  int      // in lines
	cuts    []cut    // the latest last
	count   int      // how often there was a takeover
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
	behind     chat.Position // of the last line that lost its index; zero if nothing came behind that one
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

// listen takes in where the server says that its transcript ends. A stale answer says less than is known, too: so
// what counts is the position that this answer was asked for.
func (t *takeover) listen(a *Answer) {
	if a.Next > 0 && a.Next < a.Asked && !a.Ended && !t.doubted && a.StatusCode == StatusOK {
		t.ask, t.checking = a.Next, false
	}
}

// check has the lines that are remembered asked for once more, since another server answers, whose lines are those from
// base on.
func (t *takeover) check(base int64) {
	t.doubted = false
	if t.ask == 0 && len(t.lines) > 0 {
		oldest := t.lines[0].index
		for _, s := range t.lines {
			oldest = min(oldest, s.index)
		}
		t.ask, t.checking, t.base = oldest, true, base
	}
}

// checked takes in that the lines of an answer were judged.
func (t *takeover) checked(a *Answer) {
	if t.checking && a.Asked > 0 && a.Asked <= t.ask {
		t.ask, t.checking = 0, false
	}
}

// other reports whether a line is another one than that which came with its index.
func (t *takeover) other(m *chat.Message) bool {
	i := slices.IndexFunc(t.lines, func(s spoken) bool { return s.index == m.Index })
	return i >= 0 && t.lines[i].text != m.Text && !t.lines[i].time.Equal(m.Time) && !m.Time.IsZero() && !t.lines[i].time.IsZero()
}

// judge returns the index from which on the lines are others, if m, whose index was given out before, shows that; else 0.
func (t *takeover) judge(m *chat.Message) int64 {
	asked := t.ask > 0 && !t.checking && m.Index >= t.ask
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
			index = min(index, c.from)
		}
	}
	return index
}

// cut takes in that the lines from one index on and before another are others. behind is the place of the last one that
// lost its index, if lines came behind it.
func (t *takeover) cut(from, to int64, behind chat.Position) {
	t.ask, t.checking = 0, false
	t.count++
	t.cuts = slices.DeleteFunc(t.cuts, func(c cut) bool { return c.from >= from && c.to <= to })
	t.cuts = append(t.cuts, cut{from, to, t.count, behind})
	t.lines = slices.Concat(t.lines[t.oldest:], t.lines[:t.oldest])
	t.lines = slices.DeleteFunc(t.lines, func(s spoken) bool { return s.index >= from && s.index < to })
	t.oldest = 0
}
