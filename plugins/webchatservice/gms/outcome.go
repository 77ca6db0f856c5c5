package gms

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/wirejson"
)

// Gone reports whether a code says that Chat Server no longer has the visitor (wire-gms A.6): no such
// user, user logged out, bad secure key.
func Gone(code string) bool { return code == "8201" || code == "8209" || code == "8210" }

// Judge reads the response to op and says what became of the request: a nil error means that the server
// took it, with statusCode 0. Beside an error the answer holds what could be read. key is the chat's.
func (w *Wire) Judge(op string, r *Response, key chat.Secret) (Answer, *chat.Error) {
	success := r.Status >= 200 && r.Status < 300
	a, err := Parse(r.Body, success, slices.Concat([]chat.Secret{key}, w.secrets, r.secrets)...)
	switch {
	case success && err != nil:
		// The server may well have done what it was asked, and then answered nonsense.
		return a, &chat.Error{
			Code: chat.CodeBadAnswer, Op: op, Status: r.Status, RetryAfter: r.RetryAfter, Err: err,
			Text: wirejson.Unreadable(err), Hint: "check that " + w.Option + " is that of a GMS chat service and not a web page or a gateway in front of it",
		}
	case success:
		e := Outcome(op, a, w.Option)
		if e != nil {
			e.Status, e.RetryAfter = r.Status, r.RetryAfter
		}
		return a, e
	}
	e := &chat.Error{
		Outcome: chat.Rejected, Op: op, Status: r.Status, ServerStatus: a.StatusCode,
		RetryAfter: r.RetryAfter, Errors: a.Errors, Answer: a.Raw,
	}
	w.failure(e, r)
	departed(e)
	return a, e
}

// Outcome says what an answer means for the request to which it belongs; nil: the server took it. option names
// the service in the configuration.
func Outcome(op string, a Answer, option string) *chat.Error {
	if a.StatusCode == StatusOK {
		return nil
	}
	e := &chat.Error{Outcome: chat.Rejected, Op: op, ServerStatus: a.StatusCode, Errors: a.Errors, Answer: a.Raw}
	if a.StatusCode == StatusRetry {
		e.Code, e.Text, e.Hint = chat.CodeUnavailable, "the chat server behind GMS cannot be reached now (statusCode 1)", "try again later"
	} else {
		e.Code = chat.CodeRefused
		e.Text, e.Hint = refusal(a.Errors, fmt.Sprintf("statusCode %d", a.StatusCode)), advice(a.Errors, option)
	}
	departed(e)
	return e
}

// departed makes an error Gone whose codes say so, and notes a code that says that there is no such service (wire-gms A.6).
func departed(e *chat.Error) {
	for _, s := range e.Errors {
		e.NoService = e.NoService || s.Code == "306"
		if Gone(s.Code) && e.Op != "open" {
			e.Outcome, e.Code = chat.Gone, chat.CodeEnded
		}
	}
}

// Failure says what an HTTP status that is no success means for the request (wire-gms A.6).
func (w *Wire) Failure(op string, r *Response) *chat.Error {
	e := &chat.Error{Outcome: chat.Rejected, Op: op, Status: r.Status, RetryAfter: r.RetryAfter}
	w.failure(e, r)
	return e
}

// failure fills in what an HTTP status says.
func (w *Wire) failure(e *chat.Error, r *Response) {
	switch {
	case r.Status == http.StatusUnauthorized:
		e.Code, e.Text = chat.CodeUnauthorized, "the server wants other credentials (HTTP 401)"
		e.Hint, e.Err = "check webchat.apikey and the Authorization header", r.renewal
	case r.Status == http.StatusForbidden:
		e.Code, e.Text = chat.CodeForbidden, "the server denies access (HTTP 403)"
		e.Hint = "check webchat.apikey, and the access rules of GMS or of the gateway"
	case r.Status == http.StatusTooManyRequests:
		e.Code, e.Text = chat.CodeTooMany, "too many requests (HTTP 429)"
		e.Hint = wait(e)
	case r.Status == http.StatusRequestTimeout, r.Status == http.StatusTooEarly: // RFC 9110 15.5.9, RFC 8470 5.2: nothing was done
		e.Code, e.Text = chat.CodeUnavailable, fmt.Sprintf("the server did not take the request this time (HTTP %d)", r.Status)
		e.Hint = wait(e)
	case r.Status == http.StatusServiceUnavailable:
		e.Code, e.Text = chat.CodeUnavailable, "the service is unavailable (HTTP 503)"
		e.Hint = wait(e)
	case r.Status == http.StatusRequestEntityTooLarge:
		e.Code, e.Text = chat.CodeRefused, "the request is larger than the server takes (HTTP 413)"
	case len(e.Errors) > 0:
		e.Code = chat.CodeRefused
		e.Text, e.Hint = refusal(e.Errors, fmt.Sprintf("HTTP %d", r.Status)), advice(e.Errors, w.Option)
	case r.Status == http.StatusNotFound:
		e.Code, e.Text = chat.CodeNotFound, "the server has no such chat service, or no such chat (HTTP 404)"
		e.Hint = "check the path and the service name in " + w.Option
	case r.Status >= 300 && r.Status < 400:
		e.Code, e.Text = chat.CodeRedirect, fmt.Sprintf("the server sends the request elsewhere (HTTP %d)", r.Status)
		e.Hint = "requests carry keys and are not sent on; set " + w.Option + " to the right address"
		if r.Location != "" {
			e.Hint += ", which seems to be on " + r.Location
		}
	case r.Status == http.StatusInternalServerError, r.Status == http.StatusBadGateway, r.Status == http.StatusGatewayTimeout:
		// Something behind the one that answers may have done it.
		e.Outcome, e.Code = chat.Unknown, chat.CodeUnavailable
		e.Text, e.Hint = fmt.Sprintf("the server failed (HTTP %d)", r.Status), serverFailed
	case r.Status == http.StatusBadRequest:
		e.Code, e.Text = chat.CodeRefused, "the server refused the request without a reason (HTTP 400)"
		e.Hint = "check that " + w.Option + " is a GMS chat service"
	default:
		e.Code, e.Text = chat.CodeHTTPStatus, fmt.Sprintf("the server answered HTTP %d", r.Status)
		e.Hint = "check that " + w.Option + " is a GMS chat service"
		if r.Status >= 500 {
			e.Outcome, e.Hint = chat.Unknown, serverFailed
		}
	}
}

// serverFailed is what to do about a failure on the server's side. The address may be right.
const serverFailed = "try again later; the server's log says more"

func wait(e *chat.Error) string {
	if e.RetryAfter > 0 {
		return fmt.Sprintf("try again in %v", e.RetryAfter)
	}
	return "try again later"
}

// refusal puts a server's list of errors into one line.
func refusal(list []chat.ServerError, otherwise string) string {
	if len(list) == 0 {
		return "the server refused the request (" + otherwise + ")"
	}
	parts := make([]string, 0, len(list))
	for _, s := range list {
		part := "code " + wirejson.OneLine(s.Code)
		if meaning := meaning(s.Code); meaning != "" {
			part += ", " + meaning
		}
		if s.Advice != "" {
			part += " (" + wirejson.OneLine(s.Advice) + ")"
		}
		parts = append(parts, part)
	}
	return "the server refused the request: " + strings.Join(parts, "; ")
}

// meaning of the server's codes (wire-gms A.6).
func meaning(code string) string {
	switch code {
	case "102":
		return "first name missing"
	case "103":
		return "last name missing"
	case "161":
		return "no name given"
	case "201":
		return "too many files"
	case "202":
		return "file too large"
	case "203":
		return "file type not allowed"
	case "204":
		return "message too long"
	case "240":
		return "no chat can be started now"
	case "306":
		return "unknown service"
	case "364":
		return "invalid e-mail address"
	case "8201", "8209":
		return "the visitor is no longer in the chat"
	case "8210":
		return "wrong secure key"
	}
	return ""
}

// advice says what to do about the first code that one can do something about.
func advice(list []chat.ServerError, option string) string {
	for _, s := range list {
		switch s.Code {
		case "102", "103", "161":
			return "give a nickname, or a first and a last name"
		case "204":
			return "send shorter lines"
		case "240":
			return "try again later"
		case "306":
			return "check the service name in " + option
		case "364":
			return "correct the e-mail address, or leave it out"
		}
	}
	return ""
}

// Invalid is the error of a request that makes no sense.
func Invalid(op, text string) *chat.Error {
	return &chat.Error{Outcome: chat.NotSent, Code: chat.CodeInvalid, Op: op, Text: text}
}
