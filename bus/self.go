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
	stops     map[*Client]bool // and whose Stop
}

func selfOf(ctx context.Context) self {
	me := self{map[*mailbox]bool{}, map[*command]int64{}, false, map[*Client]bool{}}
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
	for t := taskOf(ctx); t != nil; t = t.outer {
		me.stops[t.stop] = true
	}
	return me
}

// inside reports whether one of the handlers is c's.
func (me self) inside(c *Client) bool {
	if me.stops[c] {
		return true
	}
	for k := range me.commands {
		if k.owner == c {
			return true
		}
	}
	return slices.ContainsFunc(c.allMailboxes(), func(mb *mailbox) bool { return me.mailboxes[mb] })
}

// waitContext is the context to wait with. One that belongs to a handler, or to
// the loader, may be ended by the very shutdown it asks for, so only its deadline
// counts. Without one the wait is bounded by cleanUp; so is that of a Stop, since two may wait for each other.
func waitContext(ctx context.Context) (context.Context, context.CancelFunc) {
	t := taskOf(ctx)
	at, ok := ctx.Deadline()
	switch {
	case insideBus(ctx), t != nil && t.load != nil:
	case t != nil && !ok:
		return context.WithTimeout(ctx, cleanUp)
	default:
		return ctx, func() {}
	}
	if !ok {
		at = time.Now().Add(cleanUp)
	}
	return context.WithDeadline(context.WithoutCancel(ctx), at)
}
