package gms

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// attempt is one HTTP request under its limits.
type attempt struct {
	w       *Wire
	op      string
	ctx     context.Context         // the caller's
	limited context.Context         // with the limits
	stop    context.CancelCauseFunc // nil without watch
	timer   context.CancelFunc
	stall   *time.Timer // nil without watch
	timeout time.Duration
	wrote   atomic.Bool // a byte of the request may have left
	auth    chat.Secret
}

var errStalled = errors.New("nothing moved for a while")

// attempt prepares a request that takes at most timeout, if that is more than 0. End it.
func (w *Wire) attempt(ctx context.Context, op string, timeout time.Duration) *attempt {
	a := &attempt{w: w, op: op, ctx: ctx, timeout: timeout}
	if timeout > 0 {
		a.limited, a.timer = context.WithTimeout(ctx, timeout)
	} else {
		a.limited, a.timer = context.WithCancel(ctx)
	}
	return a
}

// watch ends the attempt once nothing has moved for a while.
func (a *attempt) watch() {
	a.limited, a.stop = context.WithCancelCause(a.limited)
	a.stall = time.AfterFunc(chat.TransferStall, func() { a.stop(errStalled) })
}

// moved tells that something moved.
func (a *attempt) moved() {
	if a.stall != nil {
		a.stall.Reset(chat.TransferStall)
	}
}

// rest suspends the watch until something moves.
func (a *attempt) rest() {
	if a.stall != nil {
		a.stall.Stop()
	}
}

// end breaks off what is still under way.
func (a *attempt) end() {
	a.rest()
	a.timer()
	if a.stop != nil {
		a.stop(nil)
	}
}

// do makes the request. length is that of body, -1 if it is not known.
func (a *attempt) do(address, contentType string, body io.Reader, length int64, auth chat.Secret) (*http.Response, *chat.Error) {
	// "Headers written" is the first sign of a byte that may have left. When net/http looks for another
	// connection it has found that nothing left on the one before, or it would not repeat a POST.
	traced := httptrace.WithClientTrace(a.limited, &httptrace.ClientTrace{
		GetConn:      func(string) { a.wrote.Store(false) },
		WroteHeaders: func() { a.wrote.Store(true) },
	})
	req, err := http.NewRequestWithContext(traced, http.MethodPost, address, body)
	if err != nil {
		return nil, &chat.Error{Outcome: chat.NotSent, Code: chat.CodeInvalid, Op: a.op, Text: "the request cannot be made", Err: strip(err)}
	}
	req.ContentLength = length
	var e *chat.Error
	if req.Header, e = a.w.Header(a.op, auth); e != nil {
		return nil, e
	}
	a.auth = auth
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Accept", "application/json")
	resp, err := a.w.client.Do(req)
	if err != nil {
		return nil, a.broken(err)
	}
	return resp, nil
}

// read takes in an answer that is no file.
func (a *attempt) read(resp *http.Response) (*Response, *chat.Error) {
	defer resp.Body.Close() //nolint:errcheck // nothing was written to it
	w := a.w
	out := &Response{Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header)}
	if !a.auth.IsZero() {
		out.secrets = credentials(a.auth)
	}
	if u, err := resp.Location(); err == nil {
		out.Location = u.Host
	}
	tooLarge := func() *chat.Error {
		return &chat.Error{
			Code: chat.CodeTooLarge, Op: a.op, Status: resp.StatusCode,
			Text: fmt.Sprintf("the server's answer is longer than %d bytes", w.maxAnswer),
			Hint: "check that " + w.Option + " is a GMS chat service",
		}
	}
	if resp.ContentLength > w.maxAnswer {
		return nil, tooLarge()
	}
	var err error
	if out.Body, err = readAll(io.LimitReader(resp.Body, w.maxAnswer+1), resp.ContentLength); err != nil {
		return nil, a.broken(err)
	}
	if int64(len(out.Body)) > w.maxAnswer {
		return nil, tooLarge()
	}
	return out, nil
}

// readAll is io.ReadAll for a stream whose length is probably known. It doubles its buffer by hand: with the race
// detector on, a bytes.Buffer allocates each of its buffers twice.
func readAll(r io.Reader, length int64) ([]byte, error) {
	const most = 64 << 10 // what is claimed beyond that has to come first
	b := make([]byte, 0, min(max(length, 512), most)+bytes.MinRead)
	for {
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case err == io.EOF: //nolint:errorlint // as it is, by the rules of io.Reader
			return b, nil
		case err != nil:
			return b, err
		case len(b) == cap(b):
			grown := make([]byte, len(b), 2*cap(b))
			copy(grown, b)
			b = grown
		}
	}
}

// broken says why there is no answer.
func (a *attempt) broken(err error) *chat.Error {
	e := &chat.Error{Outcome: chat.NotSent, Code: chat.CodeNetwork, Op: a.op, Err: strip(err)}
	before, wrote := "before the request was sent", a.wrote.Load()
	if wrote {
		e.Outcome = chat.Unknown
		before = "while waiting for the answer"
	}
	var dns *net.DNSError
	var timeout net.Error
	refusal, refusalHint, refused := tlsRefusal(e.Err, a.w.Option)
	switch {
	case a.ctx.Err() != nil:
		e.Code, e.Text, e.Err = chat.CodeCanceled, "given up "+before, context.Cause(a.ctx)
	case errors.Is(context.Cause(a.limited), errStalled):
		e.Code, e.Text, e.Err = chat.CodeTimeout, fmt.Sprintf("nothing moved for %v", chat.TransferStall), errStalled
		e.Hint = "check the network"
	case a.limited.Err() != nil || errors.As(err, &timeout) && timeout.Timeout():
		e.Code, e.Hint = chat.CodeTimeout, "check the network and "+a.w.Option+", or raise webchat.ajaxTimeout"
		if a.stall != nil {
			e.Hint = "check the network, or raise webchat.fileUploadTimeout"
		}
		switch {
		case a.limited.Err() == nil:
			e.Text = "timed out " + before
		case wrote:
			e.Text = fmt.Sprintf("the server did not answer within %v", a.timeout)
		default:
			e.Text = fmt.Sprintf("no connection to the server within %v", a.timeout)
		}
	case errors.As(err, &dns):
		e.Text = "no such host: " + dns.Name
		e.Hint = "check " + a.w.Option + " and the name service"
	case refused:
		e.Text, e.Hint = refusal, refusalHint
	case wrote:
		e.Text = "the connection broke " + before + ": " + e.Err.Error()
	default:
		e.Text = "no connection to the server: " + e.Err.Error()
		e.Hint = "check " + a.w.Option + ", and that the server runs"
	}
	return e
}

// strip takes off what names the address: it contains the chat's id, and perhaps a password. A connection that
// was closed must not look like the end of a chat, which is told by [io.EOF].
func strip(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// retryAfter reads the header: seconds, or a date, which is held against the server's own clock if it tells that. 0 when
// there is nothing to read.
func retryAfter(h http.Header) time.Duration {
	const most = 24 * time.Hour // what says more, says nothing
	header := strings.TrimSpace(h.Get("Retry-After"))
	if header == "" {
		return 0
	}
	if n, err := strconv.ParseInt(header, 10, 32); err == nil {
		return min(max(time.Duration(n)*time.Second, 0), most)
	}
	if t, err := http.ParseTime(header); err == nil {
		now, err := http.ParseTime(h.Get("Date"))
		if err != nil {
			now = time.Now()
		}
		return min(max(t.Sub(now), 0), most)
	}
	return 0
}
