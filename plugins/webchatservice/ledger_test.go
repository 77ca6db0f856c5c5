package webchatservice_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/cometdsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
)

// seeds is how many random scripts TestLedger plays: 100, and 10,000 with SOAK=1.
func seeds() int {
	if os.Getenv("SOAK") == "1" {
		return 10000
	}
	return 100
}

// TestLedger plays ten minutes of chat for each seed while requests and the network fail at random, and
// then compares what the application was told with what the server knows.
func TestLedger(t *testing.T) {
	for seed := range seeds() {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { ledger(t, uint64(seed), onSim, restFault) }) //nolint:gosec // not negative
		})
	}
}

// restFault is a random fault of one request of a kind that is picked first.
func restFault(rng *rand.Rand) chatsim.Fault {
	ops := []string{"refresh", "send", "startTyping", "stopTyping", ""}
	f := gmssim.New(nil).RandomFault(rng)
	f.Op = ops[rng.IntN(len(ops))]
	return f
}

// TestLedgerOverCometD is TestLedger on both carriers of CometD, with a twentieth of the seeds for each.
func TestLedgerOverCometD(t *testing.T) {
	for _, carrier := range []string{websockets, longPolling} {
		for seed := range seeds() / 20 {
			t.Run(fmt.Sprint(carrier, "/", seed), func(t *testing.T) {
				t.Parallel()
				on := func(sim *chatsim.Server) *webchatservice.Options { return onCometD(sim, carrier) }
				synctest.Test(t, func(t *testing.T) { ledger(t, uint64(seed), on, cometdsim.New(nil).RandomFault) }) //nolint:gosec // not negative
			})
		}
	}
}

// ledger plays one script on a wire: on makes the options for it, fault what goes wrong with single requests.
func ledger(t *testing.T, seed uint64, on func(*chatsim.Server) *webchatservice.Options, fault func(*rand.Rand) chatsim.Fault) {
	rng := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // it must be the same every time
	sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1, Seed: seed + 1})
	defer sim.Close()
	r := newRig(t, on(sim))
	defer r.stop()
	_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
	require.NoError(t, err)
	c, ok := sim.Chat(sim.Chats()[0].ID)
	require.True(t, ok)
	ann, err := c.Join("Ann", chatsim.RoleAgent)
	require.NoError(t, err)

	type sent struct {
		text   string
		future *bus.Future[webchatservice.SendMessageOut]
	}
	var all []sent
	for begun := time.Now(); time.Since(begun) < 10*time.Minute; {
		time.Sleep(time.Duration(rng.IntN(5000)) * time.Millisecond)
		switch rng.IntN(10) {
		case 0, 1:
			text := fmt.Sprint("visitor ", len(all))
			if rng.IntN(4) == 0 {
				text = "same"
			}
			all = append(all, sent{text, start(r, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: text})})
		case 2, 3:
			_, err := ann.Say(fmt.Sprint("agent ", time.Since(begun)))
			require.NoError(t, err)
		case 4:
			start(r, t.Context(), webchatservice.SendTyping, webchatservice.SendTypingIn{Message: "vis"})
		case 5:
			_, err := ann.Type("")
			require.NoError(t, err)
		case 6, 7:
			sim.Faults().Add(fault(rng))
		case 8:
			sim.Restart(true)
		case 9:
			switch n := sim.Network(); rng.IntN(4) {
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
			sim.Network().Heal()
		}
	}
	sim.Faults().Clear()
	time.Sleep(3 * time.Minute)

	// What was sent.
	var certain, possible []string
	for i, s := range all {
		select {
		case <-s.future.Done():
		default:
			t.Fatalf("message %d (%s) has not settled", i, s.text)
		}
		_, err := s.future.Result(t.Context())
		switch {
		case err == nil:
			certain, possible = append(certain, s.text), append(possible, s.text)
		case errors.Is(err, webchatservice.ErrSendUnknown):
			possible = append(possible, s.text)
		default:
			assert.ErrorIs(t, err, webchatservice.ErrNotSent)
		}
	}
	lines := sim.Chats()[0].Lines(chatsim.Client)
	assert.True(t, within(certain, lines), "said to be sent: %q\nis there: %q", certain, lines)
	assert.True(t, within(lines, possible), "is there: %q\nmay have been sent: %q", lines, possible)

	// What was received.
	var got, late []int64
	missing := map[int64]bool{}
	states := map[string][]webchatservice.MessageState{}
	connection := []string{}
	for _, e := range r.take() {
		switch d := e.Data.(type) {
		case webchatservice.MessageReceivedData:
			for _, m := range d.Messages {
				if d.OldMessages { // given up, and there all the same
					assert.True(t, missing[m.Index], "line %d comes late without having been missed", m.Index)
					delete(missing, m.Index)
					late = append(late, m.Index)
					continue
				}
				got = append(got, m.Index)
			}
		case webchatservice.MessageStateData:
			states[d.MessageID] = append(states[d.MessageID], d.State)
		case webchatservice.TranscriptGapData:
			for i := d.From; i <= d.To; i++ {
				missing[i] = true
			}
		case webchatservice.DisconnectedData:
			connection = append(connection, "disconnected")
		case webchatservice.EndedData:
			t.Errorf("ended: %v", d)
		}
		if e.Name() == "WebChatService.reconnected" {
			connection = append(connection, "reconnected")
		}
	}
	for i, name := range connection {
		assert.Equal(t, []string{"disconnected", "reconnected"}[i%2], name, "they alternate: %v", connection)
	}
	assert.Len(t, states, len(all))
	for id, s := range states {
		require.Contains(t, []int{2, 3}, len(s), "%s: %v", id, s)
		assert.Equal(t, webchatservice.MessagePending, s[0], "%s: %v", id, s)
		assert.Contains(t, []webchatservice.MessageState{
			webchatservice.MessageSent, webchatservice.MessageFailed, webchatservice.MessageUnknown,
		}, s[1], "%s: %v", id, s)
		if len(s) == 3 { // the transcript has shown it after all
			assert.Equal(t, []webchatservice.MessageState{webchatservice.MessageUnknown, webchatservice.MessageSent}, s[1:], "%s: %v", id, s)
		}
	}
	assert.True(t, slices.IsSorted(got), "in order: %v", got)
	got = append(got, late...)
	slices.Sort(got)
	assert.Equal(t, got, slices.Compact(slices.Clone(got)), "once")
	for _, e := range sim.Chats()[0].Events {
		_, found := slices.BinarySearch(got, int64(e.Index))
		assert.True(t, found != missing[int64(e.Index)], "line %d (%s %q): published %v, gap %v", e.Index, e.Type, e.Text, found, missing[int64(e.Index)])
	}
	require.NoError(t, end(r))
}

// within reports whether part is what is left of whole when some are taken out.
func within(part, whole []string) bool {
	for _, s := range whole {
		if len(part) > 0 && part[0] == s {
			part = part[1:]
		}
	}
	return len(part) == 0
}
