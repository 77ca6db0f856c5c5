package webchatservice

import (
	"context"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// The commands on polling, on wires that poll (webchatservice 3).
var (
	Poll = bus.NewCommand[struct{}, Answer](Namespace+".poll",
		"Polls the server now; only the service itself may.")
	StartPoll = bus.NewCommand[struct{}, struct{}](Namespace+".startPoll",
		"Polls from now on, beginning at the fastest rate.")
	StopPoll = bus.NewCommand[struct{}, struct{}](Namespace+".stopPoll",
		"Ceases to poll; the server gives the visitor up after a while.")
	PausePoll = bus.NewCommand[struct{}, struct{}](Namespace+".pausePoll",
		"Ceases to poll until wake or startPoll.")
	ResetPollExceptions = bus.NewCommand[struct{}, struct{}](Namespace+".resetPollExceptions",
		"Forgets the answers with statusCode 1 so far.")
)

// poller returns the session and its ability to poll.
func (s *Service) poller(op string) (*session, chat.Poller, error) {
	s.mu.Lock()
	comet := s.cfg.CometD.Enabled
	s.mu.Unlock()
	ses, err := s.live(op)
	if err != nil {
		return nil, nil, err
	}
	p, ok := ses.conn.(chat.Poller)
	if !ok {
		e := failure(ErrNoPolling, op, nil, "")
		if comet {
			e.Text = "Polling is not supported when using CometD"
		}
		return nil, nil, e
	}
	return ses, p, nil
}

func (s *Service) poll(ctx context.Context, _ struct{}) (Answer, error) {
	if bus.Commander(ctx) != Namespace {
		return Answer{}, failure(ErrPrivate, "poll", nil, "use startPoll")
	}
	ses, p, err := s.poller("poll")
	if err != nil {
		return Answer{}, err
	}
	a, err := ses.request(ctx, "poll", p.Poll)
	if err != nil && wireError(err).Code == chat.CodeBusy {
		return a, failure(ErrPollPending, "poll", err, "")
	}
	return a, err
}

func (s *Service) startPoll(context.Context, struct{}) (none struct{}, err error) {
	ses, p, err := s.poller("startPoll")
	if err == nil && p.StartPoll() {
		ses.setPolling(true)
	}
	return none, err
}

func (s *Service) stopPoll(context.Context, struct{}) (none struct{}, err error) {
	ses, p, err := s.poller("stopPoll")
	if err != nil {
		return none, err
	}
	if !p.StopPoll() {
		return none, failure(ErrNotPolling, "stopPoll", nil, "")
	}
	ses.setPolling(false)
	return none, nil
}

func (s *Service) pausePoll(context.Context, struct{}) (none struct{}, err error) {
	ses, p, err := s.poller("pausePoll")
	if err != nil {
		return none, err
	}
	if p.StopPoll() {
		ses.setPolling(false)
	}
	if ses.env.sleeps {
		ses.setAsleep(true)
	}
	return none, nil
}

func (s *Service) resetPollExceptions(context.Context, struct{}) (none struct{}, err error) {
	if ses, _ := s.live("resetPollExceptions"); ses != nil {
		ses.mu.Lock()
		ses.refusals, ses.offline = 0, false
		ses.unlock()
	}
	return none, nil
}

// setPolling publishes that polling began or ceased.
func (s *session) setPolling(on bool) {
	s.mu.Lock()
	defer s.unlock()
	if s.polling == on || !s.state.live() {
		return
	}
	s.polling = on
	if on {
		s.emitLocked("pollingStarted", struct{}{})
	} else {
		s.emitLocked("pollingStopped", struct{}{})
	}
}
