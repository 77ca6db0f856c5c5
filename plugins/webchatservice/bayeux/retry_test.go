package bayeux_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/cxbus/cxbus/plugins/webchatservice/bayeux"
)

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
				got := bayeux.Backoff(failures, live)
				assert.LessOrEqual(t, got, want[i])
				assert.GreaterOrEqual(t, got, want[i]/2)
				varied[got] = true
			}
		}
		assert.Greater(t, len(varied), 10, "there is chance in it")
	}
}
