package main

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/wires"
)

// loadChat is one of the chats of a load, on a bus of its own.
type loadChat struct {
	bus    *bus.Bus
	client *bus.Client
	send   *bus.Caller[webchatservice.SendMessageIn, webchatservice.SendMessageOut]
	ledger *ledger

	ending  atomic.Bool
	over    atomic.Bool // it ended before its time
	sending sync.WaitGroup
}

// newChat starts a chat. The one returned is to be ended also where there is an error; nil need not.
func (l *load) newChat(ctx context.Context) (*loadChat, error) {
	c := &loadChat{bus: bus.New(&bus.Options{Logger: l.log}), ledger: newLedger(&l.watches)}
	err := c.bus.Start(ctx, webchatservice.New(&webchatservice.Options{
		Drivers: wires.All(), Config: &l.config, HTTPClient: &http.Client{Transport: l.transport}, Dial: l.dial,
		Headers: l.headers,
	}))
	if err == nil {
		c.client, err = c.bus.Register("Load")
	}
	if err == nil {
		err = c.subscribe()
	}
	if err == nil {
		c.send, err = webchatservice.SendMessage.Bind(c.client)
	}
	if err == nil {
		err = startChat(ctx, nil, c.client, webchatservice.StartChatIn{Nickname: "Vera", Subject: "busdemo load"})
	}
	return c, err
}

func (c *loadChat) subscribe() error {
	_, lines := bus.Subscribe(c.client, webchatservice.MessageReceived,
		func(_ context.Context, e bus.Event[webchatservice.MessageReceivedData]) { c.ledger.receive(e.Data) })
	_, gaps := bus.Subscribe(c.client, webchatservice.TranscriptGap,
		func(_ context.Context, e bus.Event[webchatservice.TranscriptGapData]) { c.ledger.gap(e.Data) })
	_, ends := bus.Subscribe(c.client, webchatservice.Ended,
		func(context.Context, bus.Event[webchatservice.EndedData]) { c.over.Store(!c.ending.Load()) })
	return errors.Join(lines, gaps, ends)
}

// say sends a line, after those before it, and does not wait for that. A chat that is over has nothing more to say.
func (c *loadChat) say(ctx context.Context) {
	if c.over.Load() {
		return
	}
	ctx = context.WithoutCancel(ctx) // what was sent is to be settled
	number, text := c.ledger.send()
	sent := c.send.Go(ctx, webchatservice.SendMessageIn{Message: text})
	c.sending.Go(func() {
		_, err := sent.Result(ctx)
		c.ledger.settle(number, errors.Is(err, webchatservice.ErrSendUnknown), err)
	})
}

// end ends the chat and closes the bus. It settles all lines.
func (c *loadChat) end(ctx context.Context) error {
	c.ending.Store(true)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*closeTimeout)
	defer cancel()
	var ended error
	if c.client != nil {
		_, ended = call(ctx, nil, c.client, webchatservice.EndChat, struct{}{})
		if errors.Is(ended, webchatservice.ErrNoSession) {
			ended = nil
		}
	}
	closed := c.bus.Close(ctx)
	c.sending.Wait()
	return together(ended, closed)
}
