package webchatservice

import (
	"context"
	"errors"
	"log/slog"

	"github.com/cxbus/cxbus/bus"
)

// publisher hands events to the bus, one at a time.
type publisher struct {
	client   *bus.Client
	log      *slog.Logger
	overflow *overflow // lines that somebody was too slow for
}

// publish hands an event to the bus. It never waits.
func (h *publisher) publish(ctx context.Context, p publication) {
	if change, ok := p.payload.(dataChange); ok {
		h.published(p, change(h.client))
		return
	}
	publish := h.client.Publish
	if p.event == AjaxResponse.Name() {
		publish = h.client.PublishDirect // frequent, and of little interest (webchatservice 4.1)
	}
	err := publish(ctx, p.event[len(Namespace)+1:], p.payload)
	if o := h.overflow; err == nil && o != nil { // who missed lines has room again
		h.overflow = nil
		h.publish(ctx, publicationOf(TranscriptGap, o.gap(p.payload)))
	}
	h.published(p, err)
}

// published takes in what became of a publication.
func (h *publisher) published(p publication, err error) {
	switch {
	case err == nil:
		return
	case errors.Is(err, bus.ErrStopped), errors.Is(err, bus.ErrClosed):
		return
	case errors.Is(err, bus.ErrOverflow):
		h.overflow = h.overflow.add(p.payload)
	}
	h.log.Error("event was not delivered to everybody", "event", p.event, "error", err)
}

// overflow is the range of lines that a subscriber had no room for. The nil overflow has none.
type overflow struct {
	TranscriptGapData
	open bool // what comes next is what lies behind it
}

// add returns the range with the lines of an event that was not delivered to everybody.
func (o *overflow) add(payload any) *overflow {
	switch d := payload.(type) {
	case TranscriptGapData: // it is owed still
		return o.widened(d, d.BeforeID == "" && d.AfterID != "")
	case MessageReceivedData:
		if len(d.Messages) == 0 {
			return o
		}
		gap := TranscriptGapData{AfterID: d.after, BeforeID: d.before}
		for i := range d.Messages {
			if index := d.Messages[i].Index; index != 0 {
				gap.include(index, index)
			}
		}
		return o.widened(gap, !d.OldMessages)
	}
	return o
}

// widened returns the range that has both. open says that nothing has come behind the lines of gap.
func (o *overflow) widened(gap TranscriptGapData, open bool) *overflow {
	gap.Reason = GapOverflow
	if o == nil {
		return &overflow{gap, open}
	}
	if gap.From != 0 {
		o.include(gap.From, gap.To)
	}
	if open { // lines behind those that are missing already
		o.open, o.BeforeID = true, ""
	} else { // older ones
		o.AfterID = gap.AfterID
	}
	return o
}

// include makes the range have these indices, too.
func (g *TranscriptGapData) include(from, to int64) {
	if g.From == 0 || from < g.From {
		g.From = from
	}
	g.To = max(g.To, to)
}

// gap returns the event on it. next is the payload of the event that was delivered.
func (o *overflow) gap(next any) TranscriptGapData {
	if d, ok := next.(MessageReceivedData); ok && o.open && !d.OldMessages && len(d.Messages) > 0 {
		o.BeforeID = d.Messages[0].ID
	}
	return o.TranscriptGapData
}
