package gmscometd_test

import (
	"context"
	"fmt"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/cometdsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmscometd"
)

// A chat over CometD, without a bus: a driver makes one attempt for each call, and what the server says comes out of Receive.
func Example() {
	ctx := context.Background()
	sim := simulator.New(&chatsim.Options{Script: chatsim.Scripted(&chatsim.ScriptOptions{JoinDelay: -1, ReplyDelay: -1})})
	defer sim.Close()
	driver, err := gmscometd.New(gmscometd.Config{CometURL: cometdsim.URL(sim)}, &chat.Options{Dial: sim.DialContext})
	if err != nil {
		fmt.Println(err)
		return
	}
	conn, err := driver.Open(ctx, chat.Request{Nickname: "Ada"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	if _, err := conn.Send(ctx, chat.Action{Text: "bye"}); err != nil { // the script ends the chat then
		fmt.Println(err)
	}
	for ended := false; !ended; {
		ev, err := conn.Receive(ctx)
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, m := range ev.Messages {
			if m.Kind == chat.KindMessage {
				fmt.Println(m.From.Name+":", m.Text)
			}
		}
		ended = ev.Ended
	}
	// Unordered output:
	// Ada: bye
	// Ann: Hello Ada, my name is Ann. How can I help you?
	// Ann: You said: bye
	// Ann: Goodbye, Ada.
}
