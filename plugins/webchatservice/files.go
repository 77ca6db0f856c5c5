package webchatservice

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// The commands on files (webchatservice 5.9).
var (
	SendFile = bus.NewCommand[SendFileIn, SendFileOut](Namespace+".sendFile",
		"Sends a file, after checking the server's limits, with progress; resolves once the server has it.")
	DownloadFile = bus.NewCommand[DownloadFileIn, DownloadFileOut](Namespace+".downloadFile",
		"Fetches a file of the chat.")
	GetFileLimits = bus.NewCommand[struct{}, FileLimitsOut](Namespace+".getFileLimits",
		"Asks which files the server takes.")
)

// maxInline limits files that travel inside of JSON, in bytes.
const maxInline = 4 << 20

// SendFileIn are the options of sendFile.
type SendFileIn struct {
	// Files is the file; the name is the vendor's, who sends the first of a list.
	Files FileIn `json:"files"`
	// Description is for the agent; the vendor's command has none.
	Description string `json:"description,omitempty"`
}

// FileIn is a file to be sent: Data, or in Go also Content or the file at Path.
type FileIn struct {
	// Name is the file's name; "" means that of Path.
	Name string `json:"name"`
	// Type is its media type; "" means application/octet-stream.
	Type string `json:"type,omitempty"`
	// Data is the content, of 4 MiB at most; base64 in JSON.
	Data []byte `json:"data,omitempty"`
	// Content is read once, and not closed. Size is how many bytes it has, 0 for not known.
	Content io.Reader `json:"-"`
	Size    int64     `json:"-"`
	// Path is a file of this machine.
	Path string `json:"-"`
}

// FileProgress is the progress value of sendFile.
type FileProgress struct {
	Sent int64 `json:"sent"` // bytes so far
	Size int64 `json:"size"` // of the file; -1 when not known
}

// SendFileOut is what sendFile resolves with.
type SendFileOut struct {
	Answer
	// FileID is the server's id of the file.
	FileID string `json:"fileId"`
}

// DownloadFileIn are the options of downloadFile.
type DownloadFileIn struct {
	// FileID is what the line about the file calls file-id.
	FileID string `json:"fileId"`
	// FileName is the name to save it under in the directory Path; "" means what the server says,
	// made safe.
	FileName string `json:"fileName,omitempty"`
	// MaxSize limits the file, in bytes; 0 means 64 MiB, or 4 MiB where the result carries it.
	MaxSize int64 `json:"maxSize,omitempty"`
	// Writer gets the content. Without it and without Path the result carries it.
	Writer io.Writer `json:"-"`
	Path   string    `json:"-"` // where to save it: a directory, or a file that does not exist yet
}

// DownloadFileOut is what downloadFile resolves with; the vendor's command resolves with nothing.
type DownloadFileOut struct {
	Name string `json:"name"`           // the file's name, safe to use in a directory
	Type string `json:"type,omitempty"` // its media type, where the server tells
	Size int64  `json:"size"`           // its bytes
	Data []byte `json:"data,omitempty"` // the content, where nothing else takes it
	// Path is where the file was saved.
	Path string `json:"-"`
}

// FileLimitsOut is what getFileLimits resolves with.
type FileLimitsOut struct {
	Answer
	// UserData are the limits by the server's names (webchatservice 4.6).
	UserData map[string]any `json:"userData"`
	// Limits is the same, read.
	Limits chat.FileLimits `json:"-"`
}

func (s *Service) sendFile(ctx context.Context, in SendFileIn, d *bus.Deferred[SendFileOut]) {
	ses, err := s.live("sendFile")
	if err != nil {
		d.Reject(err)
		return
	}
	files, ok := filer(ses.conn)
	if !ok {
		d.Reject(cannot(ses.conn, ErrNoUpload, "sendFile", "upload"))
		return
	}
	ses.wakeSoon()
	ses.lock()
	started := ses.spawnLocked(func() {
		out, err := ses.sendFile(ctx, files, in, func(p FileProgress) { d.Notify(p) })
		if err != nil {
			d.Reject(err)
			return
		}
		d.Resolve(out)
	})
	ses.unlock()
	if !started {
		d.Reject(bus.ErrStopped)
	}
}

// open returns the file as the wire takes it, and what closes it.
func (in SendFileIn) open() (u chat.Upload, closer func(), err error) {
	f := in.Files
	u = chat.Upload{Name: f.Name, ContentType: f.Type, Description: in.Description, Size: -1}
	closer = func() {}
	switch {
	case f.Content != nil:
		u.Content = containedReader{f.Content}
		if f.Size > 0 {
			u.Size = f.Size
		}
	case f.Path != "":
		file, err := os.Open(f.Path)
		if err != nil {
			return u, closer, err
		}
		closer = func() { _ = file.Close() } // it was only read
		info, err := file.Stat()
		if err == nil && !info.Mode().IsRegular() {
			err = fmt.Errorf("%s is not a regular file", f.Path)
		}
		if err != nil {
			closer()
			return u, func() {}, err
		}
		u.Content, u.Size = file, info.Size()
		if u.Name == "" {
			u.Name = filepath.Base(f.Path)
		}
	case len(f.Data) > maxInline:
		return u, closer, fmt.Errorf("data has %d bytes, %d can travel in JSON", len(f.Data), maxInline)
	case f.Data != nil:
		u.Content, u.Size = bytes.NewReader(f.Data), int64(len(f.Data))
	default:
		return u, closer, errors.New("no file was given")
	}
	if u.Name == "" {
		closer()
		return u, func() {}, errors.New("the file has no name")
	}
	return u, closer, nil
}

func (s *session) sendFile(ctx context.Context, files chat.Filer, in SendFileIn, progress func(FileProgress)) (SendFileOut, error) {
	u, closer, err := in.open()
	if err != nil {
		return SendFileOut{}, failure(ErrFile, "sendFile", err, "")
	}
	defer closer()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()

	var limits chat.FileLimits
	if told := s.conn.Capabilities().FileLimits; told != nil {
		limits = *told
	} else {
		limits, _, err = files.FileLimits(ctx)
	}
	known := err == nil
	if known {
		s.mu.Lock()
		agent := s.roster.agentsConnected > 0
		s.mu.Unlock()
		err = limits.Check(u.Name, u.Size, agent)
	} else if chat.OutcomeOf(err) == chat.Rejected {
		err = nil // a server without limits of its own; it will say what it thinks of the file
	}
	var receipt chat.Receipt
	var capped *cappedFile
	if err == nil && u.Size < 0 && known {
		capped = &cappedFile{content: u.Content, check: func(size int64) error { return limits.Check(u.Name, size, true) }}
		u.Content = capped
	}
	if err == nil {
		u.Progress = func(sent int64) { progress(FileProgress{Sent: sent, Size: u.Size}) }
		receipt, err = files.SendFile(ctx, u)
		if refused := capped.refusal(); refused != nil {
			err = refused
		}
	}
	s.lock()
	defer s.unlock()
	if err == nil {
		s.answeredLocked(receipt.Answer)
		return SendFileOut{Answer: s.answer(receipt.Answer), FileID: receipt.ID}, nil
	}
	if e := wireError(err); e.Code != chat.CodeCanceled && e.Code != chat.CodeClosed {
		d := errorData(err)
		d.Filename = u.Name
		if d.Status == 0 && e.Code != chat.CodeRefused {
			d.ErrorReason = "FileUploadError"
		}
		emit(s, Error, d)
		if e.Code == chat.CodeRefused {
			return SendFileOut{}, failure(ErrFileRefused, "sendFile", err, "")
		}
	}
	return SendFileOut{}, requestError("sendFile", err)
}

// containedReader is a reader of the program's. It fails when that panics or ends its goroutine: whoever sends the file
// reads it in a goroutine on which others depend.
type containedReader struct{ content io.Reader }

func (r containedReader) Read(p []byte) (n int, err error) {
	if odd := contained(func() { n, err = r.content.Read(p) }); odd != nil {
		return 0, fmt.Errorf("the reader did not return: %w", odd)
	}
	return n, err
}

// cappedFile is a file whose size is not known before: it fails as soon as it is larger than the server's limits
// allow, so that no more is sent.
type cappedFile struct {
	content io.Reader
	check   func(size int64) error
	sent    int64
	refused atomic.Pointer[error]
}

func (c *cappedFile) Read(p []byte) (int, error) {
	n, err := c.content.Read(p)
	c.sent += int64(n)
	if refused := c.check(c.sent); refused != nil {
		c.refused.Store(&refused)
		return 0, refused
	}
	return n, err
}

// refusal returns why the file was given up; nil when it was not.
func (c *cappedFile) refusal() error {
	if c == nil {
		return nil
	}
	if refused := c.refused.Load(); refused != nil {
		return *refused
	}
	return nil
}

func (s *Service) downloadFile(ctx context.Context, in DownloadFileIn) (out DownloadFileOut, err error) {
	ses, err := s.live("downloadFile")
	if err != nil {
		return out, err
	}
	files, ok := filer(ses.conn)
	if !ok {
		return out, cannot(ses.conn, ErrNoDownload, "downloadFile", "download")
	}
	limit := in.MaxSize
	inline := in.Writer == nil && in.Path == ""
	if inline && (limit <= 0 || limit > maxInline) {
		limit = maxInline
	}
	file, err := files.ReceiveFile(ctx, in.FileID, max(limit, 0))
	if err != nil {
		ses.lock()
		ses.reportLocked(err)
		ses.unlock()
		return out, requestError("downloadFile", err)
	}
	defer file.Content.Close() //nolint:errcheck // it was only read from
	out.Name, out.Type = file.Name, file.ContentType
	if in.FileName != "" {
		out.Name = chat.SafeFileName(in.FileName)
	}
	switch {
	case in.Writer != nil:
		out.Size, err = io.Copy(in.Writer, file.Content)
	case in.Path != "":
		out.Path, out.Size, err = save(in.Path, out.Name, file.Content)
	default:
		out.Data, err = io.ReadAll(file.Content)
		out.Size = int64(len(out.Data))
	}
	var ce *chat.Error
	switch {
	case errors.As(err, &ce):
		return DownloadFileOut{}, requestError("downloadFile", err)
	case err != nil:
		return DownloadFileOut{}, failure(ErrFile, "downloadFile", err, "")
	}
	return out, nil
}

// save writes a file that does not exist yet: at path, or under name in the directory path. Of a
// download that fails nothing is left.
func save(path, name string, content io.Reader) (saved string, size int64, err error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, chat.SafeFileName(name))
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", 0, err
	}
	size, err = io.Copy(f, content)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return "", 0, errors.Join(err, os.Remove(path))
	}
	return path, size, nil
}

func (s *Service) getFileLimits(ctx context.Context, _ struct{}) (FileLimitsOut, error) {
	ses, err := s.live("getFileLimits")
	if err != nil {
		return FileLimitsOut{}, err
	}
	files, ok := filer(ses.conn)
	if !ok {
		return FileLimitsOut{}, cannot(ses.conn, ErrNoLimits, "getFileLimits", "file limits")
	}
	var limits chat.FileLimits
	answer, err := ses.request(ctx, "getFileLimits", func(ctx context.Context) (r chat.Receipt, err error) {
		limits, r, err = files.FileLimits(ctx)
		return r, err
	})
	if err != nil {
		return FileLimitsOut{}, err
	}
	if limits.UserData == nil {
		limits.UserData = limitNames(limits)
	}
	return FileLimitsOut{Answer: answer, UserData: limits.UserData, Limits: limits}, nil
}

// limitNames gives limits the names that user interfaces of WebChat read (webchatservice 4.6), for wires without such
// names.
func limitNames(l chat.FileLimits) map[string]any {
	names := map[string]any{"upload-need-agent": strconv.FormatBool(l.NeedAgent)}
	if l.Types != nil {
		names["upload-file-types"] = strings.Join(l.Types, ":")
	}
	for name, n := range map[string]int64{
		"upload-max-files": l.MaxFiles, "upload-max-file-size": l.MaxFileSize, "upload-max-total-size": l.MaxTotalSize,
		"download-attempts": l.DownloadAttempts, "used-upload-max-files": l.UsedFiles,
		"used-upload-max-total-size": l.UsedTotalSize, "used-download-attempts": l.UsedDownloads,
	} {
		if n >= 0 {
			names[name] = strconv.FormatInt(n, 10)
		}
	}
	return names
}
