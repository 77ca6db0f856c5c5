package chat

import (
	"errors"
	"strings"
	"time"
)

// Outcome says what became of a request that failed. It decides whether it may be made again.
type Outcome uint8

const (
	// Unknown: the request, or a part of it, was written, and no answer came that tells. The
	// server may have accepted it. It is the zero value, the careful one.
	Unknown Outcome = iota
	// NotSent: it failed before a byte was written; of a file, before its last byte was. The server
	// has nothing to act on.
	NotSent
	// Rejected: the server answered, and did not accept it.
	Rejected
	// Gone: the server no longer knows the chat, or the chat has ended. No request can succeed.
	Gone
)

// String returns "unknown", "not sent", "rejected" or "gone".
func (o Outcome) String() string {
	switch o {
	case NotSent:
		return "not sent"
	case Rejected:
		return "rejected"
	case Gone:
		return "gone"
	}
	return "unknown"
}

// Codes of [Error.Code]. They do not change. The server's own codes are in [Error.Errors].
const (
	CodeNetwork      = "network"      // no connection, or it broke
	CodeTimeout      = "timeout"      // no answer in time
	CodeCanceled     = "canceled"     // the caller's context ended
	CodeClosed       = "closed"       // Close was called
	CodeBusy         = "busy"         // a poll is under way already
	CodeEnded        = "ended"        // the chat is over
	CodeRefused      = "refused"      // the server gave a list of errors, or said that repeating cannot help
	CodeUnavailable  = "unavailable"  // the server, or what stands behind it, cannot now
	CodeUnauthorized = "unauthorized" // HTTP 401
	CodeForbidden    = "forbidden"    // HTTP 403
	CodeNotFound     = "not_found"    // HTTP 404: wrong service or path, or an unknown chat
	CodeTooMany      = "too_many"     // HTTP 429
	CodeRedirect     = "redirect"     // the server sent the request elsewhere; it was not followed
	CodeHTTPStatus   = "http_status"  // any other HTTP status that is not a success
	CodeBadAnswer    = "bad_answer"   // the answer is not what the protocol says: HTML, broken JSON
	CodeTooLarge     = "too_large"    // the answer is longer than the limit
	CodeInvalid      = "invalid"      // the request or the configuration makes no sense
	CodeUnsupported  = "unsupported"  // the wire cannot do this
)

var (
	// ErrClosed is matched by the errors of all methods of a [Conn] after Close.
	ErrClosed = errors.New("chat: connection closed")
	// ErrEnded is matched by every [*Error] whose Outcome is Gone.
	ErrEnded = errors.New("chat: chat has ended")
)

// ServerError is one entry of a server's list of errors.
type ServerError struct {
	Code   string // as the server gave it, number or text
	Advice string
}

// Error is the error of every method of this package that talks to a server. None of its fields
// holds a secret.
type Error struct {
	Outcome Outcome
	// Code is one of the Code constants.
	Code string
	// Op is what was attempted: "open", "resume", "receive", "send", "end", "typing", "upload" ...
	Op string
	// Text says what happened, Hint what to do about it; each one phrase without full stop.
	Text string
	Hint string
	// RetryAfter is how long the server asked to be left alone; 0 when it did not.
	RetryAfter time.Duration
	// Status is the HTTP status of the answer; 0 when there was none.
	Status int
	// ServerStatus is the server's own word on the answer, on wires that have one beside HTTP's; 0 when there was none.
	ServerStatus int
	// Errors is the server's list of errors, in its order.
	Errors []ServerError
	// NoService: one of them says that the server has no chat service of the name that the configuration gives.
	NoService bool
	// Answer is the server's answer, less its secrets, if it was JSON; else nil.
	Answer JSON
	// Err is the cause, or nil.
	Err error
}

// Error returns one line: what was attempted, what happened, and what to do about it.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("chat: ")
	if e.Op != "" {
		b.WriteString(e.Op)
		b.WriteString(": ")
	}
	if e.Text != "" {
		b.WriteString(e.Text)
	} else {
		b.WriteString(e.Code)
	}
	if e.Hint != "" {
		b.WriteString("; ")
		b.WriteString(e.Hint)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is makes [ErrEnded] match what is Gone and [ErrClosed] what has the code closed.
func (e *Error) Is(target error) bool {
	return target == ErrEnded && e.Outcome == Gone || target == ErrClosed && e.Code == CodeClosed
}

// Retryable reports whether the same request may be made again without harm, and may then succeed:
// the server surely did not accept it, and nothing says that it never will.
func (e *Error) Retryable() bool {
	switch e.Outcome {
	case NotSent:
		switch e.Code {
		case CodeNetwork, CodeTimeout, CodeBusy, CodeUnavailable, CodeTooMany:
			return true
		}
	case Rejected:
		return e.Code == CodeUnavailable || e.Code == CodeTooMany
	}
	return false
}

// OutcomeOf returns the Outcome of the first [*Error] in err's tree, else Unknown.
func OutcomeOf(err error) Outcome {
	var e *Error
	if errors.As(err, &e) {
		return e.Outcome
	}
	return Unknown
}
