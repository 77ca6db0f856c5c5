package chatsim_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
)

// The same over real sockets and in real time: a conversation, and a
// connection that breaks.
func TestLoopback(t *testing.T) {
	sim := simulator.New(&chatsim.Options{Script: chatsim.Scripted(&chatsim.ScriptOptions{ReplyDelay: -1})})
	defer sim.Close()
	front := httptest.NewServer(sim.Handler())
	defer front.Close()
	client := front.Client()
	base := sim.BaseURLs(front.Listener.Addr().String())["gms"]

	call := func(path string, pairs ...string) error {
		resp, err := client.PostForm(base+path, values(pairs...))
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return errors.Join(errors.New(resp.Status), resp.Body.Close())
		}
		return resp.Body.Close()
	}
	require.NoError(t, call("/", "nickname", "Ada"))
	c, err := sim.Desk().Next(t.Context())
	require.NoError(t, err)
	assert.Error(t, call("/"+c.ID()+"/send", "message", "no key"))
	for n := 0; ; n++ {
		e, err := c.Next(t.Context(), n)
		require.NoError(t, err)
		if e.Type == chatsim.Message {
			assert.Contains(t, e.Text, "Hello")
			break
		}
	}
	sim.Faults().Add(chatsim.Fault{Drop: chatsim.DropAfter})
	assert.ErrorIs(t, call("/", "nickname", "Eve"), syscall.ECONNRESET)
	eve, err := sim.Desk().Next(t.Context())
	require.NoError(t, err, "accepted though the answer was lost")
	eve.End()

	// Handlers that another server runs end with the simulator.
	sim.Faults().Add(chatsim.Fault{Delay: 1 << 40})
	failed := make(chan error, 1)
	go func() { failed <- call("/", "nickname", "Bea") }()
	require.NoError(t, sim.Close())
	assert.Error(t, <-failed)
	_, err = c.Next(context.Background(), 99)
	assert.ErrorIs(t, err, chatsim.ErrClosed)
	assert.ErrorContains(t, call("/", "nickname", "Zoe"), "503")
}
