package chatsim

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const gmsRoot = "/genesys/2/chat/"

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(gmsRoot, s.serveGMS)
	mux.HandleFunc(filesPath, s.serveFiles)
	mux.HandleFunc(cometdRoot, s.serveCometD)
	mux.HandleFunc(cometdRoot+"/", s.serveCometD)
	return mux
}

// serveGMS is the Chat API v2 over REST (wire-gms part A).
func (s *Server) serveGMS(w http.ResponseWriter, r *http.Request) {
	x := &exchange{server: s, w: w, r: r, log: Request{
		Time: time.Now(), Wire: "gms", Method: r.Method, Path: r.URL.Path, Header: redactHeader(r.Header),
	}}
	s.cors(w, r)
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	service, fileID, ok := x.route()
	switch {
	case s.ctx.Err() != nil:
		x.plain(http.StatusServiceUnavailable)
	case !ok:
		x.plain(http.StatusNotFound)
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", "POST, OPTIONS")
		x.plain(http.StatusMethodNotAllowed)
	case !x.authorized():
	default:
		x.run(service, fileID)
	}
}

// exchange is one request and its answer.
type exchange struct {
	server *Server
	w      http.ResponseWriter
	r      *http.Request
	log    Request
	logs   []Request // in place of log, if a request holds several messages
	fault  *Fault
}

// note logs what the exchange asked for.
func (x *exchange) note(status int) {
	logs := x.logs
	if len(logs) == 0 {
		logs = []Request{x.log}
	}
	for _, r := range logs {
		r.Status = status
		x.server.log.add(r)
	}
}

// route takes the path apart: SERVICE, SERVICE/, SERVICE/CHAT/OP,
// SERVICE/CHAT/file/ID/OP.
func (x *exchange) route() (service, fileID string, ok bool) {
	parts := strings.Split(strings.TrimPrefix(x.r.URL.Path, gmsRoot), "/")
	service = parts[0]
	if service == "" {
		return "", "", false
	}
	switch {
	case len(parts) == 1, len(parts) == 2 && parts[1] == "":
		x.log.Op = "start"
		return service, "", true
	case len(parts) < 3 || !x.server.serves(service):
		return "", "", false
	}
	x.log.Chat = parts[1]
	op := strings.Join(parts[2:], "/")
	if _, known := operations[op]; known || op == "file" || op == "file/limits" {
		x.log.Op = op
		return service, "", true
	}
	if len(parts) == 5 && parts[2] == "file" && (parts[4] == "download" || parts[4] == "delete") {
		x.log.Op = "file/" + parts[4]
		return service, parts[3], true
	}
	return "", "", false
}

func (s *Server) serves(service string) bool { return slices.Contains(s.opts.Services, service) }

func (x *exchange) authorized() bool {
	o := &x.server.opts
	if o.User != "" {
		user, password, _ := x.r.BasicAuth()
		if !equal(user, o.User) || !equal(password, o.Password) {
			x.w.Header().Set("WWW-Authenticate", `Basic realm="genesys"`)
			x.plain(http.StatusUnauthorized)
			return false
		}
	}
	return x.keyed()
}

// keyed says whether the request has the gateway's key.
func (x *exchange) keyed() bool {
	key := x.server.opts.APIKey
	if key == "" || equal(x.r.Header.Get("apikey"), key) || equal(x.r.Header.Get("x-api-key"), key) {
		return true
	}
	x.plain(http.StatusForbidden)
	return false
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func (x *exchange) run(service, fileID string) {
	s := x.server
	x.fault = s.faults.take(x.log)
	x.log.Faulty = x.fault != nil
	if x.fault == nil {
		x.fault = &Fault{}
	}
	fault := x.fault
	if fault.Drop == DropBefore {
		x.abort()
	}
	f, err := parseForm(x.r.Header.Get("Content-Type"), x.r.Body, s.opts.MaxBody, s.opts.Files.MaxFileSize)
	switch {
	case errors.Is(err, errMediaType):
		x.plain(http.StatusUnsupportedMediaType)
		return
	case errors.Is(err, errBodySize):
		x.w.Header().Set("Connection", "close")
		x.plain(http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		x.json(http.StatusBadRequest, s.refusal(x.log.Chat, false, *badRequest("malformed form")))
		return
	}
	x.log.Params, x.log.UserData = redactParams(f.values), f.userData
	x.perform(service, fileID, f)
}

// perform carries out the operation of x.log and answers it, the way the fault
// wants it.
func (x *exchange) perform(service, fileID string, f *form) {
	s, fault := x.server, x.fault
	if !x.wait(fault.Delay) {
		x.abort()
	}
	hooks := hooks{
		after: func(c *Chat) { s.afterFault(c, fault) },
		done:  func(c *Chat, out *outcome) { out.body = c.overlapLocked(out.body, fault.Overlap) },
	}
	perform := func() outcome {
		if x.log.Op == "start" {
			return s.start(service, f, hooks)
		}
		return s.perform(service, x.log.Chat, x.log.Op, fileID, f, hooks)
	}
	if fault.Late > 0 {
		s.later(fault.Late, func() { perform() })
		x.abort()
	}
	if fault.replaces() && !fault.Accept {
		x.replace()
		return
	}
	out := perform()
	if x.fault.Repeat && out.repeat != nil {
		out.body = out.repeat
	}
	if !x.wait(fault.DelayAnswer) {
		x.abort()
	}
	switch {
	case fault.Drop == DropAfter:
		x.abort()
	case fault.replaces():
		x.replace()
	case out.file != nil:
		x.download(out.file)
	case out.body == nil:
		x.plain(out.status)
	default:
		x.json(out.status, fault.change(out.body))
	}
}

// afterFault does what a fault does to the chat, between the operation and its
// answer. The chat's lock is held.
func (s *Server) afterFault(c *Chat, f *Fault) {
	if f.Alias != 0 {
		s.SetAlias(f.Alias)
	}
	if f.EndChat {
		c.endLocked(EndedByServer)
	}
}

// overlapLocked returns an answer with up to n earlier events before its own.
func (c *Chat) overlapLocked(a *answer, n int) *answer {
	if n <= 0 || a == nil || a.Messages == nil {
		return a
	}
	first := c.last + 1
	if len(*a.Messages) > 0 && (*a.Messages)[0].Index != nil {
		first = *(*a.Messages)[0].Index
	}
	var all []message
	for _, e := range c.shown {
		if e.index < first && e.index >= first-n {
			all = append(all, c.server.message(e))
		}
	}
	all = append(all, *a.Messages...)
	changed := *a
	changed.Messages = &all
	return &changed
}

// change returns a finished answer with what a fault does to it.
func (f *Fault) change(a *answer) *answer {
	if a.Messages == nil || !f.Double && !f.Shuffle && !f.NoIndex && f.Omit == 0 {
		return a
	}
	m := slices.Clone(*a.Messages)
	m = m[min(f.Omit, len(m)):]
	if f.Double {
		doubled := make([]message, 0, 2*len(m))
		for _, e := range m {
			doubled = append(doubled, e, e)
		}
		m = doubled
	}
	if f.Shuffle {
		slices.Reverse(m)
	}
	if f.NoIndex {
		for i := range m {
			m[i].Index = nil
		}
	}
	changed := *a
	changed.Messages = &m
	return &changed
}

// replace sends the answer that a fault puts in place of the real one.
func (x *exchange) replace() {
	f := x.fault
	if len(f.Errors) > 0 || f.StatusCode != 0 {
		status := f.Status
		if status == 0 {
			status = http.StatusOK
			if len(f.Errors) > 0 {
				status = http.StatusBadRequest
			}
		}
		x.json(status, x.server.faultAnswer(x.log.Chat, f))
		return
	}
	x.send(f.Status, "text/html; charset=utf-8", f.Body)
}

func (x *exchange) json(status int, a *answer) {
	x.send(status, "application/json;charset=UTF-8", a.encode())
}

func (x *exchange) plain(status int) {
	x.send(status, "text/html; charset=utf-8", fmt.Appendf(nil, "<html><body><h1>HTTP %d %s</h1></body></html>\n", status, http.StatusText(status)))
}

func (x *exchange) download(f *storedFile) {
	contentType := f.ContentType
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	if x.server.opts.Quirks.BareDownload {
		x.send(http.StatusOK, "application/octet-stream", f.Data)
		return
	}
	x.w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": f.Name}))
	x.send(http.StatusOK, contentType, f.Data)
}

// send writes an answer, the way the fault wants it.
func (x *exchange) send(status int, contentType string, body []byte) {
	f := x.fault
	if f == nil {
		f = &Fault{}
	}
	h := x.w.Header()
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
	h.Set("Content-Length", strconv.FormatInt(f.Pad+int64(len(body)), 10))
	x.note(status) // before the client can know
	x.w.WriteHeader(status)
	if !x.pad(f.Pad) {
		x.hangUp()
	}
	if f.Cut > 0 {
		_, _ = x.w.Write(body[:min(f.Cut, len(body))])
		_ = http.NewResponseController(x.w).Flush()
		x.hangUp() // what was written must arrive: no reset
	}
	if f.Slow <= 0 {
		_, _ = x.w.Write(body) // a client that has gone is none of ours
		return
	}
	const parts = 10
	for i := range parts {
		if !x.wait(f.Slow / parts) {
			x.hangUp()
		}
		_, _ = x.w.Write(body[len(body)*i/parts : len(body)*(i+1)/parts])
		_ = http.NewResponseController(x.w).Flush()
	}
}

func (x *exchange) pad(n int64) bool {
	blank := make([]byte, min(n, 32<<10))
	for i := range blank {
		blank[i] = ' '
	}
	for n > 0 {
		m, err := x.w.Write(blank[:min(n, int64(len(blank)))])
		if err != nil {
			return false
		}
		n -= int64(m)
	}
	return true
}

// wait lets time pass. It reports false if the client or the server has gone.
func (x *exchange) wait(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-x.r.Context().Done():
	case <-x.server.ctx.Done():
	}
	return false
}

// abort ends the exchange, with a reset of the connection in place of an
// answer. It does not return.
func (x *exchange) abort() {
	x.note(0)
	if c, ok := x.r.Context().Value(connKey{}).(net.Conn); ok {
		abort(c)
	} else if c, _, err := http.NewResponseController(x.w).Hijack(); err == nil {
		abort(c)
	}
	panic(http.ErrAbortHandler)
}

// hangUp ends the exchange in the middle of the answer, by closing the
// connection. It does not return.
func (x *exchange) hangUp() { panic(http.ErrAbortHandler) }

const corsHeaders = "Accept, Authorization, Content-Type, apikey, gms_user, x-api-key"

// cors lets programs in browsers call.
func (s *Server) cors(w http.ResponseWriter, r *http.Request) {
	origin := r.Header.Get("Origin")
	h := w.Header()
	h.Add("Vary", "Origin")
	if origin == "" || len(s.opts.Origins) > 0 && !slices.Contains(s.opts.Origins, origin) {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true")
	if r.Method != http.MethodOptions {
		h.Set("Access-Control-Expose-Headers", "Content-Disposition, Retry-After")
		return
	}
	h.Set("Access-Control-Allow-Methods", "POST, OPTIONS")
	h.Set("Access-Control-Allow-Headers", corsHeaders)
	h.Set("Access-Control-Max-Age", "600")
}
