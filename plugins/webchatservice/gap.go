package webchatservice

import (
	"cmp"
	"slices"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// TranscriptGapData is the payload of [TranscriptGap].
type TranscriptGapData struct {
	From int64 `json:"from"` // the first index of the range
	To   int64 `json:"to"`   // the last index of the range
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

// fill looks for holes between what was seen and the lines of ev, and asks the server for what is missing,
// which goes into ev. It returns the ranges that the server does not have either. An error means that the server
// could not be asked, so that ev has to wait. Only the receiving goroutine calls it, so nothing is published
// meanwhile and the order holds.
func (r receiver) fill(ev *chat.Event) ([]TranscriptGapData, error) {
	r.mu.Lock()
	highest, info := r.highest, r.info
	r.mu.Unlock()
	holes := missing(highest, ev.Messages)
	if holes == nil { // as almost always
		return nil, nil
	}
	wait := newBackoff(250 * time.Millisecond)
	confirmed := 0
	for try := 1; holes != nil; try++ {
		got, able, err := r.fetch(info, holes)
		asked := time.Duration(0)
		if err == nil {
			merge(ev, got)
			holes = missing(highest, ev.Messages)
			if confirmed++; holes == nil || !able || confirmed == fillConfirms {
				break
			}
		} else {
			e := wireError(err)
			asked = e.RetryAfter
			switch passing := e.Outcome == chat.NotSent || e.Outcome == chat.Unknown || e.Retryable(); {
			case !passing: // over, or the server will not say
				return holes, nil
			case try >= fillTries:
				return holes, err
			}
		}
		if !pause(r.ctx, wait(asked), r.retry) {
			break
		}
	}
	return holes, nil
}

// missing returns the ranges of indices that lie between high and the lines, or between the lines.
func missing(high int64, lines []chat.Message) (holes []TranscriptGapData) {
	for i := range lines {
		m := &lines[i]
		if !m.HasIndex || m.Index <= high {
			continue
		}
		if m.Index > high+1 {
			holes = append(holes, TranscriptGapData{From: high + 1, To: m.Index - 1, Reason: GapServer})
		}
		high = m.Index
	}
	return holes
}

// fetch asks for the lines of holes: on the same connection, or by taking the chat up beside it where the
// wire can only do that. able is false where it can do neither.
func (r receiver) fetch(info chat.Session, holes []TranscriptGapData) (lines []chat.Message, able bool, err error) {
	from, to := chat.Position{Index: holes[0].From}, chat.Position{Index: holes[len(holes)-1].To + 1}
	if c, ok := r.conn.(chat.Refetcher); ok {
		lines, err = c.Refetch(r.ctx, from, to)
		return lines, true, err
	}
	if r.deps.resumer == nil {
		return nil, false, nil
	}
	conn, err := r.deps.resumer.Resume(r.ctx, chat.ResumeRequest{Session: info, From: from, Credentials: r.deps.credentials})
	if err != nil {
		return nil, true, err
	}
	defer conn.Close() //nolint:errcheck // it was only read from
	got, err := conn.Receive(r.ctx)
	return got.Messages, true, err
}

// merge puts those of the lines that ev lacks into it, in order.
func merge(ev *chat.Event, lines []chat.Message) {
	have := make(map[int64]struct{}, len(ev.Messages))
	for i := range ev.Messages {
		if ev.Messages[i].HasIndex {
			have[ev.Messages[i].Index] = struct{}{}
		}
	}
	for _, m := range lines {
		if _, known := have[m.Index]; m.HasIndex && !known {
			ev.Messages = append(ev.Messages, m)
		}
	}
	slices.SortStableFunc(ev.Messages, func(a, b chat.Message) int {
		if !a.HasIndex || !b.HasIndex {
			return 0
		}
		return cmp.Compare(a.Index, b.Index)
	})
}
