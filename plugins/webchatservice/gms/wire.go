package gms

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

const defaultMaxAnswer = 8 << 20

// CancelIdle is the notice that stops the server's idle timer (wire-gms A.7.8).
const CancelIdle = `{"purpose":"cancel-idle-timer"}`

// Wire makes requests to a GMS, or to what stands in front of it. It is immutable, and may be used from many
// goroutines at once.
type Wire struct {
	// Address is what the configuration says, without a password, a trailing slash, a query.
	Address string
	// Option is the name of that option, for what people are told.
	Option string

	client      *http.Client
	own         bool                   // the client's transport was made here
	header      map[string]chat.Secret // canonical names
	auth        *chat.Authorization    // nil: none
	secrets     []chat.Secret          // what is secret in header, lest an answer shows it
	timeout     time.Duration          // negative: none
	fileTimeout time.Duration          // 0 or negative: none
	maxAnswer   int64
}

// NewWire returns a wire to the address that an option has, with everything else from c and o. It does not touch the
// network. example shows what such an address looks like. Its error is a [*chat.Error] with code invalid that
// names the option.
func NewWire(c Config, o *chat.Options, option, address, example string) (*Wire, error) {
	if o == nil {
		o = &chat.Options{}
	}
	c = chat.WithDefaults(c)
	invalid := func(text, hint string) error {
		return &chat.Error{Outcome: chat.NotSent, Code: chat.CodeInvalid, Op: "configure", Text: text, Hint: hint}
	}
	example = "it looks like " + example
	name := option
	if address == "" {
		return nil, invalid(name+" is missing", "set it to the address of the service; "+example)
	}
	u, err := url.Parse(strings.TrimSpace(address))
	// The address itself is not shown: it may carry a password.
	switch {
	case err != nil:
		return nil, invalid(name+" is not a URL", example)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, invalid(name+" begins with neither http:// nor https://", example)
	case u.Host == "":
		return nil, invalid(name+" names no host", example)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, invalid(name+" has a query or a fragment", "paths are appended to it; "+example)
	}
	w := &Wire{
		Option: option, own: o.Client == nil, header: make(map[string]chat.Secret), auth: o.Authorization,
		timeout: c.AjaxTimeout, fileTimeout: c.FileUploadTimeout, maxAnswer: c.MaxAnswer,
	}
	for name, value := range o.Headers {
		canonical := http.CanonicalHeaderKey(name)
		if !validHeader(canonical, value.Reveal()) {
			return nil, invalid(fmt.Sprintf("header %q cannot be sent", name), "names are of letters, digits and -, values have no control characters")
		}
		if strings.HasSuffix(canonical, "Idempotency-Key") { // net/http takes it as leave to repeat a POST
			return nil, invalid(fmt.Sprintf("header %q cannot be sent", name), "it would let lines be sent twice")
		}
		w.header[canonical] = value
	}
	if !c.APIKey.IsZero() {
		if !validHeader("Apikey", c.APIKey.Reveal()) {
			return nil, invalid("webchat.apikey cannot be sent", "it has control characters")
		}
		w.header["Apikey"] = c.APIKey
	}
	if u.User != nil {
		password, _ := u.User.Password()
		r := http.Request{Header: make(http.Header)}
		r.SetBasicAuth(u.User.Username(), password)
		if _, given := w.header["Authorization"]; !given {
			w.header["Authorization"] = chat.NewSecret(r.Header.Get("Authorization"))
		}
		u.User = nil
	}
	if w.auth != nil {
		delete(w.header, "Authorization")
	}
	for _, value := range w.header { // all of them are given as secrets, however harmless their names
		w.secrets = append(w.secrets, credentials(value)...)
	}
	w.Address = strings.TrimRight(u.String(), "/")
	if w.maxAnswer <= 0 {
		w.maxAnswer = defaultMaxAnswer
	}
	w.client, err = newClient(c, o)
	return w, err
}

// newClient returns a client that follows no redirects: a POST that is sent elsewhere would carry the
// keys there, or lose its body.
func newClient(c Config, o *chat.Options) (*http.Client, error) {
	var client http.Client
	if o.Client != nil {
		client = *o.Client
	} else {
		transport, err := chat.NewTransport(chat.TransportOptions{Dial: o.Dial})
		if err != nil {
			return nil, err
		}
		client.Transport = transport
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if c.WithCredentials && client.Jar == nil {
		jar, err := cookiejar.New(nil)
		if err != nil {
			return nil, &chat.Error{Outcome: chat.NotSent, Code: chat.CodeInvalid, Op: "configure", Text: "no cookies can be kept", Err: err}
		}
		client.Jar = jar
	}
	return &client, nil
}

// credentials is what is secret in the value of a header: all of it, and what follows Bearer or Basic.
func credentials(value chat.Secret) []chat.Secret {
	if _, token, ok := strings.Cut(value.Reveal(), " "); ok {
		return []chat.Secret{value, chat.NewSecret(token)}
	}
	return []chat.Secret{value}
}

func validHeader(name, value string) bool {
	if name == "" {
		return false
	}
	for _, c := range []byte(name) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	for _, c := range []byte(value) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// WithCookies returns a wire that is w but for its cookies, which are those of jar.
func (w *Wire) WithCookies(jar http.CookieJar) *Wire {
	client, other := *w.client, *w
	client.Jar = jar
	other.client = &client
	return &other
}

// CloseIdleConnections closes those that are not in use now, unless they are of an [chat.Options.Client].
func (w *Wire) CloseIdleConnections() {
	if w.own {
		w.client.CloseIdleConnections()
	}
}

// Jar has the cookies, if any are kept.
func (w *Wire) Jar() http.CookieJar { return w.client.Jar }

// Broken says why there is no answer to an attempt that took at most limit and of which nothing was sent.
func (w *Wire) Broken(ctx context.Context, op string, err error, limit time.Duration) *chat.Error {
	a := w.attempt(ctx, op, limit)
	defer a.end()
	return a.broken(err)
}

// Timeout is how long a request may take; 0 is no limit.
func (w *Wire) Timeout() time.Duration { return max(w.timeout, 0) }

// MaxAnswer is how long an answer may be, in bytes.
func (w *Wire) MaxAnswer() int64 { return w.maxAnswer }

// Transport is the network's side of the HTTP client.
func (w *Wire) Transport() http.RoundTripper { return w.client.Transport }

// Secrets is what requests carry and nothing must show, besides the chat's key and the credentials of an
// [chat.Authorization].
func (w *Wire) Secrets() []chat.Secret { return w.secrets }

// Header is what each request carries, with these credentials.
func (w *Wire) Header(op string, auth chat.Secret) (http.Header, *chat.Error) {
	h := make(http.Header, len(w.header)+2)
	for name, value := range w.header {
		h.Set(name, value.Reveal())
	}
	if !auth.IsZero() {
		if !validHeader("Authorization", auth.Reveal()) {
			return nil, Invalid(op, "the value that the Authorization function gave cannot be sent: it has control characters")
		}
		h.Set("Authorization", auth.Reveal())
	}
	return h, nil
}

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
	out := &Response{Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header.Get("Retry-After"))}
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

// readAll is io.ReadAll for a stream whose length is probably known.
func readAll(r io.Reader, length int64) ([]byte, error) {
	const most = 64 << 10 // what is claimed beyond that has to come first
	var b bytes.Buffer
	b.Grow(int(min(max(length, 512), most)) + bytes.MinRead)
	_, err := b.ReadFrom(r)
	return b.Bytes(), err
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

// retryAfter reads the header: seconds, or a date. 0 when there is nothing to read.
func retryAfter(header string) time.Duration {
	const most = 24 * time.Hour // what says more, says nothing
	if header = strings.TrimSpace(header); header == "" {
		return 0
	}
	if n, err := strconv.ParseInt(header, 10, 32); err == nil {
		return min(max(time.Duration(n)*time.Second, 0), most)
	}
	if t, err := http.ParseTime(header); err == nil {
		return min(max(time.Until(t), 0), most)
	}
	return 0
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

// Invalid is the error of a request that makes no sense.
func Invalid(op, text string) *chat.Error {
	return &chat.Error{Outcome: chat.NotSent, Code: chat.CodeInvalid, Op: op, Text: text}
}
