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
	start, err := webchatservice.StartChat.Bind(app)
	if err != nil {
		return err
	}
	send, err := webchatservice.SendMessage.Bind(app)
	if err != nil {
		return err
	}

	// Handlers of one plugin run one at a time, in the order of the events: after the last line comes ended.
	lines := make(chan webchatservice.Message, 16)
	_, err = bus.Subscribe(app, webchatservice.MessageReceived, func(_ context.Context, e bus.Event[webchatservice.MessageReceivedData]) {
		for _, m := range e.Data.Messages {
			if m.Type == chat.KindMessage {
				lines <- m
			}
		}
	})
	if err != nil {
		return err
	}
	_, err = bus.Subscribe(app, webchatservice.Ended, func(context.Context, bus.Event[webchatservice.EndedData]) { close(lines) })
	if err != nil {
		return err
	}

	if _, err := start.Call(ctx, webchatservice.StartChatIn{Nickname: "Vera", Subject: "parcel"}); err != nil {
		return err
	}
	for m := range lines {
		fmt.Println(m.From.Name+":", m.Text)
		if strings.HasPrefix(m.Text, "Hello") {
			// Call returns when the server has the message; if it was not sent, err says so.
			if _, err := send.Call(ctx, webchatservice.SendMessageIn{Message: "bye"}); err != nil {
				return err
			}
		}
	}
	return nil
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
