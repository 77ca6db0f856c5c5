package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/cxbus/cxbus/bus"
)

// msg is the payload of all jobs but one. It is made once and handed over by
// pointer, so what is measured is the bus.
type msg struct {
	N     int64
	Stamp int64 // when it was published, for the latency
	_     [48]byte
}

// sink keeps the compiler from dropping what handlers do; it is never written.
var sink atomic.Int64

// handlers is one handler in the three shapes in which the buses call it.
type handlers struct {
	plain func(*msg)
	event func(context.Context, bus.Event[*msg])
	any   func(context.Context, bus.Event[any])
}

// nop reads the message and writes nothing that is shared.
func nop() handlers {
	return handlers{
		plain: func(m *msg) {
			if m.N == -1 {
				sink.Add(1)
			}
		},
		event: func(_ context.Context, e bus.Event[*msg]) {
			if e.Data.N == -1 {
				sink.Add(1)
			}
		},
		any: func(_ context.Context, e bus.Event[any]) {
			if e.Data.(*msg).N == -1 {
				sink.Add(1)
			}
		},
	}
}

// count counts the messages.
func count(n *atomic.Int64) handlers {
	return handlers{
		plain: func(*msg) { n.Add(1) },
		event: func(context.Context, bus.Event[*msg]) { n.Add(1) },
		any:   func(context.Context, bus.Event[any]) { n.Add(1) },
	}
}

// each calls fn for each message.
func each(fn func(*msg)) handlers {
	return handlers{
		plain: fn,
		event: func(_ context.Context, e bus.Event[*msg]) { fn(e.Data) },
		any:   func(_ context.Context, e bus.Event[any]) { fn(e.Data.(*msg)) },
	}
}

// pubsub is a bus, or a baseline, with topics 0 to n-1.
type pubsub interface {
	subscribe(topic int, h handlers) (cancel func())
	publish(topic int, m *msg)
	close()
}

// wildcards is one with subscriptions by pattern.
type wildcards interface {
	subscribe(pattern string, h handlers)
	publish(name topicName, m *msg)
	close()
}

// topicName is a name as each bus wants it, taken apart beforehand.
type topicName struct{ full, short string }

// caller is one with a command, commandName.
type caller interface {
	call(ctx context.Context, m *msg) (*msg, error)
	close()
}

const commandName = "Plugin.command"

type commandFunc = func(context.Context, *msg) (*msg, error)

// answer returns a handler that answers with the same message each time.
func answer() commandFunc {
	a := &msg{N: 42}
	return func(_ context.Context, m *msg) (*msg, error) {
		if m.N == -1 {
			return nil, nil
		}
		return a, nil
	}
}

// topics makes n names in 100 namespaces.
func topics(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("plugin%03d.section.event%05d", i%100, i)
	}
	return names
}
