package eventbus

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"reflect"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/asaskevich/EventBus"

	"github.com/cxbus/cxbus/bus"
)

// Link connects an EventBus with the events of a client, both ways; see
// [Bridge]. Its methods are safe for concurrent use.
type Link struct {
	client *bus.Client
	real   EventBus.Bus
	ctx    context.Context // what is published with it is known as coming from here
	mark   string
	ends   []end

	sender  atomic.Uint64 // the goroutine that is publishing on the EventBus
	carrier atomic.Uint64 // the goroutine that is publishing on the bus
	dropped atomic.Uint64

	mu     sync.Mutex // guards what follows
	queue  []parcel
	idle   chan struct{} // closed when nothing is left; nil while nothing is there
	closed bool
}

// end is one topic of a link.
type end struct {
	topic string
	fn    any // subscribed to the EventBus
	sub   *bus.Subscription
}

// parcel is one event on its way from the EventBus to the bus.
type parcel struct {
	topic   string
	payload any
}

// maxParcels is how many events wait on the way from the EventBus.
const maxParcels = 1 << 16

// A Topic is one topic of a bridge.
type Topic struct {
	Name string
	// Params is the number of arguments that are published to the topic;
	// 0 means that it varies. A topic whose arguments may be nil needs it: a real
	// EventBus panics in Publish if it has to give a nil that is not the first
	// argument to a handler of any number of them.
	Params int
}

// Bridge joins a real EventBus, which keeps its own subscribers, with the
// events of a client: what is published on one of the topics there becomes the
// event <Namespace>.<[EventName](topic)>, and such an event that something else
// publishes becomes a Publish there.
//
// Both ways are queued, in order, and bounded. The EventBus never waits: of
// what the bus is too slow for, 65,536 events wait and further ones are dropped,
// counted and logged. Towards the EventBus events wait in the client's mailbox, with
// its limits; a handler there that panics is contained by the bus. What has
// crossed the bridge does not cross it back, so a bridge is no loop; neither
// are two between the same pair.
//
// End it with [Link.Close]. When the client is taken down it ends by itself,
// with the next event. It returns [ErrItself] if eb is a [*Bus] of the same
// client, and what subscribing on either side returns.
func Bridge(c *bus.Client, eb EventBus.Bus, topics ...string) (*Link, error) {
	list := make([]Topic, len(topics))
	for i, t := range topics {
		list[i].Name = t
	}
	return BridgeTopics(c, eb, list...)
}

// BridgeTopics is [Bridge] for topics of which more is known.
func BridgeTopics(c *bus.Client, eb EventBus.Bus, topics ...Topic) (*Link, error) {
	if b, ok := eb.(*Bus); ok && b.client == c {
		return nil, with(ErrItself, "bridge "+c.Namespace(), "it needs an EventBus of its own")
	}
	l := &Link{client: c, real: eb, mark: "eventbus-" + rand.Text()}
	l.ctx = bus.Envelope{Origin: l.mark}.Context(c.Context())
	unique := reflect.ArrayOf(1+mathrand.IntN(1<<30), reflect.TypeFor[struct{}]())
	for _, t := range topics {
		if err := l.listen(t, unique); err != nil {
			return nil, errors.Join(err, l.Close(c.Context()))
		}
	}
	for _, e := range l.ends { // complete now: from here on carry may read it
		if err := eb.Subscribe(e.topic, e.fn); err != nil {
			return nil, errors.Join(err, l.Close(c.Context()))
		}
	}
	l.mu.Lock()
	closed := l.closed
	l.mu.Unlock()
	if closed { // the client was taken down meanwhile
		l.leave()
		return nil, with(bus.ErrStopped, "bridge "+c.Namespace(), "")
	}
	return l, nil
}

// listen subscribes to one topic's event.
func (l *Link) listen(t Topic, unique reflect.Type) error {
	name := l.client.Namespace() + "." + EventName(t.Name)
	_, err := bus.NewEvent[any](name, "The EventBus topic "+strconv.Quote(t.Name)+", bridged.").Bind(l.client)
	if err != nil {
		return err
	}
	sub, err := l.client.Subscribe(name, func(_ context.Context, e bus.Event[any]) {
		if e.Envelope().Origin != l.mark {
			l.send(t.Name, e.Data)
		}
	})
	if err != nil {
		return err
	}
	l.ends = append(l.ends, end{t.Name, l.listener(t, unique), sub})
	return nil
}

// listener makes the function that is subscribed to the EventBus. It is of a
// type that no other function has, because the EventBus unsubscribes by type
// and code: it returns an array without a size, whose length is the link's.
func (l *Link) listener(t Topic, unique reflect.Type) any {
	in := []reflect.Type{reflect.TypeFor[[]any]()}
	if t.Params > 0 {
		in = make([]reflect.Type, t.Params)
		for i := range in {
			in[i] = reflect.TypeFor[any]()
		}
	}
	out := []reflect.Value{reflect.Zero(unique)}
	typ := reflect.FuncOf(in, []reflect.Type{unique}, t.Params <= 0)
	return reflect.MakeFunc(typ, func(in []reflect.Value) []reflect.Value {
		if at := l.sender.Load(); at != 0 && at == goroutine() {
			return out // what the link itself publishes
		}
		var args []any
		if t.Params > 0 {
			for _, v := range in {
				args = append(args, v.Interface())
			}
		} else if args = in[0].Interface().([]any); len(args) > 0 {
			// What a real EventBus makes of a first argument that is nil.
			if list, ok := args[0].([]any); ok && list == nil {
				args[0] = nil
			}
		}
		l.put(parcel{t.Name, pack(args)})
		return out
	}).Interface()
}

// send publishes on the EventBus what came from the bus. It runs in the
// client's mailbox; insideAsync looks for it by name.
//
//go:noinline
func (l *Link) send(topic string, payload any) {
	l.sender.Store(goroutine())
	defer l.sender.Store(0)
	l.real.Publish(topic, unpack(payload)...)
}

// put queues what came from the EventBus, whose lock is held.
func (l *Link) put(p parcel) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
	case len(l.queue) >= maxParcels:
		if n := l.dropped.Add(1); n&(n-1) == 0 {
			l.client.Logger().Error("bridge is full", "topic", p.topic, "dropped", n)
		}
	default:
		l.queue = append(l.queue, p)
		if l.idle == nil {
			l.idle = make(chan struct{})
			go l.carry()
		}
	}
}

// carry publishes on the bus until nothing is left. Close waits for it.
func (l *Link) carry() {
	l.carrier.Store(goroutine())
	for {
		batch := l.take()
		if batch == nil {
			return
		}
		for _, p := range batch {
			err := l.client.Publish(l.ctx, EventName(p.topic), p.payload)
			switch {
			case err == nil:
			case errors.Is(err, bus.ErrStopped), errors.Is(err, bus.ErrClosed):
				l.detach()
			default:
				l.client.Logger().Error("bridge cannot publish", "topic", p.topic, "error", err)
			}
		}
	}
}

func (l *Link) take() []parcel {
	l.mu.Lock()
	defer l.mu.Unlock()
	batch := l.queue
	l.queue = nil
	if batch == nil {
		l.carrier.Store(0)
		close(l.idle)
		l.idle = nil
	}
	return batch
}

// Dropped returns how many events from the EventBus were dropped because too
// many waited.
func (l *Link) Dropped() uint64 { return l.dropped.Load() }

// Close ends the bridge: it takes its handlers off both sides and waits until
// what has come from the EventBus is published, and no handler of its runs.
// Called from a handler that it would have to wait for it does not wait for that one. It
// returns [bus.ErrCancelled] or [bus.ErrTimeout] if ctx ends first; the bridge has
// ended all the same. It must not be called from a synchronous handler of a
// real EventBus, which deadlocks on every call from there.
func (l *Link) Close(ctx context.Context) error {
	l.detach()
	var errs []error
	for _, e := range l.ends {
		errs = append(errs, e.sub.UnsubscribeWait(ctx))
	}
	l.mu.Lock()
	idle := l.idle
	l.mu.Unlock()
	if idle != nil && l.carrier.Load() != goroutine() {
		select {
		case <-idle:
		case <-ctx.Done():
			e := bus.ErrCancelled
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				e = bus.ErrTimeout
			}
			errs = append(errs, with(e, "close the bridge of "+l.client.Namespace(), "a subscriber of the bus is slow"))
		}
	}
	return errors.Join(errs...)
}

// detach takes the link off both sides, once.
func (l *Link) detach() {
	l.mu.Lock()
	first := !l.closed
	l.closed = true
	l.mu.Unlock()
	if first {
		l.leave()
	}
}

func (l *Link) leave() {
	for _, e := range l.ends {
		e.sub.Unsubscribe()
		if err := l.real.Unsubscribe(e.topic, e.fn); err != nil {
			l.client.Logger().Debug("the EventBus has forgotten the bridge", "topic", e.topic, "error", err)
		}
	}
}

// goroutine returns the number of the calling goroutine. An EventBus passes no
// context, so whose Publish a handler is called from shows in nothing else.
func goroutine() uint64 {
	var buf [64]byte
	line := bytes.TrimPrefix(buf[:runtime.Stack(buf[:], false)], []byte("goroutine "))
	digits, _, _ := bytes.Cut(line, []byte(" "))
	n, _ := strconv.ParseUint(string(digits), 10, 64)
	return n
}
