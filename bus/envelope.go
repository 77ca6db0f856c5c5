package bus

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"strconv"
	"strings"
)

// Envelope is what an event or a command carries besides its name and its data when it crosses a link between
// processes. Inside a process nothing of it is made before somebody asks.
//
// A link publishes and calls what comes from the other side with the context that [Envelope.Context] gives. It reads
// what goes there with [Event.Envelope] and [EnvelopeOf], and does not send an event back to the link whose Origin it
// carries.
type Envelope struct {
	// ID tells the event or command from all others, so that who gets it by two ways can notice. Events of this bus
	// have one if they are retained or if a subscription is made with [Timed].
	ID string `json:"id,omitempty"`
	// Origin is where it came into being, as the link calls that; empty for what began on this bus. Events with an
	// Origin are decoded leniently: fields that the subscribers' type does not have pass.
	Origin string `json:"origin,omitempty"`
	// TraceParent and TraceState are those of W3C Trace Context: the trace that it belongs to. The bus hands them on
	// and makes no spans of its own.
	TraceParent string `json:"traceparent,omitempty"`
	TraceState  string `json:"tracestate,omitempty"`
}

// Context returns a context for publishing one event or calling one command that has come with e. The handler of that
// command finds e with [EnvelopeOf]. What the handler publishes and calls in turn, with its own context, belongs to
// the same trace, but has neither the ID nor the Origin: it came into being here.
//
// A TraceParent that is not valid is left out, with its state, as Trace Context 3.3 asks; so is a TraceState of more
// than 512 bytes.
func (e Envelope) Context(ctx context.Context) context.Context {
	switch {
	case !validTraceParent(e.TraceParent):
		e.TraceParent, e.TraceState = "", ""
	case len(e.TraceState) > 512:
		e.TraceState = ""
	}
	l := lineageOf(ctx)
	if e.TraceParent == "" && l.env != nil {
		e.TraceParent, e.TraceState = l.env.TraceParent, l.env.TraceState
	}
	l.env = &e
	return &carrier{ctx, l}
}

// EnvelopeOf returns the envelope of the command whose handler got ctx, or of ctx itself if [Envelope.Context] made it.
// Its trace is the one that [Options.Trace] finds in ctx, or else the one that it came with.
func EnvelopeOf(ctx context.Context) Envelope {
	l := ownLineage(ctx)
	if s := scopeOf(ctx); s != nil {
		l = s.client.bus.traced(ctx, l)
	}
	return l.envelope()
}

// Envelope returns the event's envelope. See there for when it has an ID.
func (e Event[T]) Envelope() Envelope { return e.info().envelope() }

func (m *meta) envelope() (e Envelope) {
	if m.env != nil {
		e = *m.env
	}
	if e.ID == "" && m.id != 0 {
		e.ID = m.topic.bus.instance() + "-" + strconv.FormatUint(m.id, 10)
	}
	return e
}

// foreign reports whether the event came over a link.
func (m *meta) foreign() bool { return m.env != nil && m.env.Origin != "" }

// trace returns what a message that is caused by this one inherits. e may be nil.
func (e *Envelope) trace() *Envelope {
	switch {
	case e == nil || e.TraceParent == "":
		return nil
	case e.ID == "" && e.Origin == "":
		return e
	}
	return &Envelope{TraceParent: e.TraceParent, TraceState: e.TraceState}
}

// traceOf asks the program which trace ctx belongs to.
func (b *Bus) traceOf(ctx context.Context) (parent, state string) {
	_ = contain(func() error { // a tracer that fails traces nothing
		parent, state = b.opts.Trace(ctx)
		return nil
	})
	if !validTraceParent(parent) {
		return "", ""
	}
	return parent, state
}

// instance returns a name that no other bus has, here or elsewhere. It is made when it is needed first.
func (b *Bus) instance() string {
	if s := b.id.Load(); s != nil {
		return *s
	}
	var raw [8]byte
	_, _ = rand.Read(raw[:]) // it never fails
	s := hex.EncodeToString(raw[:])
	b.id.CompareAndSwap(nil, &s)
	return *b.id.Load()
}

// validTraceParent checks a traceparent by Trace Context 3.2.2: version, trace id, parent id and flags in lower-case
// hexadecimal digits. Version ff is forbidden, ids of zeros are not valid, and a later version may have more behind a dash.
func validTraceParent(s string) bool {
	if len(s) < 55 || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return false
	}
	if len(s) > 55 && (s[:2] == "00" || s[55] != '-') {
		return false
	}
	for i := range 55 {
		if c := s[i]; i != 2 && i != 35 && i != 52 && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return s[:2] != "ff" && strings.Trim(s[3:35], "0") != "" && strings.Trim(s[36:52], "0") != ""
}
