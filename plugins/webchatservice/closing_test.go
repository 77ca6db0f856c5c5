package webchatservice_test

import (
	"context"
	"io"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/boltstore"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
)

// In whatever order bus, server and store are closed while a chat goes on, all end soon and leave nothing behind (the bubble
// sees to that), and what could not be done is said. Given to the bus, they are closed in the order in which all can be done.
func TestClosingOrder(t *testing.T) {
	wires := map[string]func(sim *chatsim.Server) *webchatservice.Options{
		"gms":       onSim,
		"websocket": func(sim *chatsim.Server) *webchatservice.Options { return onCometD(sim, websockets) },
		"long-poll": func(sim *chatsim.Server) *webchatservice.Options { return onCometD(sim, longPolling) },
	}
	for wire, options := range wires {
		for _, first := range []string{"bus", "server", "given to the bus"} {
			for _, kept := range []bool{false, true} {
				name := wire + ", " + first
				if kept {
					name += ", store"
				}
				t.Run(name, func(t *testing.T) {
					path := filepath.Join(t.TempDir(), "sessions")
					synctest.Test(t, func(t *testing.T) { closeInOrder(t, options, first, kept, path) })
				})
			}
		}
	}
}

func closeInOrder(t *testing.T, options func(sim *chatsim.Server) *webchatservice.Options, first string, kept bool, path string) {
	sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
	opts := options(sim)
	closers := []io.Closer{sim}
	if kept {
		store, err := boltstore.Open(path, nil)
		require.NoError(t, err)
		opts.Store = store
		closers = append(closers, store)
	}
	o := &bus.Options{}
	if first == "given to the bus" {
		o.Closers = closers
	}
	b := bus.New(o)
	require.NoError(t, b.Start(t.Context(), webchatservice.New(opts)))
	app, err := b.Register("App")
	require.NoError(t, err)
	vera, err := webchatservice.Open(t.Context(), app, webchatservice.StartChatIn{Nickname: "Vera"})
	require.NoError(t, err)
	require.NoError(t, vera.Say(t.Context(), "hello"))
	ended := 0
	_, err = bus.Subscribe(app, webchatservice.Ended, func(context.Context, bus.Event[webchatservice.EndedData]) { ended++ })
	require.NoError(t, err)

	start := time.Now()
	if first == "server" {
		for _, c := range closers {
			require.NoError(t, c.Close())
		}
	}
	err = b.Close(t.Context())
	assert.Less(t, time.Since(start), 2*time.Second)
	switch {
	case first != "server":
		require.NoError(t, err)
		assert.Equal(t, !kept, sim.Chats()[0].Ended, "a session that is kept goes on, any other is ended on the server")
	case !kept:
		require.ErrorIs(t, err, webchatservice.ErrServerNotTold)
	}
	if !kept {
		assert.Equal(t, 1, ended)
	}
	for _, c := range closers {
		require.NoError(t, c.Close(), "twice is fine")
	}
}
