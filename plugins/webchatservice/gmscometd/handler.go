package gmscometd

import (
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/bayeux"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/wirejson"
)

// handler takes what happens in the Bayeux session into the chat. It is a type of its own, so that a chat does not seem
// to have these methods.
type handler struct{ c *conn }

// Deliver implements [bayeux.Handler].
func (h handler) Deliver(channel string, data []byte) {
	if channel != h.c.d.channel {
		return
	}
	if err := h.c.deliver(data); err != nil {
		h.c.d.log.Warn("a delivery cannot be taken in", "error", wirejson.Unreadable(err))
	}
}

// Waiting implements [bayeux.Handler].
func (h handler) Waiting() func() { return h.c.waiting() }

// AwaitRoom implements [bayeux.Handler]. It waits while too much waits for Receive. Close and the end of the client end
// the wait.
func (h handler) AwaitRoom() (waited bool) {
	c := h.c
	for {
		c.mu.Lock()
		full := c.queue.lines >= MaxQueue
		c.mu.Unlock()
		if !full || c.life.Err() != nil {
			return waited
		}
		waited = true
		select {
		case <-c.room:
		case <-c.life.Done():
		case <-c.client.Done():
			return waited
		}
	}
}

// Connected implements [bayeux.Handler]. After the first time the chat has to be attached again.
func (h handler) Connected() {
	c := h.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.links++
	c.linked, c.trouble = true, nil
	c.changedLocked()
	c.attachLocked()
}

// Disconnected implements [bayeux.Handler].
func (h handler) Disconnected() {
	c := h.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.abandoned = time.Time{} // an answer that is late goes to the session that is no more
	c.unlinkedLocked()
}

// Failed implements [bayeux.Handler].
func (h handler) Failed(e *chat.Error) {
	c := h.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trouble, c.quiet = e, true
	c.losses++
	c.unlinkedLocked()
	c.wakeLocked()
}

// Secrets implements [bayeux.Handler].
func (h handler) Secrets() []chat.Secret {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	return h.c.secretsLocked()
}

var _ bayeux.Handler = handler{}
