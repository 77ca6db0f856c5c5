package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/wires"
)

// visitor is a bus of its own, with the chat service and a program that is
// subscribed to what is said.
type visitor struct {
	bus *bus.Bus
	app *bus.Client
}

// received is what the program does with lines.
type received = func(*webchatservice.MessageReceivedData)

func newVisitor(ctx context.Context, opts *webchatservice.Options, h received) (*visitor, error) {
	v := &visitor{bus: bus.New(nil)}
	err := v.bus.Start(ctx, webchatservice.New(opts))
	if err == nil {
		v.app, err = v.bus.Register("App")
	}
	if err == nil {
		_, err = bus.Subscribe(v.app, webchatservice.MessageReceived, func(_ context.Context, e bus.Event[webchatservice.MessageReceivedData]) {
			h(&e.Data)
		})
	}
	return v, err
}

// start begins a chat.
func (v *visitor) start(ctx context.Context, nickname string) error {
	_, err := v.app.Call(ctx, webchatservice.StartChat.Name(), webchatservice.StartChatIn{Nickname: nickname})
	return err
}

// party is many visitors who share their options, as those of one server do.
type party struct {
	visitors []*visitor
	client   *http.Client
}

// newParty makes n visitors. drivers, if not nil, take the place of all those
// there are.
func newParty(ctx context.Context, n int, to peers, change func(c *webchatservice.Config, wire map[string]any), drivers []chat.Factory, h received) (*party, error) {
	transport, err := chat.NewTransport(chat.TransportOptions{})
	if err != nil {
		return nil, err
	}
	p := &party{client: &http.Client{Transport: transport}}
	cfg := webchatservice.DefaultConfig()
	root := to.GMS
	if root == "" {
		root = "http://127.0.0.1:1/genesys/2/chat/customer-support" // nobody calls there
	}
	wire := map[string]any{"dataURL": root, "cometD": map[string]any{"cometURL": to.CometD}}
	if change != nil {
		change(&cfg, wire)
	}
	cfg.Wire = webchatservice.NewWire(wire)
	if drivers == nil {
		drivers = wires.All()
	}
	for range n {
		v, err := newVisitor(ctx, &webchatservice.Options{Config: &cfg, Drivers: drivers, HTTPClient: p.client}, h)
		if err != nil {
			return p, err
		}
		p.visitors = append(p.visitors, v)
	}
	return p, nil
}

// start begins all chats; the nicknames begin with who.
func (p *party) start(ctx context.Context, who string) error {
	return crowd(len(p.visitors), func(i int) error { return p.visitors[i].start(ctx, fmt.Sprint(who, i)) })
}

func (p *party) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := crowd(len(p.visitors), func(i int) error { return p.visitors[i].bus.Close(ctx) })
	p.client.CloseIdleConnections()
	return err
}

// crowd calls f for 0 to n-1, some at a time, and returns the first error.
func crowd(n int, f func(i int) error) error {
	const hands = 32
	var next atomic.Int64
	var all sync.WaitGroup
	errs := make([]error, hands)
	for h := range hands {
		all.Go(func() {
			for errs[h] == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				errs[h] = f(i)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// tally counts up to a number, and tells when it is there.
type tally struct {
	n    atomic.Int64
	want int64
	done chan struct{}
}

func newTally(want int) *tally { return &tally{want: int64(want), done: make(chan struct{})} }

func (t *tally) add(n int) {
	if now := t.n.Add(int64(n)); now >= t.want && now-int64(n) < t.want {
		close(t.done)
	}
}

// wait waits until the number is there.
func (t *tally) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	select {
	case <-t.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d of %d came: %w", t.n.Load(), t.want, ctx.Err())
	}
}
