package bayeux

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"sync"
)

// sessionCookie is the cookie by which a server knows on long-polling whose session it is (wire-gms D.3).
const sessionCookie = "BAYEUX_BROWSER"

// Jar is a cookie jar that can forget a session. The cookies of load balancers in front of the server stay. It may be
// used by many goroutines at once, and by other requests than those of a [Client].
type Jar struct {
	jar http.CookieJar

	mu    sync.Mutex // guards stale
	stale bool       // the session cookie is that of a session which is no more
}

// NewJar returns an empty jar.
func NewJar() *Jar {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic("bayeux: a cookie jar without options is refused: " + err.Error()) // New fails for options alone
	}
	return &Jar{jar: jar}
}

// Forget makes the jar keep the cookie of the session that there was to itself, until a server sets another one. A
// handshake with that cookie would make the server take the new session and the old one, which may hold a connect still,
// for two of the same browser (wire-gms D.3).
func (j *Jar) Forget() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stale = true
}

// Cookies implements [http.CookieJar].
func (j *Jar) Cookies(u *url.URL) []*http.Cookie {
	all := j.jar.Cookies(u)
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.stale {
		return all
	}
	return slices.DeleteFunc(all, isSessionCookie)
}

// SetCookies implements [http.CookieJar].
func (j *Jar) SetCookies(u *url.URL, cookies []*http.Cookie) {
	j.jar.SetCookies(u, cookies)
	if slices.ContainsFunc(cookies, isSessionCookie) {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.stale = false
	}
}

func isSessionCookie(c *http.Cookie) bool { return c.Name == sessionCookie }

var _ http.CookieJar = (*Jar)(nil)
