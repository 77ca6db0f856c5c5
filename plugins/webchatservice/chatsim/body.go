package chatsim

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// limitBody lets no client take longer than Options.BodyTimeout to send a request's body: then reading it fails, and
// the connection ends with the answer.
func (s *Server) limitBody(next http.Handler) http.Handler {
	limit := s.opts.BodyTimeout
	if limit < 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			// A writer of another server may know no deadlines. Then that server keeps its clients in check.
			control := http.NewResponseController(w)
			if control.SetReadDeadline(time.Now().Add(limit)) == nil {
				r.Body = &timedBody{r.Body, control}
			}
		}
		next.ServeHTTP(w, r)
	})
}

// timedBody is a body with a deadline, which is lifted once all has come: a poll may be held for longer.
type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		_ = b.control.SetReadDeadline(time.Time{}) // it has worked before; a broken connection needs none
	}
	return n, err
}

// oneSlash reads several slashes in a row as one: clients put addresses together with a slash too many, and servers take
// them. A mux would redirect such a request, and clients repeat a redirected POST as a GET.
func oneSlash(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path := r.URL.Path; strings.Contains(path, "//") {
			for strings.Contains(path, "//") {
				path = strings.ReplaceAll(path, "//", "/")
			}
			changed := *r
			changed.URL = new(url.URL)
			*changed.URL = *r.URL
			changed.URL.Path, changed.URL.RawPath = path, ""
			r = &changed
		}
		next.ServeHTTP(w, r)
	})
}
