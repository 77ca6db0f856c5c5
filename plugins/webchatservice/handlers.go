package webchatservice

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// manifest is what the service has on a bus. It is shared by all buses, of which a server has one for each visitor.
var manifest = bus.NewManifest(Namespace,
	Started, Restored, RestoreTimeout, RestoreFailed,
	RestoredOffline, SessionLost, Ended,
	MessageReceived,
	ClientConnected, ClientDisconnected,
	AgentConnected, AgentDisconnected,
	SupervisorConnected, SupervisorDisconnected,
	BotConnected, BotDisconnected,
	AgentTypingStarted, AgentTypingStopped, AgentTypingTimeout,
	ClientTypingStarted, ClientTypingStopped,
	PollingStarted, PollingStopped, AjaxResponse,
	Error, Disconnected, Reconnected,
	ChatServerWentOffline, ChatServerBackOnline, ChatServerTimeout,
	Sleeping, Waking, CapabilitiesChanged,
	MessageStateChanged, IdleAlert, IdleCancelled, TranscriptGap,

	bus.Method(Configure, (*Service).configure),
	bus.Method(StartChat, (*Service).startChat),
	bus.Method(EndChat, (*Service).endChat),
	bus.AsyncMethod(SendMessage, (*Service).sendMessage),
	bus.AsyncMethod(SendTyping, (*Service).sendTyping),
	bus.Method(UpdateUserData, (*Service).updateUserData),
	bus.Method(Restore, (*Service).restoreChat),
	bus.Method(GetTranscript, (*Service).getTranscript),
	bus.Method(GetAgents, (*Service).getAgents),
	bus.Method(GetStats, (*Service).getStats),
	bus.Method(GetSessionData, (*Service).getSessionData),
	bus.Method(Poll, (*Service).poll),
	bus.Method(StartPoll, (*Service).startPoll),
	bus.Method(StopPoll, (*Service).stopPoll),
	bus.Method(VerifySession, (*Service).verifySession),
	bus.Method(SendCustomNotice, (*Service).sendCustomNotice),
	bus.AsyncMethod(SendFilteredMessage, (*Service).sendFilteredMessage),
	bus.Method(AddPrefilter, (*Service).addPrefilter),
	bus.Method(RemovePrefilter, (*Service).removePrefilter),
	bus.Method(RegisterPreProcessor, (*Service).registerPreProcessor),
	bus.Method(RemovePreProcessor, (*Service).removePreProcessor),
	bus.Method(RegisterTypingPreviewInput, (*Service).registerTypingPreviewInput),
	bus.Method(RemoveTypingPreviewInput, (*Service).removeTypingPreviewInput),
	bus.Method(UpdateInteractionData, (*Service).updateInteractionData),
	bus.Method(PausePoll, (*Service).pausePoll),
	bus.Method(ResetPollExceptions, (*Service).resetPollExceptions),
	bus.Method(AsyncRestore, (*Service).asyncRestore),
	bus.Method(FetchHistory, (*Service).fetchHistory),
	bus.Method(Sleep, (*Service).sleep),
	bus.Method(Wake, (*Service).wake),
	bus.AsyncMethod(Resend, (*Service).resend),
	bus.Method(Discard, (*Service).discard),
	bus.AsyncMethod(SendFile, (*Service).sendFile),
	bus.Method(DownloadFile, (*Service).downloadFile),
	bus.Method(GetFileLimits, (*Service).getFileLimits),
)

func (s *Service) configure(_ context.Context, cfg Config) (none struct{}, err error) {
	return none, s.accept(cfg, true)
}

func (s *Service) startChat(ctx context.Context, in StartChatIn) (Answer, error) {
	if other := in.other(); len(other) > 0 {
		return Answer{}, failure(ErrOtherTransport, "startChat", fmt.Errorf("for another transport: %s", strings.Join(other, ", ")), "leave the options out")
	}
	data, err := parseUserData(in.UserData)
	if err != nil {
		return Answer{}, err
	}
	r, formData, err := request(in)
	if err != nil {
		return Answer{}, err
	}

	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		return Answer{}, bus.ErrStopped
	}
	if s.restore != nil || s.cur != nil && !s.cur.current().Final() {
		s.mu.Unlock()
		return Answer{}, failure(ErrSessionActive, "startChat", nil, "call endChat first")
	}
	driver, err := s.driverLocked()
	if err != nil {
		s.mu.Unlock()
		return Answer{}, err
	}
	r.Async = s.cfg.Async.Enabled
	if in.Async != nil {
		r.Async = *in.Async
	}
	s.userData = merged(s.userData, formData, data)
	r.UserData = merged(s.cfg.UserData, s.userData)
	r.Interaction = merged(s.cfg.Transport.InteractionData, s.routing, r.Interaction)
	ses := s.next(StateStarting)
	ses.async = r.Async
	s.cur = ses
	s.mu.Unlock()

	return ses.begin(ctx, StateStarting, func(ctx context.Context) (chat.Conn, error) { return driver.Open(ctx, r) })
}

// request turns the options of startChat into the wire's terms, and returns what of the form is user
// data.
func request(in StartChatIn) (chat.Request, map[string]any, error) {
	r := chat.Request{
		Nickname: in.Nickname, FirstName: in.FirstName, LastName: in.LastName, Email: in.Email,
		Subject: in.Subject, Interaction: in.InteractionData,
	}
	fields := map[string]*string{
		"nickname": &r.Nickname, "firstname": &r.FirstName, "lastname": &r.LastName, "email": &r.Email,
		"subject": &r.Subject,
	}
	var rest map[string]any
	for name, v := range in.Form {
		if name == "userData" {
			continue
		}
		field, known := fields[name]
		if !known {
			rest = merged(rest, map[string]any{name: v})
			continue
		}
		text, ok := v.(string)
		if !ok {
			return r, nil, failure(bus.ErrWrongType, "startChat", fmt.Errorf("form.%s is %T", name, v), "want text")
		}
		if *field == "" {
			*field = text
		}
	}
	data, err := parseUserData(in.Form["userData"])
	return r, merged(rest, data), err
}

// parseUserData takes an object, the JSON of one, or nothing.
func parseUserData(v any) (map[string]any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case map[string]any:
		return v, nil
	case map[string]string:
		m := make(map[string]any, len(v))
		for k, text := range v {
			m[k] = text
		}
		return m, nil
	case string:
		if v == "" {
			return nil, nil
		}
		var m map[string]any
		if json.Unmarshal([]byte(v), &m) != nil {
			return nil, failure(ErrUserData, "startChat", nil, "want an object, or the JSON of one")
		}
		return m, nil
	}
	return nil, failure(ErrUserData, "startChat", fmt.Errorf("it is %T", v), "want an object, or the JSON of one")
}

func (s *Service) endChat(ctx context.Context, _ struct{}) (Answer, error) {
	ses := s.last()
	if ses == nil {
		return Answer{}, failure(ErrNoSession, "endChat", nil, "")
	}
	return ses.end(ctx)
}

func (s *Service) sendMessage(ctx context.Context, in SendMessageIn, d *bus.Deferred[SendMessageOut]) {
	ses, err := s.live("sendMessage")
	if err != nil {
		d.Reject(err)
		return
	}
	if strings.TrimSpace(in.Message) == "" {
		d.Reject(failure(ErrNoText, "sendMessage", nil, ""))
		return
	}
	if err := s.checkLength(in.Message); err != nil {
		d.Reject(err)
		return
	}
	ses.rouseSoon()
	err = ses.enqueue(ctx, in, func(out SendMessageOut, err error) {
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

// checkLength holds a message to the configured length.
func (s *Service) checkLength(text string) error {
	s.mu.Lock()
	limit := s.cfg.MaxMessageLength
	s.mu.Unlock()
	if limit <= 0 || utf8.RuneCountInString(text) <= limit {
		return nil
	}
	e := failure(ErrTooLong, "sendMessage", nil, "")
	e.Text = fmt.Sprintf("Message length exceeds configured threshold of (%d) characters", limit)
	return e
}

func (s *Service) sendTyping(_ context.Context, in SendTypingIn, d *bus.Deferred[Answer]) {
	ses, err := s.live("sendTyping")
	if err != nil {
		d.Reject(err)
		return
	}
	ses.rouseSoon()
	if in.IsTyping != nil && !*in.IsTyping {
		ses.noKeyPress()
		d.Resolve(Answer{})
		return
	}
	ses.keyPress(in.Message, func(a Answer, err error) {
		if err != nil {
			d.Reject(err)
			return
		}
		d.Resolve(a)
	})
}

func (s *Service) updateUserData(ctx context.Context, data map[string]any) (out UpdateUserDataOut, err error) {
	ses, _ := s.live("updateUserData")
	if ses != nil {
		updater, ok := ses.conn.(chat.DataUpdater)
		if !ok {
			return out, failure(ErrNoUserData, "updateUserData", nil, "")
		}
		ses.rouse(ctx, false)
		out.Answer, err = ses.request(ctx, "updateUserData", func(ctx context.Context) (chat.Receipt, error) {
			return updater.UpdateUserData(ctx, data)
		})
		if err != nil {
			return out, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.userData = merged(s.userData, data)
	out.UserData = merged(s.cfg.UserData, s.userData)
	return out, nil
}

func (s *Service) getTranscript(context.Context, struct{}) (Transcript, error) {
	ses := s.last()
	if ses == nil {
		return (&transcript{}).view(), nil
	}
	ses.mu.Lock()
	defer ses.mu.Unlock()
	return ses.script.view(), nil
}

func (s *Service) getAgents(context.Context, struct{}) (Roster, error) {
	ses := s.last()
	if ses == nil {
		return (&people{}).snapshot(), nil
	}
	ses.mu.Lock()
	defer ses.mu.Unlock()
	return ses.people.snapshot(), nil
}

func (s *Service) getStats(context.Context, struct{}) (Stats, error) {
	ses := s.last()
	if ses == nil {
		return Stats{Roster: (&people{}).snapshot(), Duration: -1}, nil
	}
	ses.mu.Lock()
	defer ses.mu.Unlock()
	first, last := ses.script.span()
	stats := Stats{Roster: ses.people.snapshot(), StartTime: Time(first), EndTime: Time(last), Duration: -1}
	if first != 0 {
		stats.Duration = Elapsed(last - first)
	}
	return stats, nil
}

func (s *Service) getSessionData(context.Context, struct{}) (SessionData, error) {
	ses := s.last()
	if ses == nil {
		return SessionData{}, nil
	}
	ses.mu.Lock()
	defer ses.mu.Unlock()
	if !ses.state.live() && ses.state != StateEnding {
		return SessionData{}, nil
	}
	return SessionData{ses.info.ID, ses.info.UserID, Key{ses.info.SecureKey}, ses.info.Alias}, nil
}

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
