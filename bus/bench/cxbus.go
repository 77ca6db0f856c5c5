package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/cxbus/cxbus/bus"
)

// must ends the program where a bus refuses what a job needs: there is nothing
// to measure then.
func must[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}

// ours is the bus under test. Its topics are declared with their payload type
// and its subscribers are typed.
type ours struct {
	bus   *bus.Bus
	ctx   context.Context
	descs []bus.EventOf[*msg]
	byTok []*bus.Publisher[*msg]
	named []named
	subs  []*bus.Client // in turn
	next  int
	opts  []bus.SubscribeOption
}

// named is a topic addressed by name.
type named struct {
	client *bus.Client
	short  string
}

// newOurs makes a bus whose subscribers belong to as many plugins as
// listeners says.
func newOurs(names []string, listeners int, opts ...bus.SubscribeOption) *ours {
	o := &ours{bus: bus.New(nil), ctx: context.Background(), opts: opts}
	owners := map[string]*bus.Client{}
	for _, n := range names {
		ns, short, _ := strings.Cut(n, ".")
		if owners[ns] == nil {
			owners[ns] = must(o.bus.Register(ns))
		}
		d := bus.NewEvent[*msg](n, "Measured.")
		o.descs = append(o.descs, d)
		o.byTok = append(o.byTok, must(d.Bind(owners[ns])))
		o.named = append(o.named, named{owners[ns], short})
	}
	for i := range listeners {
		o.subs = append(o.subs, must(o.bus.Register(fmt.Sprintf("listener%d", i))))
	}
	for _, c := range owners {
		c.Ready()
	}
	return o
}

func (o *ours) subscribe(topic int, h handlers) func() {
	c := o.subs[o.next%len(o.subs)]
	o.next++
	return must(bus.Subscribe(c, o.descs[topic], h.event, o.opts...)).Unsubscribe
}

func (o *ours) close() {
	if err := o.bus.Close(o.ctx); err != nil {
		panic(err)
	}
}

// byToken publishes through bound handles.
type byToken struct{ *ours }

func (o byToken) publish(topic int, m *msg) { _ = o.byTok[topic].Publish(o.ctx, m) }

// byName publishes by name.
type byName struct{ *ours }

func (o byName) publish(topic int, m *msg) {
	t := &o.named[topic]
	_ = t.client.Publish(o.ctx, t.short, m)
}

func inlineToken(names []string) pubsub { return byToken{newOurs(names, 1, bus.Inline())} }
func inlineName(names []string) pubsub  { return byName{newOurs(names, 1, bus.Inline())} }

// mailboxes gives each of n subscribers a plugin of its own.
func mailboxes(n int) func(names []string) pubsub {
	return func(names []string) pubsub { return byToken{newOurs(names, n)} }
}

// oursWild has subscriptions by pattern and one publisher.
type oursWild struct {
	bus      *bus.Bus
	ctx      context.Context
	pub, sub *bus.Client
}

func newOursWild() wildcards {
	o := &oursWild{bus: bus.New(nil), ctx: context.Background()}
	o.pub, o.sub = must(o.bus.Register(wildNamespace)), must(o.bus.Register("listener"))
	return o
}

func (o *oursWild) subscribe(pattern string, h handlers) {
	must(o.sub.Subscribe(pattern, h.any, bus.Inline()))
}

func (o *oursWild) publish(name topicName, m *msg) { _ = o.pub.Publish(o.ctx, name.short, m) }

func (o *oursWild) close() {
	if err := o.bus.Close(o.ctx); err != nil {
		panic(err)
	}
}

// oursCall calls a command of another plugin.
type oursCall struct {
	bus    *bus.Bus
	client *bus.Client
	caller *bus.Caller[*msg, *msg]
	name   string
}

func newOursCall(handle func(c *bus.Client, d bus.CommandOf[*msg, *msg]) error) *oursCall {
	b := bus.New(nil)
	d := bus.NewCommand[*msg, *msg](commandName, "Measured.")
	owner, client := must(b.Register("Plugin")), must(b.Register("Caller"))
	if err := handle(owner, d); err != nil {
		panic(err)
	}
	owner.Ready()
	return &oursCall{b, client, must(d.Bind(client)), commandName}
}

func plainCall(h commandFunc) *oursCall {
	return newOursCall(func(c *bus.Client, d bus.CommandOf[*msg, *msg]) error { return bus.Handle(c, d, h) })
}

func asyncCall(h commandFunc) *oursCall {
	return newOursCall(func(c *bus.Client, d bus.CommandOf[*msg, *msg]) error {
		return bus.HandleAsync(c, d, func(ctx context.Context, m *msg, d *bus.Deferred[*msg]) {
			a, _ := h(ctx, m)
			d.Resolve(a)
		})
	})
}

func (o *oursCall) close() {
	if err := o.bus.Close(context.Background()); err != nil {
		panic(err)
	}
}

// callByName calls by name and waits.
type callByName struct{ *oursCall }

func (o callByName) call(ctx context.Context, m *msg) (*msg, error) {
	a, err := o.client.Call(ctx, o.name, m)
	if err != nil {
		return nil, err
	}
	return a.(*msg), nil
}

// callByToken calls through a bound handle.
type callByToken struct{ *oursCall }

func (o callByToken) call(ctx context.Context, m *msg) (*msg, error) { return o.caller.Call(ctx, m) }

// goByName takes a future by name and waits for it.
type goByName struct{ *oursCall }

func (o goByName) call(ctx context.Context, m *msg) (*msg, error) {
	a, err := o.client.Go(ctx, o.name, m).Result(ctx)
	if err != nil {
		return nil, err
	}
	return a.(*msg), nil
}
