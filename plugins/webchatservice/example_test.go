package webchatservice_test

import (
	"context"
	"fmt"
	"io"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmsrest"
)

// A chat as a value, with a simulated server; with a real one only DataURL is given.
func ExampleOpen() {
	ctx := context.Background()
	sim := simulator.New(&chatsim.Options{Script: chatsim.Scripted(&chatsim.ScriptOptions{JoinDelay: -1, ReplyDelay: -1})})
	driver, err := gmsrest.New(gmsrest.Config{DataURL: gmssim.URL(sim)}, &chat.Options{Client: sim.Client()})
	if err != nil {
		fmt.Println(err)
		return
	}
	b := bus.New(&bus.Options{Closers: []io.Closer{sim}})
	defer b.Close(ctx)
	if err := b.Start(ctx, webchatservice.New(&webchatservice.Options{Driver: driver})); err != nil {
		fmt.Println(err)
		return
	}
	app, _ := b.Register("App")
	vera, err := webchatservice.Open(ctx, app, webchatservice.StartChatIn{Nickname: "Vera"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for m := range vera.Lines(ctx) {
		fmt.Println(m.From.Name+":", m.Text)
		if !m.Own() {
			fmt.Println(vera.End(ctx))
		}
	}
	fmt.Println(vera.Err())
	// Output:
	// Ann: Hello Vera, my name is Ann. How can I help you?
	// <nil>
	// <nil>
}
