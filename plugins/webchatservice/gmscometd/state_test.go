package gmscometd_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/gmscometd"
)

// Every pair of states: what may follow what, and that nothing else does.
func TestEveryPairOfStates(t *testing.T) {
	table := map[string]string{ // d disconnected, h handshaking, r rehandshaking, H handshaken, c connecting, C connected, u unconnected, D disconnecting, t terminating
		"disconnected":  ".h......t",
		"handshaking":   "d.rH....t",
		"rehandshaking": "d.rH....t",
		"handshaken":    "d.r.c...t",
		"connecting":    "d.r..CuDt",
		"connected":     "d.r..CuDt",
		"unconnected":   "d.r..CuDt",
		"disconnecting": "........t",
		"terminating":   "d........",
	}
	names := gmscometd.StateNames()
	require.Len(t, names, len(table))
	for from, name := range names {
		row, ok := table[name]
		require.True(t, ok, name)
		for to := range names {
			allowed := row[to] != '.'
			assert.Equal(t, allowed, gmscometd.May(from, to), "%s to %s", name, names[to])
			after, moved := gmscometd.Set(from, to)
			assert.Equal(t, allowed, moved)
			if allowed {
				assert.Equal(t, to, after)
			} else {
				assert.Equal(t, from, after, "what the table does not have does not happen")
			}
		}
	}
}

// Pauses double from 1 s, less chance, up to 8 s with a chat and 60 s without.
func TestBackoff(t *testing.T) {
	for failures, want := range map[int][2]time.Duration{
		1: {time.Second, time.Second}, 2: {2 * time.Second, 2 * time.Second}, 3: {4 * time.Second, 4 * time.Second},
		4: {8 * time.Second, 8 * time.Second}, 5: {8 * time.Second, 16 * time.Second}, 6: {8 * time.Second, 32 * time.Second},
		7: {8 * time.Second, time.Minute}, 1000: {8 * time.Second, time.Minute},
	} {
		varied := make(map[time.Duration]bool)
		for range 50 {
			for i, live := range []bool{true, false} {
				got := gmscometd.Backoff(failures, live)
				assert.LessOrEqual(t, got, want[i])
				assert.GreaterOrEqual(t, got, want[i]/2)
				varied[got] = true
			}
		}
		assert.Greater(t, len(varied), 10, "there is chance in it")
	}
}
