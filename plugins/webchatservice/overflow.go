package webchatservice

import (
	"context"
	"errors"

	"github.com/cxbus/cxbus/bus"
)

// publish hands an event to the bus. It never waits.
func (s *Service) publish(ctx context.Context, p publication) {
	publish := s.client.Publish
	if p.event == AjaxResponse.Name() {
		publish = s.client.PublishDirect // frequent, and of little interest (webchatservice 4.1)
	}
	err := publish(ctx, p.event[len(Namespace)+1:], p.payload)
	switch {
	case err == nil:
		if gap := s.overflow; gap != nil { // who missed lines has room again
			s.overflow = nil
			s.publish(ctx, publicationOf(TranscriptGap, *gap))
		}
		return
	case errors.Is(err, bus.ErrStopped), errors.Is(err, bus.ErrClosed):
		return
	case errors.Is(err, bus.ErrOverflow):
		s.overflow = overflowed(s.overflow, p.payload)
	}
	s.deps.log.Error("event was not delivered to everybody", "event", p.event, "error", err)
}

// overflowed adds the lines of an event that a subscriber had no room for to the range of those before.
func overflowed(gap *TranscriptGapData, data any) *TranscriptGapData {
	switch d := data.(type) {
	case TranscriptGapData: // it is owed still
		gap = widened(gap, d.From, d.To)
	case MessageReceivedData:
		for i := range d.Messages {
			if index := d.Messages[i].Index; index != 0 {
				gap = widened(gap, index, index)
			}
		}
	}
	return gap
}

func widened(gap *TranscriptGapData, from, to int64) *TranscriptGapData {
	if gap == nil {
		return &TranscriptGapData{From: from, To: to, Reason: GapOverflow}
	}
	gap.From, gap.To = min(gap.From, from), max(gap.To, to)
	return gap
}
