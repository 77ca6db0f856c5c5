package webchatservice

import (
	"slices"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// readMark is the last line that was published before a restore; zero for none.
type readMark struct {
	index int64
	id    string
}

// readMarkOf finds it among the lines that a restore brings.
func readMarkOf(lines []chat.Message) (mark readMark) {
	for i := range lines {
		if m := &lines[i]; m.Known {
			mark = readMark{m.Index, m.ID}
		}
	}
	return mark
}

// linesLocked takes in the lines of an event.
func (s *session) linesLocked(ev *chat.Event, l lines, restoring bool) {
	d := MessageReceivedData{
		Messages:          l.messages[:0], // what is left of them
		Restoring:         restoring,
		SessionData:       s.infoLocked(),
		IdleTimeCountDown: ev.IdleCountdown,
		after:             s.lastID,
	}
	if restoring {
		d.ReadMark, d.ReadMarkID = s.readMark.index, s.readMark.id
	}
	// Lines that a gap was reported for and that turn up all the same. Nothing is kept back, but they do
	// not come as if they were new.
	old := d
	old.OldMessages = true
	old.Messages = nil
	var late []chat.Position
	var changes publications // on participants and idleness, before the lines
	for i := range l.messages {
		w, m := &l.wire[i], &l.messages[i]
		if s.transcript.has(w.Position, w.Behind == nil) {
			continue
		}
		if w.Own && w.Kind == chat.KindMessage && !w.Known { // what was known before echoes nothing that was under way
			s.outbox.echoLocked(w)
		}
		if s.history.more {
			s.roster.introduce(m, &changes)
		}
		s.roster.apply(m, &changes)
		s.idle.apply(m, w.Idle, &changes)
		switch m.Type {
		case chat.KindMessage, chat.KindPushURL, chat.KindFileUploaded:
			s.timers.activityLocked(false)
		}
		if _, hidden := l.hidden[i]; hidden {
			s.transcript.add(w.Position, w.Behind, nil)
			continue
		}
		if w.Behind != nil && !restoring { // newest first, as older lines always come
			old.Messages = slices.Insert(old.Messages, 0, *m)
			s.transcript.add(w.Position, w.Behind, ptr(*m))
			late = append(late, w.Position)
			continue
		}
		if m.ID != "" {
			s.lastID = m.ID
		}
		d.Messages = append(d.Messages, *m)
		s.transcript.add(w.Position, w.Behind, &d.Messages[len(d.Messages)-1])
	}
	if restoring {
		changes = s.roster.current(changes)
	}
	s.roster.seal()
	s.agentTypingLocked()
	s.emitAllLocked(changes)
	s.timers.agentTypingLocked(s)
	s.timers.agentsLocked(s.roster.agentsConnected)
	if len(old.Messages) > 0 {
		old.OriginalMessages = originals(old.Messages)
		old.after, old.before = s.transcript.around(late)
		emit(s, MessageReceived, old)
	}
	if len(d.Messages) > 0 {
		clear(l.messages[len(d.Messages):])
		d.Messages = slices.Clip(d.Messages)
		d.OriginalMessages = originals(d.Messages)
		emit(s, MessageReceived, d)
	}
}

// agentTypingLocked keeps the data store at whether anybody types.
func (s *session) agentTypingLocked() {
	if typing := len(s.roster.typing) > 0; typing != s.agentTyping {
		s.agentTyping = typing
		setData(s, DataAgentTyping, typing)
	}
}
