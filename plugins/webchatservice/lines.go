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
		SessionData:       s.infoLocked(),
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
	var changes publications // on participants and idleness, before the lines
	for i := range l.messages {
		w, m := &l.wire[i], &l.messages[i]
		if !s.transcript.mark(m) {
			continue
		}
		late := !restoring && m.Index != 0 && m.Index < s.highest
		s.highest = max(s.highest, m.Index)
		if w.Own && w.Kind == chat.KindMessage && (!restoring || m.Index == 0 || m.Index >= s.echoFrom) {
			s.outbox.echoLocked(w)
		}
		if s.history.oldest < 0 && m.Index > 0 {
			s.history.oldest = m.Index
		}
		if s.history.oldest > 1 {
			s.roster.introduce(m, &changes)
		}
		s.roster.apply(m, &changes)
		s.idle.apply(m, ev.IdleTimerExpire, &changes)
		switch m.Type {
		case chat.KindMessage, chat.KindPushURL, chat.KindFileUploaded:
			s.timers.activityLocked(false)
		}
		if _, hidden := l.hidden[i]; hidden {
			continue
		}
		if late { // newest first, as older lines always come
			old.Messages = slices.Insert(old.Messages, 0, *m)
			s.transcript.insert(ptr(*m))
			continue
		}
		d.Messages = append(d.Messages, *m)
		s.transcript.insert(&d.Messages[len(d.Messages)-1])
	}
	if restoring {
		changes = s.roster.current(changes)
	}
	s.roster.seal()
	s.emitAllLocked(changes)
	s.timers.agentTypingLocked(s)
	s.timers.agentsLocked(s.roster.agentsConnected)
	if len(old.Messages) > 0 {
		old.OriginalMessages = originals(old.Messages)
		emit(s, MessageReceived, old)
	}
	if len(d.Messages) > 0 {
		clear(l.messages[len(d.Messages):])
		d.Messages = slices.Clip(d.Messages)
		d.OriginalMessages = originals(d.Messages)
		emit(s, MessageReceived, d)
	}
}
