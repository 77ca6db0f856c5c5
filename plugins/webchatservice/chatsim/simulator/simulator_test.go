package simulator_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/cometdsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
)

// Every wire is there, once; one that was given has its own options, wherever it stands; what was given is not changed.
func TestNew(t *testing.T) {
	comet, gms := cometdsim.New(&cometdsim.Options{Nodes: 2}), gmssim.New(&gmssim.Options{Services: []string{"sales"}})
	for name, given := range map[string][]chatsim.Face{
		"none": nil, "one": {comet}, "the other": {gms}, "both": {gms, comet}, "both, turned round": {comet, gms},
	} {
		t.Run(name, func(t *testing.T) {
			opts := &chatsim.Options{Faces: append([]chatsim.Face(nil), given...)}
			sim := simulator.New(opts)
			defer func() { assert.NoError(t, sim.Close()) }()
			assert.Equal(t, given, opts.Faces)
			var names []string
			for _, f := range sim.Faces() {
				names = append(names, f.Name())
			}
			assert.Equal(t, []string{"gms", "cometd"}, names)
			for _, f := range given {
				assert.Contains(t, sim.Faces(), f)
			}
			urls := sim.BaseURLs("h:1")
			assert.Len(t, urls, 3)
			assert.Equal(t, "http://h:1/genesys/cometd", urls["cometd"])
			assert.Equal(t, "http://h:1/genesys/2/chat-ntf", urls["files"])
		})
	}
	sim := simulator.New(nil)
	defer func() { assert.NoError(t, sim.Close()) }()
	assert.Equal(t, "http://sim.test/genesys/2/chat/customer-support", gmssim.URL(sim))
}
