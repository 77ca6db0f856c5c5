package webchatservice

import (
	"context"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// The commands on sleeping: a visitor who does not look is polled for more slowly (webchatservice 3).
var (
	Sleep = bus.NewCommand[struct{}, struct{}](Namespace+".sleep",
		"Slows polling down, if sleepEnabled, because nobody looks.")
	Wake = bus.NewCommand[WakeIn, struct{}](Namespace+".wake",
		"Polls at the usual pace again, and cancels the server's idle timer.")
)

// WakeIn are the options of wake.
type WakeIn struct {
	// ResetIdleState cancels the server's idle timer also when the service was not asleep.
	ResetIdleState bool `json:"resetIdleState,omitempty"`
}

func (s *Service) sleep(context.Context, struct{}) (none struct{}, err error) {
	ses, _ := s.live("sleep")
	if ses == nil || !ses.deps.sleeps || ses.async {
		return none, nil
	}
	if p, ok := poller(ses.conn); ok && ses.polling.setAsleep(true) {
		p.Sleep(true)
	}
	return none, nil
}

func (s *Service) wake(ctx context.Context, in WakeIn) (none struct{}, err error) {
	if ses, _ := s.live("wake"); ses != nil {
		ses.wake(ctx, in.ResetIdleState)
	}
	return none, nil
}

// wake wakes a session that sleeps, or whose idle timer is to be stopped.
func (s *session) wake(ctx context.Context, resetIdle bool) {
	woke := s.polling.setAsleep(false)
	if p, ok := poller(s.conn); ok && woke {
		p.Sleep(false)
		if p.StartPoll() {
			s.polling.set(true)
		}
	}
	if !woke && !resetIdle {
		return
	}
	s.lock()
	s.cancelIdleAlertLocked()
	s.timers.activityLocked(false)
	s.unlock()
	if i, ok := ability[chat.IdleResetter](s.conn, func(c chat.Capabilities) bool { return c.IdleReset }); ok {
		_, _ = s.request(ctx, "wake", i.ResetIdle) // a failure is told by an event; waking has happened here
	}
}

// wakeSoon wakes a session that sleeps, from where one must not wait.
func (s *session) wakeSoon() {
	s.lock()
	if s.polling.asleep {
		s.spawnLocked(func() { s.wake(s.ctx, false) })
	}
	s.unlock()
}

// cancelIdleAlertLocked notes that the visitor was active.
func (s *session) cancelIdleAlertLocked() {
	if s.idle.cancel() {
		emit(s, IdleCancelled, struct{}{})
	}
}
