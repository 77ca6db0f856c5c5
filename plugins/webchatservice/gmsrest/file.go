package gmsrest

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// limitsNotice is the text of the notice that answers file/limits (wire-gms A.7.11).
const limitsNotice = "file-client-cfg-get"

// FileLimits implements [chat.Filer].
func (c *conn) FileLimits(ctx context.Context) (chat.FileLimits, chat.Receipt, error) {
	const op = "file limits"
	var limits *chat.FileLimits
	a, e := c.exchange(ctx, op, "file/limits", nil, func(a *answer) {
		// The notice is the answer, not a line of the transcript.
		a.messages = slices.DeleteFunc(a.messages, func(m chat.Message) bool {
			if m.HasIndex || m.Kind != chat.KindNotice || m.Text != limitsNotice {
				return false
			}
			l := chat.ParseFileLimits(m.UserData)
			limits = &l
			return true
		})
	})
	switch {
	case e != nil:
		return chat.FileLimits{}, chat.Receipt{}, e
	case limits == nil:
		return chat.FileLimits{}, chat.Receipt{}, &chat.Error{
			Code: chat.CodeBadAnswer, Op: op, Answer: a.raw, Text: "the server's answer has no file limits", Hint: "check that its version knows files",
		}
	}
	return *limits, chat.Receipt{Confirmed: true, Answer: a.raw}, nil
}

// DeleteFile implements [chat.Filer].
func (c *conn) DeleteFile(ctx context.Context, id string) (chat.Receipt, error) {
	const op = "delete file"
	if e := checkFileID(op, id); e != nil {
		return chat.Receipt{}, e
	}
	a, e := c.exchange(ctx, op, filePath(id, "delete"), nil, nil)
	if e != nil {
		return chat.Receipt{}, e
	}
	return chat.Receipt{Confirmed: true, Answer: a.raw}, nil
}

func filePath(id, operation string) string { return "file/" + url.PathEscape(id) + "/" + operation }

// checkFileID refuses ids that would make another path.
func checkFileID(op, id string) *chat.Error {
	if id == "" || id == "." || id == ".." {
		return invalid(op, "the file id is empty, or none")
	}
	return nil
}

// SendFile implements [chat.Filer].
func (c *conn) SendFile(ctx context.Context, f chat.Upload) (chat.Receipt, error) {
	const op = "upload"
	session, e := c.ready(ctx, op)
	if e != nil {
		return chat.Receipt{}, e
	}
	frame, e := surround(op, session, f)
	if e != nil {
		return chat.Receipt{}, e
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	rewind := rewinder(f.Content)
	var refused *response // what the first attempt was answered
	resp, e := c.d.wire.authorized(ctx, op, func(auth chat.Secret) (resp *response, e *chat.Error) {
		if refused != nil && (rewind == nil || !rewind()) {
			return refused, nil
		}
		var unread bool
		resp, unread, e = c.d.wire.upload(ctx, op, c.d.wire.path(session.ID, "file"), frame, f, auth)
		if refused = resp; unread {
			rewind = nil
		}
		return resp, e
	})
	a, e := c.answered(op, "file", session, resp, c.blame(e), nil)
	c.mu.Lock()
	c.pace.reset() // the line about it is on its way
	c.signal()
	c.mu.Unlock()
	if e != nil {
		return chat.Receipt{}, e
	}
	return chat.Receipt{Confirmed: true, ID: fileID(a.raw), Answer: a.raw}, nil
}

// fileID finds the id in the answer to an upload (wire-gms A.7.12).
func fileID(raw []byte) string { return scalar(dig(raw, "userData", "file-id")) }

// frame is what surrounds the content in the body of an upload.
type frame struct {
	head, tail  []byte
	contentType string
}

// surround makes the frame of an upload (wire-gms A.7.12).
func surround(op string, session chat.Session, f chat.Upload) (frame, *chat.Error) {
	form := keys(session)
	if err := userData(form, f.UserData); err != nil {
		return frame{}, invalid(op, err.Error())
	}
	if f.Description != "" {
		form.Set("userData[file-description]", f.Description)
	}
	name := f.Name[strings.LastIndexAny(f.Name, `/\`)+1:]
	mediaType := cmp.Or(f.ContentType, "application/octet-stream")
	switch _, _, err := mime.ParseMediaType(mediaType); {
	case f.Content == nil:
		return frame{}, invalid(op, "there is no content to send")
	case name == "":
		return frame{}, invalid(op, "the file has no name")
	case !utf8.ValidString(name):
		return frame{}, invalid(op, "text is not valid UTF-8")
	case err != nil || !validHeader("Content-Type", mediaType):
		return frame{}, invalid(op, "the file's content type is not one")
	}
	if e := checkForm(op, form); e != nil {
		return frame{}, e
	}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, field := range slices.Sorted(maps.Keys(form)) {
		_ = w.WriteField(field, form.Get(field)) // writing to a buffer does not fail
	}
	_, _ = w.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {multipart.FileContentDisposition("file", name)},
		"Content-Type":        {mediaType},
	})
	head := b.Len()
	_ = w.Close()
	return frame{b.Bytes()[:head], b.Bytes()[head:], w.FormDataContentType()}, nil
}

// rewinder returns what brings the content back to where it stands, and reports whether it did; nil for
// content that cannot.
func rewinder(content io.Reader) func() bool {
	s, ok := content.(io.Seeker)
	if !ok {
		return nil
	}
	start, err := s.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil
	}
	return func() bool {
		_, err := s.Seek(start, io.SeekStart)
		return err == nil
	}
}

// ReceiveFile implements [chat.Filer].
func (c *conn) ReceiveFile(ctx context.Context, id string, limit int64) (chat.Download, error) {
	const op = "download"
	if e := checkFileID(op, id); e != nil {
		return chat.Download{}, e
	}
	session, e := c.ready(ctx, op)
	if e != nil {
		return chat.Download{}, e
	}
	if limit == 0 {
		limit = chat.DefaultMaxDownload
	}
	ctx, cancel := context.WithCancel(ctx)
	unhook := context.AfterFunc(c.life, cancel)
	end := func() {
		unhook()
		cancel()
	}
	address, body := c.d.wire.path(session.ID, filePath(id, "download")), keys(session).Encode()
	var file *transfer
	resp, e := c.d.wire.authorized(ctx, op, func(auth chat.Secret) (resp *response, e *chat.Error) {
		file, resp, e = c.d.wire.download(ctx, op, address, body, limit, auth)
		return resp, e
	})
	if e == nil && file != nil {
		file.blame, file.end = c.blame, end
		return file.info, nil
	}
	end()
	if _, e = c.answered(op, "file/download", session, resp, c.blame(e), nil); e == nil {
		e = &chat.Error{Code: chat.CodeBadAnswer, Op: op, Status: resp.status, Text: "the server gave an answer in the place of the file"}
	}
	return chat.Download{}, e
}

var _ chat.Filer = (*conn)(nil)
