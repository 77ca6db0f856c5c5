package eventbus

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/asaskevich/EventBus"

	"github.com/cxbus/cxbus/bus"
)

// Bus is the EventBus of one client. Its methods are safe for concurrent use
// and may be called from handlers. Everything of it ends with the client.
type Bus struct {
	client   *bus.Client
	routes   routes
	failures atomic.Uint64
	turns    atomic.Uint64 // counts asynchronous calls, as they begin and as they end
}

var _ EventBus.Bus = (*Bus)(nil)

// New returns the client's events as an EventBus, in place of EventBus.New().
// What is behind it is a [*Bus].
func New(c *bus.Client) EventBus.Bus { return Wrap(c) }

// Wrap is [New] for those who want the errors, too. Several for one client
// share its events, but HasCallback and Unsubscribe know their own handlers
// only.
func Wrap(c *bus.Client) *Bus { return &Bus{client: c} }

// maxUnheard is how many topics without a subscription have a route of their
// own, so that names made up for each publish cannot grow memory.
const maxUnheard = 1024

// route returns the way to a topic's event, which it declares. Without must it
// may return nil.
func (b *Bus) route(topic string, must bool) (*route, error) {
	if r := b.routes.get(topic); r != nil {
		return r, nil
	}
	// Client.Publish takes a topic that begins with the own namespace for a mistake.
	must = must || strings.HasPrefix(topic, b.client.Namespace()+".")
	if !must && b.routes.len() >= maxUnheard {
		return nil, nil
	}
	name := b.client.Namespace() + "." + EventName(topic)
	pub, err := bus.NewEvent[any](name, "The EventBus topic "+strconv.Quote(topic)+".").Bind(b.client)
	if err != nil {
		return nil, err
	}
	return b.routes.add(&route{bus: b, topic: topic, name: name, pub: pub}), nil
}

// Publish publishes the arguments as an event. It never waits for an
// asynchronous handler or another plugin, up to the hard limit of their mailboxes. What
// goes wrong is logged and counted, see [Bus.Failures].
func (b *Bus) Publish(topic string, args ...any) {
	r := b.routes.get(topic)
	if r == nil {
		var err error
		if r, err = b.route(topic, false); r == nil {
			if err == nil {
				err = b.client.Publish(b.client.Context(), EventName(topic), pack(args))
			}
			if err != nil {
				b.failed(topic, err)
			}
			return
		}
	}
	if aud := r.audience(); aud != nil && aud.onces != nil {
		r.take(aud, args)
	}
	if err := r.pub.Publish(b.client.Context(), pack(args)); err != nil {
		b.failed(topic, err)
	}
}

// PublishErr is Publish that says what went wrong. It waits for mailboxes at
// their soft limit as long as ctx lives; a ctx from the bus never waits, and one
// that does not end must not be used inside of an asynchronous handler, which would
// wait for itself. It returns [ErrArguments] if some handler cannot take the
// arguments (the others get them), and what [bus.Publisher.Publish] returns.
func (b *Bus) PublishErr(ctx context.Context, topic string, args ...any) error {
	r, err := b.route(topic, false)
	if err != nil {
		return err
	}
	if r == nil {
		return b.client.Publish(ctx, EventName(topic), pack(args))
	}
	var unfit error
	if aud := r.audience(); aud != nil {
		unfit = aud.check(r, args)
		if aud.onces != nil {
			r.take(aud, args)
		}
	}
	return errors.Join(unfit, r.pub.Publish(ctx, pack(args)))
}

// Failures returns how often something went wrong that no caller was told of:
// a Publish that failed, or a handler that could not take the arguments.
func (b *Bus) Failures() uint64 { return b.failures.Load() }

// failed counts and logs. Of a stream of failures only the first, second,
// fourth, eighth and so on are logged.
func (b *Bus) failed(topic string, err error) {
	if n := b.failures.Add(1); n&(n-1) == 0 {
		b.client.Logger().Error("EventBus publish failed", "topic", topic, "error", err, "failures", n)
	}
}

// HasCallback reports whether a handler is subscribed to the topic. Plugins
// that are subscribed to the event do not count.
func (b *Bus) HasCallback(topic string) bool {
	r := b.routes.get(topic)
	if r == nil {
		return false
	}
	return r.aud.Load() != nil
}

// WaitAsync waits until every event that was published before has been handled
// by the asynchronous handlers, and what they published in turn. Called from an
// asynchronous handler, which would wait for itself, it logs that and returns
// at once. It waits for the client's other mailbox handlers, too, and so must
// not be called from one of these: use [Bus.WaitAsyncErr] there.
func (b *Bus) WaitAsync() {
	if err := b.WaitAsyncErr(context.Background()); err != nil {
		b.client.Logger().Error("EventBus does not wait for asynchronous handlers", "error", err)
	}
}

// WaitAsyncErr is WaitAsync until ctx ends. It returns [bus.ErrSelfWait] when
// called from an asynchronous handler, or with the context of a mailbox
// handler of the client; else [bus.ErrCancelled] or [bus.ErrTimeout].
func (b *Bus) WaitAsyncErr(ctx context.Context) error {
	if insideAsync() {
		return with(bus.ErrSelfWait, "wait for handlers of "+b.client.Namespace(), "call WaitAsync from elsewhere")
	}
	for {
		before := b.turns.Load()
		if err := b.client.Flush(ctx); err != nil {
			return err
		}
		if b.turns.Load() == before {
			return nil // no handler ran that could have published to one waited for already
		}
	}
}

// insideAsync reports whether an asynchronous handler, or a bridge from its
// mailbox, called its caller. The interface passes no context, so the stack is
// the only witness.
func insideAsync() bool {
	var pcs [64]uintptr
	for skip := 2; ; skip += len(pcs) {
		n := runtime.Callers(skip, pcs[:])
		frames := runtime.CallersFrames(pcs[:n])
		for more := n > 0; more; {
			var f runtime.Frame
			f, more = frames.Next()
			if strings.HasSuffix(f.Function, "/eventbus.(*subscriber).async") || strings.HasSuffix(f.Function, "/eventbus.(*Link).send") {
				return true
			}
		}
		if n < len(pcs) {
			return false
		}
	}
}
