package main

import (
	"context"
	"encoding/binary"
	"sync"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/asaskevich/EventBus"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/samber/ro"
)

// peer is another bus at the jobs that hand messages over to other goroutines.
type peer struct {
	name string
	open func(names []string) pubsub
}

// queuePeers returns those that can do these jobs.
func queuePeers() []peer {
	return []peer{
		{"EventBus", newEventBusAsync}, {"watermill", newGoChannelAsync}, {"libp2p", newLibp2p}, {"kelindar", newDispatcher},
		{"cskr", newChannels}, {"tailscale", newTailscale}, {"geth", newFeed},
	}
}

// eventBus is asaskevich/EventBus: topics by name, handlers by reflection.
type eventBus struct {
	bus   EventBus.Bus
	names []string
	async bool
}

func newEventBus(names []string) pubsub      { return &eventBus{EventBus.New(), names, false} }
func newEventBusAsync(names []string) pubsub { return &eventBus{EventBus.New(), names, true} }

func (b *eventBus) publish(topic int, m *msg) { b.bus.Publish(b.names[topic], m) }

func (b *eventBus) subscribe(topic int, h handlers) func() {
	err := error(nil)
	if b.async {
		err = b.bus.SubscribeAsync(b.names[topic], h.plain, false)
	} else {
		err = b.bus.Subscribe(b.names[topic], h.plain)
	}
	if err != nil {
		panic(err)
	}
	return func() { _ = b.bus.Unsubscribe(b.names[topic], h.plain) }
}

func (b *eventBus) close() { b.bus.WaitAsync() }

// eventBusCall is a command on it: the caller passes what takes the reply.
type eventBusCall struct{ bus EventBus.Bus }

func newEventBusCall(h commandFunc) caller {
	b := EventBus.New()
	if err := b.Subscribe(commandName, func(ctx context.Context, m *msg, reply func(*msg, error)) { reply(h(ctx, m)) }); err != nil {
		panic(err)
	}
	return eventBusCall{b}
}

func (b eventBusCall) call(ctx context.Context, m *msg) (a *msg, err error) {
	b.bus.Publish(commandName, ctx, m, func(r *msg, rerr error) { a, err = r, rerr })
	return a, err
}
func (eventBusCall) close() {}

// goChannel is watermill's in-process bus. Its messages are bytes.
type goChannel struct {
	bus   *gochannel.GoChannel
	names []string
	done  sync.WaitGroup
}

func newGoChannel(names []string) pubsub {
	return &goChannel{bus: gochannel.NewGoChannel(gochannel.Config{BlockPublishUntilSubscriberAck: true}, watermill.NopLogger{}), names: names}
}

func newGoChannelAsync(names []string) pubsub {
	return &goChannel{bus: gochannel.NewGoChannel(gochannel.Config{OutputChannelBuffer: queueLen}, watermill.NopLogger{}), names: names}
}

func (g *goChannel) publish(topic int, m *msg) {
	b := binary.LittleEndian.AppendUint64(nil, uint64(m.N))
	if err := g.bus.Publish(g.names[topic], message.NewMessage("1", b)); err != nil {
		panic(err)
	}
}

func (g *goChannel) subscribe(topic int, h handlers) func() {
	ctx, cancel := context.WithCancel(context.Background())
	in := must(g.bus.Subscribe(ctx, g.names[topic]))
	g.done.Go(func() {
		m := &msg{}
		for x := range in {
			m.N = int64(binary.LittleEndian.Uint64(x.Payload))
			h.plain(m)
			x.Ack()
		}
	})
	return cancel
}

func (g *goChannel) close() {
	if err := g.bus.Close(); err != nil {
		panic(err)
	}
	g.done.Wait()
}

// libp2p is go-libp2p's bus: one topic for each Go type, a channel for each
// subscriber.
type libp2p struct {
	bus  event.Bus
	emit event.Emitter
	subs []event.Subscription
	done sync.WaitGroup
}

func newLibp2p([]string) pubsub {
	b := eventbus.NewBus()
	return &libp2p{bus: b, emit: must(b.Emitter(new(*msg)))}
}

func (l *libp2p) publish(_ int, m *msg) { _ = l.emit.Emit(m) }

func (l *libp2p) subscribe(_ int, h handlers) func() {
	s := must(l.bus.Subscribe(new(*msg), eventbus.BufSize(queueLen)))
	l.subs = append(l.subs, s)
	l.done.Go(func() {
		for e := range s.Out() {
			h.plain(e.(*msg))
		}
	})
	return func() { _ = s.Close() }
}

func (l *libp2p) close() {
	for _, s := range l.subs {
		_ = s.Close()
	}
	_ = l.emit.Close()
	l.done.Wait()
}

// subjects is samber/ro: one subject for each topic.
type subjects []ro.Subject[*msg]

func newSubjects(names []string) pubsub {
	s := make(subjects, len(names))
	for i := range s {
		s[i] = ro.NewPublishSubject[*msg]()
	}
	return s
}

func (s subjects) publish(topic int, m *msg) { s[topic].Next(m) }

func (s subjects) subscribe(topic int, h handlers) func() {
	return s[topic].Subscribe(ro.OnNext(h.plain)).Unsubscribe
}

func (s subjects) close() {
	for _, x := range s {
		x.Complete()
	}
}
