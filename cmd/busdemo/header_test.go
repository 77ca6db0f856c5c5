package main

import (
	"net"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// webchat.enableCustomHeader sends the header that the environment gives, and without one the program says where it would come
// from, before anything is asked of the server.
func TestCustomHeader(t *testing.T) {
	t.Setenv("CXBUS_WEBCHAT_ENABLECUSTOMHEADER", "true")
	for _, command := range [][]string{{"demo", "--say", "hello"}, {"chat"}, {"load", "--for", "1s"}} {
		got := trial{}.run(t, command...)
		got.assertLine(t, exitFailure, "webchat.enableCustomHeader", "BUSDEMO_AUTHORIZATION")
		assert.Nil(t, got.sim)
	}
	for _, command := range [][]string{{"demo", "--say", "hello"}, {"load", "--for", "1s"}} {
		synctest.Test(t, func(t *testing.T) {
			got := trial{authorization: "Bearer CANARY-token"}.run(t, command...)
			assert.Equal(t, exitOK, got.status, got.stderr)
			require.NotEmpty(t, got.sim.Requests())
			for _, r := range got.sim.Requests() {
				assert.NotEmpty(t, r.Header.Get("Authorization"), r.Path) // the simulator does not show it
			}
			assert.NotContains(t, got.stdout+got.stderr, "CANARY")
		})
	}
}

// An address that is taken is told from one that does not exist.
func TestListenIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	trial{}.run(t, "sim", "--listen", l.Addr().String()).assertLine(t, exitFailure, "--listen "+l.Addr().String(), "another program listens there")
}
