package pigeon_test

import (
	"fmt"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest/pigeon"
)

// A configuration chooses the wire and has its options; a program makes the driver itself.
func ExampleFactory() {
	wire := pigeon.Factory()
	fmt.Println(wire.Name, wire.Selects(chat.Selection{Transport: "pigeon-v1"}))
	_, err := pigeon.New(pigeon.Config{}, nil)
	fmt.Println(err)
	// Output:
	// pigeon true
	// chat: webchat.transport.loft: want host:port
}
