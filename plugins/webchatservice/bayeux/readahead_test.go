package bayeux_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/cxbus/cxbus/plugins/webchatservice/bayeux"
)

// chunks is a connection that has these pieces to read, and then an error, which may come with the last piece.
type chunks struct {
	net.Conn
	pieces   [][]byte
	err      error
	together bool
	asked    int
}

func (c *chunks) Read(p []byte) (int, error) {
	c.asked++
	if len(c.pieces) == 0 {
		return 0, c.err
	}
	n := copy(p, c.pieces[0])
	if c.pieces[0] = c.pieces[0][n:]; len(c.pieces[0]) == 0 {
		c.pieces = c.pieces[1:]
	}
	if len(c.pieces) == 0 && c.together {
		return n, c.err
	}
	return n, nil
}

// Reading ahead gives the same bytes, whatever the sizes, and the error behind the last of them. Before the network
// is asked, that is told, each time.
func TestReadAheadReadsTheSame(t *testing.T) {
	broken := errors.New("broken")
	rapid.Check(t, func(t *rapid.T) {
		net := &chunks{err: broken, together: rapid.Bool().Draw(t, "together")}
		var want []byte
		for range rapid.IntRange(0, 20).Draw(t, "pieces") {
			n := rapid.SampledFrom([]int{1, 100, 511, 512, 513, 4000, 16383, 16384, 16385, 40000}).Draw(t, "piece")
			piece := make([]byte, n)
			for i := range piece {
				piece[i] = byte(len(want) + i*7)
			}
			want = append(want, piece...)
			net.pieces = append(net.pieces, piece)
		}
		told := 0
		conn := bayeux.NewReadAhead(net, func() { told++ })
		r := bufio.NewReaderSize(conn, 512)
		var got []byte
		var err error
		for err == nil {
			var n int
			p := make([]byte, rapid.SampledFrom([]int{1, 2, 300, 512, 600, 20000}).Draw(t, "asked"))
			n, err = r.Read(p)
			got = append(got, p[:n]...)
		}
		require.ErrorIs(t, err, broken)
		assert.True(t, string(want) == string(got), "%d bytes, want %d", len(got), len(want))
		assert.Equal(t, net.asked, told)
	})
}

// Much is read with few calls.
func TestReadAheadSavesCalls(t *testing.T) {
	far := &chunks{pieces: [][]byte{make([]byte, 100<<10)}, err: io.EOF}
	n, err := io.Copy(io.Discard, onlyReader{bufio.NewReaderSize(bayeux.NewReadAhead(far, nil), 512)})
	require.NoError(t, err)
	assert.Equal(t, int64(100<<10), n)
	assert.Less(t, far.asked, 15)
}

// onlyReader hides other methods.
type onlyReader struct{ r *bufio.Reader }

func (o onlyReader) Read(p []byte) (int, error) { return o.r.Read(p[:min(len(p), 300)]) }
