package bus

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// self is what a wait must leave out: the handlers it was called from.
type self struct {
	mailboxes map[*mailbox]bool
	commands  map[*command]int64
	inline    bool
}

func selfOf(ctx context.Context) self {
	me := self{map[*mailbox]bool{}, map[*command]int64{}, false}
	for s := range scopes(ctx) {
		switch {
		case s.mailbox:
			me.mailboxes[cmp.Or(s.box, s.client.mailbox)] = true
		case s.inline:
			me.inline = true
		case s.command != nil:
			me.commands[s.command]++
		}
	}
	return me
}

// inside reports whether one of the handlers is c's.
func (me self) inside(c *Client) bool {
	for k := range me.commands {
		if k.owner == c {
			return true
		}
	}
	return slices.ContainsFunc(c.allMailboxes(), func(mb *mailbox) bool { return me.mailboxes[mb] })
}

// waitContext is the context to wait with. One that belongs to a handler may
// be ended by the very shutdown it asks for, so only its deadline counts, and
// without one the wait is bounded by cleanUp.
func waitContext(ctx context.Context) (context.Context, context.CancelFunc) {
	if !insideBus(ctx) {
		return ctx, func() {}
	}
	at, ok := ctx.Deadline()
	if !ok {
		at = time.Now().Add(cleanUp)
	}
	return context.WithDeadline(context.WithoutCancel(ctx), at)
}
