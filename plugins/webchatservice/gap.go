package webchatservice

import (
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// TranscriptGapData is the payload of [TranscriptGap]. Lines are named by their indices where the wire numbers them,
// and by the ids of the lines around them where it names them.
type TranscriptGapData struct {
	From int64 `json:"from,omitempty"` // the first index of the range
	To   int64 `json:"to,omitempty"`   // the last index of the range
	// AfterID is the id of the line before the first that is missing; none when that is the first of all.
	AfterID string `json:"afterID,omitempty"`
	// BeforeID is the id of the line behind the last that is missing; none when nothing has come behind it yet.
	BeforeID string `json:"beforeID,omitempty"`
	// Reason is "server" or "overflow": [GapServer] or [GapOverflow].
	Reason string `json:"reason"`
}

// The reasons of [TranscriptGapData].
const (
	GapServer   = "server"   // the server does not have them
	GapOverflow = "overflow" // they were not queued for a subscriber that was too slow; others have them
)

const (
	fillTries    = 3 // of asking for missing lines, in a row
	fillConfirms = 2 // answers that lack a line, until it is believed not to be had: one may have a hole of its own
)

// fill looks for holes that the driver has found before and between the lines of ev, and asks the server for what is
// missing, which goes into ev. It returns the ranges that the server does not have either. base is where the lines
// before ev end. An error means that the server could not be asked, so that ev has to wait. Only the receiving
// goroutine calls it, so nothing is published meanwhile and the order holds.
func (r receiver) fill(ev *chat.Event, base chat.Position) ([]TranscriptGapData, error) {
	from, to, holes := hole(ev.Messages, base)
	if !holes { // as almost always
		return nil, nil
	}
	fetcher, able := refetcher(r.conn)
	wait := newBackoff(250 * time.Millisecond)
	confirmed := 0
	for try := 1; able && holes; try++ {
		got, err := fetcher.Refetch(r.ctx, from, to)
		asked := time.Duration(0)
		if err == nil {
			ev.Messages = merge(ev.Messages, got)
			from, to, holes = hole(ev.Messages, base)
			if confirmed++; confirmed == fillConfirms {
				break
			}
		} else {
			e := wireError(err)
			asked = e.RetryAfter
			switch passing := e.Outcome == chat.NotSent || e.Outcome == chat.Unknown || e.Retryable(); {
			case !passing: // over, or the server will not say
				return r.gaps(ev.Messages), nil
			case try >= fillTries:
				return r.gaps(ev.Messages), err
			}
		}
		if holes && !pause(r.ctx, wait(asked), r.retry) {
			break
		}
	}
	return r.gaps(ev.Messages), nil
}

// misses reports whether lines are missing before one that the visitor does not know yet.
func misses(m *chat.Message) bool { return m.Missing != nil && !m.Known }

// hole returns between which places lines are missing: behind the line before the first hole, up to the line behind the
// last one. base is the place before all lines.
func hole(lines []chat.Message, base chat.Position) (from, to chat.Position, found bool) {
	for i := range lines {
		m := &lines[i]
		if misses(m) {
			if !found {
				from, found = base, true
			}
			to = m.Position
		}
		if !found && m.Position != (chat.Position{}) && m.Behind == nil {
			base = m.Position
		}
	}
	return from, to, found
}

// gaps returns the ranges that are missing between lines and before the first one.
func (r receiver) gaps(lines []chat.Message) (all []TranscriptGapData) {
	r.mu.Lock()
	before := r.lastID
	r.mu.Unlock()
	for i := range lines {
		m := &lines[i]
		if misses(m) {
			all = append(all, TranscriptGapData{
				From: m.Missing.First, To: m.Missing.Last, AfterID: before, BeforeID: m.ID, Reason: GapServer,
			})
		}
		if m.ID != "" {
			before = m.ID
		}
	}
	return all
}

// merge puts lines that were asked for among those that came, each behind the line that the driver names. What the
// driver says now about what is missing counts.
func merge(lines, got []chat.Message) []chat.Message {
	if len(got) == 0 {
		return lines
	}
	at := make(map[chat.Position]int, len(lines))
	for i := range lines {
		if p := lines[i].Position; p != (chat.Position{}) {
			at[p] = i
		}
	}
	all := make([]chat.Message, 0, len(lines)+len(got))
	taken := 0 // of lines
	upTo := func(i int) {
		if i >= taken {
			all = append(all, lines[taken:i+1]...)
			taken = i + 1
		}
	}
	for _, m := range got {
		i, known := at[m.Position]
		switch {
		case known && i >= taken:
			upTo(i)
			all[len(all)-1].Missing = m.Missing
			continue
		case known, m.Position == (chat.Position{}):
			continue
		}
		if m.Behind != nil {
			if i, ok := at[*m.Behind]; ok {
				upTo(i)
			}
		}
		m.Behind = nil // it is in its place
		all = append(all, m)
	}
	return append(all, lines[taken:]...)
}
