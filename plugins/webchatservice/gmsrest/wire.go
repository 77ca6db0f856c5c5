package gmsrest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

const (
	defaultTimeout   = 3 * time.Second // ajaxTimeout
	defaultMaxAnswer = 8 << 20
)

// wire makes requests. It is immutable.
type wire struct {
	client    *http.Client
	own       bool                   // the client's transport was made here
	root      string                 // without a trailing slash
	start     string                 // where a chat starts
	header    map[string]chat.Secret // canonical names
	secrets   []chat.Secret          // what is secret in it, lest an answer shows it
	timeout   time.Duration          // negative: none
	maxAnswer int64
}

// newWire checks the configuration.
func newWire(c chat.Config, o chat.Options) (*wire, error) {
	invalid := func(text, hint string) error {
		return &chat.Error{Outcome: chat.NotSent, Code: chat.CodeInvalid, Op: "configure", Text: text, Hint: hint}
	}
	const example = "it looks like https://gms.example.net/genesys/2/chat/customer-support"
	name, address := "webchat.dataURL", c.DataURL
	if address == "" && c.ServerURL != "" {
		name, address = "webchat.serverURL", c.ServerURL
	}
	if address == "" {
		return nil, invalid("webchat.dataURL is missing", "set it to the root of the GMS chat service; "+example)
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
	w := &wire{own: o.Client == nil, header: make(map[string]chat.Secret), timeout: c.AjaxTimeout, maxAnswer: c.MaxAnswer}
	for name, value := range c.Headers {
		canonical := http.CanonicalHeaderKey(name)
		if !validHeader(canonical, value.Reveal()) {
			return nil, invalid(fmt.Sprintf("header %q of the webchat section cannot be sent", name), "names are of letters, digits and -, values have no control characters")
		}
		if strings.HasSuffix(canonical, "Idempotency-Key") { // net/http takes it as leave to repeat a POST
			return nil, invalid(fmt.Sprintf("header %q of the webchat section cannot be sent", name), "it would let lines be sent twice")
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
	for name, value := range w.header {
		if !secretHeader(name) {
			continue
		}
		w.secrets = append(w.secrets, value)
		if _, token, ok := strings.Cut(value.Reveal(), " "); ok { // Bearer, Basic
			w.secrets = append(w.secrets, chat.NewSecret(token))
		}
	}
	w.root = strings.TrimRight(u.String(), "/")
	w.start = w.root + "/"
	if c.NoTrailingSlash {
		w.start = w.root
	}
	if w.timeout == 0 {
		w.timeout = defaultTimeout
	}
	if w.maxAnswer <= 0 {
		w.maxAnswer = defaultMaxAnswer
	}
	w.client, err = newClient(c, o)
	return w, err
}

// newClient returns a client that follows no redirects: a POST that is sent elsewhere would carry the
// keys there, or lose its body.
func newClient(c chat.Config, o chat.Options) (*http.Client, error) {
	var client http.Client
	if o.Client != nil {
		client = *o.Client
	} else {
		transport := &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
			MaxIdleConnsPerHost: 64, IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: 10 * time.Second,
		}
		if o.Dial != nil {
			transport.DialContext = o.Dial
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

// secretHeader reports whether a header carries credentials, by its name.
func secretHeader(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{"auth", "key", "token", "secret", "password", "cookie"}, func(part string) bool {
		return strings.Contains(name, part)
	})
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

// path returns the address of an operation on a chat.
func (w *wire) path(chatID, operation string) string {
	return w.root + "/" + url.PathEscape(chatID) + "/" + operation
}

// response is what came back, whatever its HTTP status.
type response struct {
	status     int
	retryAfter time.Duration
	location   string // host that a redirect points to
	body       []byte
}

// post makes one request. Its error says whether a byte of the request may have been written.
func (w *wire) post(ctx context.Context, op, address string, form url.Values) (*response, *chat.Error) {
	for name, values := range form {
		if !utf8.ValidString(name) || !utf8.ValidString(values[0]) {
			return nil, invalid(op, "text is not valid UTF-8")
		}
	}
	limited, cancel := ctx, context.CancelFunc(func() {})
	if w.timeout > 0 {
		limited, cancel = context.WithTimeout(ctx, w.timeout)
	}
	defer cancel()
	// "Headers written" is the first sign of a byte that may have left. When net/http looks for another
	// connection it has found that nothing left on the one before, or it would not repeat a POST.
	var wrote atomic.Bool
	traced := httptrace.WithClientTrace(limited, &httptrace.ClientTrace{
		GetConn:      func(string) { wrote.Store(false) },
		WroteHeaders: func() { wrote.Store(true) },
	})
	req, err := http.NewRequestWithContext(traced, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, &chat.Error{Outcome: chat.NotSent, Code: chat.CodeInvalid, Op: op, Text: "the request cannot be made", Err: strip(err)}
	}
	for name, value := range w.header {
		req.Header.Set(name, value.Reveal())
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
	req.Header.Set("Accept", "application/json")
	resp, err := w.client.Do(req)
	if err != nil {
		return nil, w.broken(ctx, limited, op, err, wrote.Load())
	}
	defer resp.Body.Close() //nolint:errcheck // nothing was written to it
	out := &response{status: resp.StatusCode, retryAfter: retryAfter(resp.Header.Get("Retry-After"))}
	if u, err := resp.Location(); err == nil {
		out.location = u.Host
	}
	tooLarge := &chat.Error{
		Code: chat.CodeTooLarge, Op: op, Status: resp.StatusCode,
		Text: fmt.Sprintf("the server's answer is longer than %d bytes", w.maxAnswer),
		Hint: "check that webchat.dataURL is a GMS chat service",
	}
	if resp.ContentLength > w.maxAnswer {
		return nil, tooLarge
	}
	out.body, err = io.ReadAll(io.LimitReader(resp.Body, w.maxAnswer+1))
	if err != nil {
		return nil, w.broken(ctx, limited, op, err, true)
	}
	if int64(len(out.body)) > w.maxAnswer {
		return nil, tooLarge
	}
	return out, nil
}

// broken says why there is no answer.
func (w *wire) broken(ctx, limited context.Context, op string, err error, wrote bool) *chat.Error {
	e := &chat.Error{Outcome: chat.NotSent, Code: chat.CodeNetwork, Op: op, Err: strip(err)}
	before := "before the request was sent"
	if wrote {
		e.Outcome = chat.Unknown
		before = "while waiting for the answer"
	}
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case ctx.Err() != nil:
		e.Code, e.Text, e.Err = chat.CodeCanceled, "given up "+before, context.Cause(ctx)
	case limited.Err() != nil || errors.As(err, &timeout) && timeout.Timeout():
		e.Code, e.Hint = chat.CodeTimeout, "check the network, or raise webchat.ajaxTimeout"
		switch {
		case limited.Err() == nil:
			e.Text = "timed out " + before
		case wrote:
			e.Text = fmt.Sprintf("the server did not answer within %v", w.timeout)
		default:
			e.Text = fmt.Sprintf("no connection to the server within %v", w.timeout)
		}
	case errors.As(err, &dns):
		e.Text = "no such host: " + dns.Name
		e.Hint = "check webchat.dataURL and the name service"
	case wrote:
		e.Text = "the connection broke " + before + ": " + e.Err.Error()
	default:
		e.Text = "no connection to the server: " + e.Err.Error()
		e.Hint = "check webchat.dataURL, and that the server runs"
	}
	return e
}

// strip takes off what names the address: it contains the chat's id, and perhaps a password.
func strip(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
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

// userData adds data to form in brackets (wire-gms A.1).
func userData(form url.Values, data map[string]any) error {
	for name, value := range maps.All(data) {
		text, ok := value.(string)
		switch {
		case ok:
		case value == nil:
			text = ""
		default:
			b, err := json.Marshal(value)
			if err != nil {
				return fmt.Errorf("userData %q has no JSON: %w", name, err)
			}
			text = string(b)
		}
		form.Set("userData["+name+"]", text)
	}
	return nil
}
