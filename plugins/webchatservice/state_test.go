package webchatservice_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/cxbus/cxbus/plugins/webchatservice"
)

// TestStatePairs walks every pair of states and says what each means.
func TestStatePairs(t *testing.T) {
	const (
		idle        = webchatservice.StateIdle
		starting    = webchatservice.StateStarting
		restoring   = webchatservice.StateRestoring
		active      = webchatservice.StateActive
		interrupted = webchatservice.StateInterrupted
		ending      = webchatservice.StateEnding
		ended       = webchatservice.StateEnded
		failed      = webchatservice.StateFailed
		released    = webchatservice.StateReleased
	)
	type pair struct{ from, to webchatservice.State }
	allowed := map[pair]string{
		{idle, starting}:        "startChat",
		{idle, restoring}:       "restore",
		{starting, active}:      "the server accepted it",
		{starting, failed}:      "the server did not",
		{starting, ending}:      "endChat before the answer",
		{restoring, active}:     "the chat lives",
		{restoring, failed}:     "it does not, or nobody knows",
		{restoring, ending}:     "endChat before the answer",
		{active, interrupted}:   "the server is out of reach",
		{active, ending}:        "endChat",
		{active, ended}:         "the other side ended it",
		{active, released}:      "the service stops",
		{interrupted, active}:   "the server is back",
		{interrupted, ending}:   "endChat",
		{interrupted, ended}:    "the server forgot it, or it was given up",
		{interrupted, released}: "the service stops",
		{ending, ended}:         "the end",
		{ending, failed}:        "the end of what never began",
	}
	states := webchatservice.States()
	assert.Len(t, states, 9)
	names := map[string]bool{}
	for _, from := range states {
		names[from.String()] = true
		for _, to := range states {
			why, want := allowed[pair{from, to}]
			assert.Equal(t, want, from.CanBecome(to), "%v to %v: %s", from, to, why)
		}
		final := slices.Contains([]webchatservice.State{ended, failed, released}, from)
		assert.Equal(t, final, from.Final(), "%v", from)
	}
	assert.Len(t, names, 9, "each has a name of its own")
	assert.Equal(t, "unknown", webchatservice.State(99).String())
	assert.False(t, webchatservice.State(99).CanBecome(active))
}
