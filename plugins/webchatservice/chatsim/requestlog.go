package chatsim

import (
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Request is one request that the server got, for tests to look at.
type Request struct {
	Time time.Time
	// Wire is the wire it came over, as its face names it: "gms"; "cometd", where each message is
	// an entry; "files" for the files of CometD clients.
	Wire   string
	Method string
	Path   string
	// Op is the operation: "start", "send", "refresh" and so on; "file",
	// "file/limits", "file/download", "file/delete"; empty if the path names
	// none. Over CometD it is the operation as it is called there,
	// "requestChat", "sendMessage" and so on, else the meta channel,
	// "/meta/connect"; "upgrade" is the opening of a websocket, and "push",
	// which only faults see, what the server sends unasked.
	Op string
	// Chat is the chat id in the path, also if there is no such chat; over
	// CometD the chat that the key belongs to.
	Chat string
	// Params are the form parameters but for userData. The value of
	// secureKey is replaced by "[redacted]".
	Params map[string]string
	// UserData is what came as userData[...].
	UserData map[string]string
	// Header is the request's header; credentials are replaced by
	// "[redacted]".
	Header http.Header
	// Status is the HTTP status of the answer, 0 if none was sent or the
	// message came over a websocket.
	Status int
	// Faulty says that a [Fault] had its hand in it.
	Faulty bool
}

// Redacted stands in a [Request] for a secret.
const Redacted = "[redacted]"

// requestLog remembers the last requests.
type requestLog struct {
	mu      sync.Mutex
	keep    int
	entries []Request
}

func (l *requestLog) add(r Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries) >= 2*l.keep {
		l.entries = append(l.entries[:0], l.entries[len(l.entries)-l.keep:]...)
	}
	l.entries = append(l.entries, r)
}

func (l *requestLog) list() []Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	entries := l.entries[max(0, len(l.entries)-l.keep):]
	out := slices.Clone(entries)
	for i := range out {
		out[i].Params = maps.Clone(out[i].Params)
		out[i].UserData = maps.Clone(out[i].UserData)
		out[i].Header = out[i].Header.Clone()
	}
	return out
}

func redactHeader(h http.Header) http.Header {
	h = h.Clone()
	for _, name := range []string{"Authorization", "Proxy-Authorization", "Apikey", "X-Api-Key", "Cookie"} {
		if h.Get(name) != "" {
			h.Set(name, Redacted)
		}
	}
	return h
}
