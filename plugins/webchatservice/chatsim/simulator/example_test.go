package simulator_test

import (
	"fmt"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
)

// A server of every wire, on a network in memory. What serves Handler on a socket has the addresses of BaseURLs.
func ExampleNew() {
	sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
	defer sim.Close()
	for _, face := range sim.Faces() {
		fmt.Println(face.Name(), sim.URL(face.Name()))
	}
	fmt.Println(sim.BaseURLs("localhost:8080")["gms"])
	// Output:
	// gms http://sim.test/genesys/2/chat/customer-support
	// cometd http://sim.test/genesys/cometd
	// http://localhost:8080/genesys/2/chat/customer-support
}
