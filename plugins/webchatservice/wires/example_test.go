package wires_test

import (
	"fmt"

	"github.com/cxbus/cxbus/plugins/webchatservice/wires"
)

// The wires that a configuration can select, by the type of its transport.
func ExampleAll() {
	for _, wire := range wires.All() {
		fmt.Println(wire.Name)
	}
	// Output:
	// gms
	// gms-cometd
}
