package webchatservice_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
)

// copyOf is what a process that dies now leaves behind.
func copyOf(t *testing.T, store webchatservice.Store) *webchatservice.MemoryStore {
	t.Helper()
	record, err := store.Load(t.Context(), "")
	require.NoError(t, err)
	require.NotNil(t, record)
	left := webchatservice.NewMemoryStore()
	require.NoError(t, left.Save(t.Context(), "", record))
	return left
}

func TestMessagesSurviveAKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := chatsim.New(&chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1})
		defer sim.Close()
		opts := onSim(sim)
		opts.Store = webchatservice.NewMemoryStore()
		r := newRig(t, opts)
		r.begin()
		say := func(text string) *bus.Future[webchatservice.SendMessageOut] {
			return start(r, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: text})
		}
		_, err := say("same").Result(t.Context())
		require.NoError(t, err)
		time.Sleep(5 * time.Second)

		// One is under way when the process dies, and the server takes it; two wait.
		sim.Faults().Add(chatsim.Fault{Op: "send", DelayAnswer: time.Hour})
		for _, text := range []string{"same", "two", "three"} {
			say(text)
		}
		time.Sleep(time.Second)
		left := copyOf(t, opts.Store)
		sim.Network().Partition()
		r.stop()
		sim.Network().Heal()

		opts.Store = left
		r = newRig(t, opts)
		defer r.stop()
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		want := []string{"same", "same", "two", "three"}
		assert.Equal(t, want, sim.Chats()[0].Lines(chatsim.Client))
		assert.Equal(t, want, r.lines(chat.RoleClient))
		last := map[string]webchatservice.MessageState{}
		for _, e := range r.take() {
			if d, ok := e.Data.(webchatservice.MessageStateData); ok {
				last[d.Text] = d.State
			}
		}
		assert.Equal(t, map[string]webchatservice.MessageState{
			"same": webchatservice.MessageSent, "two": webchatservice.MessageSent, "three": webchatservice.MessageSent,
		}, last)
	})
}

func TestStopKeepsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		opts := onMemory(m)
		opts.Store = webchatservice.NewMemoryStore()
		r := newRig(t, opts)
		r.begin()
		m.Partition()
		synctest.Wait()
		f := start(r, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "later"})
		r.stop()
		_, err := f.Result(t.Context())
		assert.ErrorIs(t, err, bus.ErrStopped, "not: failed")
		m.Heal()

		r = newRig(t, opts)
		defer r.stop()
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		time.Sleep(time.Second)
		assert.Equal(t, []string{"later"}, m.VisitorLines(id))
	})
}

// brokenStore fails from some moment on.
type brokenStore struct {
	webchatservice.MemoryStore
	broken bool
}

func (b *brokenStore) Save(ctx context.Context, key string, record []byte) error {
	if b.broken {
		return errors.New("no space left on device")
	}
	return b.MemoryStore.Save(ctx, key, record)
}

func TestFullDiskCostsOneEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		opts := onMemory(m)
		store := &brokenStore{}
		opts.Store = store
		r := newRig(t, opts)
		defer r.stop()
		r.begin()
		store.broken = true
		for range 5 {
			_, err := call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "hi"})
			require.NoError(t, err)
		}
		d := payload[webchatservice.ErrorData](t, r.take(), "error")
		assert.Equal(t, "webchat.store", d.Code)
	})
}
