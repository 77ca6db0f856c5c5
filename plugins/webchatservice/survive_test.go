package webchatservice_test

import (
	"context"
	"errors"
	"regexp"
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

// A chat that is being ended when the bus stops is ended, and not left to be restored.
func TestStopDuringEndChat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		opts := onMemory(m)
		opts.Store = webchatservice.NewMemoryStore()
		r := newRig(t, opts)
		r.begin()
		m.Delay(time.Second)
		f := start(r, t.Context(), webchatservice.EndChat, struct{}{})
		synctest.Wait()
		r.stop()
		_, err := f.Result(t.Context())
		assert.NoError(t, err)
		assert.True(t, m.Ended(id))
		assert.Equal(t, 1, count(r.told(), "ended"))
		record, err := opts.Store.Load(t.Context(), "")
		require.NoError(t, err)
		assert.Nil(t, record)
	})
}

// slowStore takes its time to save, unless its context ends first.
type slowStore struct {
	webchatservice.MemoryStore
	slow time.Duration
}

func (s *slowStore) Save(ctx context.Context, key string, record []byte) error {
	select {
	case <-time.After(s.slow):
		return s.MemoryStore.Save(ctx, key, record)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// What is said while the service saves for the last time is kept, too.
func TestStopKeepsWhatIsSaidMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		opts := onMemory(m)
		store := &slowStore{}
		opts.Store = store
		r := newRig(t, opts)
		r.begin()
		m.Partition()
		synctest.Wait()
		store.slow = time.Second
		stopped := make(chan error, 1)
		go func() { stopped <- r.bus.Close(t.Context()) }()
		time.Sleep(500 * time.Millisecond)
		f := start(r, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "later"})
		require.NoError(t, <-stopped)
		_, err := f.Result(t.Context())
		assert.ErrorIs(t, err, bus.ErrStopped)
		assert.ErrorContains(t, err, "restore goes on with it")
		m.Heal()

		r = newRig(t, opts)
		defer r.stop()
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		assert.Equal(t, []string{"later"}, m.VisitorLines(id))
	})
}

// brokenStore fails from some moment on.
type brokenStore struct {
	webchatservice.MemoryStore
	fail func() error // nil: it works
}

func (b *brokenStore) Save(ctx context.Context, key string, record []byte) error {
	if b.fail != nil {
		return b.fail()
	}
	return b.MemoryStore.Save(ctx, key, record)
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
	webchatservice.MemoryStore
	hang chan struct{} // closed to let go; nil: it does not hang
}

func (h *hungStore) Save(ctx context.Context, key string, record []byte) error {
	if h.hang != nil {
		<-h.hang
	}
	return h.MemoryStore.Save(ctx, key, record)
}

func (h *hungStore) Delete(ctx context.Context, key string) error {
	if h.hang != nil {
		<-h.hang
	}
	return h.MemoryStore.Delete(ctx, key)
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

// Stop does not wait for the store any longer than its context says.
func TestStopHeedsItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, store := onHungDisk(t)
		defer r.stop()
		defer close(store.hang)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		assert.ErrorContains(t, r.svc.Stop(ctx), "store still works")
		assert.Equal(t, time.Second, time.Since(begun))
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

// restore tells what is old and what is new.
func TestRestoreKeepsTheReadMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := chatsim.New(&chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1})
		defer sim.Close()
		opts := onSim(sim)
		opts.Store = webchatservice.NewMemoryStore()
		first := newRig(t, opts)
		first.begin()
		c, ok := sim.Chat(sim.Chats()[0].ID)
		require.True(t, ok)
		bob, err := c.Join("Bob", chatsim.RoleAgent)
		require.NoError(t, err)
		old := say(t, bob, "old")[0]
		time.Sleep(5 * time.Second)
		first.stop()
		say(t, bob, "new")

		second := newRig(t, opts)
		defer second.stop()
		_, err = call(second, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		events := second.take()
		assert.Equal(t, webchatservice.RestoredData{ReadMark: int64(old.Index)}, payload[webchatservice.RestoredData](t, events, "restored"))
		d := payload[webchatservice.MessageReceivedData](t, events, "messageReceived")
		assert.True(t, d.Restoring)
		assert.Equal(t, int64(old.Index), d.ReadMark)
		assert.Equal(t, []string{"old", "new"}, texts(events))
	})
}

// What the server has lost while the process was away is told; what was read before is not missed.
func TestRestoreSeesGapsBehindTheReadMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := chatsim.New(&chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1})
		defer sim.Close()
		opts := onSim(sim)
		opts.Store = webchatservice.NewMemoryStore()
		r := newRig(t, opts)
		r.begin()
		c, ok := sim.Chat(sim.Chats()[0].ID)
		require.True(t, ok)
		bob, err := c.Join("Bob", chatsim.RoleAgent)
		require.NoError(t, err)
		read := say(t, bob, "one", "two")
		time.Sleep(5 * time.Second)
		r.stop()
		unread := say(t, bob, "three", "four")
		require.True(t, c.Forget(read[0].Index))
		require.True(t, c.Forget(unread[0].Index))

		r = newRig(t, opts)
		defer r.stop()
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		events := r.take()
		lost := int64(unread[0].Index)
		assert.Equal(t, []webchatservice.TranscriptGapData{{From: lost, To: lost, Reason: webchatservice.GapServer}}, gaps(events))
		assert.Equal(t, []string{"two", "four"}, texts(events))
	})
}

// A long-lived chat is restored however long the visitor was away; the server keeps it.
func TestLongLivedChatIsRestored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := chatsim.New(&chatsim.Options{Script: chatsim.Nobody})
		defer sim.Close()
		opts := onSim(sim)
		opts.Store = webchatservice.NewMemoryStore()
		r := newRig(t, opts)
		long := true
		_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada", Async: &long})
		require.NoError(t, err)
		assert.True(t, payload[webchatservice.Capabilities](t, r.take(), "capabilitiesChanged").Async)
		require.NoError(t, send(r, "see you"))
		r.stop()

		time.Sleep(72 * time.Hour)
		r = newRig(t, opts)
		defer r.stop()
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		events := r.take()
		assert.True(t, payload[webchatservice.RestoredData](t, events, "restored").Async)
		assert.Equal(t, []string{"see you"}, texts(events))
		require.NoError(t, send(r, "back"))
		_, err = call(r, webchatservice.FetchHistory, struct{}{})
		assert.ErrorIs(t, err, webchatservice.ErrNoHistory, "a restore brings everything")
	})
}
