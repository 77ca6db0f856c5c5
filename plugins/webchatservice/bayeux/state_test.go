package bayeux_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/bayeux"
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
	states := bayeux.States()
	require.Len(t, states, len(table))
	for _, from := range states {
		row, ok := table[from.String()]
		require.True(t, ok, from)
		for at, to := range states {
			allowed := row[at] != '.'
			assert.Equal(t, allowed, bayeux.May(from, to), "%s to %s", from, to)
			after, moved := bayeux.Set(from, to)
			assert.Equal(t, allowed, moved)
			if allowed {
				assert.Equal(t, to, after)
			} else {
				assert.Equal(t, from, after, "what the table does not have does not happen")
			}
		}
	}
}
