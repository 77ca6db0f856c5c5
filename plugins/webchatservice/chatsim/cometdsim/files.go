package cometdsim

import (
	"net/http"
	"strings"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
)

const filesPath = "/genesys/2/chat-ntf"

// fileOps are the file operations of wire-gms B.4 by their name there. One
// client is known to misspell one of them.
var fileOps = map[string]string{
	"fileUpload": "file", "fileGetLimits": "file/limits", "fileGetsLimits": "file/limits",
	"fileDownload": "file/download", "fileDelete": "file/delete",
}

// serveFiles is the file end point of CometD clients (wire-gms B.4).
func (h *Face) serveFiles(w http.ResponseWriter, r *http.Request) {
	x, ok := h.host.Exchange(w, r, FilesName)
	if !ok {
		return
	}
	switch {
	case h.opts.Quirks.NoCometD, strings.TrimSuffix(r.URL.Path, "/") != filesPath:
		x.Plain(http.StatusNotFound)
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", "POST, OPTIONS")
		x.Plain(http.StatusMethodNotAllowed)
	case !h.gms.Authorize(x):
	default:
		h.runFile(x)
	}
}

// runFile reads the form first: the operation is in it.
func (h *Face) runFile(x *chatsim.Exchange) {
	f, ok := h.gms.ReadRequest(x)
	if !ok {
		return
	}
	name := f.Get("operation")
	if name == "" && f.HasFile() {
		name = "fileUpload"
	}
	op, known := fileOps[name]
	x.Log.Op, x.Log.Params, x.Log.UserData = op, f.Logged(), f.UserData
	c, found := h.gms.ChatOf(f)
	if found {
		x.Log.Chat = c.ID()
	}
	x.TakeFault()
	switch {
	case !known:
		h.gms.Send(x, http.StatusBadRequest, h.gms.Refusal(x.Log.Chat, false, *refusal("operation needed")))
	case !found:
		h.gms.Send(x, http.StatusOK, h.gms.Gone("", gmssim.Error{Code: gmssim.CodeNoSuchUser, Advice: "no such session"}))
	default:
		h.gms.Run(x, c.Service(), f.Get("fileId"), f)
	}
}
