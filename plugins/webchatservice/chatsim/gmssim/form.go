package gmssim

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
)

// Form is what an operation was called with, whatever the encoding.
type Form struct {
	Values   map[string]string // parameters; the first of several counts
	UserData map[string]string // userData[key]; the first of several counts

	file *upload
}

// upload is the "file" part of a multipart body.
type upload struct {
	name, contentType string
	data              []byte
	size              int64 // may exceed len(data): what is over the limit is not kept
}

// Why [ReadForm] returns no form.
var (
	ErrMediaType = errors.New("gmssim: content type is not a form")
	ErrBodySize  = errors.New("gmssim: body too large")
	ErrMalformed = errors.New("gmssim: malformed form")
)

// ReadForm reads a request body. Of a file no more than maxFile bytes are
// kept, and of everything else together no more than maxBody accepted; a part
// may not pass three times the file limit even uncounted.
func ReadForm(contentType string, body io.Reader, maxBody, maxFile int64) (*Form, error) {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil, ErrMediaType
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return nil, ErrMediaType
	}
	switch media {
	case "application/x-www-form-urlencoded":
		data, err := ReadAtMost(body, maxBody)
		if err != nil {
			return nil, err
		}
		return ParseURLEncoded(string(data))
	case "multipart/form-data":
		if params["boundary"] == "" {
			return nil, ErrMalformed
		}
		return parseMultipart(multipart.NewReader(body, params["boundary"]), maxBody, maxFile)
	}
	return nil, ErrMediaType
}

// ParseURLEncoded reads application/x-www-form-urlencoded. It returns [ErrMalformed].
func ParseURLEncoded(body string) (*Form, error) {
	query, err := url.ParseQuery(body)
	if err != nil {
		return nil, ErrMalformed
	}
	f := NewForm()
	for name, values := range query {
		if err := f.add(name, values[0]); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func parseMultipart(r *multipart.Reader, maxBody, maxFile int64) (*Form, error) {
	f := NewForm()
	for {
		part, err := r.NextPart()
		if err == io.EOF {
			return f, nil
		}
		if err != nil {
			return nil, ErrMalformed
		}
		if part.FormName() == "file" && part.FileName() != "" {
			if f.file != nil {
				return nil, ErrMalformed
			}
			if f.file, err = readUpload(part, maxFile); err != nil {
				return nil, err
			}
			continue
		}
		data, err := ReadAtMost(part, maxBody)
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
		return nil, ErrMalformed
	}
	// The rest is read so that a client that sends all before it reads gets
	// its refusal, but not without end.
	over, err := io.Copy(io.Discard, io.LimitReader(part, 2*limit+1))
	if err != nil {
		return nil, ErrMalformed
	}
	if over > 2*limit {
		return nil, ErrBodySize
	}
	u.data, u.size = buf.Bytes(), n+over
	return u, nil
}

// ReadAtMost reads all, unless that is more than limit: then it returns [ErrBodySize]. A reader that fails
// is [ErrMalformed].
func ReadAtMost(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, ErrMalformed
	}
	if int64(len(data)) > limit {
		return nil, ErrBodySize
	}
	return data, nil
}

// NewForm returns a form with nothing in it.
func NewForm() *Form {
	return &Form{Values: map[string]string{}, UserData: map[string]string{}}
}

// add notes a parameter. A name that only looks like userData[...] is a
// parameter nobody asks for.
func (f *Form) add(name, value string) error {
	if !utf8.ValidString(name) || !utf8.ValidString(value) {
		return ErrMalformed
	}
	into := f.Values
	if key, ok := strings.CutPrefix(name, "userData["); ok {
		if key, ok = strings.CutSuffix(key, "]"); ok && key != "" {
			into, name = f.UserData, key
		}
	}
	if _, dup := into[name]; !dup {
		into[name] = value
	}
	return nil
}

// Get returns a parameter, "" if there is none.
func (f *Form) Get(name string) string { return f.Values[name] }

// HasFile reports whether a file came with it.
func (f *Form) HasFile() bool { return f.file != nil }

// Logged returns the parameters for a [chatsim.Request]: without the key.
func (f *Form) Logged() map[string]string {
	params := maps.Clone(f.Values)
	if params["secureKey"] != "" {
		params["secureKey"] = chatsim.Redacted
	}
	return params
}
