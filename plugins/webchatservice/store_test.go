package webchatservice_test

import (
	"context"
	"errors"
	"regexp"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice"
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

// namedStore notes which of its methods are called.
type namedStore struct {
	plainStore
	mu    sync.Mutex // guards calls
	calls []string
}

func (n *namedStore) note(call string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls = append(n.calls, call)
}

func (n *namedStore) Save(ctx context.Context, key string, record []byte) error {
	n.note("save")
	return n.plainStore.Save(ctx, key, record)
}

func (n *namedStore) Load(ctx context.Context, key string) ([]byte, error) {
	n.note("load")
	return n.plainStore.Load(ctx, key)
}

func (n *namedStore) Delete(ctx context.Context, key string) error {
	n.note("delete")
	return n.plainStore.Delete(ctx, key)
}

// slowStore takes its time to save, unless its context ends first.
type slowStore struct {
	plainStore
	slow time.Duration
}

func (s *slowStore) Save(ctx context.Context, key string, record []byte) error {
	select {
	case <-time.After(s.slow):
		return s.plainStore.Save(ctx, key, record)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// brokenStore fails from some moment on.
type brokenStore struct {
	plainStore
	fail func() error // nil: it works
}

func (b *brokenStore) Save(ctx context.Context, key string, record []byte) error {
	if b.fail != nil {
		return b.fail()
	}
	return b.plainStore.Save(ctx, key, record)
}

func noSpace() error { return errors.New("no space left on device") }

func TestBrokenStoreCostsOneEvent(t *testing.T) {
	for name, fail := range map[string]func() error{
		"full":   noSpace,
		"panics": func() error { panic("broken") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := chattest.NewMemory(nil)
				opts := onMemory(m)
				store := &brokenStore{}
				opts.Store = store
				r := newRig(t, opts)
				defer r.stop()
				r.begin()
				store.fail = fail
				for range 5 {
					require.NoError(t, send(r, "hi"))
				}
				d := payload[webchatservice.ErrorData](t, r.take(), "error")
				assert.Equal(t, "webchat.store", d.Code)
			})
		})
	}
}

// hungStore does not return from some moment on, whatever its context says, as a disk does that is gone.
type hungStore struct {
	plainStore
	hang chan struct{} // closed to let go; nil: it does not hang
}

func (h *hungStore) Save(ctx context.Context, key string, record []byte) error {
	if h.hang != nil {
		<-h.hang
	}
	return h.plainStore.Save(ctx, key, record)
}

func (h *hungStore) Delete(ctx context.Context, key string) error {
	if h.hang != nil {
		<-h.hang
	}
	return h.plainStore.Delete(ctx, key)
}

// onHungDisk begins a chat whose store hangs from then on.
func onHungDisk(t *testing.T) (*rig, *chattest.Memory, *hungStore) {
	t.Helper()
	m, store := chattest.NewMemory(nil), &hungStore{}
	opts := onMemory(m)
	opts.Store = store
	r := newRig(t, opts)
	r.begin()
	store.hang = make(chan struct{})
	return r, m, store
}

// A chat that begins while the store still forgets the one before answers, and keeps its filters.
func TestHungDiskDoesNotHoldTheNextChat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, m, store := onHungDisk(t)
		defer r.stop()
		start(r, t.Context(), webchatservice.EndChat, struct{}{})
		time.Sleep(time.Second)
		begun := time.Now()
		start(r, t.Context(), webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
		synctest.Wait()
		_, err := call(r, webchatservice.GetTranscript, struct{}{})
		require.NoError(t, err)
		_, err = call(r, webchatservice.AddPrefilter, webchatservice.AddPrefilterIn{
			Filters: webchatservice.Filters{{Regexp: regexp.MustCompile("secret")}},
		})
		require.NoError(t, err)
		assert.Zero(t, time.Since(begun))
		time.Sleep(20 * time.Second)
		m.AgentSay("chat-2", "Bob", "a secret")
		m.AgentSay("chat-2", "Bob", "hello")
		assert.Equal(t, []string{"hello"}, texts(r.take()))
		close(store.hang)
	})
}

func TestHungDiskCostsOneEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, m, store := onHungDisk(t)
		defer r.stop()
		begun := time.Now()
		require.NoError(t, send(r, "one"))
		assert.LessOrEqual(t, time.Since(begun), 10*time.Second)
		m.AgentSay(id, "Bob", "hello")
		time.Sleep(10 * time.Second)
		begun = time.Now()
		for range 5 {
			require.NoError(t, send(r, "more"))
		}
		assert.Zero(t, time.Since(begun), "it is not waited for twice")
		events := r.take()
		assert.Equal(t, "webchat.store", payload[webchatservice.ErrorData](t, events, "error").Code)
		assert.Len(t, texts(events), 7)

		close(store.hang)
		synctest.Wait()
		require.NoError(t, send(r, "and again"))
		time.Sleep(time.Second)
		left := copyOf(t, store)
		assert.Empty(t, gaps(r.take()))
		require.NoError(t, end(r))
		synctest.Wait() // who receives may be the one that forgets it
		record, err := store.Load(t.Context(), "")
		require.NoError(t, err)
		assert.Nil(t, record)

		record, err = left.Load(t.Context(), "")
		require.NoError(t, err)
		assert.Contains(t, string(record), `"index":10`, "it was up to date")
	})
}

func TestHungDiskDoesNotHoldTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		opts := onMemory(m)
		hang := make(chan struct{})
		opts.Store = &hungStore{hang: hang}
		r := newRig(t, opts)
		r.begin()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		begun := time.Now()
		assert.Error(t, r.bus.Close(ctx), "it says that something still runs")
		assert.LessOrEqual(t, time.Since(begun), 20*time.Second)
		close(hang)
		synctest.Wait()
	})
}

// A store that never works, as on a disk that is read-only from the start, costs one event, too.
func TestReadOnlyDiskCostsOneEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		opts := onMemory(m)
		opts.Store = &brokenStore{fail: noSpace}
		r := newRig(t, opts)
		defer r.stop()
		_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
		require.NoError(t, err)
		for range 5 {
			require.NoError(t, send(r, "hi"))
			time.Sleep(10 * time.Second)
		}
		require.NoError(t, end(r))
		assert.Equal(t, "webchat.store", payload[webchatservice.ErrorData](t, r.take(), "error").Code)
	})
}
