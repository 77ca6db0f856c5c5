package cxbus_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmsrest"
)

// talk holds a chat on a bus that has WebChatService on it, and returns once it is over.
func talk(ctx context.Context, b *bus.Bus) error {
	app, err := b.Register("App")
	if err != nil {
		return err
	}
	vera, err := webchatservice.Open(ctx, app, webchatservice.StartChatIn{Nickname: "Vera", Subject: "parcel"})
	if err != nil {
		return err
	}
	for m := range vera.Lines(ctx) {
		fmt.Println(m.From.Name+":", m.Text)
		if !m.Own() && strings.HasPrefix(m.Text, "Hello") {
			// Say returns when the server has the line; if it was not sent, err says so.
			if err := vera.Say(ctx, "bye"); err != nil {
				return err
			}
		}
	}
	return vera.Err()
}

func Example_chat() {
	ctx := context.Background()
	sim := simulator.New(&chatsim.Options{Script: chatsim.Scripted(&chatsim.ScriptOptions{JoinDelay: -1, ReplyDelay: -1})})
	defer sim.Close()

	b := bus.New(nil)
	defer b.Close(ctx)
	driver, err := gmsrest.New(gmsrest.Config{DataURL: gmssim.URL(sim)}, &chat.Options{Client: sim.Client()})
	if err != nil {
		log.Fatal(err)
	}
	if err := b.Start(ctx, webchatservice.New(&webchatservice.Options{Driver: driver})); err != nil {
		log.Fatal(err)
	}
	if err := talk(ctx, b); err != nil {
		log.Fatal(err)
	}
	// Output:
	// Ann: Hello Vera, my name is Ann. How can I help you?
	// Vera: bye
	// Ann: You said: bye
	// Ann: Goodbye, Vera.
}
