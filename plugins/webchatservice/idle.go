package webchatservice

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// IdleAlertData is the payload of [IdleAlert].
type IdleAlertData struct {
	// Seconds is the time to the next step; 0 when the server did not say.
	Seconds int `json:"seconds"`
	// Closing: the next step ends the chat.
	Closing bool `json:"closing"`
	// Closed: this was the last step; ended follows.
	Closed bool   `json:"closed"`
	Text   string `json:"text,omitempty"` // the server's words
}

// idle follows the server's idle timer; session.mu guards it.
type idle struct{ alerted bool }

// see takes in a line and adds what changed to out. countdown is what came with the line.
func (d *idle) see(m *Message, countdown json.RawMessage, out []emission) []emission {
	switch m.Type {
	case chat.KindIdleAlert:
		if m.Restoring { // it is long past
			return out
		}
		d.alerted = true
		seconds, err := strconv.Atoi(text(m.UserData["next-idle-timer-secs"]))
		if err != nil { // not told there (wire-gms A.3)
			seconds = secondsOf(countdown)
		}
		return append(out, emission{"idleAlert", IdleAlertData{
			Seconds: max(seconds, 0), Text: m.Text,
			Closing: strings.EqualFold(text(m.UserData["next-idle-timer-type"]), "CLOSE"),
		}})
	case chat.KindIdleClose:
		if d.alerted = false; m.Restoring {
			return out
		}
		return append(out, emission{"idleAlert", IdleAlertData{Closed: true, Text: m.Text}})
	case chat.KindMessage:
		return d.cancel(out)
	}
	return out
}

// cancel notes that somebody was active.
func (d *idle) cancel(out []emission) []emission {
	if !d.alerted {
		return out
	}
	d.alerted = false
	return append(out, emission{"idleCancelled", struct{}{}})
}

// secondsOf reads a count-down, which is a number, or one as text; 0 when it is neither.
func secondsOf(countdown json.RawMessage) int {
	var v any
	if json.Unmarshal(countdown, &v) != nil {
		return 0
	}
	f, err := strconv.ParseFloat(text(v), 64)
	if err != nil || !(f >= 0 && f < 1<<31) {
		return 0
	}
	return int(f)
}

// text is a value of user data as text.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return ""
}

// activeLocked notes that somebody said something, and starts the own limit of inactivity anew.
func (s *session) activeLocked(begin bool) {
	limit := s.env.limits.inactive
	if limit == 0 || !begin && s.quiet == nil {
		return
	}
	if s.quiet != nil {
		s.quiet.Stop()
	}
	s.quiet = time.AfterFunc(limit, func() {
		s.mu.Lock()
		defer s.unlock()
		if s.state.live() {
			interrupted := s.state == StateInterrupted
			s.why = EndIdle
			s.goLocked(StateEnding)
			s.spawnLocked(func() { s.hangUp(interrupted) })
		}
	})
}

// watchTypingLocked sees to it that an agent is not believed to type for ever.
func (s *session) watchTypingLocked() {
	if s.unsure != nil {
		s.unsure.Stop()
		s.unsure = nil
	}
	if len(s.people.typing) == 0 {
		return
	}
	s.unsure = time.AfterFunc(s.env.limits.typing, func() {
		s.mu.Lock()
		defer s.unlock()
		for _, e := range s.people.doubtTyping(nil) {
			s.emitLocked(e.event, e.data)
		}
	})
}

func (s *session) stopTimersLocked() {
	for _, t := range []*time.Timer{s.quiet, s.unsure, s.alone.timer} {
		if t != nil {
			t.Stop()
		}
	}
}
