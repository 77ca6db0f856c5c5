package gmssim_test

import (
	"fmt"
	"io"
	"net/url"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
)

// A simulator of the REST interface alone, with ids that are the same in each run, and a service that it does not have.
func Example() {
	sim := chatsim.New(&chatsim.Options{
		Seed: 1, Script: chatsim.Nobody, Faces: []chatsim.Face{gmssim.New(&gmssim.Options{Services: []string{"sales"}})},
	})
	defer sim.Close()
	fmt.Println(gmssim.URL(sim))
	for _, service := range []string{"sales", "nothing"} {
		resp, err := sim.Client().PostForm("http://sim.test/genesys/2/chat/"+service, url.Values{"nickname": {"Ada"}})
		if err != nil {
			fmt.Println(err)
			return
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		fmt.Println(service, resp.StatusCode)
	}
	// Output:
	// http://sim.test/genesys/2/chat/sales
	// sales 200
	// nothing 400
}
