package webchatservice

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

func (s *Service) sendCustomNotice(ctx context.Context, in SendCustomNoticeIn) (Answer, error) {
	ses, err := s.live("sendCustomNotice")
	if err != nil {
		return Answer{}, err
	}
	n, ok := ses.conn.(chat.Notifier)
	if !ok {
		return Answer{}, failure(ErrNoNotice, "sendCustomNotice", nil, "")
	}
	ses.rouse(ctx, false)
	return ses.request(ctx, "sendCustomNotice", func(ctx context.Context) (chat.Receipt, error) {
		return n.CustomNotice(ctx, in.Message, in.EventAttributes)
	})
}

func (s *Service) sendFilteredMessage(ctx context.Context, in SendFilteredMessageIn, d *bus.Deferred[SendMessageOut]) {
	if _, err := s.live("sendFilteredMessage"); err != nil {
		e := failure(ErrNoSession, "sendFilteredMessage", nil, "")
		e.Text = "No active chat session."
		d.Reject(e)
		return
	}
	if err := (Filters{in.Regex}).check(); err != nil {
		d.Reject(failure(ErrFilters, "sendFilteredMessage", err, ""))
		return
	}
	s.env.hooks.addFilters([]Filter{in.Regex})
	s.sendMessage(ctx, SendMessageIn{Message: in.Message}, d)
}

func (s *Service) addPrefilter(_ context.Context, in AddPrefilterIn) (Prefilters, error) {
	if err := in.Filters.check(); err != nil {
		return nil, failure(ErrFilters, "addPrefilter", err, "")
	}
	return s.env.hooks.addFilters(in.Filters), nil
}

func (s *Service) removePrefilter(_ context.Context, in RemoveIn) (none struct{}, err error) {
	if !s.env.hooks.removeFilter(in.ID) {
		return none, failure(ErrUnknownID, "removePrefilter", nil, "addPrefilter gives the numbers; the end of a session takes all filters away")
	}
	return none, nil
}

func (s *Service) registerPreProcessor(_ context.Context, in RegisterPreProcessorIn) (RegisterPreProcessorOut, error) {
	switch {
	case in.given != "":
		e := failure(ErrGoOnly, "registerPreProcessor", nil, ErrGoOnly.Text)
		e.Text = fmt.Sprintf("No preprocessor function provided. Type provided was '%s'.", in.given)
		return RegisterPreProcessorOut{}, e
	case in.PreProcessor == nil:
		return RegisterPreProcessorOut{}, failure(ErrNoPreProcessor, "registerPreProcessor", nil, "set PreProcessor")
	}
	return RegisterPreProcessorOut{s.env.hooks.addProcessor(in.PreProcessor), in.PreProcessor}, nil
}

func (s *Service) removePreProcessor(_ context.Context, in RemoveIn) (none struct{}, err error) {
	if !s.env.hooks.removeProcessor(in.ID) {
		return none, failure(ErrUnknownID, "removePreProcessor", nil, "registerPreProcessor gives the id")
	}
	return none, nil
}

func (s *Service) registerTypingPreviewInput(_ context.Context, in RegisterTypingPreviewInputIn) (none struct{}, err error) {
	switch {
	case in.given != "":
		e := failure(ErrGoOnly, "registerTypingPreviewInput", nil, ErrGoOnly.Text)
		e.Text = ErrNoInput.Text
		return none, e
	case in.Input == nil:
		return none, failure(ErrNoInput, "registerTypingPreviewInput", nil, "set Input")
	}
	s.env.hooks.setPreview(in.Input)
	return none, nil
}

func (s *Service) removeTypingPreviewInput(context.Context, struct{}) (none struct{}, err error) {
	s.env.hooks.setPreview(nil)
	return none, nil
}

func (s *Service) updateInteractionData(_ context.Context, data map[string]any) (map[string]any, error) {
	if _, err := s.live("updateInteractionData"); err == nil {
		return nil, failure(ErrNoInteractionData, "updateInteractionData", nil, "")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.routing = merged(s.routing, data)
	return merged(s.cfg.Transport.InteractionData, s.routing), nil
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

func (s *Service) asyncRestore(ctx context.Context, _ struct{}) (none struct{}, err error) {
	_, err = s.restoreChat(ctx, RestoreIn{})
	return none, err
}

func (s *Service) sleep(context.Context, struct{}) (none struct{}, err error) {
	ses, _ := s.live("sleep")
	if ses == nil || !ses.env.sleeps || ses.async {
		return none, nil
	}
	if p, ok := ses.conn.(chat.Poller); ok && ses.setAsleep(true) {
		p.Sleep(true)
	}
	return none, nil
}

func (s *Service) wake(ctx context.Context, in WakeIn) (none struct{}, err error) {
	if ses, _ := s.live("wake"); ses != nil {
		ses.rouse(ctx, in.ResetIdleState)
	}
	return none, nil
}

func (s *Service) resend(ctx context.Context, in MessageIn, d *bus.Deferred[SendMessageOut]) {
	ses, err := s.live("resend")
	if err != nil {
		d.Reject(err)
		return
	}
	ses.rouseSoon()
	err = ses.resend(ctx, in.MessageID, s.checkLength, func(out SendMessageOut, err error) {
		if err != nil {
			d.Reject(err)
			return
		}
		d.Resolve(out)
	})
	if err != nil {
		d.Reject(err)
	}
}

func (s *Service) discard(_ context.Context, in MessageIn) (none struct{}, err error) {
	ses := s.last()
	if ses == nil || !ses.discard(in.MessageID) {
		return none, failure(ErrUnknownID, "discard", nil, "only messages that wait, have failed or whose fate is unknown can be discarded")
	}
	return none, nil
}

// setAsleep publishes that the session fell asleep or woke, and reports whether that is news.
func (s *session) setAsleep(on bool) bool {
	s.mu.Lock()
	defer s.unlock()
	if s.asleep == on || !s.state.live() {
		return false
	}
	s.asleep = on
	if on {
		s.emitLocked("sleeping", struct{}{})
	} else {
		s.emitLocked("waking", struct{}{})
	}
	return true
}

// cancelIdle is the notice that stops the server's idle timer (wire-gms A.7.8).
var cancelIdle = json.RawMessage(`{"purpose":"cancel-idle-timer"}`)

// rouse wakes a session that sleeps, or whose idle timer is to be stopped.
func (s *session) rouse(ctx context.Context, resetIdle bool) {
	woke := s.setAsleep(false)
	if p, ok := s.conn.(chat.Poller); ok && woke {
		p.Sleep(false)
		if p.StartPoll() {
			s.setPolling(true)
		}
	}
	if !woke && !resetIdle {
		return
	}
	s.mu.Lock()
	for _, e := range s.idle.cancel(nil) {
		s.emitLocked(e.event, e.data)
	}
	s.activeLocked(false)
	s.unlock()
	if n, ok := s.conn.(chat.Notifier); ok {
		// That it fails is told by the error event; waking has happened here.
		_, _ = s.request(ctx, "wake", func(ctx context.Context) (chat.Receipt, error) {
			return n.CustomNotice(ctx, "", cancelIdle)
		})
	}
}

// rouseSoon wakes a session that sleeps, from where one must not wait.
func (s *session) rouseSoon() {
	s.mu.Lock()
	if s.asleep {
		s.spawnLocked(func() { s.rouse(s.life, false) })
	}
	s.unlock()
}
