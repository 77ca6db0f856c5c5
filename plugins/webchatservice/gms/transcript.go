package gms

import (
	"math"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// Transcript is what a connection knows of its chat: the keys, which lines came, and who was there. It makes
// events of answers. It is not safe for concurrent use. The zero Transcript is none: see [NewTranscript].
type Transcript struct {
	Session chat.Session // the keys as they are now
	Next    int64        // highest index seen, plus one
	Over    bool         // the chat has ended
	Ending  bool         // the visitor asked for the end

	told     chat.Session // Session as of the last event
	from     int64        // first index that is wanted
	known    int64        // the reader had the lines before this index; 0: none
	begun    bool         // an event was made
	seen     indexSet
	takeover takeover
	agents   int  // agents seen in the chat
	left     bool // the last agent left, and nothing was said since
	putOut   bool // the visitor left without having asked for the end
	idleShut bool // the server said that it closes for idleness
}

// NewTranscript returns the transcript of a chat of which the lines from index from on are wanted. known is where the
// reader stood, as in [chat.ResumeRequest.Known].
func NewTranscript(s chat.Session, from int64, known chat.Position) Transcript {
	return Transcript{Session: s, told: s, from: from, Next: from, known: max(known.Index, 0)}
}

// First is the index of the first line behind a place of any connection to the chat.
func First(p chat.Position) int64 { return max(p.Index, 1) }

// After is the index of the first line behind a place of this connection.
func (t *Transcript) After(p chat.Position) int64 { return t.takeover.after(p) }

// Position is where a reader stands who has all lines seen so far.
func (t *Transcript) Position() chat.Position { return t.place(t.Next - 1) }

// place is where a reader stands after the line of that index.
func (t *Transcript) place(index int64) chat.Position {
	if index < 1 {
		return chat.Position{}
	}
	return chat.Position{Index: index + 1, ID: t.takeover.generation(index)}
}

// Asks is the index from which on the server should be asked for lines.
func (t *Transcript) Asks() int64 { return t.takeover.asks(t.Next) }

// AnyNew reports whether there is a line among these that has not come out of Take or Extract yet.
func (t *Transcript) AnyNew(lines []chat.Message) bool {
	for i := range lines {
		if t.New(&lines[i]) {
			return true
		}
	}
	return false
}

// Take takes in what an answer brought, whose lines are then the event's. raw is the envelope for the event; with one
// there is always an event, without only if there is something to tell.
func (t *Transcript) Take(a Answer, raw chat.JSON) (ev chat.Event, ok bool) {
	if t.Over {
		return chat.Event{}, false
	}
	if a.StatusCode == StatusOK {
		if was := t.Session.Alias; t.keys(a.Session) && was != "" {
			t.takeover.check()
		}
	}
	ev = chat.Event{Unavailable: a.StatusCode == StatusRetry, IdleCountdown: a.Idle, Raw: raw}
	if ev.Unavailable { // then the other fields are not reliable
		t.takeover.doubted = false
	} else {
		t.takeover.listen(&a)
		t.begin(&a, &ev)
		for i := range a.Messages {
			m := &a.Messages[i]
			// An old node may send everything, whatever it was asked for (wire-gms Uncertain 16).
			if m.Index != 0 && !t.take(m, &a) {
				continue
			}
			t.line(m)
			if n := len(ev.Messages); n < i {
				a.Messages[n] = *m
			}
			ev.Messages = a.Messages[:len(ev.Messages)+1]
		}
		t.known = min(t.known, t.Next) // what comes from now on is new
		t.takeover.checked(&a, t.Next)
		ev.Ended = a.Ended
	}
	if ev.Ended {
		t.Over = true
		ev.Errors = a.Errors
		switch {
		case t.Ending:
			ev.EndedBy = chat.EndVisitor
		case t.idleShut:
			ev.EndedBy = chat.EndIdle
		case t.left:
			ev.EndedBy = chat.EndAgent
		default:
			ev.EndedBy = chat.EndServer
		}
	}
	if t.told != t.Session {
		t.told = t.Session
		s := t.Session
		ev.Session = &s
	}
	ev.Position = t.Position()
	return ev, raw != nil || len(ev.Messages) > 0 || ev.Ended || ev.Session != nil
}

// take takes in a line of an answer that has an index, and reports whether it is new. It says where in the transcript the line
// is.
func (t *Transcript) take(m *chat.Message, a *Answer) bool {
	if m.Index < t.Next { // else it is new, as almost always
		if t.seen.has(m.Index) || m.Index < t.from {
			if at := t.takeover.judge(m); at > 0 {
				t.takeOver(at, a)
			}
		}
	}
	if m.Index < t.from || !t.seen.add(m.Index) {
		return false
	}
	m.Position, m.Known = t.place(m.Index), m.Index < t.known
	if m.Index < t.Next {
		before := t.before(m.Index)
		behind := t.place(before)
		if c := t.takeover.of(m.Index); c != nil && before < c.from && c.behind != (chat.Position{}) {
			behind = c.behind
		}
		m.Behind = &behind // its hole has been told
	} else {
		if first := max(t.Next, t.known); first < m.Index { // the reader does not miss what was known
			m.Missing = &chat.Gap{First: first, Last: m.Index - 1}
		}
		t.Next = m.Index + 1
	}
	t.takeover.note(m)
	return true
}

// leftOut is how many lines of passing interest, such as typing, a server may have left out at the end of what it once
// gave.
const leftOut = 100

// begin takes in the first answer: what the reader is said to have known must be in the chat.
func (t *Transcript) begin(a *Answer, ev *chat.Event) {
	if t.begun {
		return
	}
	t.begun = true
	ev.Earlier = t.from > 1
	last := max(a.Next, t.Next) - 1
	for i := range a.Messages {
		last = max(last, a.Messages[i].Index)
	}
	if t.known-leftOut > last { // the record is of another chat, or somebody has changed it
		t.known = 0
	}
}

// before is the index of the line seen before that index; the one before the first that is wanted counts as seen.
func (t *Transcript) before(index int64) int64 {
	if i, ok := t.seen.before(index); ok {
		return i
	}
	return t.from - 1
}

// takeOver takes in that the lines from index on are others than those that came, but for those that an answer has.
func (t *Transcript) takeOver(index int64, a *Answer) {
	var ranges []cut
	from := index
	for i := range a.Messages {
		if m := &a.Messages[i]; m.Index >= from && t.seen.has(m.Index) && t.takeover.same(m) {
			if m.Index > from {
				r := cut{from: from, to: m.Index}
				if last := t.before(m.Index); last >= from {
					r.behind = t.place(last)
				}
				ranges = append(ranges, r)
			}
			from = m.Index + 1
		}
	}
	ranges = append(ranges, cut{from: from, to: math.MaxInt64})
	for _, r := range ranges {
		t.seen.cut(r.from, r.to)
	}
	t.takeover.cut(ranges)
	t.Next, t.from = min(t.Next, from), min(t.from, index)
}

// Extract takes the lines with an index from first on and before end out of an answer, as a caller asked for
// them; they count as seen. end 0 is no limit.
func (t *Transcript) Extract(a *Answer, first, end int64) (found []chat.Message) {
	rest := a.Messages[:0:0]
	for _, m := range a.Messages {
		if m.Index < max(first, 1) || end > 0 && m.Index >= end {
			rest = append(rest, m)
			continue
		}
		if len(found) > 0 && found[len(found)-1].Index == m.Index {
			continue
		}
		before := max(t.before(m.Index), first-1)
		if m.Index < t.from { // older than all that this connection gives out
			before = first - 1
			if n := len(found); n > 0 {
				before = found[n-1].Index
			}
		} else if t.seen.add(m.Index) {
			t.takeover.note(&m)
			t.line(&m)
		}
		behind := t.place(before)
		m.Position, m.Behind, m.Known = t.place(m.Index), &behind, m.Index < t.known
		if before < m.Index-1 {
			m.Missing = &chat.Gap{First: before + 1, Last: m.Index - 1}
		}
		found = append(found, m)
	}
	a.Messages = rest
	return found
}

// Page returns which lines to ask for as the page of history that ends before the line at before: those from first on
// and before end. See [chat.Historian].
func (t *Transcript) Page(before chat.Position, n int) (first, end int64) {
	end = t.from
	if before != (chat.Position{}) {
		end = max(before.Index-1, 1)
	}
	return max(end-int64(max(n, 1)), 1), end
}

// Older makes a page of history of the lines that were extracted for it.
func (t *Transcript) Older(lines []chat.Message, first int64) chat.Page {
	for i := range lines {
		lines[i].Behind = nil
	}
	return chat.Page{Messages: lines, Oldest: t.place(first), Beginning: first <= 1}
}

// New reports whether a line has not come out of Take or Extract yet.
func (t *Transcript) New(m *chat.Message) bool {
	return m.Index == 0 || m.Index >= t.from && !t.seen.has(m.Index) || t.takeover.other(m)
}

// keys overwrites the session's keys with those that the answer has (wire-gms A.2), and reports whether the alias is another.
func (t *Transcript) keys(s chat.Session) (moved bool) {
	moved = s.Alias != "" && s.Alias != t.Session.Alias
	if s.ID != "" {
		t.Session.ID = s.ID
	}
	if s.UserID != "" {
		t.Session.UserID = s.UserID
	}
	if s.Alias != "" {
		t.Session.Alias = s.Alias
	}
	if !s.SecureKey.IsZero() {
		t.Session.SecureKey = s.SecureKey
	}
	return moved
}

// line notes what a new line means for the reason of an end. The wire does not tell the reason; that the last
// agent left just before, or that the visitor was put out while an agent was there, are what it shows (wire-gms
// A.10).
func (t *Transcript) line(m *chat.Message) {
	agent := m.From.Role == chat.RoleAgent
	switch {
	case m.Kind == chat.KindIdleClose:
		t.idleShut = true
	case m.Kind == chat.KindParticipantJoined && agent:
		t.agents++
		t.left = false
	case m.Kind == chat.KindParticipantLeft && agent:
		t.agents--
		t.left = t.agents <= 0 && !t.putOut
	case m.Kind == chat.KindParticipantLeft && m.Own:
		t.putOut = true
	case m.Kind == chat.KindMessage:
		t.idleShut, t.left = false, false
	}
}
