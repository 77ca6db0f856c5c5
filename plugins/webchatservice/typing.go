package webchatservice

import (
	"context"
	"sync/atomic"
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
	ses.wakeSoon()
	if in.IsTyping != nil && !*in.IsTyping {
		ses.typing.stop()
		d.Resolve(Answer{})
		return
	}
	ses.typing.press(in.Message, settling(d))
}

// typingLimit is for how long the visitor types without a further sendTyping (webchatservice 5.6).
const typingLimit = 2 * time.Second

// typing is whether the visitor types, and what the server knows of it. The session's monitor guards it.
type typing struct {
	*link
	previewed atomic.Pointer[string] // what the visitor has typed so far

	on         bool
	timer      *time.Timer // ends it after typingLimit
	generation int         // of the timer

	told         bool      // the server was told last that the visitor types
	acknowledged bool      // and has answered
	err          error     // why it has not
	notBefore    time.Time // it is not told again before that
	telling      bool      // a goroutine tells it
	waiting      []func(Answer, error)
}

// press takes in a key press. settle is called once: at once when the server knows already, or could not be told a
// moment ago, else when it was told.
func (t *typing) press(preview string, settle func(Answer, error)) {
	t.lock()
	defer t.unlock()
	if !t.state.live() {
		t.laterLocked(func() { settle(Answer{}, failure(ErrNoSession, "sendTyping", nil, "")) })
		return
	}
	if _, ok := ability[chat.Typer](t.conn, func(c chat.Capabilities) bool { return c.Typing }); !ok {
		t.laterLocked(func() { settle(Answer{}, cannot(t.conn, ErrNoTyping, "sendTyping", "typing")) })
		return
	}
	t.setPreview(preview)
	t.generation++
	generation := t.generation
	if t.timer != nil {
		t.timer.Stop()
	}
	t.timer = time.AfterFunc(typingLimit, func() { t.expired(generation) })
	if !t.on {
		t.on = true
		emit(t, ClientTypingStarted, struct{}{})
	}
	switch {
	case t.state == StateInterrupted:
		t.laterLocked(func() { settle(Answer{}, failure(ErrInterrupted, "sendTyping", nil, "")) })
	case t.told && t.acknowledged && len(t.waiting) == 0:
		t.laterLocked(func() { settle(Answer{}, nil) })
	case t.told && !t.telling && time.Now().Before(t.notBefore):
		err := t.err
		t.laterLocked(func() { settle(Answer{}, err) })
	default:
		t.waiting = append(t.waiting, settle)
		t.tellLocked()
	}
}

// stop takes in that the visitor types no more.
func (t *typing) stop() {
	t.lock()
	defer t.unlock()
	t.stopLocked(true)
}

// expired is called when no key was pressed for a while.
func (t *typing) expired(generation int) {
	t.lock()
	defer t.unlock()
	if t.generation == generation {
		t.stopLocked(true)
	}
}

// stopLocked ends typing here; tell says whether the server must be told too: it knows by itself
// when the line was sent or the chat is over.
func (t *typing) stopLocked(tell bool) {
	if !t.on {
		return
	}
	t.on = false
	t.setPreview("")
	t.generation++
	if t.timer != nil {
		t.timer.Stop()
	}
	emit(t, ClientTypingStopped, struct{}{})
	if !tell {
		t.told = false
		return
	}
	if t.state == StateActive {
		t.tellLocked()
	}
}

// tellLocked sees to it that the server learns what is the case.
func (t *typing) tellLocked() {
	if !t.telling && (t.told != t.on || len(t.waiting) > 0) {
		t.telling = t.spawnLocked(t.tell)
	}
}

// tell tells the server until it knows. After a failure it takes a key press, some time later, to try again:
// typing is of the moment.
func (t *typing) tell() {
	for {
		t.lock()
		waiting := t.waiting
		t.waiting = nil
		if t.state.Final() || t.told == t.on && (t.acknowledged || time.Now().Before(t.notBefore)) {
			t.telling = false
			err := t.err
			if t.state.Final() {
				err = failure(ErrNoSession, "sendTyping", nil, "")
			}
			t.laterLocked(func() { settleAll(waiting, Answer{}, err) })
			t.unlock()
			return
		}
		on := t.on
		t.told, t.acknowledged, t.err = on, false, nil
		t.unlock()

		receipt, err := t.conn.(chat.Typer).Typing(t.ctx, on, t.preview())

		t.lock()
		if err == nil {
			t.acknowledged = true
			t.answeredLocked(receipt.Answer)
			t.laterLocked(func() { settleAll(waiting, t.answer(receipt.Answer), nil) })
		} else {
			t.reportLocked(err)
			failed := requestError("sendTyping", err)
			t.err, t.notBefore = failed, time.Now().Add(max(typingLimit, wireError(err).RetryAfter))
			t.laterLocked(func() { settleAll(waiting, Answer{}, failed) })
		}
		t.unlock()
	}
}

func settleAll(waiting []func(Answer, error), a Answer, err error) {
	for _, settle := range waiting {
		settle(a, err)
	}
}

// preview is the text that travels with polls. The driver calls it, and holds locks of its own.
func (t *typing) preview() string {
	if p := t.previewed.Load(); p != nil && *p != "" {
		return *p
	}
	text, odd := t.deps.hooks.typed()
	if odd != nil {
		odd.record(t.deps.log, "typing preview input")
	}
	return text
}

func (t *typing) setPreview(text string) {
	if text != "" || t.previewed.Load() != nil {
		t.previewed.Store(&text)
	}
}
