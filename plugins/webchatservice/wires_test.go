package webchatservice_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/cometdsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmscometd"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmsrest"
)

// wire is a wire as the tests see it that hold on every wire. A new wire gets a row in wireTable, and with it all these
// tests.
type wire struct {
	name string
	// on returns the options for a service that talks to sim over this wire. Tests may change them.
	on func(sim *chatsim.Server) *webchatservice.Options
	// driver returns a driver for sim whose requests take at most timeout.
	driver func(t *testing.T, sim *chatsim.Server, o *chat.Options, timeout time.Duration) chat.Driver
	// send is the operation that carries a visitor's line, as in chatsim.Request.
	send string
	// delivery is the operation whose answer brings lines, as a JSON object.
	delivery string
	// fault is what goes wrong with single requests on this wire.
	fault func(rng *rand.Rand) chatsim.Fault
	// silence is the longest time after which a link that has become silent is found to be dead, when the visitor says
	// nothing.
	silence time.Duration
	// openRequests and callRequests are how many requests Open and another call make one after the other, each with its
	// own time-out, if the server does not answer. With CometD a chat that lost its link is attached again before a
	// request.
	openRequests, callRequests int
}

// wireTable has the wires that there are.
var wireTable = []wire{
	{
		name: "REST", on: onSim, driver: restDriver, fault: restFault,
		send: "send", delivery: "refresh", openRequests: 1, callRequests: 1, silence: 20 * time.Second,
	},
	{
		name: "CometD/" + websockets, on: onCarrier(websockets), driver: carrierDriver(websockets), fault: cometdsim.New(nil).RandomFault,
		send: "sendMessage", delivery: chatsim.OpPush, openRequests: 3, callRequests: 2, silence: 40 * time.Second,
	},
	{
		name: "CometD/" + longPolling, on: onCarrier(longPolling), driver: carrierDriver(longPolling), fault: cometdsim.New(nil).RandomFault,
		send: "sendMessage", delivery: chatsim.OpPush, openRequests: 1, callRequests: 2, silence: 80 * time.Second,
	},
}

func onCarrier(carrier string) func(*chatsim.Server) *webchatservice.Options {
	return func(sim *chatsim.Server) *webchatservice.Options { return onCometD(sim, carrier) }
}

func restDriver(t *testing.T, sim *chatsim.Server, o *chat.Options, timeout time.Duration) chat.Driver {
	t.Helper()
	d, err := gmsrest.New(gmsrest.Config{DataURL: gmssim.URL(sim), Config: gms.Config{AjaxTimeout: timeout}}, o)
	require.NoError(t, err)
	return d
}

func carrierDriver(carrier string) func(*testing.T, *chatsim.Server, *chat.Options, time.Duration) chat.Driver {
	return func(t *testing.T, sim *chatsim.Server, o *chat.Options, timeout time.Duration) chat.Driver {
		t.Helper()
		sockets := carrier == websockets
		d, err := gmscometd.New(gmscometd.Config{
			CometURL: cometdsim.URL(sim), APIURL: cometdsim.FilesURL(sim), WebsocketEnabled: &sockets, Config: gms.Config{AjaxTimeout: timeout},
		}, o)
		require.NoError(t, err)
		return d
	}
}

// field is where a test on one wire plays: a simulator whose chats nobody answers and who never sends visitors away,
// the way to it, and the options for a service on that way.
type field struct {
	wire
	sim   *chatsim.Server
	cable *cable
	opts  *webchatservice.Options
}

// onEachWire runs f on each wire, in a bubble of its own, which sees to it that no goroutine is left.
func onEachWire(t *testing.T, f func(t *testing.T, f *field)) {
	for _, w := range wireTable {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { f(t, newField(t, w)) })
		})
	}
}

// onWire runs f on one wire, in a bubble.
func onWire(t *testing.T, w wire, f func(t *testing.T, f *field)) {
	synctest.Test(t, func(t *testing.T) { f(t, newField(t, w)) })
}

// newField makes a field that ends with the test.
func newField(t *testing.T, w wire) *field {
	t.Helper()
	sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1, Seed: 1, Keep: 50})
	t.Cleanup(func() { require.NoError(t, sim.Close()) })
	f := &field{wire: w, sim: sim, cable: newCable(sim.DialContext), opts: w.on(sim)}
	f.opts.Dial = f.cable.DialContext
	return f
}

// begin starts a service and a chat, in which there is an agent.
func (f *field) begin(t *testing.T) (*rig, *account) {
	t.Helper()
	r := newRig(t, f.opts)
	return r, f.beginOn(t, r)
}

// beginOn starts a chat on a rig, which ends with the test.
func (f *field) beginOn(t *testing.T, r *rig) *account {
	t.Helper()
	t.Cleanup(r.stop)
	_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
	require.NoError(t, err)
	return f.account(t, r)
}

// account opens the account of the chat that was started last, and lets an agent in.
func (f *field) account(t *testing.T, r *rig) *account {
	t.Helper()
	chats := f.sim.Chats()
	c, ok := f.sim.Chat(chats[len(chats)-1].ID)
	require.True(t, ok)
	ann, err := c.Join("Ann", chatsim.RoleAgent)
	require.NoError(t, err)
	return &account{rig: r, chat: c, ann: ann}
}

// converse lets both sides say n lines.
func (a *account) converse(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		a.say(fmt.Sprint("visitor ", i))
		a.hear(t, fmt.Sprint("agent ", i))
		time.Sleep(2 * time.Second)
	}
}

// soak reports whether the suite runs at full size.
func soak() bool { return os.Getenv("SOAK") == "1" }

// size is how often something is done: few times in the suite, many times with SOAK=1.
func size(few, many int) int {
	if soak() {
		return many
	}
	return few
}
