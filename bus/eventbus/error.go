package eventbus

import (
	"github.com/cxbus/cxbus/bus"
)

// The failures of this package. Besides them its functions return those of
// package bus.
var (
	// ErrNotFunc: what should be a handler is no function. Returned by the
	// subscribing methods and [Bus.Unsubscribe].
	ErrNotFunc = &bus.Error{Code: "eventbus.not-func", Text: "handler is not a function"}
	// ErrNoCallback: nothing is subscribed to the topic. Returned by
	// [Bus.Unsubscribe].
	ErrNoCallback = &bus.Error{Code: "eventbus.no-callback", Text: "topic has no callback"}
	// ErrArguments: the arguments published do not fit a handler. Returned by
	// [Bus.PublishErr].
	ErrArguments = &bus.Error{Code: "eventbus.arguments", Text: "arguments do not fit the handler"}
	// ErrItself: a bridge was to lead back into its own client. Returned by
	// [Bridge].
	ErrItself = &bus.Error{Code: "eventbus.itself", Text: "bridge leads back to where it begins"}
)

// with returns a copy of a sentinel for one occasion.
func with(e *bus.Error, op, hint string) *bus.Error {
	c := *e
	c.Op, c.Hint = op, hint
	return &c
}
