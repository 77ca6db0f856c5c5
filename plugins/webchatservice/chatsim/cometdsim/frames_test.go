package cometdsim_test

import (
	"bytes"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/cometdsim"
)

// FuzzFrames: a close frame of one byte is found wherever it stands between other frames, and however the network
// cuts the bytes; without one nothing is found.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("text"), uint16(3), uint8(1), true)
	f.Add(bytes.Repeat([]byte{0x88, 0x81}, 100), uint16(200), uint8(7), false) // the payload looks like a close frame
	f.Add([]byte{}, uint16(70), uint8(0), true)
	f.Fuzz(func(t *testing.T, payload []byte, size uint16, cut uint8, short bool) {
		frame := func(opcode byte, payload []byte) []byte {
			b := []byte{0x80 | opcode}
			switch n := len(payload); {
			case n < 126:
				b = append(b, 0x80|byte(n))
			case n < 1<<16:
				b = append(b, 0x80|126, byte(n>>8), byte(n))
			default:
				b = append(b, 0x80|127, 0, 0, 0, 0, 0, byte(n>>16), byte(n>>8), byte(n))
			}
			return append(append(b, 1, 2, 3, 4), payload...) // the mask does not matter here
		}
		stream := frame(1, payload)
		stream = append(stream, frame(2, bytes.Repeat([]byte{0x88}, int(size)*2))...)
		stream = append(stream, frame(9, nil)...)
		if short {
			stream = append(stream, frame(8, []byte{3})...)
		} else {
			stream = append(stream, frame(8, []byte{3, 232})...)
		}
		c, found := cometdsim.WatchFrames(&pieces{data: stream, size: int(cut) + 1})
		_, err := io.Copy(io.Discard, c)
		require.NoError(t, err)
		assert.Equal(t, short, found())
	})
}

// pieces is a connection whose reads give few bytes at a time.
type pieces struct {
	net.Conn
	data []byte
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.data) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(p.size, len(b))], p.data)
	p.data = p.data[n:]
	return n, nil
}
