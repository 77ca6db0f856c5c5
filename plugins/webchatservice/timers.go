package webchatservice

import (
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// timers act when something has not happened for too long. The session's monitor guards them.
type timers struct {
	inactivity  endTimer    // nobody says anything
	agentsLeft  endTimer    // all agents have left
	hadAgent    bool        // an agent has been there
	agentTyping *time.Timer // an agent types and gives no further sign
}

func (t *timers) init(s *session) {
	limits := &s.deps.limits
	t.inactivity = endTimer{s: s, limit: limits.inactivity, reason: EndIdle}
	t.agentsLeft = endTimer{s: s, limit: limits.agentsLeft, reason: EndReason(chat.EndAgent)}
}

// activityLocked notes that somebody said something. begin starts the timer, which only runs in a session that is live.
func (t *timers) activityLocked(begin bool) {
	if begin || t.inactivity.runs() {
		t.inactivity.startLocked()
	}
}

// agentsLocked notes how many agents are there. A transfer has a moment without any.
func (t *timers) agentsLocked(connected int) {
	switch {
	case connected > 0:
		t.hadAgent = true
		t.agentsLeft.stopLocked()
	case t.hadAgent && !t.agentsLeft.runs():
		t.agentsLeft.startLocked()
	}
}

// agentTypingLocked sees to it that those who type are not believed to do so for ever.
func (t *timers) agentTypingLocked(s *session) {
	if t.agentTyping != nil {
		t.agentTyping.Stop()
		t.agentTyping = nil
	}
	if len(s.roster.typing) == 0 {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(s.deps.limits.typing, func() {
		s.lock()
		defer s.unlock()
		if t.agentTyping != timer { // there was a further sign meanwhile
			return
		}
		var expired publications
		s.roster.expireTyping(&expired)
		s.agentTypingLocked()
		s.emitAllLocked(expired)
	})
	t.agentTyping = timer
}

func (t *timers) stopLocked() {
	t.inactivity.stopLocked()
	t.agentsLeft.stopLocked()
	if t.agentTyping != nil {
		t.agentTyping.Stop()
		t.agentTyping = nil
	}
}

// endTimer ends a session, as endChat does, when it has run for its limit. The limit 0 means never.
type endTimer struct {
	s      *session
	limit  time.Duration
	reason EndReason
	timer  *time.Timer // nil while it does not run
}

func (t *endTimer) runs() bool { return t.timer != nil }

// startLocked starts the timer, or starts it anew.
func (t *endTimer) startLocked() {
	t.stopLocked()
	if t.limit == 0 {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(t.limit, func() {
		t.s.lock()
		defer t.s.unlock()
		if t.timer == timer && t.s.state.live() {
			t.s.endLocked(t.reason)
		}
	})
	t.timer = timer
}

func (t *endTimer) stopLocked() {
	if t.timer != nil {
		t.timer.Stop()
		t.timer = nil
	}
}
