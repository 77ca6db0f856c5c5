package chatsim

import (
	"cmp"
	"mime"
	"net/http"
	"slices"
)

// longPoll is a POST (wire-gms D.4).
func (x *exchange) longPoll(via carrier) {
	s := x.server
	body, status := x.bayeuxBody()
	if status != 0 {
		x.bare(status)
		return
	}
	messages, err := parseBayeux(body)
	switch {
	case err == errNotJSON:
		x.bare(http.StatusBadRequest)
		return
	case err != nil || broken(messages):
		x.bare(http.StatusInternalServerError)
		return
	}
	ins := s.hub.prepare(messages, x.log)
	x.logs = nil
	x.fault = &Fault{}
	for _, in := range slices.Backward(ins) {
		x.logs = append(x.logs, in.log)
		if in.log.Faulty {
			x.fault = in.fault // the first one has the request
		}
	}
	slices.Reverse(x.logs)
	fault := x.fault
	if fault.Drop == DropBefore {
		x.abort()
	}
	if !x.wait(fault.Delay) {
		x.abort()
	}
	if fault.Status != 0 && !fault.Accept {
		x.replace()
		return
	}
	answer, status := x.answerAll(ins, via)
	defer answer.release()
	if fault.Late > 0 {
		x.abort()
	}
	if fault.DelayAnswer > 0 || fault.Drop == DropAfter {
		answer.release() // what the message has caused does not wait for a reply that is late
	}
	if !x.wait(fault.DelayAnswer) {
		x.abort()
	}
	switch {
	case fault.Drop == DropAfter:
		x.abort()
	case fault.Status != 0:
		x.replace()
	case status != http.StatusOK:
		x.bare(status)
	default:
		x.send(http.StatusOK, "application/json;charset=UTF-8", batch(answer.messages...))
		_ = http.NewResponseController(x.w).Flush() // before what follows the replies
	}
}

// postAnswer is what a POST is answered with.
type postAnswer struct {
	messages [][]byte
	corked   *bayeuxSession
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
func (x *exchange) answerAll(ins []*incoming, via carrier) (*postAnswer, int) {
	h := x.server.hub
	if len(ins) == 1 && (ins[0].Channel == metaConnect || ins[0].Channel == metaHandshake) {
		return x.answerMeta(ins[0], via)
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
		if connects || x.server.opts.Quirks.DeliverFirst {
			mark = len(b.queue)
		}
		a.messages = b.takeLocked(mark)
		b.mu.Unlock()
	}
	a.messages = append(a.messages, replies...)
	return a, http.StatusOK
}

// answerMeta is answerAll for a handshake or a connect that came alone.
func (x *exchange) answerMeta(in *incoming, via carrier) (*postAnswer, int) {
	h := x.server.hub
	reply, b, held := h.handle(in, via, true)
	if held != nil {
		select {
		case <-held.done:
		case <-x.r.Context().Done():
		case <-x.server.ctx.Done():
		}
		if x.r.Context().Err() != nil || x.server.ctx.Err() != nil {
			b.giveUp(held)
			x.abort()
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
			http.SetCookie(x.w, &http.Cookie{Name: browserCookie, Value: b.browser, Path: "/", HttpOnly: true})
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
func (x *exchange) bare(status int) { x.send(status, "text/html; charset=utf-8", nil) }

// bayeuxBody reads the body of a POST; a status other than 0 refuses it.
func (x *exchange) bayeuxBody() ([]byte, int) {
	s := x.server
	media, _, err := mime.ParseMediaType(cmp.Or(x.r.Header.Get("Content-Type"), "application/json"))
	if err != nil {
		return nil, http.StatusInternalServerError
	}
	body, err := readAtMost(x.r.Body, s.opts.MaxBody)
	switch {
	case err == errBodySize:
		x.w.Header().Set("Connection", "close")
		return nil, http.StatusRequestEntityTooLarge
	case err != nil:
		return nil, http.StatusBadRequest
	}
	switch media {
	case "application/json", "text/json":
		return body, 0
	case "application/x-www-form-urlencoded":
		f, err := parseURLEncoded(string(body))
		if err != nil {
			return nil, http.StatusBadRequest
		}
		return []byte(f.get("message")), 0
	}
	return nil, http.StatusInternalServerError
}
