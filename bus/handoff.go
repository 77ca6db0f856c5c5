package bus

import (
	"context"
	"sync"
	"time"
)

// Handoff calls f, and has the events that f publishes with the context it is given handled in this very goroutine,
// once f has returned. It is for a goroutine that publishes an event now and then and has nothing to do afterwards, as one
// that reads from a network. Starting a goroutine for the handlers would take several times as long as everything else.
//
// The caller gives its goroutine to one mailbox: the first that such an event wakes. When f has returned, Handoff runs
// the handlers of that mailbox until nothing waits in it, which may take as long as the handlers like. Every other
// mailbox that wakes gets a goroutine of its own at once, so that no plugin waits for the handlers of another.
//
// The handlers do not wait for anything that f waits for. They get a goroutine of their own when f calls a command, or
// anything else of the bus that may wait, with its context; when an event of f has inline subscribers; when somebody
// else publishes to the same mailbox; when f has taken 10 ms since the mailbox woke; and when f panics or ends its
// goroutine.
//
// The context that f is given is ctx for everything else. After Handoff has returned, nothing distinguishes it from ctx.
// It may be used in several goroutines. If ctx is the context of a handler, Handoff only calls f: whoever waits for that
// handler must not wait for others.
func Handoff(ctx context.Context, f func(ctx context.Context)) {
	if s := waitingScope(ctx); s != nil && (s.mailbox || s.inline || s.command != nil) {
		f(ctx)
		return
	}
	h := &handoff{Context: ctx}
	returned := false
	defer func() {
		if !returned {
			h.end(false)
		}
	}()
	f(h)
	returned = true
	h.end(true)
}

// handoffLimit is how long a mailbox waits at most for the function that it was woken in.
const handoffLimit = 10 * time.Millisecond

// A handoff is the context of one call of Handoff. It holds the mailbox that gets the caller's goroutine.
type handoff struct {
	context.Context

	mu      sync.Mutex // guards what follows; never held together with the mutex of a mailbox
	mailbox *mailbox   // the one that woke; somebody else may have started it since
	ended   bool       // the function has returned
}

// Value answers for the handoff itself when the bus asks for the innermost scope or lineage; see waitingScope.
func (h *handoff) Value(key any) any {
	switch key.(type) {
	case scopeKey, lineageKey:
		return h
	}
	return h.Context.Value(key)
}

// scopeOf returns the innermost handler that ctx is inside of, or nil.
func scopeOf(ctx context.Context) *scope {
	for {
		switch s := ctx.Value(scopeKey{}).(type) {
		case *scope:
			return s
		case *handoff:
			ctx = s.Context
		default:
			return nil
		}
	}
}

// waitingScope is scopeOf for callers that may wait, or call handlers, with ctx. Mailboxes that wait for a handoff get
// a goroutine of their own: what the caller waits for may be what their handlers do.
func waitingScope(ctx context.Context) *scope {
	for {
		switch s := ctx.Value(scopeKey{}).(type) {
		case *scope:
			return s
		case *handoff:
			s.start()
			ctx = s.Context
		default:
			return nil
		}
	}
}

// take keeps mb, which woke and has h as its handoff, until the function has returned. It may be that h has another one
// already; then mb gets a goroutine.
func (h *handoff) take(mb *mailbox) {
	h.mu.Lock()
	kept := !h.ended && (h.mailbox == nil || h.mailbox == mb)
	if kept {
		h.mailbox = mb
	}
	h.mu.Unlock()
	if !kept && mb.claim(h) {
		mb.start()
	}
}

// start gives the mailbox a goroutine of its own. It does nothing if there is none, or h is nil.
func (h *handoff) start() {
	if h == nil {
		return
	}
	if mb := h.release(false); mb != nil {
		mb.start()
	}
}

// end is the end of the function. The mailbox gets this goroutine, or, if the function has not returned, one of its own.
func (h *handoff) end(returned bool) {
	mb := h.release(true)
	switch {
	case mb == nil:
	case returned:
		waitingScope(h.Context) // an outer handoff must not wait for these handlers
		mb.run()
	default:
		mb.start()
	}
}

// release returns the mailbox for the caller to run, or nil if there is none or somebody else runs it.
func (h *handoff) release(end bool) *mailbox {
	h.mu.Lock()
	mb := h.mailbox
	h.mailbox = nil
	h.ended = h.ended || end
	h.mu.Unlock()
	if mb == nil || !mb.claim(h) {
		return nil
	}
	return mb
}

// claim reports whether mb still waits for h. If so, the caller must run it.
func (mb *mailbox) claim(h *handoff) bool {
	mb.mu.Lock()
	defer mb.mu.Unlock()
	if mb.handoff != h {
		return false
	}
	mb.late.Stop()
	mb.workLocked()
	return true
}

// waitLocked makes mb wait for h, no longer than the limit; mu is held. The timer is the mailbox's, since resetting one
// that was stopped costs a fraction of making one, and wakes no thread.
func (mb *mailbox) waitLocked(h *handoff) {
	mb.handoff = h
	if mb.late == nil {
		mb.late = time.AfterFunc(handoffLimit, mb.runLate)
	} else {
		mb.late.Reset(handoffLimit)
	}
}

// runLate is what the timer calls.
func (mb *mailbox) runLate() {
	mb.mu.Lock()
	waits := mb.handoff != nil
	if waits {
		mb.workLocked()
	}
	mb.mu.Unlock()
	if waits {
		mb.run()
	}
}
