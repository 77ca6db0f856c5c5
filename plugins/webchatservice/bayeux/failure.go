package bayeux

import (
	"context"
	"errors"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/wirejson"
)

var (
	// ErrUnknownClient is the Err of an error that says that the server does not know the session (402). It refused the
	// message; the session is made anew.
	ErrUnknownClient = errors.New("the server does not know the Bayeux session")
	// ErrLinkBroken is the Err of an error of [Client.Publish] for which there was a websocket that had broken just
	// before: nothing was sent.
	ErrLinkBroken = errors.New("the websocket broke before the request")
)

// Refused returns the error that a reply stands for which is not successful.
func (c *Client) Refused(op string, r Reply) *chat.Error { return c.refused(op, r.Error) }

func (c *Client) refused(op, text string) *chat.Error {
	e := &chat.Error{Outcome: chat.Rejected, Code: chat.CodeRefused, Op: op, Text: "the server refused the message: " + c.hide(text)}
	switch errorCode(text) {
	case "402":
		e.Code, e.Text, e.Hint = chat.CodeUnavailable, "the server does not know the Bayeux session (402)", "it is made anew; try again"
		e.Err = ErrUnknownClient
	case "401":
		e.Code, e.Hint = chat.CodeUnauthorized, "check the credentials"
	case "403":
		e.Code, e.Hint = chat.CodeForbidden, "check "+c.names.Channel+", and the access rules of the server"
	}
	if text == "" {
		e.Text = "the server refused the message and gave no reason"
	}
	return e
}

// hint says what to check if the server does not speak Bayeux.
func (c *Client) hint() string {
	return "check that " + c.names.Address + " is the address of a Bayeux server"
}

// hide makes a server's text fit to be shown.
func (c *Client) hide(text string) string {
	return wirejson.OneLine(wirejson.Hide(text, c.handler.Secrets()...))
}

// unknownClient is the error of what was under way in a session that the server does not know.
func unknownClient(op string) *chat.Error {
	return &chat.Error{Code: chat.CodeNetwork, Op: op, Text: ErrUnknownClient.Error(), Err: ErrUnknownClient}
}

func closedError(op string) *chat.Error {
	return &chat.Error{Outcome: chat.NotSent, Code: chat.CodeClosed, Op: op, Text: "connection was closed"}
}

func canceledError(ctx context.Context, op string) *chat.Error {
	return &chat.Error{Outcome: chat.NotSent, Code: chat.CodeCanceled, Op: op, Text: "given up before the request was sent", Err: context.Cause(ctx)}
}

func invalidError(op, text string) *chat.Error {
	return &chat.Error{Outcome: chat.NotSent, Code: chat.CodeInvalid, Op: op, Text: text}
}
