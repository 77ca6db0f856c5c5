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

// poller returns the ability to poll, for the command op.
func (s *session) poller(op string) (chat.Poller, error) {
	p, ok := poller(s.conn)
	if ok {
		return p, nil
	}
	return nil, cannot(s.conn, ErrNoPolling, op, "poll")
}

func (s *Service) poll(ctx context.Context, _ struct{}) (Answer, error) {
	if bus.Commander(ctx) != Namespace {
		return Answer{}, failure(ErrPrivate, "poll", nil, "use startPoll")
	}
	ses, err := s.live("poll")
	if err != nil {
		return Answer{}, err
	}
	p, err := ses.poller("poll")
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
	ses, err := s.live("startPoll")
	if err != nil {
		return none, err
	}
	p, err := ses.poller("startPoll")
	if err == nil && p.StartPoll() {
		ses.polling.set(true)
	}
	return none, err
}

func (s *Service) stopPoll(context.Context, struct{}) (none struct{}, err error) {
	ses, err := s.live("stopPoll")
	if err != nil {
		return none, err
	}
	p, err := ses.poller("stopPoll")
	if err != nil {
		return none, err
	}
	if !p.StopPoll() {
		return none, failure(ErrNotPolling, "stopPoll", nil, "")
	}
	ses.polling.set(false)
	return none, nil
}

func (s *Service) pausePoll(context.Context, struct{}) (none struct{}, err error) {
	ses, err := s.live("pausePoll")
	if err != nil {
		return none, err
	}
	p, err := ses.poller("pausePoll")
	if err != nil {
		return none, err
	}
	if p.StopPoll() {
		ses.polling.set(false)
	}
	if ses.deps.sleeps {
		ses.polling.setAsleep(true)
	}
	return none, nil
}

func (s *Service) resetPollExceptions(context.Context, struct{}) (none struct{}, err error) {
	if ses, _ := s.live("resetPollExceptions"); ses != nil {
		ses.lock()
		ses.status = serverStatus{}
		ses.unlock()
	}
	return none, nil
}

// polling is whether a session polls, and how fast. The session's monitor guards it.
type polling struct {
	*link
	on     bool
	asleep bool // it polls slowly, since nobody looks
}

// set publishes that polling began or ceased.
func (p *polling) set(on bool) {
	p.lock()
	defer p.unlock()
	p.setLocked(on)
}

func (p *polling) setLocked(on bool) {
	if p.on == on || !p.state.live() {
		return
	}
	p.on = on
	if on {
		emit(p, PollingStarted, struct{}{})
	} else {
		emit(p, PollingStopped, struct{}{})
	}
}

// setAsleep publishes that the session fell asleep or woke, and reports whether that is news.
func (p *polling) setAsleep(on bool) bool {
	p.lock()
	defer p.unlock()
	if p.asleep == on || !p.state.live() {
		return false
	}
	p.asleep = on
	setData(p, DataSleeping, on)
	if on {
		emit(p, Sleeping, struct{}{})
	} else {
		emit(p, Waking, struct{}{})
	}
	return true
}

// serverStatus is whether the chat server behind the service is available. The session's monitor guards it.
type serverStatus struct {
	refusals int // answers in a row that said that it is not
	offline  bool
}

// apply takes in what an answer says of it (webchatservice 5.1). The server counts as offline after more than limit
// answers in a row that say so.
func (c *serverStatus) apply(unavailable bool, limit int, to emitter) {
	if !unavailable {
		c.refusals = 0
		if c.offline {
			c.offline = false
			emit(to, ChatServerBackOnline, struct{}{})
		}
		return
	}
	c.refusals++
	if c.refusals > limit && !c.offline {
		c.offline = true
		emit(to, ChatServerWentOffline, struct{}{})
	}
}
