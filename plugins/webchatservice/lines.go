package webchatservice

import (
	"slices"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// linesLocked takes in the lines of an event.
func (s *session) linesLocked(ev *chat.Event, l lines, restoring bool) {
	d := MessageReceivedData{
		Messages:          l.messages[:0], // what is left of them
		Restoring:         restoring,
		SessionData:       s.namesLocked(),
		IdleTimeCountDown: ev.IdleTimerExpire,
	}
	if restoring {
		d.ReadMark = s.readMark
	}
	// Lines that a gap was reported for and that turn up all the same. Nothing is kept back, but they do
	// not come as if they were new.
	old := d
	old.OldMessages = true
	old.Messages = nil
	var out []emission
	for i := range l.messages {
		w, m := &l.wire[i], &l.messages[i]
		if !s.script.mark(m) {
			continue
		}
		late := !restoring && m.Index != 0 && m.Index < s.high
		s.high = max(s.high, m.Index)
		if w.Own && w.Kind == chat.KindMessage && (!restoring || m.Index == 0 || m.Index >= s.echoFrom) {
			s.echoLocked(w)
		}
		if s.oldest < 0 && m.Index > 0 {
			s.oldest = m.Index
		}
		if s.oldest > 1 {
			out = s.people.meet(m, out)
		}
		out = s.people.see(m, out)
		out = s.idle.see(m, ev.IdleTimerExpire, out)
		switch m.Type {
		case chat.KindMessage, chat.KindPushURL, chat.KindFileUploaded:
			s.activeLocked(false)
		}
		if _, hidden := l.hidden[i]; hidden {
			continue
		}
		if late { // newest first, as older lines always come
			old.Messages = slices.Insert(old.Messages, 0, *m)
			s.script.insert(ptr(*m))
			continue
		}
		d.Messages = append(d.Messages, *m)
		s.script.insert(&d.Messages[len(d.Messages)-1])
	}
	if restoring {
		out = s.people.present(out)
	}
	for _, e := range out {
		s.emitLocked(e.event, e.data)
	}
	s.watchTypingLocked()
	s.aloneLocked()
	if len(old.Messages) > 0 {
		old.OriginalMessages = originals(old.Messages)
		s.emitLocked("messageReceived", old)
	}
	if len(d.Messages) > 0 {
		clear(l.messages[len(d.Messages):])
		d.Messages = slices.Clip(d.Messages)
		d.OriginalMessages = originals(d.Messages)
		s.emitLocked("messageReceived", d)
	}
}
