package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Code names a kind of failure. Codes are stable: programs may compare them
// and remote callers may be sent them. The bus's own codes are plain words;
// a plugin prefixes its own ("webchat.no-session").
type Code string

// Error is the one error type of the bus. [errors.Is] matches two of them by
// Code alone, so the sentinels below compare equal to any error of their kind.
// A plugin is encouraged to return *Error from its handlers too; the bus hands
// on what a handler returns unchanged.
//
// As JSON it is {"code", "text", "hint", "temporary"}; Op and Err stay inside the process. What was written so can be read
// back.
type Error struct {
	Code Code   // what kind of failure
	Op   string // what was attempted, usually the full command or event name
	Text string // what went wrong; the vendor's exact text where there is one
	Hint string // what to do about it; may be empty
	// Temporary says that the same may succeed later without any change, so that
	// it is worth coming back. It says nothing about whether a repeat is safe.
	Temporary bool
	Err       error // the cause, if any; reached by errors.Is and errors.As
}

// Error says what was attempted, what went wrong, why, and how to mend it.
func (e *Error) Error() string {
	var s strings.Builder
	if e.Op != "" {
		s.WriteString(e.Op)
		s.WriteString(": ")
	}
	if e.Text != "" {
		s.WriteString(e.Text)
	} else {
		s.WriteString(string(e.Code))
	}
	if e.Err != nil {
		s.WriteString(": ")
		s.WriteString(e.Err.Error())
	}
	if e.Hint != "" {
		s.WriteString(" (")
		s.WriteString(e.Hint)
		s.WriteString(")")
	}
	return s.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is an *Error with the same Code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// MarshalJSON writes the code, text, hint and temporary.
func (e *Error) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Code      Code   `json:"code"`
		Text      string `json:"text"`
		Hint      string `json:"hint,omitempty"`
		Temporary bool   `json:"temporary,omitempty"`
	}{e.Code, e.Text, e.Hint, e.Temporary})
}

// The bus's own failures. Every function that can return one of them says so.
var (
	// ErrBadName: a namespace, member or pattern is malformed. Returned by
	// everything that takes a name.
	ErrBadName = &Error{Code: "bad-name", Text: "malformed name"}
	// ErrNameTaken: the namespace is registered already. Returned by
	// [Bus.Register] and [Bus.Start].
	ErrNameTaken = &Error{Code: "name-taken", Text: "Name is already taken"}
	// ErrDuplicate: the command has a handler already. Returned by [Handle]
	// and [HandleAsync]; CXBus replaces the handler silently (cxbus 3).
	ErrDuplicate = &Error{Code: "duplicate", Text: "command is registered already"}
	// ErrNilHandler: a handler, hook or plugin is nil.
	ErrNilHandler = &Error{Code: "nil-handler", Text: "handler is nil"}
	// ErrNotOwner: only the plugin that owns a namespace may publish its
	// events and handle its commands.
	ErrNotOwner = &Error{Code: "not-owner", Text: "namespace belongs to another plugin"}
	// ErrWrongType: a payload, input or result is not of the declared type, or
	// one name was declared with two types.
	ErrWrongType = &Error{Code: "wrong-type", Text: "wrong type"}
	// ErrUndeclared: an event is not among those that its plugin declared.
	// Returned in strict mode by publishing and subscribing.
	ErrUndeclared = &Error{Code: "undeclared", Text: "event is not declared"}
	// ErrUnknownPlugin: a command names a namespace nobody registered.
	// Returned by calls and by [Bus.Start] for a missing requirement.
	ErrUnknownPlugin = &Error{Code: "unknown-plugin", Text: "plugin is not registered"}
	// ErrUnknownCommand: the plugin is there and ready, the command is not.
	// The text is that of the older bus; the newer one never settles (cxbus 5).
	ErrUnknownCommand = &Error{Code: "unknown-command", Text: "Command does not exist"}
	// ErrNotReady: the plugin did not become ready while the command waited,
	// or too many commands were waiting. Returned by calls.
	ErrNotReady = &Error{Code: "not-ready", Text: "plugin is not ready", Temporary: true}
	// ErrStopped: the plugin was unloaded or failed to start.
	ErrStopped = &Error{Code: "stopped", Text: "plugin has stopped"}
	// ErrClosed: the bus is closed.
	ErrClosed = &Error{Code: "closed", Text: "bus is closed"}
	// ErrOverflow: a subscriber's mailbox is at its hard limit; the event is
	// not delivered to that subscriber. Returned by publishing.
	ErrOverflow = &Error{Code: "overflow", Text: "mailbox is full", Temporary: true}
	// ErrPanic: a handler panicked. Returned by calls; the stack is logged.
	ErrPanic = &Error{Code: "panic", Text: "handler panicked"}
	// ErrVetoed: a before hook stopped the command; Err is its reason. The text
	// is the vendor's (cxbus 5).
	ErrVetoed = &Error{Code: "vetoed", Text: "Command was cancelled by a 'before' function."}
	// ErrTooDeep: commands call each other deeper than [Options.MaxDepth].
	ErrTooDeep = &Error{Code: "too-deep", Text: "commands are nested too deep"}
	// ErrCancelled: the caller's context was cancelled while it waited.
	ErrCancelled = &Error{Code: "cancelled", Text: "cancelled"}
	// ErrTimeout: the caller's context passed its deadline while it waited.
	ErrTimeout = &Error{Code: "timeout", Text: "deadline exceeded"}
	// ErrSelfWait: a handler asked to wait for its own mailbox.
	ErrSelfWait = &Error{Code: "self-wait", Text: "a handler cannot wait for its own mailbox"}
	// ErrStillRunning: [Bus.Close] or unloading reached its deadline; the text
	// lists what still runs.
	ErrStillRunning = &Error{Code: "still-running", Text: "handlers still run"}
	// ErrStart: a plugin failed to start; Err says why. Returned by [Bus.Start].
	ErrStart = &Error{Code: "start-failed", Text: "plugin failed to start"}
)

// with returns a copy of a sentinel for one occasion.
func (e *Error) with(op, hint string) *Error {
	c := *e
	c.Op, c.Hint = op, hint
	return &c
}

// because returns a copy of a sentinel with a cause.
func (e *Error) because(op string, err error, hint string) *Error {
	c := *e
	c.Op, c.Hint, c.Err = op, hint, err
	return &c
}

// ctxError turns the end of a context into ErrCancelled or ErrTimeout, or into
// the *Error that was its cause (a plugin or bus that stopped).
func ctxError(op string, ctx context.Context) error {
	cause := context.Cause(ctx)
	var e *Error
	if errors.As(cause, &e) {
		return e.with(op, e.Hint)
	}
	if errors.Is(cause, context.DeadlineExceeded) {
		return ErrTimeout.because(op, cause, "give the call more time")
	}
	return ErrCancelled.because(op, cause, "")
}

// panicError is what a contained panic becomes.
func panicError(op string, v any) error {
	if err, ok := v.(error); ok {
		return ErrPanic.because(op, err, "see the log for the stack")
	}
	return ErrPanic.because(op, fmt.Errorf("%v", v), "see the log for the stack")
}
