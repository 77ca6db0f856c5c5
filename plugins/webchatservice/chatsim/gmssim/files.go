package gmssim

import (
	"cmp"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
)

// FileLimits are the limits of file transfer, told to clients by
// file/limits (wire-gms A.7.11). The zero value of each field is the default.
type FileLimits struct {
	MaxFiles     int      // upload-max-files; default 3
	MaxFileSize  int64    // upload-max-file-size, bytes; default 2 MiB
	MaxTotalSize int64    // upload-max-total-size, bytes; default 5 MiB
	Types        []string // upload-file-types, extensions without dot; default gif, jpg, pdf, png, txt
	NeedAgent    bool     // upload-need-agent: only while an agent is there
	Downloads    int      // download-attempts, of all files together; default 10
}

func (l FileLimits) withDefaults() FileLimits {
	l.MaxFiles = cmp.Or(l.MaxFiles, 3)
	l.MaxFileSize = cmp.Or(l.MaxFileSize, 2<<20)
	l.MaxTotalSize = cmp.Or(l.MaxTotalSize, 5<<20)
	l.Downloads = cmp.Or(l.Downloads, 10)
	l.Types = slices.Clone(l.Types)
	if len(l.Types) == 0 {
		l.Types = []string{"gif", "jpg", "pdf", "png", "txt"}
	}
	return l
}

// fileCounts is what the visitor of a chat has used of the limits.
type fileCounts struct {
	files     int   // used-upload-max-files
	bytes     int64 // used-upload-max-total-size
	downloads int   // used-download-attempts
}

// fileOperation carries out an operation on files (wire-gms A.7.11 to A.7.14).
func (g *Face) fileOperation(tx *chatsim.Tx, op, fileID string, f *Form, h *Hooks) Outcome {
	used := &stateOf(tx).files
	refuse := func(e Error) Outcome { return refused(g.Refusal(tx.Chat().ID(), tx.Ended(), e)) }
	answer := func() *Answer {
		h.after(tx)
		return g.Answer(tx)
	}
	switch op {
	case "file/limits":
		a := answer()
		a.Messages = &[]Message{g.message(chatsim.Event{
			Type: chatsim.Notice, From: tx.Visitor(), Text: "file-client-cfg-get", Time: time.Now(), UserData: g.limits(used),
		})}
		return accepted(a)

	case "file":
		if e := g.checkUpload(tx, f.file); e != nil {
			return refuse(*e)
		}
		used.files++
		used.bytes += f.file.size
		stored := tx.Upload(chatsim.File{Name: f.file.name, ContentType: f.file.contentType, Data: f.file.data, UserData: f.UserData})
		a := answer()
		a.UserData = map[string]string{"file-id": stored.ID}
		return accepted(a)

	case "file/download":
		file, ok := tx.File(fileID)
		switch {
		case !ok:
			return refuse(BadRequest("no such file"))
		case used.downloads >= g.opts.Files.Downloads:
			return refuse(BadRequest("no download attempts left"))
		}
		used.downloads++
		return Outcome{Status: http.StatusOK, file: &file}

	default: // file/delete
		file, _ := tx.File(fileID)
		if !tx.DeleteFile(fileID) {
			return refuse(BadRequest("no such file of yours"))
		}
		if g.opts.Quirks.DeleteFreesCount {
			used.files--
			used.bytes -= file.Size
		}
		return accepted(answer())
	}
}

// checkUpload says why a file is not taken.
func (g *Face) checkUpload(tx *chatsim.Tx, file *upload) *Error {
	limits, used := &g.opts.Files, &stateOf(tx).files
	switch {
	case file == nil:
		return badRequest("file needed")
	case limits.NeedAgent && !tx.Staffed():
		return badRequest("no agent is there to take a file")
	case used.files >= limits.MaxFiles:
		return &Error{Code: CodeTooManyFiles, Advice: strconv.Itoa(limits.MaxFiles)}
	case file.size > limits.MaxFileSize:
		return &Error{Code: CodeFileSize, Advice: strconv.FormatInt(limits.MaxFileSize, 10)}
	case used.bytes+file.size > limits.MaxTotalSize:
		return &Error{Code: CodeFileSize, Advice: strconv.FormatInt(limits.MaxTotalSize, 10)}
	case !slices.ContainsFunc(limits.Types, func(t string) bool { return strings.EqualFold("."+t, path.Ext(file.name)) }):
		return &Error{Code: CodeFileType, Advice: strings.Join(limits.Types, ":")}
	}
	return nil
}

func (g *Face) limits(used *fileCounts) map[string]string {
	l := &g.opts.Files
	return map[string]string{
		"upload-max-files":           strconv.Itoa(l.MaxFiles),
		"upload-max-file-size":       strconv.FormatInt(l.MaxFileSize, 10),
		"upload-max-total-size":      strconv.FormatInt(l.MaxTotalSize, 10),
		"upload-file-types":          strings.Join(l.Types, ":"),
		"upload-need-agent":          strconv.FormatBool(l.NeedAgent),
		"download-attempts":          strconv.Itoa(l.Downloads),
		"delete-file":                "odd", // the only value seen
		"used-upload-max-files":      strconv.Itoa(used.files),
		"used-upload-max-total-size": strconv.FormatInt(used.bytes, 10),
		"used-download-attempts":     strconv.Itoa(used.downloads),
	}
}
