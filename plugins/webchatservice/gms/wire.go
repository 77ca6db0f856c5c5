package gms

import (
	"context"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

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
