package webchatservice_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
)

// A line of a stored session that bears a time of the future, since the wall clock went back, waits no longer than others.
func TestStoredLineOfTheFuture(t *testing.T) {
	onEachWire(t, func(t *testing.T, f *field) {
		store := webchatservice.NewMemoryStore()
		f.opts.Store, f.opts.OutboxAge = store, time.Minute
		r, a := f.begin(t)
		f.sim.Faults().Add(chatsim.Fault{Op: f.send, Status: 503, Times: -1})
		a.say("waits")
		time.Sleep(10 * time.Second)
		f.sim.Network().Refuse()
		r.stop()
		f.sim.Network().Heal()
		record, err := store.Load(t.Context(), "")
		require.NoError(t, err)
		future := fmt.Sprintf(`"created":%d`, time.Now().AddDate(1, 0, 0).UnixMilli())
		changed := regexp.MustCompile(`"created":\d+`).ReplaceAll(record, []byte(future))
		require.NotEqual(t, record, changed)
		require.NoError(t, store.Save(t.Context(), "", changed))

		r = newRig(t, f.opts)
		t.Cleanup(r.stop)
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		time.Sleep(2 * time.Minute)
		var last webchatservice.MessageStateData
		for _, e := range r.take() {
			if d, ok := e.Data.(webchatservice.MessageStateData); ok {
				last = d
			}
		}
		assert.Contains(t, []webchatservice.MessageState{webchatservice.MessageFailed, webchatservice.MessageUnknown}, last.State)
		require.NoError(t, end(r))
	})
}

// The wall clock of a process is set back and on while it chats, on each wire. Nothing can set the clock of one process alone, so
// this builds the test again with a clock of package time that can be set (see wallclock_test.go), which takes minutes: it is
// part of the long run. What the suite has instead: no code but that which TestWallClock names looks at the wall clock, and
// TestWallClockJumps and others play with that.
func TestWallClockOfAProcessJumps(t *testing.T) {
	if !soak() {
		require.FileExists(t, "wallclock_test.go")
		return
	}
	dir := t.TempDir()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	require.NoError(t, err)
	clock := filepath.Join(strings.TrimSpace(string(out)), "src", "time", "time.go")
	source, err := os.ReadFile(clock)
	require.NoError(t, err)
	const read = "sec, nsec, mono := runtimeNow()\n\tif mono == 0 {"
	changed := strings.Replace(string(source), read, "sec, nsec, mono := runtimeNow()\n\tif mono != 0 {\n\t\tsec += WallOffset()\n\t}\n\tif mono == 0 {", 1)
	require.NotEqual(t, string(source), changed, "package time reads the clock in another way than it did")
	changed += `
var wallOffset int64

// WallOffset is how many seconds the wall clock has been set on.
func WallOffset() int64 { return wallOffset }

// SetWallOffset sets the wall clock on, or back.
func SetWallOffset(seconds int64) { wallOffset = seconds }
`
	file, overlay := filepath.Join(dir, "time.go"), filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(file, []byte(changed), 0o600))
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{clock: file}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(overlay, replace, 0o600))
	cmd := exec.CommandContext(t.Context(), "go", "test", "-overlay", overlay, "-tags", "wallclock", "-count=1", "-run", "^TestWallClockJumps$", "-v", ".")
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", said)
	assert.Contains(t, string(said), "--- PASS: TestWallClockJumps")
}
