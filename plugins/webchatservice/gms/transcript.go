package gms

import (
	"encoding/json"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/indexset"
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
	seen     indexset.Set
	agents   int  // agents seen in the chat
	left     bool // the last agent left, and nothing was said since
	putOut   bool // the visitor left without having asked for the end
	idleShut bool // the server said that it closes for idleness
}

// NewTranscript returns the transcript of a chat of which the lines from index from on are wanted.
func NewTranscript(s chat.Session, from int64) Transcript {
	return Transcript{Session: s, told: s, from: from, Next: from}
}

// Take takes in what an answer brought, whose lines are then the event's. raw is the envelope for the event; with one
// there is always an event, without only if there is something to tell.
func (t *Transcript) Take(a Answer, raw json.RawMessage) (ev chat.Event, ok bool) {
	if t.Over {
		return chat.Event{}, false
	}
	if a.StatusCode == StatusOK {
		t.keys(a.Session)
	}
	ev = chat.Event{StatusCode: a.StatusCode, IdleTimerExpire: a.Idle, Raw: raw}
	if a.StatusCode != StatusRetry { // then the other fields are not reliable
		for i := range a.Messages {
			m := &a.Messages[i]
			if m.HasIndex {
				// An old node may send everything, whatever it was asked for (wire-gms Uncertain 16).
				if !t.add(m.Index) {
					continue
				}
				t.Next = max(t.Next, m.Index+1)
			}
			t.line(m)
			if n := len(ev.Messages); n < i {
				a.Messages[n] = *m
			}
			ev.Messages = a.Messages[:len(ev.Messages)+1]
		}
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
	ev.Position = chat.Position{Index: t.Next}
	return ev, raw != nil || len(ev.Messages) > 0 || ev.Ended || ev.Session != nil
}

// Extract takes the lines with an index from first on and before end out of an answer, as a caller asked for
// them; they count as seen. end 0 is no limit.
func (t *Transcript) Extract(a *Answer, first, end int64) (found []chat.Message) {
	var rest []chat.Message
	for _, m := range a.Messages {
		if !m.HasIndex || m.Index < first || end > 0 && m.Index >= end {
			rest = append(rest, m)
			continue
		}
		if len(found) > 0 && found[len(found)-1].Index == m.Index {
			continue
		}
		found = append(found, m)
		if t.add(m.Index) {
			t.line(&m)
		}
	}
	a.Messages = rest
	return found
}

// New reports whether a line has not come out of Take or Extract yet.
func (t *Transcript) New(m chat.Message) bool {
	return !m.HasIndex || m.Index >= t.from && !t.seen.Has(m.Index)
}

func (t *Transcript) add(index int64) bool { return index >= t.from && t.seen.Add(index) }

// keys overwrites the session's keys with those that the answer has (wire-gms A.2).
func (t *Transcript) keys(s chat.Session) {
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
