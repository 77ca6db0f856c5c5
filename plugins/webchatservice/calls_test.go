package webchatservice_test

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
)

func TestVerifySessionWaitsForARestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		opts := onMemory(m)
		opts.Store = webchatservice.NewMemoryStore()
		r := newRig(t, opts)
		r.begin()
		r.stop()
		r = newRig(t, opts)
		defer r.stop()
		for _, end := range []bool{false, true} {
			m.Delay(time.Second)
			f := start(r, t.Context(), webchatservice.Restore, webchatservice.RestoreIn{})
			synctest.Wait()
			begun := time.Now()
			v, err := call(r, webchatservice.VerifySession, struct{}{})
			require.NoError(t, err)
			assert.Equal(t, time.Second, time.Since(begun))
			assert.Equal(t, !end, v.SessionActive)
			_, err = f.Result(t.Context())
			assert.Equal(t, end, err != nil)
			m.Delay(0)
			if end {
				return
			}
			r.stop()
			m.EndChat(id)
			r = newRig(t, opts)
		}
	})
}

func TestResetPollExceptionsForgetsWhatWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, m := memoryRig(t)
		require.NoError(t, r.by("resetPollExceptions", `{}`), "without a session, too")
		r.begin()
		fail := func(n int) []string {
			for range n {
				m.Status(id, 1)
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

func TestMessageGoesOutAsItIsGiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, sim := simRig(t, nil)
		require.NoError(t, r.by("sendMessage", `{"message": "  two  ", "type": "html", "parentMessageID": 7}`))
		for _, q := range sim.Requests() {
			if q.Op != "send" {
				continue
			}
			assert.Equal(t, "  two  ", q.Params["message"])
			assert.Equal(t, "html", q.Params["messageType"])
			assert.JSONEq(t, `{"general-properties": {"related-event-id": "7"}}`, q.Params["eventAttributes"])
			return
		}
		t.Error("nothing was sent")
	})
}

func TestStatsJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, m := memoryRig(t)
		stats := func() (s struct{ StartTime, EndTime, Duration any }) {
			out, err := call(r, webchatservice.GetStats, struct{}{})
			require.NoError(t, err)
			j, err := json.Marshal(out)
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(j, &s))
			var back webchatservice.Stats
			require.NoError(t, json.Unmarshal(j, &back))
			assert.Equal(t, out, back)
			return s
		}
		none := stats()
		assert.Equal(t, []any{false, false, false}, []any{none.StartTime, none.EndTime, none.Duration})
		r.begin()
		assert.Equal(t, 0.0, stats().Duration, "of one line")
		time.Sleep(time.Minute)
		m.AgentSay(id, "Ann", "Hello")
		synctest.Wait()
		assert.Equal(t, 60_000.0, stats().Duration)
	})
}
