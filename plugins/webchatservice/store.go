package webchatservice

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Store keeps sessions so that they can be restored: one record for each key ([Options.SessionKey]).
// One store serves any number of services. It is called from many goroutines at once, and never twice
// at once for one service. A call that fails costs an event, not the session; one that has not returned after
// 5 s, or when its context ends, is left behind and counts as failed. A record holds the
// secureKey of its session and the visitor's words: keep it as safe as a password.
type Store interface {
	// Save puts record in the place of what key had. The store may keep the slice.
	Save(ctx context.Context, key string, record []byte) error
	// Load returns the record of key, nil if there is none. The caller owns it.
	Load(ctx context.Context, key string) ([]byte, error)
	// Delete forgets key; that it has no record is no error.
	Delete(ctx context.Context, key string) error
}

// storeTimeout limits each call of a store: a disk that hangs must not stop a chat for good.
const storeTimeout = 5 * time.Second

// MemoryStore is a [Store] in memory: sessions survive their bus, not the process. It never forgets a
// key by itself. The zero MemoryStore is ready.
type MemoryStore struct {
	mu      sync.Mutex // guards records
	records map[string][]byte
}

// NewMemoryStore returns an empty store.
func NewMemoryStore() *MemoryStore { return &MemoryStore{} }

// Save implements [Store].
func (m *MemoryStore) Save(_ context.Context, key string, record []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.records == nil {
		m.records = make(map[string][]byte)
	}
	m.records[key] = append([]byte(nil), record...)
	return nil
}

// Load implements [Store].
func (m *MemoryStore) Load(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.records[key]
	if !ok {
		return nil, nil
	}
	return append([]byte{}, r...), nil
}

// Delete implements [Store].
func (m *MemoryStore) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.records, key)
	return nil
}

// keeper is the way to the store for one service: it limits each call in time, does them one after the
// other, and sees to it that a session that is over neither comes back nor takes its successor's
// record away.
type keeper struct {
	store Store // nil: nothing is kept
	key   string

	calls sync.WaitGroup // those of the store, also the one left behind

	turn  chan struct{} // cap 1: holds a token during a call; guards what follows. Not a mutex: waiting for a disk takes fake time, too
	left  chan struct{} // closed when the call left behind has returned; nil when there is none
	hangs bool          // it was waited for in vain

	mu    sync.Mutex // guards owner
	owner *session   // whose record it is; nil after forget
}

// errStoreHangs is what calls fail with while one that was left behind has not returned.
var errStoreHangs = errors.New("an earlier call of the store has not returned yet")

// call makes one call of the store. A disk that hangs must stop neither a chat nor the end of one, and not
// every store heeds its context, so the call has a goroutine of its own; wait waits for it.
func (k *keeper) call(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	if k.left != nil && !k.gone(ctx) {
		cancel()
		return errStoreHangs
	}
	returned := make(chan struct{})
	var err error
	k.calls.Go(func() {
		defer cancel()
		defer close(returned)
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("store panicked: %v", p)
			}
		}()
		err = f(ctx)
	})
	select {
	case <-returned:
		return err
	case <-ctx.Done():
		select {
		case <-returned: // that is why its context is over
			return err
		default:
		}
		k.left, k.hangs = returned, false
		return context.Cause(ctx)
	}
}

// gone reports whether the call left behind has returned, after waiting for it, once.
func (k *keeper) gone(ctx context.Context) bool {
	if k.hangs {
		select {
		case <-k.left:
		default:
			return false
		}
	}
	select {
	case <-k.left:
		k.left = nil
		return true
	case <-ctx.Done():
		k.hangs = true
		return false
	}
}

// wait waits for the call left behind, for as long as ctx lives.
func (k *keeper) wait(ctx context.Context) error {
	gone := make(chan struct{})
	go func() {
		k.calls.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// adopt makes s the session whose record is kept. It never waits for the store.
func (k *keeper) adopt(s *session) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.owner = s
}

// keeps reports whether the record is s's.
func (k *keeper) keeps(s *session) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.owner == s
}

// disown makes the record nobody's if it is s's, and reports whether it was.
func (k *keeper) disown(s *session) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.owner != s {
		return false
	}
	k.owner = nil
	return true
}

// take waits for the turn to call the store.
func (k *keeper) take(ctx context.Context) error {
	select {
	case k.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// save stores what snapshot returns, if the record is s's.
func (k *keeper) save(ctx context.Context, s *session, snapshot func() *record) error {
	if k.store == nil {
		return nil
	}
	if err := k.take(ctx); err != nil {
		return err
	}
	defer func() { <-k.turn }()
	if !k.keeps(s) {
		return nil
	}
	b, err := json.Marshal(snapshot())
	if err != nil {
		return fmt.Errorf("encode session for the store: %w", err)
	}
	return k.call(ctx, func(ctx context.Context) error { return k.store.Save(ctx, k.key, b) })
}

// forget deletes the record if it is s's; nil stands for a session of another life of the program.
func (k *keeper) forget(ctx context.Context, s *session) error {
	if k.store == nil {
		return nil
	}
	if err := k.take(ctx); err != nil {
		return err
	}
	defer func() { <-k.turn }()
	if !k.disown(s) {
		return nil
	}
	return k.call(ctx, func(ctx context.Context) error { return k.store.Delete(ctx, k.key) })
}

// load returns the stored session, nil when there is none.
func (k *keeper) load(ctx context.Context) (*record, error) {
	if k.store == nil {
		return nil, nil
	}
	if err := k.take(ctx); err != nil {
		return nil, err
	}
	defer func() { <-k.turn }()
	var b []byte
	err := k.call(ctx, func(ctx context.Context) (err error) {
		b, err = k.store.Load(ctx, k.key)
		return err
	})
	if err != nil || b == nil {
		return nil, err
	}
	return parseRecord(b)
}
