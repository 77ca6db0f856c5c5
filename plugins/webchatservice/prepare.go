package webchatservice

import (
	"log/slog"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// lines are those of an event on their way to the subscribers.
type lines struct {
	wire     []chat.Message
	messages []Message        // what is made of each
	hidden   map[int]struct{} // those that a filter hides; they count for participants only
}

// prepare normalises the lines of an event, hides and changes them. It holds no lock, since
// pre-processors are other people's code.
func (h *hooks) prepare(log *slog.Logger, wire []chat.Message, restoring bool) (l lines) {
	if len(wire) == 0 {
		return l
	}
	h.mu.Lock()
	filters, processors := h.filters, h.processors
	h.mu.Unlock()

	l = lines{wire: wire, messages: make([]Message, len(wire))}
	for i := range wire {
		w, m := &wire[i], &l.messages[i]
		normalise(m, w, restoring)
		if h.masks.Load() != nil {
			m.Text = h.mask(m.Text)
			m.Original = h.maskJSON(m.Original)
			m.UserData, m.FileDetails = h.maskMap(m.UserData), h.maskMap(m.FileDetails)
			m.Structured = h.maskContent(m.Structured)
		}
		if w.Kind == chat.KindMessage && hides(filters, w.Text) {
			if l.hidden == nil {
				l.hidden = make(map[int]struct{})
			}
			l.hidden[i] = struct{}{}
		}
	}
	if len(processors) > 0 {
		l.process(log, processors)
	}
	return l
}

// process lets the pre-processors change the lines that are not hidden, each by all of them in turn. One that panics or
// ends its goroutine changes nothing.
func (l *lines) process(log *slog.Logger, processors []processor) {
	for next := 0; next < len(l.messages)*len(processors); next++ {
		odd := contained(func() {
			for ; next < len(l.messages)*len(processors); next++ {
				i := next / len(processors)
				if _, hidden := l.hidden[i]; !hidden {
					processors[next%len(processors)].process(&l.messages[i])
				}
			}
		})
		if odd != nil {
			odd.record(log, "pre-processor")
		}
	}
}

// process lets the pre-processor change a line.
func (p processor) process(m *Message) {
	if out := p.f(*m); out != nil {
		changed := *out
		changed.Index, changed.ID, changed.Original, changed.Restoring = m.Index, m.ID, m.Original, m.Restoring
		*m = changed
	}
}
