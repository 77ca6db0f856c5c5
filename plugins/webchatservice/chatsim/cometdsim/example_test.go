package cometdsim_test

import (
	"fmt"
	"strings"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/cometdsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
)

// A Bayeux handshake, and what the server knows of it.
func Example() {
	sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
	defer sim.Close()
	fmt.Println(cometdsim.URL(sim), cometdsim.Channel(sim))

	hello := `[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}]`
	resp, err := sim.Client().Post(cometdsim.URL(sim)+"/handshake", "application/json", strings.NewReader(hello))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.StatusCode, len(cometdsim.Of(sim).Clients()))
	// Output:
	// http://sim.test/genesys/cometd /service/chatV2/customer-support
	// 200 1
}
