package webchatservice

import (
	"bytes"
	"context"
	"errors"
	"sync"
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

// Claimer is a [Store] whose records have revisions, so that of two services with one key one alone can write: what a
// service saves says that the session is its own, and is written only over what it has read or written itself. A
// service whose session another one has taken over learns that before it sends the next line; see [SessionMoved].
// With a Store that is no Claimer the service compares the record's owner before it saves, and between the two
// another one may write: the conflict is then noticed at the save after that.
//
// [MemoryStore] and the store of package boltstore are Claimers.
type Claimer interface {
	Store
	// LoadRevision is Load, with the revision of the record. A revision is not 0, and no two writes of one key
	// have the same, not even with a Delete between them. Without a record it is 0.
	LoadRevision(ctx context.Context, key string) (record []byte, revision uint64, err error)
	// SaveRevision is Save, provided that the record of key has the revision given; 0 says that there is none. It
	// returns the new revision. Otherwise nothing is changed, and the error matches [ErrConflict].
	SaveRevision(ctx context.Context, key string, record []byte, revision uint64) (uint64, error)
	// DeleteRevision is Delete, under the same condition.
	DeleteRevision(ctx context.Context, key string, revision uint64) error
}

// ErrConflict is returned by [Claimer.SaveRevision] and [Claimer.DeleteRevision] when the record has another revision
// than the one given.
var ErrConflict = errors.New("webchatservice: record was changed by somebody else")

// MemoryStore is a [Claimer] in memory: sessions survive their bus, not the process. It never forgets a
// key by itself. The zero MemoryStore is ready. Its methods may be called at once from many goroutines.
type MemoryStore struct {
	mu       sync.Mutex // guards what follows
	records  map[string]stored
	revision uint64 // the last one given
}

type stored struct {
	record   []byte
	revision uint64
}

// NewMemoryStore returns an empty store.
func NewMemoryStore() *MemoryStore { return &MemoryStore{} }

// Save implements [Store].
func (m *MemoryStore) Save(_ context.Context, key string, record []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.putLocked(key, record)
	return nil
}

// SaveRevision implements [Claimer].
func (m *MemoryStore) SaveRevision(_ context.Context, key string, record []byte, revision uint64) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.records[key].revision != revision {
		return 0, ErrConflict
	}
	return m.putLocked(key, record), nil
}

func (m *MemoryStore) putLocked(key string, record []byte) uint64 {
	if m.records == nil {
		m.records = make(map[string]stored)
	}
	m.revision++
	m.records[key] = stored{bytes.Clone(record), m.revision}
	return m.revision
}

// Load implements [Store].
func (m *MemoryStore) Load(ctx context.Context, key string) ([]byte, error) {
	record, _, err := m.LoadRevision(ctx, key)
	return record, err
}

// LoadRevision implements [Claimer].
func (m *MemoryStore) LoadRevision(_ context.Context, key string) ([]byte, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.records[key]
	if !ok {
		return nil, 0, nil
	}
	return append([]byte{}, s.record...), s.revision, nil
}

// Delete implements [Store].
func (m *MemoryStore) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.records, key)
	return nil
}

// DeleteRevision implements [Claimer].
func (m *MemoryStore) DeleteRevision(_ context.Context, key string, revision uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.records[key].revision != revision {
		return ErrConflict
	}
	delete(m.records, key)
	return nil
}

var _ Claimer = (*MemoryStore)(nil)
