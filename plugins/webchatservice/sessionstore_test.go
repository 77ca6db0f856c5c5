package webchatservice_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
)

// plainStore is a Store that is no Claimer.
type plainStore struct{ memory webchatservice.MemoryStore }

func (p *plainStore) Save(ctx context.Context, key string, record []byte) error {
	return p.memory.Save(ctx, key, record)
}

func (p *plainStore) Load(ctx context.Context, key string) ([]byte, error) {
	return p.memory.Load(ctx, key)
}

func (p *plainStore) Delete(ctx context.Context, key string) error { return p.memory.Delete(ctx, key) }

// stores are the two kinds of stores.
var stores = map[string]func() webchatservice.Store{
	"claimer": func() webchatservice.Store { return webchatservice.NewMemoryStore() },
	"plain":   func() webchatservice.Store { return &plainStore{} },
}

// onStores runs f in a bubble for each kind of store, with a chat server that it can ask.
func onStores(t *testing.T, f func(t *testing.T, m *chattest.Memory, opts *webchatservice.Options)) {
	for name, make := range stores {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := chattest.NewMemory(nil)
				opts := onMemory(m)
				opts.Store = make()
				f(t, m, opts)
			})
		})
	}
}

// The service that has a session learns that another one has taken it up, and sends nothing more.
func TestSessionTakenUpByAnotherService(t *testing.T) {
	onStores(t, func(t *testing.T, m *chattest.Memory, opts *webchatservice.Options) {
		first := newRig(t, opts)
		defer first.stop()
		first.begin()
		require.NoError(t, send(first, "one"))
		first.take()

		second := newRig(t, opts)
		defer second.stop()
		_, err := call(second, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		err = send(first, "two")
		require.ErrorIs(t, err, webchatservice.ErrNotSent)
		assert.ErrorIs(t, err, webchatservice.ErrSessionMoved)
		payload[struct{}](t, first.take(), "sessionMoved")
		assert.ErrorIs(t, send(first, "three"), webchatservice.ErrNoSession)
		require.NoError(t, send(second, "four"))
		assert.Equal(t, []string{"one", "four"}, m.VisitorLines(id))

		first.stop() // which leaves the record alone
		_, err = call(second, webchatservice.EndChat, struct{}{})
		require.NoError(t, err)
	})
}

// brokenClaimer is a brokenStore that is a Claimer.
type brokenClaimer struct {
	webchatservice.Claimer
	fail func() error // nil: it works
}

func (b *brokenClaimer) SaveRevision(ctx context.Context, key string, record []byte, revision uint64) (uint64, error) {
	if b.fail != nil {
		return 0, b.fail()
	}
	return b.Claimer.SaveRevision(ctx, key, record, revision)
}

// A line that the record knows as waiting, and that was sent after the store had begun to fail, is not sent again.
func TestStaleRecordIsNotTheTruth(t *testing.T) {
	for name, broken := range map[string]func() (webchatservice.Store, *func() error){
		"claimer": func() (webchatservice.Store, *func() error) {
			s := &brokenClaimer{Claimer: webchatservice.NewMemoryStore()}
			return s, &s.fail
		},
		"plain": func() (webchatservice.Store, *func() error) {
			s := &brokenStore{}
			return s, &s.fail
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := chattest.NewMemory(nil)
				opts := onMemory(m)
				store, fail := broken()
				opts.Store = store
				r := newRig(t, opts)
				r.begin()
				m.Partition()
				synctest.Wait()
				sent := start(r, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "once"})
				time.Sleep(time.Second)
				synctest.Wait()
				*fail = noSpace
				m.Heal()
				_, err := sent.Result(t.Context())
				require.NoError(t, err)
				m.AgentSay(id, "Bob", "and now?")
				r.stop()
				*fail = nil

				r = newRig(t, opts)
				defer r.stop()
				_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
				require.NoError(t, err)
				time.Sleep(time.Minute)
				assert.Equal(t, []string{"once"}, m.VisitorLines(id))
				var last webchatservice.MessageState
				for _, e := range r.take() {
					if d, ok := e.Data.(webchatservice.MessageStateData); ok {
						last = d.State
					}
				}
				assert.Equal(t, webchatservice.MessageSent, last)
			})
		})
	}
}

// A line that waits in two services that have one key is sent by one of them.
func TestPendingLineHasOneSender(t *testing.T) {
	onStores(t, func(t *testing.T, m *chattest.Memory, opts *webchatservice.Options) {
		first := newRig(t, opts)
		defer first.stop()
		first.begin()
		m.Partition()
		synctest.Wait()
		waiting := start(first, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "once"})
		time.Sleep(time.Second)
		second := newRig(t, opts)
		defer second.stop()
		restored := start(second, t.Context(), webchatservice.Restore, webchatservice.RestoreIn{})
		time.Sleep(100 * time.Millisecond)
		m.Heal()
		if _, err := restored.Result(t.Context()); err != nil { // the network came too late for it
			_, err = call(second, webchatservice.Restore, webchatservice.RestoreIn{})
			require.NoError(t, err)
		}
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"once"}, m.VisitorLines(id))
		_, err := waiting.Result(t.Context())
		assert.ErrorIs(t, err, webchatservice.ErrSessionMoved)
	})
}

// Of two services that restore at once one has the session; the other one is told.
func TestRestoredByTwoAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		opts := onMemory(m)
		store := &meetingStore{MemoryStore: webchatservice.NewMemoryStore()}
		opts.Store = store
		before := newRig(t, opts)
		before.begin()
		before.stop()

		store.meet.Add(2)
		store.meeting = true
		var rigs [2]*rig
		var futures [2]*bus.Future[webchatservice.Answer]
		for i := range rigs {
			rigs[i] = newRig(t, opts)
			defer rigs[i].stop()
			futures[i] = start(rigs[i], t.Context(), webchatservice.Restore, webchatservice.RestoreIn{})
		}
		var refused int
		for _, f := range futures {
			if _, err := f.Result(t.Context()); err != nil {
				require.ErrorIs(t, err, webchatservice.ErrSessionMoved)
				refused++
			}
		}
		assert.Equal(t, 1, refused)
	})
}

// meetingStore lets loads return together.
type meetingStore struct {
	*webchatservice.MemoryStore
	meeting bool
	meet    sync.WaitGroup
}

func (s *meetingStore) LoadRevision(ctx context.Context, key string) ([]byte, uint64, error) {
	record, revision, err := s.MemoryStore.LoadRevision(ctx, key)
	if s.meeting {
		s.meet.Done()
		s.meet.Wait()
	}
	return record, revision, err
}

// contestedStore has another service claim what is loaded from it.
type contestedStore struct{ webchatservice.Claimer }

func (s contestedStore) LoadRevision(ctx context.Context, key string) ([]byte, uint64, error) {
	record, revision, err := s.Claimer.LoadRevision(ctx, key)
	if err == nil {
		err = s.Save(ctx, key, record)
	}
	return record, revision, err
}

// A chat that another service begins for the same visitor takes the place in the store; the first chat goes on.
func TestAnotherChatTakesThePlaceInTheStore(t *testing.T) {
	onStores(t, func(t *testing.T, _ *chattest.Memory, opts *webchatservice.Options) {
		first := newRig(t, opts)
		defer first.stop()
		first.begin()
		second := newRig(t, opts)
		defer second.stop()
		second.begin()
		kept, err := opts.Store.Load(t.Context(), opts.SessionKey)
		require.NoError(t, err)

		require.NoError(t, send(first, "still here"))
		assert.Equal(t, "webchat.store", payload[webchatservice.ErrorData](t, first.take(), "error").Code)
		require.NoError(t, end(first))
		now, err := opts.Store.Load(t.Context(), opts.SessionKey)
		require.NoError(t, err)
		assert.Equal(t, sessionOf(t, kept), sessionOf(t, now))
	})
}

func sessionOf(t *testing.T, record []byte) string {
	t.Helper()
	var r struct{ SessionID string }
	require.NoError(t, json.Unmarshal(record, &r))
	return r.SessionID
}

// Records that earlier versions have written are read: of a chat in which the visitor has said "said", a second line of
// his waits in those that are named pending.
func TestRecordsOfEarlierVersions(t *testing.T) {
	files, err := filepath.Glob("testdata/records/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			record, err := os.ReadFile(file) //nolint:gosec // a file of this package
			require.NoError(t, err)
			synctest.Test(t, func(t *testing.T) {
				m := chattest.NewMemory(nil)
				opts := onMemory(m)
				before := newRig(t, opts) // makes the chat that the records are of
				before.begin()
				require.NoError(t, send(before, "said"))
				m.AgentJoin(id, "Bob")
				m.AgentSay(id, "Bob", "answer")
				synctest.Wait()

				opts.Store = webchatservice.NewMemoryStore()
				require.NoError(t, opts.Store.Save(t.Context(), "", record))
				r := newRig(t, opts)
				defer r.stop()
				_, err := call(r, webchatservice.Restore, webchatservice.RestoreIn{})
				require.NoError(t, err)
				time.Sleep(time.Minute)
				want := []string{"said"}
				if strings.Contains(file, "pending") {
					want = append(want, "waits", "waits, too")
				}
				assert.Equal(t, want, m.VisitorLines(id))
				restored := payload[webchatservice.RestoredData](t, r.take(), "restored")
				assert.Equal(t, int64(4), restored.ReadMark)

				now, err := opts.Store.Load(t.Context(), "")
				require.NoError(t, err)
				assert.Contains(t, string(now), `"version":2`)
				before.stop()
			})
		})
	}
}

// A service whose session another one has taken up keeps the next one that it starts, as any other service would.
func TestChatAfterOneThatMoved(t *testing.T) {
	onStores(t, func(t *testing.T, m *chattest.Memory, opts *webchatservice.Options) {
		first := newRig(t, opts)
		first.begin()
		second := newRig(t, opts)
		defer second.stop()
		_, err := call(second, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		require.ErrorIs(t, send(first, "too late"), webchatservice.ErrSessionMoved)
		first.take()

		first.begin0()
		require.NoError(t, send(first, "another chat"))
		assert.NotContains(t, first.told(), "error")
		first.stop()
		third := newRig(t, opts)
		defer third.stop()
		_, err = call(third, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		require.NoError(t, send(third, "goes on"))
		assert.Equal(t, []string{"another chat", "goes on"}, m.VisitorLines("chat-2"))
	})
}

// What waits when another service takes the session up is in the record, and sent by that one. So here it is not said
// to be lost.
func TestMessageThatWaitsMoves(t *testing.T) {
	onStores(t, func(t *testing.T, m *chattest.Memory, opts *webchatservice.Options) {
		first := newRig(t, opts)
		defer first.stop()
		first.begin()
		m.Partition()
		synctest.Wait()
		waiting := start(first, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "once"})
		time.Sleep(time.Second)
		record, err := opts.Store.Load(t.Context(), opts.SessionKey)
		require.NoError(t, err)
		require.Contains(t, string(record), "once")
		var taken map[string]any // as another service claims it
		require.NoError(t, json.Unmarshal(record, &taken))
		taken["owner"], taken["generation"] = "another", 2
		record, err = json.Marshal(taken)
		require.NoError(t, err)
		require.NoError(t, opts.Store.Save(t.Context(), opts.SessionKey, record))
		first.take()
		m.Heal()
		_, err = waiting.Result(t.Context())
		require.ErrorIs(t, err, webchatservice.ErrSendUnknown)
		require.ErrorIs(t, err, webchatservice.ErrSessionMoved)
		assert.Equal(t, webchatservice.MessageUnknown, payload[webchatservice.MessageStateData](t, first.take(), "messageStateChanged").State)
		assert.Empty(t, m.VisitorLines(id))
	})
}

// A record that has become too old is deleted, unless another service has taken it up meanwhile.
func TestOldRecordThatIsTakenUpMeanwhile(t *testing.T) {
	onStores(t, func(t *testing.T, _ *chattest.Memory, opts *webchatservice.Options) {
		store := opts.Store
		r := newRig(t, opts)
		r.begin()
		r.stop()
		old, err := store.Load(t.Context(), opts.SessionKey)
		require.NoError(t, err)
		time.Sleep(time.Hour)

		var taken map[string]any
		require.NoError(t, json.Unmarshal(old, &taken))
		taken["owner"], taken["generation"] = "another", 2
		fresh, err := json.Marshal(taken)
		require.NoError(t, err)
		opts.Store = overtaken(store, fresh)
		r = newRig(t, opts)
		defer r.stop()
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		require.ErrorIs(t, err, webchatservice.ErrNothingStored)
		now, err := store.Load(t.Context(), opts.SessionKey)
		require.NoError(t, err)
		assert.Equal(t, string(fresh), string(now))
	})
}

// overtaken returns the store with another service that writes record as soon as the record has been loaded.
func overtaken(store webchatservice.Store, record []byte) webchatservice.Store {
	var once sync.Once
	write := func(ctx context.Context, key string) (err error) {
		once.Do(func() { err = store.Save(ctx, key, record) })
		return err
	}
	if c, ok := store.(webchatservice.Claimer); ok {
		return overtakenClaimer{c, write}
	}
	return overtakenStore{store, write}
}

type overtakenClaimer struct {
	webchatservice.Claimer
	write func(ctx context.Context, key string) error
}

func (s overtakenClaimer) LoadRevision(ctx context.Context, key string) ([]byte, uint64, error) {
	record, revision, err := s.Claimer.LoadRevision(ctx, key)
	return record, revision, errors.Join(err, s.write(ctx, key))
}

type overtakenStore struct {
	webchatservice.Store
	write func(ctx context.Context, key string) error
}

func (s overtakenStore) Load(ctx context.Context, key string) ([]byte, error) {
	record, err := s.Store.Load(ctx, key)
	return record, errors.Join(err, s.write(ctx, key))
}

// lateClaimer takes its time to save, whatever becomes of the context.
type lateClaimer struct {
	webchatservice.Claimer
	slow atomic.Bool
}

func (s *lateClaimer) SaveRevision(_ context.Context, key string, record []byte, revision uint64) (uint64, error) {
	if s.slow.Load() {
		time.Sleep(4 * time.Second)
	}
	return s.Claimer.SaveRevision(context.Background(), key, record, revision)
}

// lateStore is a lateClaimer that is no Claimer.
type lateStore struct {
	plainStore
	slow atomic.Bool
}

func (s *lateStore) Save(_ context.Context, key string, record []byte) error {
	if s.slow.Load() {
		time.Sleep(4 * time.Second)
	}
	return s.plainStore.Save(context.Background(), key, record)
}

// A save may be under way when a chat ends, and come through after it was given up. The record goes all the same.
func TestRecordOfAnEndedChatGoes(t *testing.T) {
	claimer, plain := &lateClaimer{Claimer: webchatservice.NewMemoryStore()}, &lateStore{}
	for name, store := range map[string]struct {
		webchatservice.Store
		slow *atomic.Bool
	}{"claimer": {claimer, &claimer.slow}, "plain": {plain, &plain.slow}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := chattest.NewMemory(nil)
				opts := onMemory(m)
				opts.Store = store.Store
				r := newRig(t, opts)
				defer r.stop()
				r.begin()
				store.slow.Store(true)
				m.AgentSay(id, "Bob", "is kept")
				time.Sleep(500 * time.Millisecond)
				require.NoError(t, end(r))
				kept, err := opts.Store.Load(t.Context(), opts.SessionKey)
				require.NoError(t, err)
				assert.Empty(t, kept)
				store.slow.Store(false)
			})
		})
	}
}

// A line of the transcript is that of the message that was sent and not seen yet, and not of another one with the same text
// that waits.
func TestSameTextTwiceOverAKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1})
		defer func() { require.NoError(t, sim.Close()) }()
		opts := onSim(sim)
		opts.Store = webchatservice.NewMemoryStore()
		before := newRig(t, opts)
		before.begin()
		require.NoError(t, send(before, "same"))
		time.Sleep(10 * time.Second)
		b, err := opts.Store.Load(t.Context(), "")
		require.NoError(t, err)
		before.stop()

		// What a process that is killed right after the answer leaves behind, with a second message that waits.
		var r map[string]any
		require.NoError(t, json.Unmarshal(b, &r))
		r["owner"], r["position"] = "killed", map[string]any{"index": 2}
		item := func(id, state string) []any {
			return []any{map[string]any{"id": id, "text": "same", "state": state, "created": time.Now().UnixMilli()}}
		}
		r["unseen"], r["outbox"] = item("a-1", "sent"), item("a-2", "pending")
		b, err = json.Marshal(r)
		require.NoError(t, err)
		require.NoError(t, opts.Store.Save(t.Context(), "", b))

		after := newRig(t, opts)
		defer after.stop()
		_, err = call(after, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"same", "same"}, sim.Chats()[0].Lines(chatsim.Client))
	})
}
