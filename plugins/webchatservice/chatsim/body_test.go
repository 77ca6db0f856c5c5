package chatsim_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
)

// A client that never sends the rest of a body does not keep its connection, and one that is slow but in time is served.
func TestSlowBodies(t *testing.T) {
	opts := alone()
	opts.BodyTimeout = 10 * time.Second
	bubble(t, opts, func(t *testing.T, sim *chatsim.Server) {
		const body = "nickname=Ada"
		open := func() net.Conn {
			c, err := sim.DialContext(t.Context(), "tcp", "sim.test:80")
			require.NoError(t, err)
			_, err = fmt.Fprintf(c, "POST /genesys/2/chat/customer-support HTTP/1.1\r\nHost: sim.test\r\n"+
				"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", len(body), body[:5])
			require.NoError(t, err)
			return c
		}
		for range 400 {
			c := open()
			go func() { // one byte now and then does not help
				for range 6 {
					time.Sleep(3 * time.Second)
					if _, err := c.Write([]byte("=")); err != nil {
						break
					}
				}
				_, _ = io.Copy(io.Discard, c) // to the end of the connection, whichever it is
				_ = c.Close()
			}()
		}
		slow := open()
		time.Sleep(9 * time.Second)
		assert.Equal(t, 401, sim.Network().Conns())
		_, err := slow.Write([]byte(body[5:]))
		require.NoError(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(slow), nil)
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, resp.StatusCode)
		require.NoError(t, resp.Body.Close())
		time.Sleep(20 * time.Second)
		synctest.Wait()
		assert.Equal(t, 1, sim.Network().Conns(), "the one that is kept alive")
		assert.Len(t, sim.Chats(), 1)
		require.NoError(t, slow.Close())
	})
}

// The limit ends with the body: a request may be held for longer.
func TestHeldRequestOutlivesBodyTimeout(t *testing.T) {
	opts := alone()
	opts.BodyTimeout, opts.SilenceLimit = time.Second, -1
	bubble(t, opts, func(t *testing.T, sim *chatsim.Server) {
		sim.Faults().Add(chatsim.Fault{Op: "send", Delay: time.Minute})
		v := enter(t, sim)
		assert.Equal(t, http.StatusOK, v.Do("send", "message", "late").Status)
		assert.Equal(t, []string{"late"}, said(v))
	})
}
