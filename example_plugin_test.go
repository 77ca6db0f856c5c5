package cxbus_test

import (
	"context"
	"fmt"
	"log"
	"strings"
	"sync"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmsrest"
)

// What others see of the plugin: a command and an event, each with its types.
var (
	Count   = bus.NewCommand[struct{}, CountOut]("Thanks.count", "Gives how often agents were thanked.")
	Thanked = bus.NewEvent[ThankedData]("Thanks.thanked", "An agent was thanked.")
)

type CountOut struct {
	Times int `json:"times"`
}

type ThankedData struct {
	Agent string `json:"agent"`
}

// Thanks is a plugin that thanks every agent for the greeting.
type Thanks struct {
	send    *bus.Caller[webchatservice.SendMessageIn, webchatservice.SendMessageOut]
	thanked *bus.Publisher[ThankedData]

	mu    sync.Mutex // guards times: commands may run while an event is handled
	times int
}

func (p *Thanks) Namespace() string { return "Thanks" }

// Start gets the plugin's handle to the bus, and binds what it uses.
func (p *Thanks) Start(_ context.Context, c *bus.Client) (err error) {
	if p.thanked, err = Thanked.Bind(c); err != nil {
		return err
	}
	if p.send, err = webchatservice.SendMessage.Bind(c); err != nil {
		return err
	}
	if err = bus.Handle(c, Count, p.count); err != nil {
		return err
	}
	_, err = bus.Subscribe(c, webchatservice.MessageReceived, p.onMessages)
	return err
}

func (p *Thanks) count(context.Context, struct{}) (CountOut, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return CountOut{p.times}, nil
}

func (p *Thanks) onMessages(ctx context.Context, e bus.Event[webchatservice.MessageReceivedData]) {
	for _, m := range e.Data.Messages {
		if m.Type != chat.KindMessage || m.From.Type != chat.RoleAgent || !strings.HasPrefix(m.Text, "Hello") {
			continue
		}
		if _, err := p.send.Call(ctx, webchatservice.SendMessageIn{Message: "Thank you, " + m.From.Name}); err != nil {
			log.Print(err)
			continue
		}
		p.mu.Lock()
		p.times++
		p.mu.Unlock()
		if err := p.thanked.Publish(ctx, ThankedData{Agent: m.From.Name}); err != nil {
			log.Print(err)
		}
	}
}

func Example() {
	ctx := context.Background()
	sim := simulator.New(nil) // plays the chat server; with a real one only DataURL is needed below
	defer sim.Close()

	b := bus.New(nil)
	defer b.Close(ctx)
	driver, err := gmsrest.New(gmsrest.Config{DataURL: gmssim.URL(sim)}, &chat.Options{Client: sim.Client()})
	if err != nil {
		log.Fatal(err)
	}
	if err := b.Start(ctx, &Thanks{}, webchatservice.New(&webchatservice.Options{Driver: driver})); err != nil {
		log.Fatal(err)
	}

	// The application has a namespace too.
	app, err := b.Register("App")
	if err != nil {
		log.Fatal(err)
	}
	thanked := make(chan string, 1)
	_, err = bus.Subscribe(app, Thanked, func(_ context.Context, e bus.Event[ThankedData]) { thanked <- e.Data.Agent })
	if err != nil {
		log.Fatal(err)
	}

	// By name, with plain data, as a Genesys engineer knows it. Typed handles do the same, checked by the compiler.
	if _, err := app.Call(ctx, "WebChatService.startChat", map[string]any{"nickname": "Vera"}); err != nil {
		log.Fatal(err)
	}
	fmt.Println("thanked", <-thanked)
	times, err := app.Call(ctx, "Thanks.count", nil)
	fmt.Println(times, err)
	_, err = app.Call(ctx, "WebChatService.endChat", nil)
	fmt.Println("ended", err)
	// Output:
	// thanked Ann
	// {1} <nil>
	// ended <nil>
}
