package bus

import "context"

// A Tail is a context to publish with, for a goroutine that has little else to do:
// a mailbox that wakes with an event published so gets no goroutine of its own, but
// that of the caller, as the callee of a tail call gets the frame of the caller.
// Events that come one at a time and far apart are handled sooner by that, and at a
// fraction of the price.
//
// Handlers of mailboxes that woke run with Run or Go, and not before: the caller
// must call one of them before it waits for anything, and in any case. A publish that
// has to wait, or to call inline handlers, which may, calls Go itself. Context is
// the context of the events, that of the publishing plugin as a rule. A Tail is not
// safe for concurrent use. It can be used again after Run and Go.
type Tail struct {
	context.Context
	box  *mailbox   // that woke
	more []*mailbox // that woke, too
}

// Run runs the handlers of the mailbox that woke, until nothing waits for it: that may
// take as long as handlers like. If several woke, none is to wait for the handlers of
// another: each gets a goroutine of its own. If none woke it does nothing.
func (t *Tail) Run() {
	if len(t.more) > 0 {
		t.Go()
		return
	}
	if mb := t.box; mb != nil {
		t.box = nil
		mb.run()
	}
}

// Go gives each mailbox that woke a goroutine of its own. It does nothing if none woke, or t is nil.
func (t *Tail) Go() {
	if t == nil {
		return
	}
	if t.box != nil {
		go t.box.run()
	}
	for _, mb := range t.more {
		go mb.run()
	}
	t.box, t.more = nil, nil
}

// start starts the consumer, or leaves that to t, which may be nil.
func (mb *mailbox) start(t *Tail) {
	switch {
	case t == nil:
		go mb.run()
	case t.box == nil:
		t.box = mb
	default:
		t.more = append(t.more, mb)
	}
}
