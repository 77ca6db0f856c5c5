package boltstore_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/boltstore"
)

func TestStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions.db")
	s, err := boltstore.Open(path, nil)
	require.NoError(t, err)
	ctx := t.Context()

	got, err := s.Load(ctx, "nobody")
	require.NoError(t, err)
	assert.Nil(t, got)
	require.NoError(t, s.Delete(ctx, "nobody"))
	for _, key := range []string{"", "a", "visitor 7"} {
		require.NoError(t, s.Save(ctx, key, []byte("old")))
		require.NoError(t, s.Save(ctx, key, []byte("record of "+key)))
	}
	require.NoError(t, s.Delete(ctx, "a"))
	require.NoError(t, s.Close())

	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	s, err = boltstore.Open(path, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	for key, want := range map[string][]byte{"": []byte("record of "), "visitor 7": []byte("record of visitor 7"), "a": nil} {
		got, err := s.Load(ctx, key)
		require.NoError(t, err)
		assert.Equal(t, want, got, key)
	}
}

func TestSecondProcessIsLockedOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions.db")
	s, err := boltstore.Open(path, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	begun := time.Now()
	_, err = boltstore.Open(path, nil)
	assert.ErrorIs(t, err, boltstore.ErrLocked)
	assert.Less(t, time.Since(begun), time.Minute, "it does not wait for the other one")
	assert.ErrorContains(t, err, path)
}

func TestRecordsExpire(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions.db")
	synctest.Test(t, func(t *testing.T) {
		s, err := boltstore.Open(path, &boltstore.Options{Expiry: time.Hour})
		require.NoError(t, err)
		require.NoError(t, s.Save(t.Context(), "old", []byte("x")))
		time.Sleep(30 * time.Minute)
		require.NoError(t, s.Save(t.Context(), "new", []byte("x")))
		time.Sleep(40 * time.Minute)
		got, err := s.Load(t.Context(), "old")
		require.NoError(t, err)
		assert.Nil(t, got)
		require.NoError(t, s.Close())
		s, err = boltstore.Open(path, &boltstore.Options{Expiry: -1})
		require.NoError(t, err)
		got, err = s.Load(t.Context(), "new")
		require.NoError(t, err)
		assert.NotNil(t, got)
		require.NoError(t, s.Close())
	})
}

func TestNotAStore(t *testing.T) {
	dir := t.TempDir()
	_, err := boltstore.Open(dir, nil)
	assert.Error(t, err)
	file := filepath.Join(dir, "text")
	require.NoError(t, os.WriteFile(file, make([]byte, 9000), 0o600))
	_, err = boltstore.Open(file, nil)
	assert.Error(t, err)
}

func TestManyAtOnce(t *testing.T) {
	s, err := boltstore.Open(filepath.Join(t.TempDir(), "sessions.db"), nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			key := fmt.Sprint(i)
			for n := range 5 {
				assert.NoError(t, s.Save(t.Context(), key, fmt.Append(nil, key, n)))
				got, err := s.Load(t.Context(), key)
				assert.NoError(t, err)
				assert.Equal(t, fmt.Append(nil, key, n), got)
			}
		})
	}
	wg.Wait()
}

func TestFileIsItsOwnersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions.db")
	require.NoError(t, os.WriteFile(path, nil, 0o644)) //nolint:gosec // that is what is to be mended
	s, err := boltstore.Open(path, nil)
	require.NoError(t, err)
	require.NoError(t, s.Save(t.Context(), "a", []byte("secret")))
	require.NoError(t, s.Close())
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

// A program that runs for months does not fill the disk: what has expired goes while the store is open.
func TestExpiredRecordsGo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions.db")
	long := bytes.Repeat([]byte("x"), 1000)
	var size int64
	synctest.Test(t, func(t *testing.T) {
		s, err := boltstore.Open(path, &boltstore.Options{Expiry: time.Hour})
		require.NoError(t, err)
		defer func() { require.NoError(t, s.Close()) }()
		for day := range 10 {
			for i := range 30 {
				require.NoError(t, s.Save(t.Context(), fmt.Sprint(day, i), long))
			}
			time.Sleep(2 * time.Hour)
			info, err := os.Stat(path)
			require.NoError(t, err)
			if day == 2 {
				size = info.Size()
			}
		}
	})
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, size, info.Size())
}

// Many sessions of one program share a file, and writes to the disk.
func TestManySessions(t *testing.T) {
	const sessions = 1000
	path := filepath.Join(t.TempDir(), "sessions.db")
	s, err := boltstore.Open(path, nil)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for i := range sessions {
		wg.Go(func() { assert.NoError(t, s.Save(t.Context(), fmt.Sprint(i), fmt.Append(nil, "record ", i))) })
	}
	wg.Wait()
	require.NoError(t, s.Close())
	s, err = boltstore.Open(path, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	for i := range sessions {
		got, err := s.Load(t.Context(), fmt.Sprint(i))
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint("record ", i), string(got))
	}
}

// The promises of a Claimer, for both stores of this module.
func TestClaimer(t *testing.T) {
	file, err := boltstore.Open(filepath.Join(t.TempDir(), "sessions.db"), nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	for name, s := range map[string]webchatservice.Claimer{"bolt": file, "memory": webchatservice.NewMemoryStore()} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			record, revision, err := s.LoadRevision(ctx, "a")
			require.NoError(t, err)
			assert.Nil(t, record)
			assert.Zero(t, revision)
			_, err = s.SaveRevision(ctx, "a", []byte("x"), 7)
			require.ErrorIs(t, err, webchatservice.ErrConflict)
			require.ErrorIs(t, s.DeleteRevision(ctx, "a", 7), webchatservice.ErrConflict)

			seen := map[uint64]bool{0: true}
			fresh := func(revision uint64) uint64 {
				assert.False(t, seen[revision], "revision %d again", revision)
				seen[revision] = true
				return revision
			}
			revision, err = s.SaveRevision(ctx, "a", []byte("one"), 0)
			require.NoError(t, err)
			first := fresh(revision)
			_, err = s.SaveRevision(ctx, "a", []byte("two"), 0)
			require.ErrorIs(t, err, webchatservice.ErrConflict)
			record, revision, err = s.LoadRevision(ctx, "a")
			require.NoError(t, err)
			assert.Equal(t, "one", string(record))
			assert.Equal(t, first, revision)

			require.NoError(t, s.Save(ctx, "a", []byte("plain"))) // changes the revision, too
			_, err = s.SaveRevision(ctx, "a", []byte("two"), first)
			require.ErrorIs(t, err, webchatservice.ErrConflict)
			_, revision, err = s.LoadRevision(ctx, "a")
			require.NoError(t, err)
			revision, err = s.SaveRevision(ctx, "a", []byte("two"), fresh(revision))
			require.NoError(t, err)
			require.NoError(t, s.DeleteRevision(ctx, "a", fresh(revision)))
			revision, err = s.SaveRevision(ctx, "a", []byte("three"), 0)
			require.NoError(t, err)
			fresh(revision)
			require.NoError(t, s.Delete(ctx, "a"))

			var wg sync.WaitGroup
			var won atomic.Int32
			for range 8 {
				wg.Go(func() {
					if _, err := s.SaveRevision(ctx, "race", []byte("x"), 0); err == nil {
						won.Add(1)
					} else {
						assert.ErrorIs(t, err, webchatservice.ErrConflict)
					}
				})
			}
			wg.Wait()
			assert.EqualValues(t, 1, won.Load())
		})
	}
}

// A file of an earlier version has records without revisions: they are read, and can be claimed once.
func TestFileOfAnEarlierVersion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions.db")
	old, err := os.ReadFile("testdata/v0.1.db")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, old, 0o600))
	s, err := boltstore.Open(path, &boltstore.Options{Expiry: -1})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	record, revision, err := s.LoadRevision(t.Context(), "visitor 7")
	require.NoError(t, err)
	assert.Contains(t, string(record), `"version":1`)
	assert.NotZero(t, revision)
	now, err := s.SaveRevision(t.Context(), "visitor 7", []byte("new"), revision)
	require.NoError(t, err)
	assert.NotEqual(t, revision, now)
	_, err = s.SaveRevision(t.Context(), "visitor 7", []byte("second"), revision)
	assert.ErrorIs(t, err, webchatservice.ErrConflict)
}
