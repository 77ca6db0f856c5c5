package gmssim

import (
	"crypto/subtle"
	"errors"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
)

const root = "/genesys/2/chat/"

// serve is the Chat API v2 over REST (wire-gms part A).
func (g *Face) serve(w http.ResponseWriter, r *http.Request) {
	x, ok := g.host.Exchange(w, r, Name)
	if !ok {
		return
	}
	service, fileID, ok := g.route(x)
	switch {
	case !ok:
		x.Plain(http.StatusNotFound)
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", "POST, OPTIONS")
		x.Plain(http.StatusMethodNotAllowed)
	case !g.Authorize(x):
	default:
		x.TakeFault()
		if f, ok := g.ReadRequest(x); ok {
			x.Log.Params, x.Log.UserData = f.Logged(), f.UserData
			g.Run(x, service, fileID, f)
		}
	}
}

// route takes the path apart: SERVICE, SERVICE/, SERVICE/CHAT/OP,
// SERVICE/CHAT/file/ID/OP.
func (g *Face) route(x *chatsim.Exchange) (service, fileID string, ok bool) {
	parts := strings.Split(strings.TrimPrefix(x.R.URL.Path, root), "/")
	service = parts[0]
	if service == "" {
		return "", "", false
	}
	switch {
	case len(parts) == 1, len(parts) == 2 && parts[1] == "":
		x.Log.Op = "start"
		return service, "", true
	case len(parts) < 3 || !g.serves(service):
		return "", "", false
	}
	x.Log.Chat = parts[1]
	op := strings.Join(parts[2:], "/")
	if _, known := operations[op]; known || op == "file" || op == "file/limits" {
		x.Log.Op = op
		return service, "", true
	}
	if len(parts) == 5 && parts[2] == "file" && (parts[4] == "download" || parts[4] == "delete") {
		x.Log.Op = "file/" + parts[4]
		return service, parts[3], true
	}
	return "", "", false
}

func (g *Face) serves(service string) bool {
	return slices.Contains(g.opts.Services, service)
}

// Authorize checks the credentials and the gateway's key. It answers and returns false without them.
func (g *Face) Authorize(x *chatsim.Exchange) bool {
	if g.opts.User != "" {
		user, password, _ := x.R.BasicAuth()
		if !g.CheckCredentials(user, password) {
			x.W.Header().Set("WWW-Authenticate", `Basic realm="genesys"`)
			x.Plain(http.StatusUnauthorized)
			return false
		}
	}
	return g.CheckAPIKey(x)
}

// CheckCredentials reports whether these are the credentials that Options ask for.
func (g *Face) CheckCredentials(user, password string) bool {
	return equal(user, g.opts.User) && equal(password, g.opts.Password)
}

// CheckAPIKey checks the gateway's key alone.
func (g *Face) CheckAPIKey(x *chatsim.Exchange) bool {
	key := g.opts.APIKey
	if key == "" || equal(x.R.Header.Get("apikey"), key) || equal(x.R.Header.Get("x-api-key"), key) {
		return true
	}
	x.Plain(http.StatusForbidden)
	return false
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// ReadRequest reads the form of a request with the limits of the server. It answers and returns false without one.
func (g *Face) ReadRequest(x *chatsim.Exchange) (*Form, bool) {
	f, err := ReadForm(x.R.Header.Get("Content-Type"), x.R.Body, g.host.Options().MaxBody, g.opts.Files.MaxFileSize)
	switch {
	case errors.Is(err, ErrMediaType):
		x.Plain(http.StatusUnsupportedMediaType)
	case errors.Is(err, ErrBodySize):
		x.W.Header().Set("Connection", "close")
		x.Plain(http.StatusRequestEntityTooLarge)
	case err != nil:
		g.Send(x, http.StatusBadRequest, g.Refusal(x.Log.Chat, false, BadRequest("malformed form")))
	default:
		return f, true
	}
	return nil, false
}

// Run carries out the operation of x.Log and answers it, the way the fault of x wants it.
func (g *Face) Run(x *chatsim.Exchange, service, fileID string, f *Form) {
	fault, details := x.Fault, detailsOf(x.Fault)
	if !x.Wait(fault.Delay) {
		x.Abort()
	}
	hooks := Hooks{
		After: func(tx *chatsim.Tx) { g.ApplyFault(tx, fault) },
		Done:  func(tx *chatsim.Tx, out *Outcome) { out.Answer = g.Overlap(tx, out.Answer, fault.Overlap) },
	}
	perform := func() Outcome {
		if x.Log.Op == "start" {
			return g.Start(service, f, hooks)
		}
		return g.Perform(service, x.Log.Chat, x.Log.Op, fileID, f, hooks)
	}
	if fault.Late > 0 {
		g.host.Later(fault.Late, func() { perform() })
		x.Abort()
	}
	replaces := fault.Status != 0 || details.refuses()
	if replaces && !fault.Accept {
		g.replace(x)
		return
	}
	out := perform()
	if fault.Repeat && out.Repeat != nil {
		out.Answer = out.Repeat
	}
	if !x.Wait(fault.DelayAnswer) {
		x.Abort()
	}
	switch {
	case fault.Drop == chatsim.DropAfter:
		x.Abort()
	case replaces:
		g.replace(x)
	case out.file != nil:
		g.download(x, out.file)
	case out.Answer == nil:
		x.Plain(out.Status)
	default:
		g.Send(x, out.Status, Change(out.Answer, fault))
	}
}

// replace sends the answer that a fault puts in place of the real one.
func (g *Face) replace(x *chatsim.Exchange) {
	details := detailsOf(x.Fault)
	if !details.refuses() {
		x.Replace()
		return
	}
	status := x.Fault.Status
	if status == 0 {
		status = http.StatusOK
		if len(details.Errors) > 0 {
			status = http.StatusBadRequest
		}
	}
	g.Send(x, status, g.FaultAnswer(x.Log.Chat, x.Fault))
}

// Send answers with a response object.
func (g *Face) Send(x *chatsim.Exchange, status int, a *Answer) {
	x.Send(status, "application/json;charset=UTF-8", a.Encode())
}

func (g *Face) download(x *chatsim.Exchange, f *chatsim.File) {
	contentType := f.ContentType
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	if g.opts.Quirks.BareDownload {
		x.Send(http.StatusOK, "application/octet-stream", f.Data)
		return
	}
	x.W.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": f.Name}))
	x.Send(http.StatusOK, contentType, f.Data)
}
