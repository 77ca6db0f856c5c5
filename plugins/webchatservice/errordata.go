package webchatservice

import (
	"errors"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// ServerError is one entry of a server's list of errors.
type ServerError struct {
	Code   string `json:"code"`             // the server's code
	Advice string `json:"advice,omitempty"` // the server's words
}

// ErrorData is the payload of [Error], and says the same elsewhere: one shape for what the vendor has
// several of.
type ErrorData struct {
	// Code is the stable code of the condition: webchat.start-failed, or that of the wire, such as
	// network, timeout, unavailable, refused.
	Code string `json:"code"`
	// Text says what happened.
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"` // what to do about it
	// Operation is what was attempted: open, receive, send ...
	Operation string `json:"operation,omitempty"`
	// Status is the HTTP status, 0 without an answer.
	Status int `json:"status"`
	// StatusCode is the server's own.
	StatusCode int `json:"statusCode,omitempty"`
	// Errors is the server's list.
	Errors []ServerError `json:"errors,omitempty"`
	// ErrorReason is "InvalidService" where dataURL leads to no chat service, and "FileUploadError"
	// where a file did not get through.
	ErrorReason string `json:"errorReason,omitempty"`
	// Filename is the file that the failure is about.
	Filename string `json:"filename,omitempty"`
	// ResponseJSON repeats Errors where the browser's request object has them.
	ResponseJSON *ResponseJSON `json:"responseJSON,omitempty"`
}

// ResponseJSON is the part of the server's answer that handlers of the vendor's error event read.
type ResponseJSON struct {
	Errors []ServerError `json:"errors"`
}

// errorData tells of a failure of the wire.
func errorData(err error) ErrorData {
	e := wireError(err)
	d := ErrorData{
		Code:       e.Code,
		Text:       e.Text,
		Hint:       e.Hint,
		Operation:  e.Op,
		Status:     e.Status,
		StatusCode: e.ServerStatus,
		Errors:     serverErrors(e.Errors),
	}
	if d.Hint == "" {
		d.Hint = hintFor(err)
	}
	if len(d.Errors) > 0 {
		d.ResponseJSON = &ResponseJSON{Errors: d.Errors}
	}
	if e.NoService || len(d.Errors) == 0 && (e.Status == 404 || e.Status == 500 || e.Status == 502) {
		d.ErrorReason = "InvalidService"
	}
	return d
}

func serverErrors(list []chat.ServerError) []ServerError {
	var out []ServerError
	for _, e := range list {
		out = append(out, ServerError(e))
	}
	return out
}

// failureData tells of one of the service's own failures, with what the wire said.
func failureData(err error) ErrorData {
	var be *bus.Error
	if !errors.As(err, &be) {
		return errorData(err)
	}
	var d ErrorData
	var ce *chat.Error
	if errors.As(be.Err, &ce) {
		d = errorData(ce)
	}
	d.Code, d.Text, d.Hint = string(be.Code), be.Text, be.Hint
	return d
}
