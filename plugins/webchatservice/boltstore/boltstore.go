// Package boltstore keeps chat sessions in a file.
//
// A [Store] is a webchatservice.Store and Claimer. One file serves any number of services of one process; every
// record is on the disk when Save returns, so that a process killed at any moment can restore its
// sessions; records that are saved in the same moment share one write to the disk. A second process that
// opens the file gets [ErrLocked] within a second.
//
// Records hold the keys of sessions and visitors' words. The file is readable for its owner alone.
package boltstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/cxbus/cxbus/plugins/webchatservice"
)

// ErrLocked is returned by [Open] when another process, or this one, has the file open.
var ErrLocked = errors.New("boltstore: file is in use by another process")

// Options changes a [Store]. The zero value of each field is its default.
type Options struct {
	// Expiry is the age at which a record is forgotten. 0 means 24 h, negative never. No service
	// restores a session that old; this keeps the file from growing. The wall clock tells the age of records that an
	// earlier process has saved, and of no others.
	Expiry time.Duration
}

const (
	defaultExpiry = 24 * time.Hour
	lockTimeout   = 500 * time.Millisecond
	batchDelay    = 2 * time.Millisecond // what a record waits for others, to share a write to the disk with
	sweepEvery    = time.Hour            // or each expiry, where that is shorter
	stampSize     = 8                    // bytes before each record: when it was saved, in ms since 1970
)

// Buckets of the file. A record without a revision was written by a version that knew none.
var (
	bucket    = []byte("sessions")
	revisions = []byte("revisions") // of the records, by the same names
)

// unnumbered is the revision of a record without one; no sequence gets there.
const unnumbered = 1 << 63

// Store is an open file. Its methods may be called at once from many goroutines.
type Store struct {
	db     *bbolt.DB
	expiry time.Duration
	wall   func() time.Time // the clock that stamps records

	mu    sync.Mutex // guards the rest
	swept time.Time
	saved map[string]time.Time // when records were saved here, by the name in the file: for these the wall clock does not count
}

// Open opens the file at path, and makes it if there is none. It forgets what has expired, as Save does from
// time to time. nil means the zero Options. Close the store.
func Open(path string, opts *Options) (*Store, error) {
	s := &Store{expiry: defaultExpiry, wall: time.Now, saved: map[string]time.Time{}}
	if opts != nil && opts.Expiry != 0 {
		s.expiry = opts.Expiry
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout})
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, fmt.Errorf("open %s: %w; end that one, or give this one a file of its own", path, ErrLocked)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db.MaxBatchDelay = batchDelay
	s.db = db
	if err := errors.Join(os.Chmod(path, 0o600), s.sweep(time.Now())); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), db.Close())
	}
	return s, nil
}

// sweep makes the bucket and forgets what has expired.
func (s *Store) sweep(now time.Time) error {
	s.mu.Lock()
	s.swept = now
	s.mu.Unlock()
	return s.db.Batch(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(bucket)
		if err != nil {
			return err
		}
		numbers, err := tx.CreateBucketIfNotExists(revisions)
		if err != nil || s.expiry < 0 {
			return err
		}
		var dead [][]byte
		err = b.ForEach(func(k, v []byte) error {
			if s.expired(k, v) {
				dead = append(dead, append([]byte(nil), k...))
			}
			return nil
		})
		for _, k := range dead {
			err = errors.Join(err, b.Delete(k), numbers.Delete(k))
			s.forget(k)
		}
		return err
	})
}

// expired reports whether a record is too old. The age of one that was saved here is measured, that of another one is told by
// the wall clock, which may have been set meanwhile.
func (s *Store) expired(name, v []byte) bool {
	if len(v) < stampSize {
		return true // not ours
	}
	if s.expiry < 0 {
		return false
	}
	s.mu.Lock()
	at, here := s.saved[string(name)]
	s.mu.Unlock()
	if here {
		return time.Since(at) >= s.expiry
	}
	stamp := time.UnixMilli(int64(binary.BigEndian.Uint64(v))) //nolint:gosec // what Save wrote
	return s.wall().Sub(stamp) >= s.expiry
}

// note notes that a record was saved now, forget that there is none any more.
func (s *Store) note(name []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saved[string(name)] = time.Now()
}

func (s *Store) forget(name []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.saved, string(name))
}

// name is the key in the file: bbolt has no empty ones.
func name(key string) []byte { return []byte("k" + key) }

// revisionOf returns the revision of a record, 0 where there is none.
func (s *Store) revisionOf(tx *bbolt.Tx, key string) uint64 {
	v := tx.Bucket(bucket).Get(name(key))
	if v == nil || s.expired(name(key), v) {
		return 0
	}
	if n := tx.Bucket(revisions).Get(name(key)); len(n) == 8 {
		return binary.BigEndian.Uint64(n)
	}
	return unnumbered
}

// Save puts record in the place of what key had.
func (s *Store) Save(ctx context.Context, key string, record []byte) error {
	_, err := s.save(ctx, key, record, func(*bbolt.Tx) error { return nil })
	return err
}

// SaveRevision is Save, provided that the record of key has the revision given, 0 for none. It returns the new revision.
// Otherwise nothing is changed, and the error matches [webchatservice.ErrConflict].
func (s *Store) SaveRevision(ctx context.Context, key string, record []byte, revision uint64) (uint64, error) {
	return s.save(ctx, key, record, func(tx *bbolt.Tx) error { return s.compare(tx, key, revision) })
}

func (s *Store) compare(tx *bbolt.Tx, key string, revision uint64) error {
	if s.revisionOf(tx, key) != revision {
		return webchatservice.ErrConflict
	}
	return nil
}

// save writes a record if check agrees, and returns its revision.
func (s *Store) save(ctx context.Context, key string, record []byte, check func(*bbolt.Tx) error) (revision uint64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	v := binary.BigEndian.AppendUint64(make([]byte, 0, stampSize+len(record)), uint64(s.wall().UnixMilli())) //nolint:gosec // what expired reads
	v = append(v, record...)
	err = s.db.Batch(func(tx *bbolt.Tx) (err error) {
		if err := check(tx); err != nil {
			return err
		}
		numbers := tx.Bucket(revisions)
		if revision, err = numbers.NextSequence(); err != nil {
			return err
		}
		if err := numbers.Put(name(key), binary.BigEndian.AppendUint64(nil, revision)); err != nil {
			return err
		}
		return tx.Bucket(bucket).Put(name(key), v)
	})
	if err != nil {
		return 0, err
	}
	s.note(name(key))
	if now := time.Now(); s.due(now) {
		return revision, s.sweep(now)
	}
	return revision, nil
}

// due reports whether it is time to sweep.
func (s *Store) due(now time.Time) bool {
	if s.expiry < 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.Sub(s.swept) >= min(s.expiry, sweepEvery)
}

// Load returns the record of key, nil if there is none or if it has expired.
func (s *Store) Load(ctx context.Context, key string) ([]byte, error) {
	record, _, err := s.LoadRevision(ctx, key)
	return record, err
}

// LoadRevision is Load, with the revision of the record, which is 0 where there is none.
func (s *Store) LoadRevision(ctx context.Context, key string) (record []byte, revision uint64, err error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	err = s.db.View(func(tx *bbolt.Tx) error {
		if revision = s.revisionOf(tx, key); revision != 0 {
			record = append([]byte{}, tx.Bucket(bucket).Get(name(key))[stampSize:]...)
		}
		return nil
	})
	return record, revision, err
}

// Delete forgets key.
func (s *Store) Delete(ctx context.Context, key string) error {
	return s.remove(ctx, key, func(*bbolt.Tx) error { return nil })
}

// DeleteRevision is Delete, provided that the record of key has the revision given. Otherwise nothing is changed, and
// the error matches [webchatservice.ErrConflict].
func (s *Store) DeleteRevision(ctx context.Context, key string, revision uint64) error {
	return s.remove(ctx, key, func(tx *bbolt.Tx) error { return s.compare(tx, key, revision) })
}

func (s *Store) remove(ctx context.Context, key string, check func(*bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := s.db.Batch(func(tx *bbolt.Tx) error {
		if err := check(tx); err != nil {
			return err
		}
		return errors.Join(tx.Bucket(bucket).Delete(name(key)), tx.Bucket(revisions).Delete(name(key)))
	})
	if err == nil {
		s.forget(name(key))
	}
	return err
}

// Close waits for calls under way and lets go of the file.
func (s *Store) Close() error { return s.db.Close() }

var _ webchatservice.Claimer = (*Store)(nil)
