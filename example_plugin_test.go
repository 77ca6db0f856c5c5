package cxbus_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"sync/atomic"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmsrest"
)

// What others see of the plugin: a command and an event, each with its types.
var (
	Count   = bus.NewCommand[struct{}, int64]("Thanks.count", "Gives how often agents were thanked.")
	Thanked = bus.NewEvent[string]("Thanks.thanked", "An agent was thanked; the payload is the name.")
)

// Thanks is a plugin that thanks every agent for the greeting. Commands may run while an event is handled: times is atomic.
type Thanks struct{ times atomic.Int64 }

func (p *Thanks) Namespace() string { return "Thanks" }

// Start gets c, the plugin's handle to the bus.
func (p *Thanks) Start(_ context.Context, c *bus.Client) error {
	count := func(context.Context, struct{}) (int64, error) { return p.times.Load(), nil }
	thank := func(ctx context.Context, e bus.Event[webchatservice.MessageReceivedData]) {
		for _, m := range e.Data.Messages {
			if m.Own() || !strings.HasPrefix(m.Text, "Hello") {
				continue
			}
			if _, err := webchatservice.SendMessage.Call(ctx, c, webchatservice.SendMessageIn{Message: "Thank you!"}); err != nil {
				log.Print(err) // it was not sent, or nobody can tell
				continue
			}
			p.times.Add(1)
			if err := Thanked.Publish(ctx, c, m.From.Name); err != nil {
				log.Print(err)
			}
		}
	}
	_, err := bus.Subscribe(c, webchatservice.MessageReceived, thank)
	return errors.Join(err, bus.Handle(c, Count, count))
}

func Example() {
	ctx := context.Background()
	sim := simulator.New(nil) // plays the chat server; with a real one only DataURL is needed below
	defer sim.Close()
	driver, err := gmsrest.New(gmsrest.Config{DataURL: gmssim.URL(sim)}, &chat.Options{Client: sim.Client()})
	if err != nil {
		log.Fatal(err)
	}
	b := bus.New(nil)
	defer b.Close(ctx)
	if err := b.Start(ctx, &Thanks{}, webchatservice.New(&webchatservice.Options{Driver: driver})); err != nil {
		log.Fatal(err)
	}
	app, err := b.Register("App") // the application has a namespace too
	if err != nil {
		log.Fatal(err)
	}
	thanked := bus.Events(ctx, app, Thanked)
	// By name, with plain data, as a Genesys engineer knows it. Typed, the compiler checks it: webchatservice.StartChat.Call.
	if _, err := app.Call(ctx, "WebChatService.startChat", map[string]any{"nickname": "Vera"}); err != nil {
		log.Fatal(err)
	}
	for e := range thanked {
		times, err := Count.Call(ctx, app, struct{}{})
		fmt.Println("thanked", e.Data, times, err)
		break
	}
	// Output:
	// thanked Ann 1 <nil>
}
