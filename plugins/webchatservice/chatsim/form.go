package chatsim

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"strings"
	"unicode/utf8"
)

// form is what an operation was called with, whatever the encoding.
type form struct {
	values   map[string]string // parameters; the first of several counts
	userData map[string]string // userData[key]; the first of several counts
	file     *upload
}

// upload is the "file" part of a multipart body.
type upload struct {
	name, contentType string
	data              []byte
	size              int64 // may exceed len(data): what is over the limit is not kept
}

var (
	errMediaType = errors.New("chatsim: content type is not a form")
	errBodySize  = errors.New("chatsim: body too large")
	errMalformed = errors.New("chatsim: malformed form")
)

// parseForm reads a request body. Of a file no more than maxFile bytes are
// kept, and of everything else together no more than maxBody accepted; a part
// may not pass three times the file limit even uncounted.
func parseForm(contentType string, body io.Reader, maxBody, maxFile int64) (*form, error) {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil, errMediaType
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return nil, errMediaType
	}
	switch media {
	case "application/x-www-form-urlencoded":
		data, err := readAtMost(body, maxBody)
		if err != nil {
			return nil, err
		}
		return parseURLEncoded(string(data))
	case "multipart/form-data":
		if params["boundary"] == "" {
			return nil, errMalformed
		}
		return parseMultipart(multipart.NewReader(body, params["boundary"]), maxBody, maxFile)
	}
	return nil, errMediaType
}

func parseURLEncoded(body string) (*form, error) {
	query, err := url.ParseQuery(body)
	if err != nil {
		return nil, errMalformed
	}
	f := newForm()
	for name, values := range query {
		if err := f.add(name, values[0]); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func parseMultipart(r *multipart.Reader, maxBody, maxFile int64) (*form, error) {
	f := newForm()
	for {
		part, err := r.NextPart()
		if err == io.EOF {
			return f, nil
		}
		if err != nil {
			return nil, errMalformed
		}
		if part.FormName() == "file" && part.FileName() != "" {
			if f.file != nil {
				return nil, errMalformed
			}
			if f.file, err = readUpload(part, maxFile); err != nil {
				return nil, err
			}
			continue
		}
		data, err := readAtMost(part, maxBody)
		if err != nil {
			return nil, err
		}
		const overhead = 40 // boundary and header at least
		maxBody -= int64(len(data) + len(part.FormName()) + overhead)
		if err := f.add(part.FormName(), string(data)); err != nil {
			return nil, err
		}
	}
}

func readUpload(part *multipart.Part, limit int64) (*upload, error) {
	u := &upload{name: part.FileName(), contentType: part.Header.Get("Content-Type")}
	var buf bytes.Buffer
	n, err := io.Copy(&buf, io.LimitReader(part, limit))
	if err != nil {
		return nil, errMalformed
	}
	// The rest is read so that a client that sends all before it reads gets
	// its refusal, but not without end.
	over, err := io.Copy(io.Discard, io.LimitReader(part, 2*limit+1))
	if err != nil {
		return nil, errMalformed
	}
	if over > 2*limit {
		return nil, errBodySize
	}
	u.data, u.size = buf.Bytes(), n+over
	return u, nil
}

func readAtMost(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, errMalformed
	}
	if int64(len(data)) > limit {
		return nil, errBodySize
	}
	return data, nil
}

func newForm() *form {
	return &form{values: map[string]string{}, userData: map[string]string{}}
}

// add notes a parameter. A name that only looks like userData[...] is a
// parameter nobody asks for.
func (f *form) add(name, value string) error {
	if !utf8.ValidString(name) || !utf8.ValidString(value) {
		return errMalformed
	}
	into := f.values
	if key, ok := strings.CutPrefix(name, "userData["); ok {
		if key, ok = strings.CutSuffix(key, "]"); ok && key != "" {
			into, name = f.userData, key
		}
	}
	if _, dup := into[name]; !dup {
		into[name] = value
	}
	return nil
}

func (f *form) get(name string) string { return f.values[name] }
