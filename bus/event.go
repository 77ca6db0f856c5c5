package bus

import (
	"context"
	"reflect"
	"time"
	"unsafe"
)

// Event is what a subscriber is handed: the payload and where it came from.
// Events are passed by value and are the subscriber's own; Data is shared with
// the other subscribers and must be treated as immutable.
type Event[T any] struct {
	Data T
	m    *meta
}

// meta is what an event carries besides its payload. One that needs nothing of
// its own shares its topic's.
type meta struct {
	topic    *topic
	time     time.Time
	revision uint64 // of a retained event, with replayBit
	id       uint64 // 0 if it has none of this bus
	lineage
}

// replayBit marks the replay of a retained event, in revision: a meta of 64 bytes is one allocation class less.
const replayBit = 1 << 63

var noMeta = meta{topic: &topic{}}

func (e Event[T]) info() *meta {
	if e.m == nil {
		return &noMeta
	}
	return e.m
}

// Name returns the full name, "Namespace.event".
func (e Event[T]) Name() string { return e.info().topic.name }

// Publisher returns the namespace that published the event.
func (e Event[T]) Publisher() string { return e.info().topic.namespace }

// Time returns when the event was published. It is zero unless the event is a
// retained one or some subscriber asked for it with [Timed]; reading the clock
// for every event would cost more than delivering it.
func (e Event[T]) Time() time.Time { return e.info().time }

// Retained reports whether this is the replay of a retained event to a late
// subscriber, rather than a live one. CXBus cannot tell (cxbus 3).
func (e Event[T]) Retained() bool { return e.info().revision&replayBit != 0 }

// Revision returns the number of a retained event's value, from 1 and rising
// by one with each [Publisher.Republish]; 0 for an event published plainly.
func (e Event[T]) Revision() uint64 { return e.info().revision &^ replayBit }

// Correlation returns the number of the chain of commands and events that this
// one belongs to, or 0. See the function [Correlation].
func (e Event[T]) Correlation() uint64 { return e.info().chain }

// EventOf describes an event: its full name, its meaning and, in T, its
// payload. A description is immutable and belongs in a package variable; any
// number of buses share it. The plugin that owns the namespace binds it to
// publish; anybody subscribes with it.
type EventOf[T any] struct{ name, doc string }

// NewEvent describes the event with the full name name ("WebChat.opened"). doc
// says in one sentence when it is published. A malformed name is reported by
// the first Bind or Subscribe.
func NewEvent[T any](name, doc string) EventOf[T] { return EventOf[T]{name, doc} }

// Name returns the full name.
func (d EventOf[T]) Name() string { return d.name }

// Doc returns the sentence on when the event is published.
func (d EventOf[T]) Doc() string { return d.doc }

// Bind declares the event as one of c's and returns the handle to publish it
// with. Binding twice is fine. It returns [ErrNotOwner] if the event is in
// another plugin's namespace, [ErrWrongType] if the name was declared or
// subscribed to with another payload type, [ErrBadName], [ErrStopped] or
// [ErrClosed].
func (d EventOf[T]) Bind(c *Client) (*Publisher[T], error) {
	if err := checkFull(d.name, checkEvent); err != nil {
		return nil, err
	}
	ns, member, _ := splitName(d.name)
	if ns != c.namespace {
		return nil, ErrNotOwner.with("bind "+d.name, "only the client of "+ns+" can publish it")
	}
	o := c.declaredRoute(member, kindOf[T]{})
	if o == nil {
		var err error
		if o, err = c.declare(member, d.doc, kindOf[T]{}); err != nil {
			return nil, err
		}
	}
	// The publisher is the route itself, which is kept up to date, and not one that points to it: BenchmarkTopics, and
	// "10,000 topics" of bus/bench, would take a third longer, for one more cache line.
	return (*Publisher[T])(unsafe.Pointer(o)), nil
}

// Publisher publishes one event of one client. It is safe for concurrent use
// and the fastest way to publish: it holds the event's route.
type Publisher[T any] struct{ eventRoute }

// Publish hands v to every subscriber of the event and returns once it is
// queued for all who have a mailbox and inline subscribers have run. Events
// published one after the other reach each subscriber in that order.
//
// When a mailbox is at its soft limit, Publish waits for room, for as long as
// ctx lives; a ctx that comes from the bus (a handler's, or [Client.Context])
// never waits. The event still reaches the other subscribers if it returns
// [ErrOverflow] (a mailbox at its hard limit), [ErrCancelled] or [ErrTimeout];
// it reaches nobody with [ErrStopped] or [ErrClosed]. ctx is looked at only
// when a mailbox is full.
func (p *Publisher[T]) Publish(ctx context.Context, v T) error {
	c := p.client
	if c.flags.Load() != 0 {
		if err := c.beforePublish(ctx, p.topic(), v); err != nil {
			return err
		}
	}
	s := p.snap.Load()
	f, ok := s.list.(*fanout[T])
	if !ok {
		return s.list.publishAny(ctx, c.bus, p.meta, &p.snap, v)
	}
	if isBackground(ctx) {
		if f.fn != nil {
			if r := s.enter(c.bus, &p.snap); r != nil { // runInline, a call shorter
				f.runOne(Event[T]{v, p.meta}, r)
				return nil
			}
		} else if f.plain {
			if len(f.inline) == 0 {
				return nil
			}
			if r := s.enter(c.bus, &p.snap); r != nil {
				f.runFrom(0, Event[T]{v, p.meta}, r)
				return nil
			}
		} else if f.single != nil && f.single.post(v, p.meta, nil) {
			return nil
		}
	}
	return f.publish(ctx, p.topic(), v, nil)
}

// PublishDirect is Publish for very frequent events: the debugging tools that
// watch everything on the bus see it only when somebody is subscribed
// (cxbus 3, publishDirect).
func (p *Publisher[T]) PublishDirect(ctx context.Context, v T) error {
	if p.client.flags.Load()&flagWatched != 0 && p.topic().hasNoSubscribers() {
		return p.client.publishRefused(ctx, "publish ", p.topic())
	}
	return p.Publish(ctx, v)
}

// Republish publishes v and keeps it: whoever subscribes later is handed it at
// once. Each subscriber sees every value exactly once, live or as the replay,
// in the order of revisions. Republish never waits for a mailbox; it returns
// what Publish returns otherwise. The value survives the last subscriber and
// is not changed by a plain Publish.
func (p *Publisher[T]) Republish(ctx context.Context, v T) error {
	return p.topic().republish(ctx, p.client, v)
}

// ClearRetained forgets the retained value. Later subscribers get no replay.
func (p *Publisher[T]) ClearRetained() { p.topic().clearRetained() }

// Subscribe calls h for every event described by d, in the order they were
// published. By default h runs from c's mailbox: one handler of c at a time,
// in a goroutine of c's own, or one that a publisher hands over to it ([Handoff]),
// with a context that ends when c is taken down. It may take its time.
// The plugin that publishes the event need not exist yet. The same function
// may be subscribed twice and is then called twice.
//
// It returns [ErrNilHandler], [ErrBadName], [ErrWrongType] if the event was
// declared with another payload type, [ErrStopped] or [ErrClosed].
func Subscribe[T any](c *Client, d EventOf[T], h func(ctx context.Context, e Event[T]), opts ...SubscribeOption) (*Subscription, error) {
	if h == nil {
		return nil, ErrNilHandler.with("subscribe "+d.name, "pass a function")
	}
	if err := checkFull(d.name, checkEvent); err != nil {
		return nil, err
	}
	s := newSubscription(c, d.name, opts)
	setHandler(s, h)
	if err := c.subscribeExact(s, d.name, kindOf[T]{}); err != nil {
		return nil, err
	}
	return s, nil
}

// kind is the payload type of a topic: it builds snapshots for it and decodes
// into it.
type kind interface {
	typ() reflect.Type
	build(t *topic) *snapshot
	// convert turns a payload given by name into one of this kind.
	convert(op string, v any, lenient bool) (any, error)
	// holds reports whether v is a payload of this kind as it is.
	holds(v any) bool
	untyped() bool
}

type kindOf[T any] struct{}

func (kindOf[T]) typ() reflect.Type { return reflect.TypeFor[T]() }
func (kindOf[T]) untyped() bool     { return reflect.TypeFor[T]() == reflect.TypeFor[any]() }
func (kindOf[T]) convert(op string, v any, lenient bool) (any, error) {
	return decode[T](op, v, lenient)
}
func (kindOf[T]) holds(v any) bool {
	_, ok := v.(T)
	return ok
}
