package gms

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
	"github.com/cxbus/cxbus/plugins/webchatservice/wirejson"
)

// limitsNotice is the text of the notice that answers a question for limits (wire-gms A.7.11).
const limitsNotice = "file-client-cfg-get"

// TakeLimits takes the notice with the file limits out of an answer: it is the answer, not a line of the
// transcript. It returns nil if there is none.
func TakeLimits(a *Answer) (limits *chat.FileLimits) {
	a.Messages = slices.DeleteFunc(a.Messages, func(m chat.Message) bool {
		if m.Index != 0 || m.Kind != chat.KindNotice || m.Text != limitsNotice {
			return false
		}
		l := ParseLimits(m.UserData)
		limits = &l
		return true
	})
	return limits
}

// NoLimits is the error of an answer without limits.
func NoLimits(op string, a Answer) *chat.Error {
	return &chat.Error{
		Code: chat.CodeBadAnswer, Op: op, Answer: a.Raw, Text: "the server's answer has no file limits", Hint: "check that its version knows files",
	}
}

// FileID finds the id in the answer to an upload (wire-gms A.7.12).
func FileID(a Answer) string { return wirejson.Scalar(wirejson.Dig(a.Raw, "userData", "file-id")) }

// CheckFileID refuses ids that are none.
func CheckFileID(op, id string) *chat.Error {
	if id == "" || id == "." || id == ".." {
		return Invalid(op, "the file id is empty, or none")
	}
	return nil
}

// Upload sends a file with a form around it, and once more with new credentials if the server refused those of
// the first and the content can be sought back. See [chat.Filer.SendFile].
func (w *Wire) Upload(ctx context.Context, op, address string, form url.Values, f chat.Upload) (*Response, *chat.Error) {
	frame, e := surround(op, form, f)
	if e != nil {
		return nil, e
	}
	rewind := rewinder(f.Content)
	var refused *Response // what the first attempt was answered
	return w.Authorized(ctx, op, func(auth chat.Secret) (resp *Response, e *chat.Error) {
		if refused != nil && (rewind == nil || !rewind()) {
			return refused, nil
		}
		var unread bool
		resp, unread, e = w.upload(ctx, op, address, frame, f, auth)
		if refused = resp; unread {
			rewind = nil
		}
		return resp, e
	})
}

// Download asks for a file with a form, which the caller owns no more. It returns the file, or what the server
// said in its place. The file's Content ends with ctx; its errors go through blame, and end is called once it is
// let go of. See [chat.Filer.ReceiveFile].
func (w *Wire) Download(
	ctx context.Context, op, address string, form url.Values, limit int64, blame func(*chat.Error) *chat.Error, end func(),
) (*chat.Download, *Response, *chat.Error) {
	if limit == 0 {
		limit = chat.DefaultMaxDownload
	}
	body := form.Encode()
	var file *transfer
	resp, e := w.Authorized(ctx, op, func(auth chat.Secret) (resp *Response, e *chat.Error) {
		file, resp, e = w.download(ctx, op, address, body, limit, auth)
		return resp, e
	})
	if e != nil || file == nil {
		return nil, resp, e
	}
	file.blame, file.end = blame, end
	return &file.info, nil, nil
}

// NoFile is the error of an answer that says it is well where a file should be.
func NoFile(op string, r *Response) *chat.Error {
	return &chat.Error{Code: chat.CodeBadAnswer, Op: op, Status: r.Status, Text: "the server gave an answer in the place of the file"}
}

// frame is what surrounds the content in the body of an upload.
type frame struct {
	head, tail  []byte
	contentType string
}

// surround makes the frame of an upload (wire-gms A.7.12).
func surround(op string, form url.Values, f chat.Upload) (frame, *chat.Error) {
	if err := UserData(form, f.UserData); err != nil {
		return frame{}, Invalid(op, err.Error())
	}
	if f.Description != "" {
		form.Set("userData[file-description]", f.Description)
	}
	name := f.Name[strings.LastIndexAny(f.Name, `/\`)+1:]
	mediaType := cmp.Or(f.ContentType, "application/octet-stream")
	switch _, _, err := mime.ParseMediaType(mediaType); {
	case f.Content == nil:
		return frame{}, Invalid(op, "there is no content to send")
	case name == "":
		return frame{}, Invalid(op, "the file has no name")
	case !utf8.ValidString(name):
		return frame{}, Invalid(op, "text is not valid UTF-8")
	case err != nil || !validHeader("Content-Type", mediaType):
		return frame{}, Invalid(op, "the file's content type is not one")
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
