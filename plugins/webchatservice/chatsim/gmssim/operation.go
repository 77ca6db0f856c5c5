package gmssim

import (
	"encoding/base64"
	"maps"
	"net/http"
	"net/mail"
	"slices"
	"strconv"
	"strings"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
)

// packetLimit is how many bytes one packet to the server may carry
// (wire-gms A.7.2).
const packetLimit = 32768

// Outcome is the answer to an operation before it is put on a wire.
type Outcome struct {
	// Status is the HTTP status.
	Status int
	// Answer is the response object; nil: no JSON.
	Answer *Answer
	// Repeat is the chat's previous answer with events, if there was one.
	Repeat *Answer

	file *chatsim.File
}

func refused(a *Answer) Outcome  { return Outcome{Status: http.StatusBadRequest, Answer: a} }
func accepted(a *Answer) Outcome { return Outcome{Status: http.StatusOK, Answer: a} }

// Hooks are called with the chat locked, in the course of an operation that finds its chat. Either may be nil.
type Hooks struct {
	After func(*chatsim.Tx)           // before the answer is made, if it is no refusal
	Done  func(*chatsim.Tx, *Outcome) // with the outcome, which it may change
}

func (h *Hooks) after(tx *chatsim.Tx) {
	if h.After != nil {
		h.After(tx)
	}
}

func (h *Hooks) done(tx *chatsim.Tx, out *Outcome) {
	if h.Done != nil {
		h.Done(tx, out)
	}
}

// Start is wire-gms A.7.1.
func (g *Face) Start(service string, f *Form, h Hooks) Outcome {
	if !g.serves(service) {
		return refused(g.Refusal("", false, Error{Code: CodeUnknownService, Advice: "unknown service"}))
	}
	v := chatsim.Visitor{
		Nickname: f.Get("nickname"), FirstName: f.Get("firstName"), LastName: f.Get("lastName"),
		Email: f.Get("emailAddress"), Subject: f.Get("subject"),
	}
	var errs []Error
	nickname := v.Nickname
	if nickname == "" {
		switch {
		case v.FirstName == "" && v.LastName == "":
			errs = append(errs, Error{Code: CodeNoName, Advice: "nickname or first and last name needed"})
		case v.FirstName == "":
			errs = append(errs, Error{Code: CodeNoFirstName, Advice: "first name needed"})
		case v.LastName == "":
			errs = append(errs, Error{Code: CodeNoLastName, Advice: "last name needed"})
		}
		nickname = v.FirstName + " " + v.LastName
	}
	if v.Email != "" && !validEmail(v.Email) {
		errs = append(errs, Error{Code: CodeBadEmail, Advice: "not an e-mail address"})
	}
	if len(errs) > 0 {
		return refused(g.Refusal("", false, errs...))
	}
	s := &state{secret: g.secureKey(), userID: "00" + g.host.Random("0123456789ABCDEF", 14)}
	c, err := g.host.Enter(chatsim.Entry{
		Service: service, Visitor: v, Nickname: nickname, UserData: maps.Clone(f.UserData), Token: s.secret,
		Async: f.UserData["GCTI_Chat_AsyncMode"] == "true", Index: g.opts.Quirks.indexing,
		Prepare: func(tx *chatsim.Tx) { tx.SetValue(stateKey{}, s) },
	})
	if err != nil {
		return refused(g.Refusal("", false, Error{Code: CodeCannotStart, Advice: "server is shutting down"}))
	}
	var out Outcome
	c.Update(func(tx *chatsim.Tx) {
		h.after(tx)
		a := g.answer(tx, true)
		g.AddEvents(tx, a, g.fromPosition(tx, 1))
		s.answered = a
		out = accepted(a)
		h.done(tx, &out)
	})
	return out
}

// secureKey makes a key of 100 characters that must be form-encoded to
// survive, or of 16 hexadecimal digits (wire-gms A.2).
func (g *Face) secureKey() string {
	if g.opts.Quirks.ShortKey {
		return g.host.Random("0123456789abcdef", 16)
	}
	var b [74]byte
	g.host.RandomBytes(b[:])
	return base64.StdEncoding.EncodeToString(b[:])
}

func validEmail(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Name == "" && a.Address == s
}

// Perform carries out an operation of the visitor of a chat. fileID counts for those on files that exist.
func (g *Face) Perform(service, chatID, op, fileID string, f *Form, h Hooks) Outcome {
	c, ok := g.host.Server().Chat(chatID)
	if !ok || c.Service() != service {
		return g.unknown(chatID)
	}
	var out Outcome
	c.Update(func(tx *chatsim.Tx) {
		if stateOf(tx) == nil {
			out = g.unknown(chatID) // a chat of another kind
			return
		}
		out = g.perform(tx, op, fileID, f, &h)
		h.done(tx, &out)
	})
	return out
}

// unknown answers an operation on a chat that there is not.
func (g *Face) unknown(chatID string) Outcome {
	if g.opts.Quirks.UnknownChat404 {
		return Outcome{Status: http.StatusNotFound}
	}
	return accepted(g.Gone(chatID, Error{Code: CodeNoSuchUser, Advice: "no such session"}))
}

func (g *Face) perform(tx *chatsim.Tx, op, fileID string, f *Form, h *Hooks) Outcome {
	s, chatID := stateOf(tx), tx.Chat().ID()
	if out, ok := g.Admit(tx, op, f); !ok {
		return out
	}
	tx.Heard()
	if strings.HasPrefix(op, "file") {
		return g.fileOperation(tx, op, fileID, f, h)
	}
	position, refusal := positionOf(op, f, g.opts.Quirks.SendReturnsAll)
	if refusal == nil {
		refusal = operations[op](request{g, tx, f})
	}
	if refusal != nil {
		return refused(g.Refusal(chatID, tx.Ended(), *refusal))
	}
	h.after(tx)
	a := g.Answer(tx)
	g.AddEvents(tx, a, g.fromPosition(tx, position))
	out := accepted(a)
	out.Repeat = s.answered
	g.Answered(tx, a)
	return out
}

// Answered notes an answer that goes to the visitor: one with events may be sent once more by a fault.
func (g *Face) Answered(tx *chatsim.Tx, a *Answer) {
	if !a.Empty() {
		stateOf(tx).answered = a
	}
}

// Admit checks the keys and that the chat lives. If it returns false the outcome is the refusal.
func (g *Face) Admit(tx *chatsim.Tx, op string, f *Form) (Outcome, bool) {
	s, chatID, quirks := stateOf(tx), tx.Chat().ID(), &g.opts.Quirks
	if f.Get("secureKey") != s.secret {
		if quirks.BadKeyEnds {
			tx.End(chatsim.EndedByBadKey)
		}
		return refused(g.Refusal(chatID, false, Error{Code: CodeBadKey, Advice: "secure key does not match"})), false
	}
	if quirks.RequireAllKeys && (f.Get("userId") != s.userID || f.Get("alias") == "") {
		return refused(g.Refusal(chatID, false, Error{Code: CodeBadRequest, Advice: "userId and alias needed"})), false
	}
	switch {
	case !tx.Ended():
		return Outcome{}, true
	case quirks.EndedChat400:
		return refused(g.Refusal(chatID, true, Error{Code: CodeNoSuchUser, Advice: "chat has ended"})), false
	case tx.PutOut():
		return accepted(g.Gone(chatID, Error{Code: CodeLoggedOut, Advice: "user was logged out"})), false
	case op == "refresh":
		return Outcome{}, true // the last events can still be had
	}
	return accepted(g.Gone(chatID, Error{Code: CodeNoSuchUser, Advice: "chat has ended"})), false
}

// fromPosition returns the events that a position asks for (wire-gms A.7.3).
func (g *Face) fromPosition(tx *chatsim.Tx, position int) []chatsim.Event {
	quirks := &g.opts.Quirks
	switch {
	case position == 0:
		return nil
	case position == -1 && !quirks.MinusOneIsAll:
		if events := tx.FromIndex(1); len(events) > 0 {
			return events[len(events)-1:]
		}
		return nil
	}
	events := tx.FromIndex(position)
	if position <= 1 && quirks.TypingNotKept {
		events = slices.DeleteFunc(events, chatsim.Event.Typing)
	}
	s := stateOf(tx)
	if quirks.TypingUnnumbered {
		for _, e := range tx.After(s.unnumbered) {
			if e.Index == 0 && !e.Hidden {
				events = append(events, e)
			}
		}
		s.unnumbered = tx.Len()
	}
	return events
}

// Pushed notes that clients are sent what is new: unnumbered events are not kept for the next answer then.
func (g *Face) Pushed(tx *chatsim.Tx) { stateOf(tx).unnumbered = tx.Len() }

// Refresh returns the events of wire-gms A.7.3 from a position on that a form asks for, where 0 means all.
func (g *Face) Refresh(tx *chatsim.Tx, f *Form) ([]chatsim.Event, *Error) {
	position, refusal := positionOf("refresh", f, true)
	if refusal != nil {
		return nil, refusal
	}
	if position == 0 {
		position = 1
	}
	return g.fromPosition(tx, position), nil
}

// positionOf reads transcriptPosition. What it means is the same for every
// operation; without one, only refresh returns events (wire-gms A.7.3).
func positionOf(op string, f *Form, all bool) (int, *Error) {
	text, ok := f.Values["transcriptPosition"]
	switch {
	case op == "readReceipt":
		return 0, nil // there it is not a question
	case (!ok || text == "") && (op == "refresh" || all):
		return 1, nil
	case !ok || text == "":
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < -1 {
		return 0, badRequest("transcriptPosition must be an integer from -1")
	}
	return n, nil
}

// ChatOf finds the chat that a form means where no path names it: by its id
// if there is one, else by the key. Chats of other wires are not found.
func (g *Face) ChatOf(f *Form) (*chatsim.Chat, bool) {
	c, ok := g.host.Server().Chat(f.Get("chatId"))
	if !ok {
		c, ok = g.host.ByToken(f.Get("secureKey"))
	}
	if ok {
		c.Update(func(tx *chatsim.Tx) { ok = stateOf(tx) != nil })
	}
	return c, ok
}
