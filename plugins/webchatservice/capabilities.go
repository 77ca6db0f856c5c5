package webchatservice

import (
	"sync"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// capabilities remembers what was published of what the wire can do, for one service.
type capabilities struct {
	mu    sync.Mutex // guards what follows
	known bool
	last  Capabilities
}

// emitCapabilitiesLocked publishes what the session's wire can do, if that is news.
func (s *session) emitCapabilitiesLocked() {
	can := s.conn.Capabilities()
	now := Capabilities{Async: s.async, AsyncClose: "hideChat", Pagination: s.async && can.History, FileUpload: can.Files}
	c := s.deps.caps
	c.mu.Lock()
	news := !c.known || c.last != now
	c.known, c.last = true, now
	c.mu.Unlock()
	if news {
		setData(s, DataCapabilities, now)
		emit(s, CapabilitiesChanged, now)
	}
}

// ability returns the methods of what not every wire can do, and whether it can be done in the chat now.
func ability[T any](conn chat.Conn, has func(chat.Capabilities) bool) (methods T, ok bool) {
	if !has(conn.Capabilities()) {
		return methods, false
	}
	methods, ok = conn.(T)
	return methods, ok
}

// cannot is the answer to a command that asks for what the wire cannot do: the vendor's text for that, or the wire's
// own words. op is what the wire would have done, as in [chat.Explainer]. The error matches what [chat.Unsupported]
// returns, too.
func cannot(conn chat.Conn, sentinel *bus.Error, command, op string) *bus.Error {
	e := failure(sentinel, command, chat.Unsupported(op), "")
	if x, ok := conn.(chat.Explainer); ok {
		if own := x.Explain(op); own != nil {
			e.Text, e.Hint, e.Err = own.Text, own.Hint, own
		}
	}
	return e
}

// filer returns the ability to carry files.
func filer(conn chat.Conn) (chat.Filer, bool) {
	return ability[chat.Filer](conn, func(c chat.Capabilities) bool { return c.Files })
}

// poller returns the ability to poll.
func poller(conn chat.Conn) (chat.Poller, bool) {
	return ability[chat.Poller](conn, func(c chat.Capabilities) bool { return c.Polling })
}

// refetcher returns the ability to ask for a part of the transcript once more.
func refetcher(conn chat.Conn) (chat.Refetcher, bool) {
	return ability[chat.Refetcher](conn, func(c chat.Capabilities) bool { return c.Refetch })
}
