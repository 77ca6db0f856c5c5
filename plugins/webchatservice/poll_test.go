package webchatservice_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
)

func TestServerOffline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()
		r.begin()

		for range 5 {
			m.Unavailable(id, true)
			synctest.Wait()
		}
		assert.Empty(t, r.told(), "five are tolerated")
		for range 10 {
			m.Unavailable(id, true)
			synctest.Wait()
		}
		assert.Equal(t, []string{"chatServerWentOffline"}, r.told())
		m.Unavailable(id, false)
		assert.Equal(t, []string{"chatServerBackOnline"}, r.told())
	})
}

func TestResetPollExceptionsForgetsWhatWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, m := memoryRig(t)
		require.NoError(t, r.by("resetPollExceptions", `{}`), "without a session, too")
		r.begin()
		fail := func(n int) []string {
			for range n {
				m.Unavailable(id, true)
				synctest.Wait()
			}
			return r.told()
		}
		assert.Empty(t, fail(5))
		require.NoError(t, r.by("resetPollExceptions", `{}`))
		assert.Empty(t, fail(5), "the count began anew")
		assert.Equal(t, []string{"chatServerWentOffline"}, fail(1))
		require.NoError(t, r.by("resetPollExceptions", `{}`))
		assert.Empty(t, fail(5))
		assert.Equal(t, []string{"chatServerWentOffline"}, fail(1), "the visitor dismissed the first, and it is still so")
	})
}

func TestSleepAndWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
		defer sim.Close()
		opts := onSim(sim)
		opts.Config.SleepEnabled = true
		r := newRig(t, opts)
		defer r.stop()
		r.begin()
		polls := func() (n int) {
			for _, q := range sim.Requests() {
				if q.Op == "refresh" {
					n++
				}
			}
			return n
		}
		_, err := call(r, webchatservice.Sleep, struct{}{})
		require.NoError(t, err)
		time.Sleep(time.Second)
		before := polls()
		time.Sleep(time.Minute)
		assert.LessOrEqual(t, polls()-before, 3)
		_, err = call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "awake"})
		require.NoError(t, err)
		before = polls()
		time.Sleep(time.Minute)
		assert.Greater(t, polls()-before, 15)
		told := slices.DeleteFunc(r.told(), func(s string) bool { return s == "messageReceived" })
		assert.Equal(t, []string{"sleeping", "waking"}, told)

		_, err = call(r, webchatservice.PausePoll, struct{}{})
		require.NoError(t, err)
		_, err = call(r, webchatservice.Wake, webchatservice.WakeIn{})
		require.NoError(t, err)
		assert.Equal(t, []string{"pollingStopped", "sleeping", "waking", "pollingStarted"}, r.told())
	})
}
