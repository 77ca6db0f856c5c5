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
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/bayeux"
)

// A server that answers its connects every 30 s is not asked besides whether it is there. One that holds them for longer
// is. A link on which nothing comes any more is found as soon in either case: 35 s after the last word.
func TestHalfOpenLink(t *testing.T) {
	for name, hold := range map[string]time.Duration{"Answers": 30 * time.Second, "HoldsLonger": 5 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			run(t, true, func(t *testing.T, s *server, c *client) {
				s.set(func() {
					s.answer = func(in, reply fields) {
						if in["channel"] == handshake {
							reply["advice"] = fields{"reconnect": "retry", "interval": 0, "timeout": hold.Milliseconds()}
						}
					}
				})
				begin(t, c)
				time.Sleep(5*time.Minute + time.Second) // a second ago the server has answered a connect
				s.mu.Lock()
				pings := s.pings
				s.mu.Unlock()
				if name == "Answers" {
					assert.Zero(t, pings)
				} else {
					assert.GreaterOrEqual(t, pings, 10)
				}
				assert.Empty(t, c.take())
				s.network.Stall()
				time.Sleep(33 * time.Second)
				assert.Empty(t, c.take())
				time.Sleep(2 * time.Second)
				assert.Len(t, c.take(), 1)
				c.mu.Lock()
				assert.Len(t, c.failed, 1)
				c.mu.Unlock()
				s.network.Heal()
				time.Sleep(10 * time.Second)
				assert.Equal(t, bayeux.StateConnected, c.State())
			})
		})
	}
}

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
