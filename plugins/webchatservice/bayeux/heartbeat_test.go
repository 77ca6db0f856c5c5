package bayeux_test

import (
	"bufio"
	"context"
	"crypto/sha1" // RFC 6455 4.2.2
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/bayeux"
)

// A server that pings and does not read makes no memory grow.
func TestPingsOfTheDeaf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		answered := make(chan error, 1)
		go func() {
			r, err := http.ReadRequest(bufio.NewReader(far))
			if err == nil {
				sum := sha1.Sum([]byte(r.Header.Get("Sec-Websocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
				_, err = io.WriteString(far, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
					"Sec-WebSocket-Accept: "+base64.StdEncoding.EncodeToString(sum[:])+"\r\n\r\n")
			}
			answered <- err
		}()
		dialer := websocket.Dialer{NetDialContext: func(context.Context, string, string) (net.Conn, error) { return near, nil }}
		conn, _, err := dialer.Dial("ws://gms.example.net/", nil)
		require.NoError(t, err)
		require.NoError(t, <-answered)
		assert.LessOrEqual(t, bayeux.Pinged(conn, 1000), 1)
		require.NoError(t, far.Close())
	})
}
