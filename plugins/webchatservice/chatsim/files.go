package chatsim

import (
	"cmp"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
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

// File is a file of a chat.
type File struct {
	ID          string
	Name        string
	ContentType string
	Data        []byte // shared with the server: do not change
	// UserData is what the uploader gave with it.
	UserData map[string]string
	// From is the kind of who gave it.
	From    PartyType
	Deleted bool
}

type storedFile struct {
	File
	from *party
}

// fileStore is the files of a chat with the counters of the visitor. Guarded
// by the chat's mu.
type fileStore struct {
	files     []*storedFile
	used      int   // used-upload-max-files
	usedBytes int64 // used-upload-max-total-size
	downloads int   // used-download-attempts
}

func (s *fileStore) list() []File {
	var out []File
	for _, f := range s.files {
		file := f.File
		file.UserData = maps.Clone(file.UserData)
		out = append(out, file)
	}
	return out
}

func (s *fileStore) find(id string) *storedFile {
	for _, f := range s.files {
		if f.ID == id && !f.Deleted {
			return f
		}
	}
	return nil
}

// fileOpLocked carries out an operation on files (wire-gms A.7.11 to A.7.14).
func (c *Chat) fileOpLocked(op, fileID string, f *form, after func(*Chat)) outcome {
	s, limits := c.server, &c.server.opts.Files
	answer := func() *answer {
		if after != nil {
			after(c)
		}
		return c.answerLocked(false)
	}
	refuse := func(e Error) outcome { return refused(s.refusal(c.id, c.ended, e)) }
	switch op {
	case "file/limits":
		a := answer()
		m := s.message(&event{
			kind: Notice, from: c.visitor, text: "file-client-cfg-get", time: time.Now(), userData: c.limitsLocked(),
		})
		a.Messages = &[]message{m}
		return accepted(a)

	case "file":
		switch {
		case f.file == nil:
			return refuse(*badRequest("file needed"))
		case limits.NeedAgent && !c.staffedLocked():
			return refuse(*badRequest("no agent is there to take a file"))
		case c.files.used >= limits.MaxFiles:
			return refuse(Error{Code: CodeTooManyFiles, Advice: strconv.Itoa(limits.MaxFiles)})
		case f.file.size > limits.MaxFileSize:
			return refuse(Error{Code: CodeFileSize, Advice: strconv.FormatInt(limits.MaxFileSize, 10)})
		case c.files.usedBytes+f.file.size > limits.MaxTotalSize:
			return refuse(Error{Code: CodeFileSize, Advice: strconv.FormatInt(limits.MaxTotalSize, 10)})
		case !slices.ContainsFunc(limits.Types, func(t string) bool {
			return strings.EqualFold("."+t, path.Ext(f.file.name))
		}):
			return refuse(Error{Code: CodeFileType, Advice: strings.Join(limits.Types, ":")})
		}
		c.files.used++
		c.files.usedBytes += f.file.size
		c.activeLocked()
		stored := c.storeLocked(c.visitor, f.file.name, f.file.contentType, f.file.data, f.userData)
		a := answer()
		a.UserData = map[string]string{"file-id": stored.ID}
		return accepted(a)

	case "file/download":
		file := c.files.find(fileID)
		switch {
		case file == nil:
			return refuse(*badRequest("no such file"))
		case c.files.downloads >= limits.Downloads:
			return refuse(*badRequest("no download attempts left"))
		}
		c.files.downloads++
		return outcome{status: http.StatusOK, file: file}

	default: // file/delete
		file := c.files.find(fileID)
		if file == nil || file.from != c.visitor {
			return refuse(*badRequest("no such file of yours"))
		}
		file.Deleted = true
		if s.opts.Quirks.DeleteFreesCount {
			c.files.used--
			c.files.usedBytes -= int64(len(file.Data))
		}
		c.addLocked(&event{kind: FileDeleted, from: c.visitor, userData: map[string]string{"file-id": file.ID, "file-name": file.Name}})
		return accepted(answer())
	}
}

func (c *Chat) limitsLocked() map[string]string {
	l := &c.server.opts.Files
	return map[string]string{
		"upload-max-files":           strconv.Itoa(l.MaxFiles),
		"upload-max-file-size":       strconv.FormatInt(l.MaxFileSize, 10),
		"upload-max-total-size":      strconv.FormatInt(l.MaxTotalSize, 10),
		"upload-file-types":          strings.Join(l.Types, ":"),
		"upload-need-agent":          strconv.FormatBool(l.NeedAgent),
		"download-attempts":          strconv.Itoa(l.Downloads),
		"delete-file":                "odd", // the only value seen
		"used-upload-max-files":      strconv.Itoa(c.files.used),
		"used-upload-max-total-size": strconv.FormatInt(c.files.usedBytes, 10),
		"used-download-attempts":     strconv.Itoa(c.files.downloads),
	}
}

// storeLocked keeps a file and tells everybody.
func (c *Chat) storeLocked(from *party, name, contentType string, data []byte, userData map[string]string) *storedFile {
	f := &storedFile{from: from, File: File{
		ID: c.server.keys.userID(), Name: name, ContentType: contentType, Data: data, UserData: userData, From: from.kind,
	}}
	c.files.files = append(c.files.files, f)
	c.addLocked(&event{kind: FileUploaded, from: from, userData: map[string]string{
		"file-id": f.ID, "file-name": name, "file-size": strconv.Itoa(len(data)),
	}})
	return f
}

// SendFile gives the visitor a file. No limits apply to it. The data is kept,
// not copied.
func (s *Seat) SendFile(name, contentType string, data []byte) (File, error) {
	c := s.chat
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := s.checkLocked(); err != nil {
		return File{}, err
	}
	return c.storeLocked(s.party, name, contentType, data, nil).File, nil
}

// DeleteFile deletes any file of the chat. It reports whether there was one.
func (s *Seat) DeleteFile(id string) (bool, error) {
	c := s.chat
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := s.checkLocked(); err != nil {
		return false, err
	}
	f := c.files.find(id)
	if f == nil {
		return false, nil
	}
	f.Deleted = true
	c.addLocked(&event{kind: FileDeleted, from: s.party, userData: map[string]string{"file-id": id, "file-name": f.Name}})
	return true, nil
}
