package cometdsim

import (
	"cmp"
	"mime"
	"net/http"
	"slices"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
)

// longPoll is a POST (wire-gms D.4).
func (h *Face) longPoll(x *chatsim.Exchange, via carrier) {
	body, status := h.bayeuxBody(x)
	if status != 0 {
		bare(x, status)
		return
	}
	messages, err := parseBayeux(body)
	switch {
	case err == errNotJSON:
		bare(x, http.StatusBadRequest)
		return
	case err != nil || broken(messages):
		bare(x, http.StatusInternalServerError)
		return
	}
	ins := h.prepare(messages, x.Log)
	x.Logs = nil
	x.Fault = &chatsim.Fault{}
	for _, in := range slices.Backward(ins) {
		x.Logs = append(x.Logs, in.log)
		if in.log.Faulty {
			x.Fault = in.fault // the first one has the request
		}
	}
	slices.Reverse(x.Logs)
	fault := x.Fault
	if fault.Drop == chatsim.DropBefore {
		x.Abort()
	}
	if !x.Wait(fault.Delay) {
		x.Abort()
	}
	if fault.Status != 0 && !fault.Accept {
		x.Replace()
		return
	}
	answer, status := h.answerAll(x, ins, via)
	defer answer.release()
	if fault.Late > 0 {
		x.Abort()
	}
	if fault.DelayAnswer > 0 || fault.Drop == chatsim.DropAfter {
		answer.release() // what the message has caused does not wait for a reply that is late
	}
	if !x.Wait(fault.DelayAnswer) {
		x.Abort()
	}
	switch {
	case fault.Drop == chatsim.DropAfter:
		x.Abort()
	case fault.Status != 0:
		x.Replace()
	case status != http.StatusOK:
		bare(x, status)
	default:
		x.Send(http.StatusOK, "application/json;charset=UTF-8", batch(answer.messages...))
		_ = http.NewResponseController(x.W).Flush() // before what follows the replies
	}
}

// postAnswer is what a POST is answered with.
type postAnswer struct {
	messages [][]byte
	corked   *session
}

// release lets deliveries go. A second call does nothing.
func (a *postAnswer) release() {
	if a.corked != nil {
		a.corked.uncork()
		a.corked = nil
	}
}

// answerAll handles the messages of a POST, in order, and waits for the end of
// a held connect.
func (h *Face) answerAll(x *chatsim.Exchange, ins []*incoming, via carrier) (*postAnswer, int) {
	if len(ins) == 1 && (ins[0].Channel == metaConnect || ins[0].Channel == metaHandshake) {
		return h.answerMeta(x, ins[0], via)
	}
	a := &postAnswer{}
	mark := 0
	b := h.find(ins[0].ClientID, via)
	if b != nil {
		mark, a.corked = b.cork(), b
	}
	var replies [][]byte
	for _, in := range ins {
		reply, _, _ := h.handle(in, via, false)
		replies = append(replies, reply.encode())
	}
	connects := slices.ContainsFunc(ins, func(in *incoming) bool { return in.Channel == metaConnect })
	if b != nil && (connects || !b.onlyWithConnect()) {
		b.mu.Lock()
		if connects || h.opts.Quirks.DeliverFirst {
			a.messages = b.takeLocked(len(b.queue))
		} else {
			a.messages = b.takeBeforeLocked(mark)
		}
		b.mu.Unlock()
	}
	a.messages = append(a.messages, replies...)
	return a, http.StatusOK
}

// answerMeta is answerAll for a handshake or a connect that came alone.
func (h *Face) answerMeta(x *chatsim.Exchange, in *incoming, via carrier) (*postAnswer, int) {
	reply, b, held := h.handle(in, via, true)
	if held != nil {
		select {
		case <-held.done:
		case <-x.R.Context().Done():
		case <-h.host.Context().Done():
		}
		if x.R.Context().Err() != nil || h.host.Context().Err() != nil {
			b.giveUp(held)
			x.Abort()
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		messages, status := b.heldAnswerLocked(held)
		return &postAnswer{messages: messages}, status
	}
	a := &postAnswer{}
	switch {
	case in.Channel == metaHandshake:
		if reply.Successful && via.browser == "" {
			http.SetCookie(x.W, &http.Cookie{Name: browserCookie, Value: b.browser, Path: "/", HttpOnly: true})
		}
	case b != nil && reply.Successful:
		b.mu.Lock()
		a.messages = b.takeLocked(len(b.queue))
		b.mu.Unlock()
	}
	a.messages = append(a.messages, reply.encode())
	return a, http.StatusOK
}

// bare answers with a status and nothing else.
func bare(x *chatsim.Exchange, status int) { x.Send(status, "text/html; charset=utf-8", nil) }

// bayeuxBody reads the body of a POST; a status other than 0 refuses it.
func (h *Face) bayeuxBody(x *chatsim.Exchange) ([]byte, int) {
	media, _, err := mime.ParseMediaType(cmp.Or(x.R.Header.Get("Content-Type"), "application/json"))
	if err != nil {
		return nil, http.StatusInternalServerError
	}
	body, err := gmssim.ReadAtMost(x.R.Body, h.host.Options().MaxBody)
	switch {
	case err == gmssim.ErrBodySize:
		x.W.Header().Set("Connection", "close")
		return nil, http.StatusRequestEntityTooLarge
	case err != nil:
		return nil, http.StatusBadRequest
	}
	switch media {
	case "application/json", "text/json":
		return body, 0
	case "application/x-www-form-urlencoded":
		f, err := gmssim.ParseURLEncoded(string(body))
		if err != nil {
			return nil, http.StatusBadRequest
		}
		return []byte(f.Get("message")), 0
	}
	return nil, http.StatusInternalServerError
}
