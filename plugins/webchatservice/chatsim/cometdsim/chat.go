package cometdsim

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
)

// chatChannel is where the channel of each chat service begins.
const chatChannel = "/service/chatV2/"

// operations are the operations of wire-gms B.2 by their name there, but for
// requestChat and requestNotifications.
var operations = map[string]string{
	"sendMessage": "send", "startTyping": "startTyping", "stopTyping": "stopTyping", "refresh": "refresh",
	"pushUrl": "pushUrl", "updateNickname": "updateNickname", "updateData": "updateData",
	"customNotice": "customNotice", "readReceipt": "readReceipt", "disconnect": "disconnect",
}

// knows says whether the data of a publish carry the right credentials
// (wire-gms B.1).
func (h *Face) knows(data json.RawMessage) bool {
	fields, _ := objectOf(data)
	auth, _ := objectOf(fields["auth"])
	var user, password, encoded string
	_ = json.Unmarshal(auth["username"], &user) // what is not a string is not the name
	_ = json.Unmarshal(auth["password"], &password)
	if json.Unmarshal(auth["encoded"], &encoded) == nil && encoded != "" {
		plain, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return false
		}
		user, password, _ = strings.Cut(string(plain), ":")
	}
	return h.gms.CheckCredentials(user, password)
}

// operate carries out the operation of a publish. Everything it answers is a
// delivery (wire-gms B.3).
func (h *Face) operate(b *session, in *incoming) {
	fault, f := in.fault, in.form
	tell := func(a *gmssim.Answer) { h.deliver(b, in.Channel, a, fault) }
	if in.bad != nil {
		tell(h.gms.Refusal(in.log.Chat, false, *in.bad))
		return
	}
	if gmssim.Refuses(fault) && !fault.Accept {
		tell(h.gms.FaultAnswer(in.log.Chat, fault))
		return
	}
	service := strings.TrimPrefix(in.Channel, chatChannel)
	var done func(tx *chatsim.Tx, out *gmssim.Outcome)
	told := false
	hooks := gmssim.Hooks{
		After: func(tx *chatsim.Tx) { h.gms.ApplyFault(tx, fault) },
		Done: func(tx *chatsim.Tx, out *gmssim.Outcome) { // the chat is locked: nothing gets between
			if done != nil {
				done(tx, out)
			}
			switch {
			case out.Answer == nil:
				return
			case gmssim.Refuses(fault):
				out.Answer = h.gms.FaultAnswer(tx.Chat().ID(), fault)
			case fault.Repeat && out.Repeat != nil:
				out.Answer = out.Repeat
			}
			out.Answer = h.gms.Overlap(tx, out.Answer, fault.Overlap)
			told = true
			tell(out.Answer)
		},
	}
	if in.log.Op == "requestChat" {
		done = func(tx *chatsim.Tx, _ *gmssim.Outcome) { h.attach(tx, b) }
		if out := h.gms.Start(service, f, hooks); !told {
			tell(out.Answer)
		}
		return
	}
	gone := func(chatID string) *gmssim.Answer {
		return h.gms.Gone(chatID, gmssim.Error{Code: gmssim.CodeNoSuchUser, Advice: "no such session"})
	}
	c, ok := h.gms.ChatOf(f)
	if !ok || c.Service() != service {
		tell(gone(f.Get("chatId")))
		return
	}
	op, known := operations[in.log.Op]
	switch {
	case in.log.Op == "requestNotifications":
		c.Update(func(tx *chatsim.Tx) {
			out := h.notify(tx, f, hooks.After, b)
			hooks.Done(tx, &out)
		})
	case !known:
		tell(h.gms.Refusal(c.ID(), false, *refusal("unknown operation")))
	default:
		done = func(tx *chatsim.Tx, out *gmssim.Outcome) {
			if op != "refresh" {
				h.catchUp(tx, b, out)
			}
			quiet := out.Answer != nil && len(out.Answer.Errors) == 0 && !tx.Ended() && out.Answer.Empty()
			if quiet && op != "refresh" && h.opts.Quirks.SilentSuccess {
				out.Answer, told = nil, true
			}
		}
		if h.gms.Perform(service, c.ID(), op, "", f, hooks); !told { // a chat that was forgotten meanwhile
			tell(gone(c.ID()))
		}
	}
}

// notify is requestNotifications: it attaches the session (wire-gms
// B.2).
func (h *Face) notify(tx *chatsim.Tx, f *gmssim.Form, after func(*chatsim.Tx), b *session) gmssim.Outcome {
	if out, ok := h.gms.Admit(tx, "refresh", f); !ok {
		return out
	}
	tx.Heard()
	events, refusal := h.gms.Refresh(tx, f)
	if refusal != nil {
		return gmssim.Outcome{Status: http.StatusBadRequest, Answer: h.gms.Refusal(tx.Chat().ID(), tx.Ended(), *refusal)}
	}
	tx.Attach(f.UserData)
	after(tx)
	a := h.gms.Answer(tx)
	h.gms.AddEvents(tx, a, events)
	h.attach(tx, b)
	return gmssim.Outcome{Status: http.StatusOK, Answer: a}
}

// catchUp puts what the session has not had yet into the answer to its
// operation.
func (h *Face) catchUp(tx *chatsim.Tx, b *session, out *gmssim.Outcome) {
	for _, a := range attachments(tx).list {
		if a.session != b || out.Answer == nil || len(out.Answer.Errors) > 0 {
			continue
		}
		if out.Answer.Empty() {
			if events := a.unseen(tx); len(events) > 0 {
				h.gms.AddEvents(tx, out.Answer, events)
				h.gms.Answered(tx, out.Answer)
			}
		}
	}
	if tx.Ended() && out.Answer != nil && out.Answer.ChatEnded != nil && *out.Answer.ChatEnded {
		detach(tx, b) // it knows
	}
}

// deliver sends an answer to one session, with what a fault does to it.
func (h *Face) deliver(b *session, channel string, a *gmssim.Answer, fault *chatsim.Fault) {
	b.deliver(channel, gmssim.Change(a, fault).Delivery())
}
