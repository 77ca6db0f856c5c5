package bus

import "context"

// A lineage is what a message inherits from the context it is published or called with.
type lineage struct {
	chain uint64    // correlation; 0 outside a chain
	env   *Envelope // nil for nearly all: nothing came over a link and nobody traces
}

// A carrier is a context that gives a lineage to the one message that it is used for.
type carrier struct {
	context.Context
	lineage
}

type lineageKey struct{}

// Value answers for the carrier itself, then for what is around it.
func (c *carrier) Value(key any) any {
	if _, ok := key.(lineageKey); ok {
		return c
	}
	return c.Context.Value(key)
}

// lineageOf returns what a message that is published or called with ctx inherits. Inside a handler of a command it is
// in the same chain and the same trace as the command.
func lineageOf(ctx context.Context) lineage {
	if s, ok := ctx.(*scope); ok {
		return s.inherited()
	}
	if isBackground(ctx) {
		return lineage{}
	}
	switch c := ctx.Value(lineageKey{}).(type) {
	case *scope:
		return c.inherited()
	case *carrier:
		return c.lineage
	case *handoff:
		return lineageOf(c.Context)
	}
	return lineage{}
}

// ownLineage returns what the command has come with whose handler got ctx.
func ownLineage(ctx context.Context) lineage {
	switch c := ctx.Value(lineageKey{}).(type) {
	case *scope:
		return c.lineage
	case *carrier:
		return c.lineage
	case *handoff:
		return ownLineage(c.Context)
	}
	return lineage{}
}

// waitingLineage is waitingScope and lineageOf at once.
func waitingLineage(ctx context.Context) (*scope, lineage) {
	switch c := ctx.Value(lineageKey{}).(type) {
	case *scope:
		return c, c.inherited()
	case *carrier:
		return waitingScope(c.Context), c.lineage
	case *handoff:
		c.start()
		return waitingLineage(c.Context)
	}
	return nil, lineage{}
}

// fromLink reports whether what is published with ctx came over a link.
func fromLink(ctx context.Context) bool {
	env := lineageOf(ctx).env
	return env != nil && env.Origin != ""
}

func (l lineage) envelope() (e Envelope) {
	if l.env != nil {
		e = *l.env
	}
	return e
}

// traced returns l with the trace that the program finds in ctx, if it finds one. It calls code of users.
func (b *Bus) traced(ctx context.Context, l lineage) lineage {
	if b.opts.Trace == nil || isBackground(ctx) {
		return l
	}
	if parent, state := b.traceOf(ctx); parent != "" {
		e := l.envelope()
		e.TraceParent, e.TraceState = parent, state
		l.env = &e
	}
	return l
}

func (s *scope) inherited() lineage {
	if s.env == nil {
		return s.lineage
	}
	return lineage{s.chain, s.env.trace()}
}
