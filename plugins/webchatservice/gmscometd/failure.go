package gmscometd

import (
	"context"
	"errors"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/wirejson"
)

func (c *client) hint() string {
	return "check that " + c.wire.Option + " is the Bayeux end point of a GMS"
}

// hide makes a server's text fit to be shown.
func (c *client) hide(text string) string {
	return wirejson.OneLine(wirejson.Hide(text, c.secrets()...))
}

// unsuccessful is what a reply without success means for the message that it answers.
func (c *client) unsuccessful(op string, r *message) *chat.Error {
	e := &chat.Error{Outcome: chat.Rejected, Code: chat.CodeRefused, Op: op, Text: "the server refused the message: " + c.hide(r.err)}
	switch r.code() {
	case "402":
		e.Code, e.Text, e.Hint = chat.CodeUnavailable, "the server does not know the Bayeux session (402)", "it is made anew; try again"
		e.Err = errStale
	case "401":
		e.Code, e.Hint = chat.CodeUnauthorized, "check the credentials"
	case "403":
		e.Code, e.Hint = chat.CodeForbidden, "check webchat.cometD.channel, and the access rules of the server"
	}
	if r.err == "" {
		e.Text = "the server refused the message and gave no reason"
	}
	return e
}

var errStale = errors.New("the server does not know the Bayeux session")

// staleError is for what was under way in a session that the server does not know.
func staleError(op string) *chat.Error {
	return &chat.Error{Code: chat.CodeNetwork, Op: op, Text: errStale.Error(), Err: errStale}
}

func closedError(op string) *chat.Error {
	return &chat.Error{Outcome: chat.NotSent, Code: chat.CodeClosed, Op: op, Text: "connection was closed"}
}

func canceledError(ctx context.Context, op string) *chat.Error {
	return &chat.Error{Outcome: chat.NotSent, Code: chat.CodeCanceled, Op: op, Text: "given up before the request was sent", Err: context.Cause(ctx)}
}
