package chatsim

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Exchange is one HTTP request to a face, with its answer and the fault that it meets. It belongs to the
// goroutine of the handler.
type Exchange struct {
	// W and R are the handler's.
	W http.ResponseWriter
	R *http.Request
	// Log is what the server remembers of the request. Logs, if not empty, is remembered in its place: a request may
	// hold several messages.
	Log  Request
	Logs []Request
	// Fault is what goes wrong. Never nil.
	Fault *Fault

	host *Host
}

// Exchange begins an exchange over the wire of this name. It answers CORS preflights and requests to a closed
// server; then ok is false and there is nothing more to do.
func (h *Host) Exchange(w http.ResponseWriter, r *http.Request, wire string) (x *Exchange, ok bool) {
	x = &Exchange{W: w, R: r, host: h, Fault: &Fault{}, Log: Request{
		Time: time.Now(), Wire: wire, Method: r.Method, Path: r.URL.Path, Header: redactHeader(r.Header),
	}}
	h.cors(w, r)
	switch {
	case r.Method == http.MethodOptions:
		w.WriteHeader(http.StatusNoContent)
	case h.server.ctx.Err() != nil:
		x.Plain(http.StatusServiceUnavailable)
	default:
		return x, true
	}
	return x, false
}

// TakeFault lets the fault that Log fits, if there is one, have the exchange. A fault with DropBefore has its way at once.
func (x *Exchange) TakeFault() {
	if f := x.host.TakeFault(x.Log); f != nil {
		x.Fault, x.Log.Faulty = f, true
	}
	if x.Fault.Drop == DropBefore {
		x.Abort()
	}
}

// Note logs the exchange with the status of its answer. Send and what builds on it have done so already.
func (x *Exchange) Note(status int) {
	logs := x.Logs
	if len(logs) == 0 {
		logs = []Request{x.Log}
	}
	for _, r := range logs {
		r.Status = status
		x.host.Log(r)
	}
}

// Replace sends Status and Body of the fault.
func (x *Exchange) Replace() { x.Send(x.Fault.Status, "text/html; charset=utf-8", x.Fault.Body) }

// Plain answers with a status and a page that names it.
func (x *Exchange) Plain(status int) {
	page := fmt.Appendf(nil, "<html><body><h1>HTTP %d %s</h1></body></html>\n", status, http.StatusText(status))
	x.Send(status, "text/html; charset=utf-8", page)
}

// Send writes an answer, the way the fault wants it. It does not return if the fault cuts the answer short.
func (x *Exchange) Send(status int, contentType string, body []byte) {
	f := x.Fault
	h := x.W.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	for name, values := range f.Header {
		h[http.CanonicalHeaderKey(name)] = slices.Clone(values)
	}
	if f.Rewrite != nil {
		body = f.Rewrite(slices.Clone(body))
	}
	if f.Truncate > 0 {
		body = body[:min(f.Truncate, len(body))]
	}
	h.Set("Content-Length", strconv.FormatInt(cmp.Or(f.Announce, f.Pad+int64(len(body))), 10))
	x.Note(status) // before the client can know
	x.W.WriteHeader(status)
	if !x.pad(f.Pad) {
		x.hangUp()
	}
	if f.Cut > 0 {
		_, _ = x.W.Write(body[:min(f.Cut, len(body))])
		_ = http.NewResponseController(x.W).Flush()
		x.hangUp() // what was written must arrive: no reset
	}
	if f.Slow <= 0 {
		_, _ = x.W.Write(body) // a client that has gone needs no answer
		return
	}
	const parts = 10
	for i := range parts {
		if !x.Wait(f.Slow / parts) {
			x.hangUp()
		}
		_, _ = x.W.Write(body[len(body)*i/parts : len(body)*(i+1)/parts])
		_ = http.NewResponseController(x.W).Flush()
	}
}

func (x *Exchange) pad(n int64) bool {
	blank := make([]byte, min(n, 32<<10))
	for i := range blank {
		blank[i] = ' '
	}
	for n > 0 {
		m, err := x.W.Write(blank[:min(n, int64(len(blank)))])
		if err != nil {
			return false
		}
		n -= int64(m)
	}
	return true
}

// Wait lets time pass. It reports false if the client or the server has gone.
func (x *Exchange) Wait(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-x.R.Context().Done():
	case <-x.host.server.ctx.Done():
	}
	return false
}

// Abort ends the exchange, with a reset of the connection in place of an answer. It does not return.
func (x *Exchange) Abort() {
	x.Note(0)
	if c, ok := x.R.Context().Value(connKey{}).(net.Conn); ok {
		Reset(c)
	} else if c, _, err := http.NewResponseController(x.W).Hijack(); err == nil {
		Reset(c)
	}
	panic(http.ErrAbortHandler)
}

// hangUp ends the exchange in the middle of the answer, by closing the connection. It does not return.
func (x *Exchange) hangUp() { panic(http.ErrAbortHandler) }

const corsHeaders = "Accept, Authorization, Content-Type, apikey, gms_user, x-api-key"

// cors lets programs in browsers call.
func (h *Host) cors(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Add("Vary", "Origin")
	if !h.AllowsOrigin(r) || r.Header.Get("Origin") == "" {
		return
	}
	header.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	header.Set("Access-Control-Allow-Credentials", "true")
	if r.Method != http.MethodOptions {
		header.Set("Access-Control-Expose-Headers", "Content-Disposition, Retry-After")
		return
	}
	header.Set("Access-Control-Allow-Methods", "POST, OPTIONS")
	header.Set("Access-Control-Allow-Headers", corsHeaders)
	header.Set("Access-Control-Max-Age", "600")
}

// AllowsOrigin reports whether Options.Origins lets the request in. A request without Origin comes from no page.
func (h *Host) AllowsOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	allowed := h.server.opts.Origins
	return origin == "" || len(allowed) == 0 || slices.Contains(allowed, origin)
}
