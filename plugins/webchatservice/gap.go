package webchatservice

import (
	"cmp"
	"slices"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// fillTries is how often missing lines are asked for.
const fillTries = 3

// fill looks for a hole between what was seen and the lines of ev, and asks the server for what is
// missing, which goes into ev. It returns the range that the server does not have either. Only the
// receiving goroutine calls it, so nothing is published meanwhile and the order holds.
func (s *session) fill(ev *chat.Event) *TranscriptGapData {
	s.mu.Lock()
	high, info := s.high, s.info
	s.mu.Unlock()
	hole := missing(high, ev.Messages)
	if hole == nil {
		return nil
	}
	wait := newBackoff(250 * time.Millisecond)
	for try := 1; ; try++ {
		got, err := s.fetch(info, hole)
		if err == nil {
			merge(ev, got)
		}
		if err == nil || try == fillTries || chat.OutcomeOf(err) == chat.Gone {
			break
		}
		if !pause(s.life, wait(wireError(err).RetryAfter), nil) {
			break
		}
	}
	return missing(high, ev.Messages)
}

// missing returns the first range of indices that lies between high and the lines, or between the lines.
func missing(high int64, lines []chat.Message) *TranscriptGapData {
	if high == 0 {
		return nil // nothing to compare with
	}
	var gap *TranscriptGapData
	for i := range lines {
		m := &lines[i]
		if !m.HasIndex || m.Index <= high {
			continue
		}
		if m.Index > high+1 {
			if gap == nil {
				gap = &TranscriptGapData{From: high + 1, Reason: "server"}
			}
			gap.To = m.Index - 1
		}
		high = m.Index
	}
	return gap
}

// fetch asks for the lines of a hole: on the same connection, or by taking the chat up beside it where
// the wire can only do that. It returns nothing where it can do neither.
func (s *session) fetch(info chat.Session, hole *TranscriptGapData) ([]chat.Message, error) {
	from, to := chat.Position{Index: hole.From}, chat.Position{Index: hole.To + 1}
	if r, ok := s.conn.(chat.Refetcher); ok {
		return r.Refetch(s.life, from, to)
	}
	if s.env.resumer == nil {
		return nil, nil
	}
	conn, err := s.env.resumer.Resume(s.life, info, from)
	if err != nil {
		return nil, err
	}
	defer conn.Close() //nolint:errcheck // it was only read from
	got, err := conn.Receive(s.life)
	return got.Messages, err
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
