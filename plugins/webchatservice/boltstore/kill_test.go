package boltstore_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/boltstore"
)

// writerFile makes this program one that saves without end to the file that it names.
const writerFile = "CXBUS_TEST_WRITER_FILE"

func TestMain(m *testing.M) {
	if file := os.Getenv(writerFile); file != "" {
		fmt.Fprintln(os.Stderr, write(file))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// write saves records of growing numbers to one key, and prints each number once it is saved.
func write(file string) error {
	store, err := boltstore.Open(file, nil)
	if err != nil {
		return err
	}
	ctx := context.Background()
	record, revision, err := store.LoadRevision(ctx, "Ada")
	if err != nil {
		return err
	}
	n, _ := number(record)
	for {
		n++
		if revision, err = store.SaveRevision(ctx, "Ada", recordOf(n), revision); err != nil {
			return err
		}
		fmt.Println(n)
	}
}

// recordOf is a record of some length that tells its number and whether it is whole.
func recordOf(n uint64) []byte {
	b := binary.BigEndian.AppendUint64(nil, n)
	b = append(b, make([]byte, n*2654435761%20000)...)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// number returns the number of a record. whole is false if it is not what recordOf has made.
func number(record []byte) (n uint64, whole bool) {
	if len(record) < 8+sha256.Size {
		return 0, false
	}
	n = binary.BigEndian.Uint64(record)
	return n, string(recordOf(n)) == string(record)
}

// A process that is killed while it saves leaves the record before or the one that it was saving, and a file that others can
// open: never half a record.
func TestKilledWhileSaving(t *testing.T) {
	t.Parallel()
	kills := 20
	if os.Getenv("SOAK") == "1" {
		kills = 200
	}
	file := filepath.Join(t.TempDir(), "sessions.db")
	rng := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // it need not be secret
	for range kills {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), writerFile+"="+file)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for range 1 + rng.IntN(5) {
			require.True(t, lines.Scan(), "it saves")
		}
		time.AfterFunc(time.Duration(rng.IntN(3000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
		saved := lines.Text()
		for lines.Scan() { // what it still said
			saved = lines.Text()
		}
		require.Error(t, cmd.Wait())
		last, err := strconv.ParseUint(saved, 10, 64)
		require.NoError(t, err)

		store, err := boltstore.Open(file, nil)
		require.NoError(t, err)
		record, _, err := store.LoadRevision(t.Context(), "Ada")
		require.NoError(t, err)
		n, whole := number(record)
		assert.True(t, whole, "the record is one that was saved")
		assert.Contains(t, []uint64{last, last + 1}, n)
		require.NoError(t, store.Close())
	}
}
