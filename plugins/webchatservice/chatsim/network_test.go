package chatsim_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
)

// pair runs a test in fake time with two ends of a connection.
func pair(t *testing.T, f func(t *testing.T, n *chatsim.Network, a, b net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := chatsim.NewNetwork()
		defer n.Close()
		l, err := n.Listen("host:1")
		require.NoError(t, err)
		accepted := make(chan net.Conn, 1)
		go func() {
			c, err := l.Accept()
			if assert.NoError(t, err) {
				accepted <- c
			}
		}()
		a, err := n.DialContext(t.Context(), "tcp", "host:1")
		require.NoError(t, err)
		f(t, n, a, <-accepted)
	})
}

// A writer does not wait for a reader until 64 KiB are under way.
func TestConnBuffers(t *testing.T) {
	pair(t, func(t *testing.T, _ *chatsim.Network, a, b net.Conn) {
		data := make([]byte, 64<<10)
		for i := range data {
			data[i] = byte(i * 7)
		}
		n, err := a.Write(data)
		require.NoError(t, err)
		require.Equal(t, len(data), n)
		require.NoError(t, a.SetWriteDeadline(time.Now().Add(time.Second)))
		n, err = a.Write([]byte("more"))
		assert.Zero(t, n)
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, a.SetWriteDeadline(time.Time{}))
		go func() {
			_, err := a.Write([]byte("more"))
			assert.NoError(t, err)
			assert.NoError(t, a.Close())
		}()
		got, err := io.ReadAll(b)
		require.NoError(t, err)
		assert.Equal(t, append(data, "more"...), got, "closing loses nothing")
	})
}

func TestConnDeadlines(t *testing.T) {
	pair(t, func(t *testing.T, _ *chatsim.Network, a, b net.Conn) {
		before := time.Now()
		require.NoError(t, b.SetReadDeadline(before.Add(time.Second)))
		_, err := b.Read(make([]byte, 1))
		var timeout net.Error
		require.ErrorAs(t, err, &timeout)
		assert.True(t, timeout.Timeout())
		assert.Equal(t, time.Second, time.Since(before))

		// A reader that waits sees a new deadline.
		require.NoError(t, b.SetDeadline(time.Now().Add(time.Hour)))
		read := make(chan error)
		go func() {
			_, err := b.Read(make([]byte, 1))
			read <- err
		}()
		synctest.Wait()
		require.NoError(t, b.SetDeadline(time.Now().Add(time.Second)))
		assert.ErrorIs(t, <-read, os.ErrDeadlineExceeded)
		assert.Equal(t, 2*time.Second, time.Since(before))
		require.NoError(t, b.SetDeadline(time.Time{}))
		_, err = a.Write([]byte("x"))
		require.NoError(t, err)
		_, err = b.Read(make([]byte, 1))
		require.NoError(t, err)
	})
}

func TestConnClose(t *testing.T) {
	pair(t, func(t *testing.T, n *chatsim.Network, a, b net.Conn) {
		read := make(chan error)
		go func() {
			_, err := a.Read(make([]byte, 1))
			read <- err
		}()
		synctest.Wait()
		require.NoError(t, a.Close())
		require.NoError(t, a.Close())
		assert.ErrorIs(t, <-read, net.ErrClosed)
		_, err := a.Write([]byte("x"))
		assert.ErrorIs(t, err, net.ErrClosed)
		_, err = b.Write([]byte("x"))
		assert.ErrorIs(t, err, syscall.EPIPE)
		_, err = b.Read(make([]byte, 1))
		assert.Equal(t, io.EOF, err)
		assert.Equal(t, 1, n.Conns())
		require.NoError(t, b.Close())
		assert.Zero(t, n.Conns())
	})
}

func TestNetworkReset(t *testing.T) {
	pair(t, func(t *testing.T, n *chatsim.Network, a, b net.Conn) {
		_, err := a.Write([]byte("lost"))
		require.NoError(t, err)
		n.Reset()
		_, err = b.Read(make([]byte, 4))
		assert.ErrorIs(t, err, syscall.ECONNRESET)
		_, err = a.Write([]byte("x"))
		assert.ErrorIs(t, err, syscall.ECONNRESET)
	})
}

// Stall and Partition hold back bytes and the end; Heal delivers them.
func TestNetworkStall(t *testing.T) {
	for name, stop := range map[string]func(*chatsim.Network){"stall": (*chatsim.Network).Stall, "partition": (*chatsim.Network).Partition} {
		t.Run(name, func(t *testing.T) {
			pair(t, func(t *testing.T, n *chatsim.Network, a, b net.Conn) {
				stop(n)
				_, err := a.Write([]byte("held"))
				require.NoError(t, err)
				require.NoError(t, a.Close())
				require.NoError(t, b.SetReadDeadline(time.Now().Add(time.Minute)))
				_, err = b.Read(make([]byte, 4))
				require.ErrorIs(t, err, os.ErrDeadlineExceeded)
				require.NoError(t, b.SetReadDeadline(time.Time{}))
				n.Heal()
				got, err := io.ReadAll(b)
				require.NoError(t, err)
				assert.Equal(t, "held", string(got))
			})
		})
	}
}

func TestDialErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := chatsim.NewNetwork()
		l, err := n.Listen("host:1")
		require.NoError(t, err)
		_, err = n.Listen("host:1")
		assert.ErrorIs(t, err, syscall.EADDRINUSE)
		_, err = n.Listen("host")
		assert.Error(t, err)

		_, err = n.DialContext(t.Context(), "tcp", "nowhere:1")
		var unknown *net.DNSError
		require.ErrorAs(t, err, &unknown)
		assert.True(t, unknown.IsNotFound)
		_, err = n.DialContext(t.Context(), "tcp", "host:2")
		assert.ErrorIs(t, err, syscall.ECONNREFUSED)
		_, err = n.DialContext(t.Context(), "udp", "host:1")
		assert.Error(t, err)

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = n.DialContext(ctx, "tcp", "host:1") // nobody accepts
		assert.ErrorIs(t, err, context.DeadlineExceeded)

		n.Refuse()
		_, err = n.DialContext(t.Context(), "tcp", "host:1")
		assert.ErrorIs(t, err, syscall.ECONNREFUSED)
		n.Partition()
		before := time.Now()
		_, err = n.DialContext(t.Context(), "tcp", "host:1")
		assert.ErrorIs(t, err, syscall.ETIMEDOUT)
		assert.Equal(t, 30*time.Second, time.Since(before))

		dialled := make(chan error)
		go func() {
			_, err := n.DialContext(t.Context(), "tcp", "host:1")
			dialled <- err
		}()
		synctest.Wait()
		require.NoError(t, l.Close())
		n.Heal()
		assert.ErrorIs(t, <-dialled, syscall.ECONNREFUSED, "its listener is gone")

		n.Partition()
		go func() {
			_, err := n.DialContext(t.Context(), "tcp", "host:1")
			dialled <- err
		}()
		synctest.Wait()
		require.NoError(t, n.Close())
		assert.Error(t, <-dialled)
		_, err = n.Listen("host:3")
		assert.ErrorIs(t, err, net.ErrClosed)
		_, err = l.Accept()
		assert.ErrorIs(t, err, net.ErrClosed)
	})
}

// A chat goes on after each of the ways to break the network.
func TestServerOnBrokenNetwork(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		n := sim.Network()
		v := enter(t, sim)
		try := func() error {
			client := *sim.Client()
			client.Timeout = 3 * time.Second
			resp, err := client.Get(v.Root + "refresh")
			if err == nil {
				err = resp.Body.Close()
			}
			return err
		}
		for _, stop := range []func(){n.Stall, n.Partition, n.Refuse} {
			require.NoError(t, try())
			stop()
			require.Error(t, try())
			n.Heal()
			require.NoError(t, try())
		}
		assert.Positive(t, n.Dials())
	})
}

// Two servers and a server of the test's own share a network.
func TestSharedNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := chatsim.NewNetwork()
		defer n.Close()
		a := simulator.New(&chatsim.Options{Network: n, Host: "a.test", Seed: 7})
		defer a.Close()
		b := simulator.New(&chatsim.Options{Network: n, Host: "b.test:8080", Seed: 7, Faces: []chatsim.Face{gmssim.New(&gmssim.Options{Services: []string{"sales", "help"}})}})
		defer b.Close()
		assert.Equal(t, "http://b.test:8080/genesys/2/chat/sales", gmssim.URL(b))
		assert.Equal(t, enter(t, a).Start.SecureKey, enter(t, b).Start.SecureKey, "seeded")
		assert.Panics(t, func() { simulator.New(&chatsim.Options{Network: n, Host: "a.test"}) })

		l, err := n.Listen("c.test:80")
		require.NoError(t, err)
		own := &http.Server{Handler: a.Handler()}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = own.Serve(l)
		}()
		client := n.Client()
		resp, err := client.Post(a.BaseURLs("c.test")["gms"], formType, nil)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, http.StatusBadRequest, resp.StatusCode)
		require.NoError(t, own.Close())
		<-done
	})
}
