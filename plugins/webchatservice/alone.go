package webchatservice

import (
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// alone is whether the visitor has been left by all agents; session.mu guards it.
type alone struct {
	met   bool // an agent has been there
	timer *time.Timer
}

// aloneLocked ends a chat that all agents have left, some time after the last one; a transfer has a moment
// without any.
func (s *session) aloneLocked() {
	limit, a := s.env.limits.alone, &s.alone
	if limit == 0 {
		return
	}
	if s.people.roster.NumAgentsConnected > 0 {
		a.met = true
		if a.timer != nil {
			a.timer.Stop()
			a.timer = nil
		}
		return
	}
	if !a.met || a.timer != nil {
		return
	}
	a.timer = time.AfterFunc(limit, func() {
		s.mu.Lock()
		defer s.unlock()
		if s.state.live() && s.people.roster.NumAgentsConnected == 0 {
			interrupted := s.state == StateInterrupted
			s.why = EndReason(chat.EndAgent)
			s.goLocked(StateEnding)
			s.spawnLocked(func() { s.hangUp(interrupted) })
		}
	})
}
