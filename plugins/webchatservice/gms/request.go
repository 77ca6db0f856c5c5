package gms

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
	"unicode/utf8"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// Response is what came back, whatever its HTTP status.
type Response struct {
	Status     int
	RetryAfter time.Duration
	Location   string // host that a redirect points to
	Body       []byte
	secrets    []chat.Secret // what the request carried that the answer must not show
	renewal    error         // why credentials that were refused could not be renewed
}

// Post makes one request with a form, and once more with new credentials if the server refused those of
// the first (HTTP 401). Its error says whether a byte of a request that counts may have been written.
func (w *Wire) Post(ctx context.Context, op, address string, form url.Values) (*Response, *chat.Error) {
	if e := checkForm(op, form); e != nil {
		return nil, e
	}
	return w.Send(ctx, op, address, formType, []byte(form.Encode()), w.timeout)
}

// Send is Post for a body of any type, with a time-out of its own; 0 or less is none.
func (w *Wire) Send(ctx context.Context, op, address, contentType string, body []byte, timeout time.Duration) (*Response, *chat.Error) {
	return w.Authorized(ctx, op, func(auth chat.Secret) (*Response, *chat.Error) {
		a := w.attempt(ctx, op, timeout)
		defer a.end()
		resp, e := a.do(address, contentType, bytes.NewReader(body), int64(len(body)), auth)
		if e != nil {
			return nil, e
		}
		return a.read(resp)
	})
}

const formType = "application/x-www-form-urlencoded; charset=UTF-8"

func checkForm(op string, form url.Values) *chat.Error {
	for name, values := range form {
		if !utf8.ValidString(name) || !utf8.ValidString(values[0]) {
			return Invalid(op, "text is not valid UTF-8")
		}
	}
	return nil
}

// Authorized makes a request with the credentials there are, and once more with new ones if they are
// refused: a request answered with HTTP 401 was not accepted.
func (w *Wire) Authorized(ctx context.Context, op string, try func(auth chat.Secret) (*Response, *chat.Error)) (*Response, *chat.Error) {
	if w.auth == nil {
		return try(chat.Secret{})
	}
	auth, err := w.auth.Value(ctx)
	if err != nil {
		return nil, notAuthorized(op, err)
	}
	resp, e := try(auth)
	if e != nil || resp.Status != http.StatusUnauthorized {
		return resp, e
	}
	if auth, resp.renewal = w.auth.Renew(ctx, auth); resp.renewal != nil {
		return resp, nil
	}
	return try(auth)
}

// notAuthorized is the failure of a request for which there are no credentials.
func notAuthorized(op string, err error) *chat.Error {
	e := &chat.Error{Outcome: chat.NotSent, Code: chat.CodeUnauthorized, Op: op, Text: "no credentials could be had", Err: err}
	var cause *chat.Error
	if errors.As(err, &cause) {
		e.Code, e.Text, e.Hint, e.Err = cause.Code, cause.Text, cause.Hint, cause.Err
	}
	return e
}

// UserData adds data to form in brackets (wire-gms A.1).
func UserData(form url.Values, data map[string]any) error {
	texts, err := Texts(data)
	for name, text := range texts {
		form.Set("userData["+name+"]", text)
	}
	return err
}

// Texts makes data what a wire that knows text only can carry: see [chat.Request.UserData].
func Texts(data map[string]any) (map[string]string, error) {
	texts := make(map[string]string, len(data))
	for name, value := range data {
		text, ok := value.(string)
		switch {
		case ok:
		case value == nil:
			text = ""
		default:
			b, err := json.Marshal(value)
			if err != nil {
				return nil, fmt.Errorf("userData %q has no JSON: %w", name, err)
			}
			text = string(b)
		}
		texts[name] = text
	}
	return texts, nil
}
