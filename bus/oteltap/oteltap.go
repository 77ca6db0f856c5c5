// Package oteltap turns what a tap sees on a bus into OpenTelemetry spans. It is a
// module of its own, so that only programs that want it link OpenTelemetry.
//
// Each command becomes a span from its call to its settlement, named by the
// command, with the attributes cxbus.commander and cxbus.correlation; one that
// fails has the error's code and text. Each event becomes a span event of the
// command in whose course it was published, or a span of its own if it belongs
// to none. Payloads are left out: they may hold secrets.
//
// A command or event that belongs to a trace already, since it came over a link or was called inside a span of the
// program, continues that trace. [Trace] is what [bus.Options] need for the latter.
package oteltap

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/cxbus/cxbus/bus"
)

// Start puts a tap on c's bus that records spans with tracer, and returns its
// handle; unsubscribing ends it. A command that is under way then is
// never recorded. It returns what [bus.Client.Tap] returns.
func Start(c *bus.Client, tracer trace.Tracer) (*bus.Subscription, error) {
	t := &tap{tracer: tracer, calls: map[uint64]call{}, chains: map[uint64]uint64{}}
	return c.Tap(t.record)
}

// Trace returns the span that ctx carries as traceparent and tracestate, for [bus.Options.Trace]. So commands and events
// that cross a link, and the spans of [Start], continue the trace of the program.
func Trace(ctx context.Context) (parent, state string) {
	fields := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, fields)
	return fields["traceparent"], fields["tracestate"]
}

// remote returns a context with the span that e names as the parent of new ones.
func remote(e bus.Envelope) context.Context {
	return propagation.TraceContext{}.Extract(context.Background(),
		propagation.MapCarrier{"traceparent": e.TraceParent, "tracestate": e.TraceState})
}

// maxOpen bounds the commands that are remembered until they settle; beyond,
// those that come are not traced.
const maxOpen = 1 << 16

// tap keeps the spans of commands under way. The bus calls record from one
// goroutine at a time.
type tap struct {
	tracer trace.Tracer
	calls  map[uint64]call   // by call id
	chains map[uint64]uint64 // the innermost open call of each correlation
}

type call struct {
	span  trace.Span
	ctx   context.Context
	outer uint64 // the open call around it
}

func (t *tap) record(_ context.Context, r bus.Record) {
	switch r.Kind {
	case "command":
		if len(t.calls) >= maxOpen {
			return
		}
		outer := t.chains[r.Correlation]
		parent := remote(r.Envelope)
		if o, ok := t.calls[outer]; ok {
			parent = o.ctx
		}
		ctx, span := t.tracer.Start(parent, r.Name, trace.WithTimestamp(r.Time), trace.WithAttributes(
			attribute.String("cxbus.commander", r.By), attribute.Int64("cxbus.correlation", int64(r.Correlation))))
		t.calls[r.ID] = call{span, ctx, outer}
		t.chains[r.Correlation] = r.ID
	case "result":
		at, ok := t.calls[r.ID]
		if !ok {
			return
		}
		delete(t.calls, r.ID)
		if t.chains[r.Correlation] == r.ID {
			t.chains[r.Correlation] = at.outer
		}
		if t.chains[r.Correlation] == 0 {
			delete(t.chains, r.Correlation)
		}
		if r.Err != nil {
			var e *bus.Error
			if errors.As(r.Err, &e) {
				at.span.SetAttributes(attribute.String("cxbus.code", string(e.Code)))
			}
			at.span.SetStatus(codes.Error, r.Err.Error())
		}
		at.span.End(trace.WithTimestamp(r.Time))
	case "event":
		attrs := trace.WithAttributes(attribute.String("cxbus.publisher", r.By))
		if at, ok := t.calls[t.chains[r.Correlation]]; ok {
			at.span.AddEvent(r.Name, trace.WithTimestamp(r.Time), attrs)
			return
		}
		_, span := t.tracer.Start(remote(r.Envelope), r.Name, trace.WithTimestamp(r.Time), attrs)
		span.End(trace.WithTimestamp(r.Time))
	}
}
