package webchatservice

import (
	"context"
	"time"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// SendTyping is the command by which a user interface tells that the visitor types (webchatservice 3).
var SendTyping = bus.NewCommand[SendTypingIn, Answer](Namespace+".sendTyping",
	"Tells that the visitor types; meant to be called on every key press.")

// SendTypingIn are the options of sendTyping.
type SendTypingIn struct {
	// Message is what the visitor has typed so far, for the agent to see.
	Message string `json:"message,omitempty"`
	// IsTyping false ceases at once; nil and true say that the visitor types.
	IsTyping *bool `json:"isTyping,omitempty"`
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

// typing is whether the visitor types, and what the server knows of it; session.mu guards it.
type typing struct {
	on    bool
	timer *time.Timer // ends it after typingQuiet
	gen   int         // of the timer

	told    bool      // the server was told last that the visitor types
	heard   bool      // and has answered
	err     error     // why it has not
	notTill time.Time // it is not told again before that
	running bool      // a goroutine tells it
	waiting []func(Answer, error)
}

// keyPress takes in a key press. settle is called once: at once when the server knows already, or could not be told a
// moment ago, else when it was told.
func (s *session) keyPress(preview string, settle func(Answer, error)) {
	s.mu.Lock()
	defer s.unlock()
	if !s.state.live() {
		s.after = append(s.after, func() { settle(Answer{}, failure(ErrNoSession, "sendTyping", nil, "")) })
		return
	}
	if _, ok := s.conn.(chat.Typer); !ok {
		s.after = append(s.after, func() { settle(Answer{}, failure(ErrNoTyping, "sendTyping", nil, "")) })
		return
	}
	t := &s.typing
	s.setPreview(preview)
	t.gen++
	gen := t.gen
	if t.timer != nil {
		t.timer.Stop()
	}
	t.timer = time.AfterFunc(typingQuiet, func() { s.typingEnded(gen) })
	if !t.on {
		t.on = true
		s.emitLocked("clientTypingStarted", struct{}{})
	}
	switch {
	case s.state == StateInterrupted:
		s.after = append(s.after, func() { settle(Answer{}, failure(ErrInterrupted, "sendTyping", nil, "")) })
	case t.told && t.heard && len(t.waiting) == 0:
		s.after = append(s.after, func() { settle(Answer{}, nil) })
	case t.told && !t.running && time.Now().Before(t.notTill):
		err := t.err
		s.after = append(s.after, func() { settle(Answer{}, err) })
	default:
		t.waiting = append(t.waiting, settle)
		s.tellTypingLocked()
	}
}

// noKeyPress takes in that the visitor types no more.
func (s *session) noKeyPress() {
	s.mu.Lock()
	defer s.unlock()
	s.stopTypingLocked(true)
}

// typingEnded is called when no key was pressed for a while.
func (s *session) typingEnded(gen int) {
	s.mu.Lock()
	defer s.unlock()
	if s.typing.gen == gen {
		s.stopTypingLocked(true)
	}
}

// stopTypingLocked ends typing here; tell says whether the server must be told too: it knows by itself
// when the line was sent or the chat is over.
func (s *session) stopTypingLocked(tell bool) {
	t := &s.typing
	if !t.on {
		return
	}
	t.on = false
	s.setPreview("")
	t.gen++
	if t.timer != nil {
		t.timer.Stop()
	}
	s.emitLocked("clientTypingStopped", struct{}{})
	if !tell {
		t.told = false
		return
	}
	if s.state == StateActive {
		s.tellTypingLocked()
	}
}

// tellTypingLocked sees to it that the server learns what is the case.
func (s *session) tellTypingLocked() {
	if t := &s.typing; !t.running && (t.told != t.on || len(t.waiting) > 0) {
		t.running = s.spawnLocked(s.tellTyping)
	}
}

// tellTyping tells the server until it knows. After a failure it takes a key press, some time later, to try again:
// typing is of the moment.
func (s *session) tellTyping() {
	for {
		s.mu.Lock()
		t := &s.typing
		waiting := t.waiting
		t.waiting = nil
		if s.state.Final() || t.told == t.on && (t.heard || time.Now().Before(t.notTill)) {
			t.running = false
			err := t.err
			if s.state.Final() {
				err = failure(ErrNoSession, "sendTyping", nil, "")
			}
			s.after = append(s.after, func() { settleAll(waiting, Answer{}, err) })
			s.unlock()
			return
		}
		on := t.on
		t.told, t.heard, t.err = on, false, nil
		s.unlock()

		receipt, err := s.conn.(chat.Typer).Typing(s.life, on, s.preview())

		s.mu.Lock()
		if err == nil {
			t.heard = true
			s.answeredLocked(receipt.Answer)
			s.after = append(s.after, func() { settleAll(waiting, s.answer(receipt.Answer), nil) })
		} else {
			s.reportLocked(err)
			failed := s.requestError("sendTyping", err)
			t.err, t.notTill = failed, time.Now().Add(max(typingQuiet, wireError(err).RetryAfter))
			s.after = append(s.after, func() { settleAll(waiting, Answer{}, failed) })
		}
		s.unlock()
	}
}

func settleAll(waiting []func(Answer, error), a Answer, err error) {
	for _, settle := range waiting {
		settle(a, err)
	}
}

// preview is the text that travels with polls. The driver calls it, and holds locks of its own.
func (s *session) preview() string {
	if p := s.previewed.Load(); p != nil && *p != "" {
		return *p
	}
	defer func() {
		if p := recover(); p != nil {
			s.env.log.Error("typing preview input panicked", "panic", p)
		}
	}()
	return s.env.hooks.typed()
}

func (s *session) setPreview(text string) {
	if text != "" || s.previewed.Load() != nil {
		s.previewed.Store(&text)
	}
}
