package main

import (
	"sync"

	cskr "github.com/cskr/pubsub/v2"
	"github.com/ethereum/go-ethereum/event"
	kelindar "github.com/kelindar/event"
	"tailscale.com/util/eventbus"
)

// dispatcher is kelindar/event: a slice for each subscriber under one mutex for each event, and a ticker that wakes the
// consumers each half millisecond. Its queues hold 50,000 messages.
type dispatcher struct{ d *kelindar.Dispatcher }

// dispatched is a message with the number of its event.
type dispatched msg

// Type implements kelindar.Event.
func (*dispatched) Type() uint32 { return 1 }

func newDispatcher([]string) pubsub { return dispatcher{kelindar.NewDispatcher()} }

func (d dispatcher) publish(_ int, m *msg) { kelindar.Publish(d.d, (*dispatched)(m)) }

func (d dispatcher) subscribe(_ int, h handlers) func() {
	return kelindar.Subscribe(d.d, func(m *dispatched) { h.plain((*msg)(m)) })
}

func (d dispatcher) close() { _ = d.d.Close() }

// channels is cskr/pubsub: one goroutine for the bus, a channel for each subscriber.
type channels struct {
	bus   *cskr.PubSub[string, *msg]
	names []string
	done  sync.WaitGroup
}

func newChannels(names []string) pubsub {
	return &channels{bus: cskr.New[string, *msg](queueLen), names: names}
}

func (c *channels) publish(topic int, m *msg) { c.bus.Pub(m, c.names[topic]) }

func (c *channels) subscribe(topic int, h handlers) func() {
	in := c.bus.Sub(c.names[topic])
	c.done.Go(func() {
		for m := range in {
			h.plain(m)
		}
	})
	return func() { c.bus.Unsub(in) }
}

func (c *channels) close() {
	c.bus.Shutdown()
	c.done.Wait()
}

// tailscaleBus is Tailscale's bus: one topic for each Go type, a goroutine for the bus and one for each client.
type tailscaleBus struct {
	bus *eventbus.Bus
	pub *eventbus.Publisher[*msg]
}

func newTailscale([]string) pubsub {
	b := eventbus.New()
	return &tailscaleBus{b, eventbus.Publish[*msg](b.Client("publisher"))}
}

func (t *tailscaleBus) publish(_ int, m *msg) { t.pub.Publish(m) }

func (t *tailscaleBus) subscribe(_ int, h handlers) func() {
	return eventbus.SubscribeFunc(t.bus.Client("subscriber"), h.plain).Close
}

func (t *tailscaleBus) close() { t.bus.Close() }

// feed is go-ethereum's: a channel for each subscriber, served by reflection.
type feed struct {
	f    event.FeedOf[*msg]
	subs []event.Subscription
	end  chan struct{}
	done sync.WaitGroup
}

func newFeed([]string) pubsub { return &feed{end: make(chan struct{})} }

func (f *feed) publish(_ int, m *msg) { f.f.Send(m) }

func (f *feed) subscribe(_ int, h handlers) func() {
	in := make(chan *msg, queueLen)
	s := f.f.Subscribe(in)
	f.subs = append(f.subs, s)
	f.done.Go(func() {
		for {
			select {
			case m := <-in:
				h.plain(m)
			case <-f.end:
				return
			}
		}
	})
	return s.Unsubscribe
}

func (f *feed) close() {
	for _, s := range f.subs {
		s.Unsubscribe()
	}
	close(f.end)
	f.done.Wait()
}
