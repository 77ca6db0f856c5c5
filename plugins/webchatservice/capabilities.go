package webchatservice

import (
	"sync"

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
	now := Capabilities{Async: s.async, AsyncClose: "hideChat"}
	_, now.FileUpload = s.conn.(chat.Filer)
	c := s.deps.caps
	c.mu.Lock()
	news := !c.known || c.last != now
	c.known, c.last = true, now
	c.mu.Unlock()
	if news {
		emit(s, CapabilitiesChanged, now)
	}
}
