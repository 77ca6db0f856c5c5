// Package gmsrest carries chats over the GMS Chat API version 2 in its REST form.
//
// Every request is a POST of a form, every answer a JSON object; events are polled. A connection
// starts no goroutine, but for the content of an upload: it polls inside of Receive, at the pace of
// wire-gms A.8, so an idle chat costs the goroutine that receives and nothing else, and with Await a timer
// and no goroutine. At most two
// requests of a connection are under way at once, one of them a poll; transfers of files come on top.
//
// An answer is at most 8 MiB long unless configured otherwise, and is refused as a whole when it is
// not valid JSON in valid UTF-8: the next poll asks for the same lines again. Redirects are not
// followed. Within a valid answer the driver is lenient: numbers may be written as text and the
// reverse, unknown members and unknown kinds of lines are passed on in the raw line.
package gmsrest

import (
	"context"
	"net/url"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

// Name is the name of this wire.
const Name = "gms"

// Factory returns the factory of this wire. A configuration that selects neither another transport nor CometD gets it.
func Factory() chat.Factory { return chat.NewFactory(Name, New, chat.Selection{}) }

// Driver opens chats on one GMS chat service. It may be used from many goroutines at once.
type Driver struct {
	wire     *wire
	endpoint string
	poll     poll
	mark     bool // lines are sent with their ClientID
}

// New returns a driver for c. nil options are the zero Options. It does not touch the network. Its error is a
// [*chat.Error] with code [chat.CodeInvalid] that names the option.
func New(c Config, o *chat.Options) (*Driver, error) {
	c = chat.WithDefaults(c)
	if err := c.Validate(); err != nil {
		return nil, err
	}
	w, err := newWire(c, o)
	if err != nil {
		return nil, err
	}
	return &Driver{wire: w, endpoint: c.Endpoint, poll: c.poll(), mark: c.MarkLines}, nil
}

// Open implements [chat.Driver].
func (d *Driver) Open(ctx context.Context, r chat.Request) (chat.Conn, error) {
	const op = "open"
	form := url.Values{
		"nickname": {r.Nickname}, "firstName": {r.FirstName}, "lastName": {r.LastName},
		"emailAddress": {r.Email}, "subject": {r.Subject}, "text": {""},
		"alias": {""}, "secureKey": {""}, "userId": {""},
	}
	if d.endpoint != "" {
		form.Set("endpoint", d.endpoint)
	}
	if err := gms.UserData(form, r.UserData); err != nil {
		return nil, gms.Invalid(op, err.Error())
	}
	if r.Async {
		form.Set("userData[GCTI_Chat_AsyncMode]", "true")
	}
	resp, e := d.wire.Post(ctx, op, d.wire.start, form)
	if e != nil {
		return nil, e
	}
	a, e := d.wire.Judge(op, resp, chat.Secret{})
	if e != nil {
		return nil, e
	}
	if a.Session.ID == "" || a.Session.SecureKey.IsZero() {
		return nil, &chat.Error{
			Code: chat.CodeBadAnswer, Op: op, Status: resp.Status, Answer: a.Raw,
			Text: "the server started a chat without telling its chatId and secureKey", Hint: "check that webchat.dataURL is a GMS chat service",
		}
	}
	return newConn(d, a.Session, 1, chat.Position{}, a), nil
}

// Resume implements [chat.Resumer]. As the reference client does, it takes an answer that does not
// say whether the chat has ended for an end (wire-gms A.5).
func (d *Driver) Resume(ctx context.Context, r chat.ResumeRequest) (chat.Conn, error) {
	const op = "resume"
	s := r.Session
	if s.ID == "" || s.SecureKey.IsZero() {
		return nil, gms.Invalid(op, "a session without chatId and secureKey cannot be resumed")
	}
	next := gms.First(r.From)
	form := keys(s)
	setPosition(form, next)
	form.Set("message", "")
	resp, e := d.wire.Post(ctx, op, d.wire.path(s.ID, "refresh"), form)
	if e != nil {
		return nil, e
	}
	a, e := d.wire.Judge(op, resp, s.SecureKey)
	switch {
	case e == nil && !a.Ended && a.EndedTold:
	case e != nil && a.StatusCode == gms.StatusRetry && a.EndedTold && !a.Ended:
		// The session lives, the chat server behind GMS cannot be reached: resumed, offline.
	case e != nil && a.StatusCode == gms.StatusRetry:
		return nil, e
	case e == nil, a.Ended, e.Code == chat.CodeNotFound:
		if e == nil {
			e = &chat.Error{Op: op, Status: resp.Status, Answer: a.Raw}
		}
		e.Outcome, e.Code, e.Text, e.Hint = chat.Gone, chat.CodeEnded, "the chat is over, or the server no longer knows it", "start a new one"
		return nil, e
	default:
		return nil, e
	}
	a.Asked = next
	return newConn(d, s, next, r.Known, a), nil
}

// CloseIdleConnections implements [chat.IdleCloser].
func (d *Driver) CloseIdleConnections() {
	d.wire.CloseIdleConnections()
}

var (
	_ chat.Driver     = (*Driver)(nil)
	_ chat.Resumer    = (*Driver)(nil)
	_ chat.IdleCloser = (*Driver)(nil)
)
