package boltstore_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/boltstore"
)

// jumps are what happens to wall clocks.
var jumps = map[string]func(time.Time) time.Time{
	"a day back":   func(t time.Time) time.Time { return t.Add(-24 * time.Hour) },
	"a day on":     func(t time.Time) time.Time { return t.Add(24 * time.Hour) },
	"1970":         func(time.Time) time.Time { return time.Unix(0, 0) },
	"ten years on": func(t time.Time) time.Time { return t.AddDate(10, 0, 0) },
}

// Wherever the wall clock goes while a store is open, its records stay, with their revisions, and expire in their time.
func TestWallClockJumps(t *testing.T) {
	dir := t.TempDir()
	for name, jump := range jumps {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(dir, fmt.Sprint(name, ".db"))
				s, err := boltstore.Open(path, &boltstore.Options{Expiry: 5 * time.Hour})
				require.NoError(t, err)
				ctx := t.Context()
				wall := func() time.Time { return time.Now() }
				s.SetWall(func() time.Time { return wall() })
				revision, err := s.SaveRevision(ctx, "Ada", []byte("one"), 0)
				require.NoError(t, err)
				require.NoError(t, s.Save(ctx, "Bob", []byte("old")))

				wall = func() time.Time { return jump(time.Now()) }
				time.Sleep(2 * time.Hour) // so that the next Save sweeps
				require.NoError(t, s.Save(ctx, "Eve", []byte("new")))
				got, err := s.Load(ctx, "Ada")
				require.NoError(t, err)
				assert.Equal(t, "one", string(got))
				revision, err = s.SaveRevision(ctx, "Ada", []byte("two"), revision)
				require.NoError(t, err, "nobody else has taken it")

				wall = time.Now // and back
				time.Sleep(4 * time.Hour)
				got, err = s.Load(ctx, "Bob")
				require.NoError(t, err)
				assert.Nil(t, got, "it is six hours old")
				require.NoError(t, s.DeleteRevision(ctx, "Ada", revision))
				require.NoError(t, s.Close())
			})
		})
	}
}

// A record with a stamp of the future, which a clock has left behind that went back since, is there for the next process.
func TestRecordOfTheFuture(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions.db")
	synctest.Test(t, func(t *testing.T) {
		s, err := boltstore.Open(path, nil)
		require.NoError(t, err)
		s.SetWall(func() time.Time { return time.Now().AddDate(10, 0, 0) })
		require.NoError(t, s.Save(t.Context(), "Ada", []byte("one")))
		require.NoError(t, s.Close())
		s, err = boltstore.Open(path, nil)
		require.NoError(t, err)
		got, err := s.Load(t.Context(), "Ada")
		require.NoError(t, err)
		assert.Equal(t, "one", string(got))
		require.NoError(t, s.Close())
	})
}
