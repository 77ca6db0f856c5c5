package chatsim

import (
	"errors"
	"net/http"
	"time"
)

const filesPath = "/genesys/2/chat-ntf"

// fileOps are the file operations of wire-gms B.4 by their name there. One
// client is known to misspell one of them.
var fileOps = map[string]string{
	"fileUpload": "file", "fileGetLimits": "file/limits", "fileGetsLimits": "file/limits",
	"fileDownload": "file/download", "fileDelete": "file/delete",
}

// serveFiles is the file end point of CometD clients (wire-gms B.4).
func (s *Server) serveFiles(w http.ResponseWriter, r *http.Request) {
	x := &exchange{server: s, w: w, r: r, log: Request{
		Time: time.Now(), Wire: "files", Method: r.Method, Path: r.URL.Path, Header: redactHeader(r.Header),
	}}
	s.cors(w, r)
	switch {
	case r.Method == http.MethodOptions:
		w.WriteHeader(http.StatusNoContent)
	case s.ctx.Err() != nil:
		x.plain(http.StatusServiceUnavailable)
	case s.opts.Quirks.NoCometD:
		x.plain(http.StatusNotFound)
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", "POST, OPTIONS")
		x.plain(http.StatusMethodNotAllowed)
	case !x.authorized():
	default:
		x.runFile()
	}
}

// runFile reads the form first: the operation is in it.
func (x *exchange) runFile() {
	s := x.server
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
		x.json(http.StatusBadRequest, s.refusal("", false, *badRequest("malformed form")))
		return
	}
	name := f.get("operation")
	if name == "" && f.file != nil {
		name = "fileUpload"
	}
	op, known := fileOps[name]
	x.log.Op, x.log.Params, x.log.UserData = op, redactParams(f.values), f.userData
	c := s.chatOf(f)
	if c != nil {
		x.log.Chat = c.id
	}
	x.fault = s.faults.take(x.log)
	x.log.Faulty = x.fault != nil
	if x.fault == nil {
		x.fault = &Fault{}
	}
	if x.fault.Drop == DropBefore {
		x.abort()
	}
	switch {
	case !known:
		x.json(http.StatusBadRequest, s.refusal(x.log.Chat, false, *badRequest("operation needed")))
	case c == nil:
		x.json(http.StatusOK, s.gone("", Error{Code: CodeNoSuchUser, Advice: "no such session"}))
	default:
		x.perform(c.service, f.get("fileId"), f)
	}
}
