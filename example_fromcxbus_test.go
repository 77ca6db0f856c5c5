package cxbus_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmsrest"
)

// What those know who come from JavaScript: commands by name, with plain data. A result is the command's own type, and as
// JSON what a page would see.
func Example_fromCXBus() {
	ctx := context.Background()
	sim := simulator.New(nil)
	defer sim.Close()
	driver, err := gmsrest.New(gmsrest.Config{DataURL: gmssim.URL(sim)}, &chat.Options{Client: sim.Client()})
	if err != nil {
		log.Fatal(err)
	}
	b := bus.New(nil)
	defer b.Close(ctx)
	if err := b.Start(ctx, webchatservice.New(&webchatservice.Options{Driver: driver})); err != nil {
		log.Fatal(err)
	}
	my, err := b.Register("My")
	if err != nil {
		log.Fatal(err)
	}

	_, err = my.Call(ctx, "WebChatService.sendMessage", map[string]any{"message": "too early"})
	fmt.Println(errors.Is(err, webchatservice.ErrNoSession))
	_, err = my.Call(ctx, "WebChatService.startChat", map[string]any{"nickname": "Vera", "subjekt": "parcel"})
	fmt.Println(err)
	if _, err := my.Call(ctx, "WebChatService.startChat", json.RawMessage(`{"nickname": "Vera"}`)); err != nil {
		log.Fatal(err)
	}
	v, err := my.Call(ctx, "WebChatService.verifySession", nil)
	fmt.Println(v.(webchatservice.VerifySessionOut).SessionActive, err)
	page, err := json.Marshal(v)
	fmt.Println(string(page), err)
	// Output:
	// true
	// WebChatService.startChat: wrong type: json: unknown field "subjekt" (the JSON must fit webchatservice.StartChatIn; did you mean subject?)
	// true <nil>
	// {"sessionActive":true} <nil>
}
