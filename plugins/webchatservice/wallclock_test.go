//go:build wallclock

package webchatservice_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Wherever the wall clock goes during a chat, no time-out fires, nothing is asked for more often than before, and no line is lost.
// It needs a clock that can be set: TestWallClockOfAProcessJumps runs it.
func TestWallClockJumps(t *testing.T) {
	for _, w := range wireTable {
		t.Run(w.name, func(t *testing.T) {
			f := newField(t, w)
			r := newRigInRealTime(t, f.opts)
			a := f.beginOn(t, r)
			rest := func(d time.Duration) { <-time.After(d) }
			talk := func() {
				a.converse(t, 2)
				rest(2 * time.Second)
			}
			talk()
			before := len(f.sim.Requests())
			talk()
			usual := len(f.sim.Requests()) - before
			now := time.Now()
			for name, to := range map[string]time.Time{
				"a day back": now.AddDate(0, 0, -1), "a day on": now.AddDate(0, 0, 1), "1970": time.Unix(0, 0), "ten years on": now.AddDate(10, 0, 0), "now": now,
			} {
				time.SetWallOffset(to.Unix() - now.Unix())
				require.InDelta(t, to.Unix(), time.Now().Unix(), 600, "the clock can be set")
				before := len(f.sim.Requests())
				talk()
				assert.LessOrEqual(t, len(f.sim.Requests())-before, usual+usual/2+3, name)
			}
			time.SetWallOffset(0)
			a.balance(t)
			assert.Zero(t, a.outages)
			assert.Zero(t, a.gaps)
			require.NoError(t, end(r))
		})
	}
}
