package webchatservice_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
)

// seeds is how many random scripts TestLedger plays: 100, and 10,000 with SOAK=1.
func seeds() int { return size(100, 10000) }

// TestLedger plays ten minutes of chat for each seed while requests and the network fail at random, and
// then compares what the application was told with what the server knows. The first wire has all seeds, the others a
// twentieth of them.
func TestLedger(t *testing.T) {
	for i, w := range wireTable {
		n := seeds()
		if i > 0 {
			n /= 20
		}
		for seed := range n {
			t.Run(fmt.Sprint(w.name, "/", seed), func(t *testing.T) {
				t.Parallel()
				onWire(t, w, func(t *testing.T, f *field) { ledger(t, uint64(seed), f) }) //nolint:gosec // not negative
			})
		}
	}
}

// restFault is a random fault of one request of a kind that is picked first.
func restFault(rng *rand.Rand) chatsim.Fault {
	ops := []string{"refresh", "send", "startTyping", "stopTyping", ""}
	f := gmssim.New(nil).RandomFault(rng)
	f.Op = ops[rng.IntN(len(ops))]
	return f
}

// ledger plays one script.
func ledger(t *testing.T, seed uint64, f *field) {
	rng := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // it must be the same every time
	r, a := f.begin(t)
	f.chaos(t, rng, a, 10*time.Minute)
	time.Sleep(3 * time.Minute)
	a.balance(t)
	require.NoError(t, end(r))
}

// chaos lets both sides talk for a while, in which requests and the network fail at random.
func (f *field) chaos(t *testing.T, rng *rand.Rand, a *account, d time.Duration) {
	t.Helper()
	for begun := time.Now(); time.Since(begun) < d; {
		time.Sleep(time.Duration(rng.IntN(5000)) * time.Millisecond)
		switch rng.IntN(10) {
		case 0, 1:
			text := fmt.Sprint("visitor ", len(a.sent))
			if rng.IntN(4) == 0 {
				text = "same"
			}
			a.say(text)
		case 2, 3:
			a.hear(t, fmt.Sprint("agent ", time.Since(begun)))
		case 4:
			start(a.rig, t.Context(), webchatservice.SendTyping, webchatservice.SendTypingIn{Message: "vis"})
		case 5:
			_, err := a.ann.Type("")
			require.NoError(t, err)
		case 6, 7:
			f.sim.Faults().Add(f.fault(rng))
		case 8:
			f.sim.Restart(true)
		case 9:
			switch n := f.sim.Network(); rng.IntN(4) {
			case 0:
				n.Reset()
			case 1:
				n.Partition()
			case 2:
				n.Stall()
			case 3:
				n.Refuse()
			}
			time.Sleep(time.Duration(rng.IntN(20000)) * time.Millisecond)
			f.sim.Network().Heal()
		}
	}
	f.sim.Faults().Clear()
}
