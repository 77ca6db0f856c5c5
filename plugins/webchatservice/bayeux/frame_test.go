package bayeux_test

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/sha1" //nolint:gosec // RFC 6455 asks for it
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/bayeux"
)

// accept answers an upgrade, with more headers.
func accept(key string, rw *bufio.ReadWriter, headers string) {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // RFC 6455 1.3
	_, _ = fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s\r\n",
		base64.StdEncoding.EncodeToString(sum[:]), headers)
	_ = rw.Flush()
}

// frameOf is a frame with this first byte that announces size bytes and has data.
func frameOf(first byte, size int, data []byte) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{first, 127}, uint64(size)), data...) //nolint:gosec // not negative
}

// A websocket whose first frame is a bomb, or that was opened with an extension that nobody asked for, costs no memory: the
// session is made by long-polling.
func TestFramesThatAreBombs(t *testing.T) {
	var bomb bytes.Buffer
	w, err := flate.NewWriter(&bomb, flate.BestCompression)
	require.NoError(t, err)
	_, err = w.Write(bytes.Repeat([]byte{' '}, 32<<20))
	require.NoError(t, err)
	require.NoError(t, w.Flush())
	require.Less(t, bomb.Len(), 64<<10)
	for name, c := range map[string]struct {
		headers string
		frame   []byte
	}{
		"1 GiB announced":     {"", frameOf(0x81, 1<<30, []byte("["))},
		"8 EiB announced":     {"", frameOf(0x81, 1<<63-1, []byte("["))},
		"negative length":     {"", append([]byte{0x81, 127}, bytes.Repeat([]byte{0xff}, 8)...)},
		"deflated":            {"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n", frameOf(0xc1, bomb.Len(), bomb.Bytes())},
		"deflated, unasked":   {"", frameOf(0xc1, bomb.Len(), bomb.Bytes())},
		"another extension":   {"Sec-WebSocket-Extensions: x-encrypt\r\n", nil},
		"long control frame":  {"", frameOf(0x89, 1<<20, make([]byte, 1<<20))},
		"reserved bits":       {"", frameOf(0xb1, 2, []byte("[]"))},
		"unknown opcode":      {"", frameOf(0x83, 2, []byte("[]"))},
		"masked by a server":  {"", []byte{0x81, 0x80 | 2, 1, 2, 3, 4, '[' ^ 1, ']' ^ 2}},
		"continues nothing":   {"", frameOf(0x80, 2, []byte("[]"))},
		"fragmented control":  {"", frameOf(0x09, 2, []byte("[]"))},
		"close with one byte": {"", []byte{0x88, 1, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, true, func(t *testing.T, s *server, cl *client) {
				s.raw = func(key string, rw *bufio.ReadWriter) {
					accept(key, rw, c.headers)
					_, _ = rw.Write(c.frame)
					_ = rw.Flush()
					for { // until the client has gone
						if _, err := rw.ReadByte(); err != nil {
							return
						}
					}
				}
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				cl.Start()
				time.Sleep(20 * time.Second)
				require.Equal(t, bayeux.StateConnected, cl.State(), cl.take())
				assert.False(t, cl.OnWebsocket())
				replies, e := cl.Publish(t.Context(), "send", "/service/x", json.RawMessage(`{}`))
				require.Nil(t, e)
				assert.Equal(t, []bayeux.Reply{{Successful: true}}, replies)
				runtime.ReadMemStats(&after)
				assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4<<20), "in all, with the server's")
			})
		})
	}
}
