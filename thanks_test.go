package cxbus_test

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/bus/bustest"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmsrest"
)

func TestThanks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // time is fake, and a goroutine left behind fails the test
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody}) // the test plays the agent
		driver, err := gmsrest.New(gmsrest.Config{DataURL: gmssim.URL(sim)}, &chat.Options{Client: sim.Client()})
		require.NoError(t, err)
		b := bustest.NewWith(t, &bus.Options{Closers: []io.Closer{sim}}) // closed with the test, and sim after it
		rec := bustest.Record(t, b, "Thanks.*", "WebChatService.ended")
		require.NoError(t, b.Start(t.Context(), &Thanks{}, webchatservice.New(&webchatservice.Options{Driver: driver})))
		app, err := b.Register("App")
		require.NoError(t, err)

		vera, err := webchatservice.Open(t.Context(), app, webchatservice.StartChatIn{Nickname: "Vera"})
		require.NoError(t, err)
		room, err := sim.Desk().Next(t.Context())
		require.NoError(t, err)
		ann, err := room.Join("Ann", chatsim.RoleAgent)
		require.NoError(t, err)
		_, err = ann.Say("Hello Vera")
		require.NoError(t, err)
		rec.Expect(bustest.Equal(Thanked, "Ann"))

		sim.Faults().Add(chatsim.Fault{Times: 3, Drop: chatsim.DropBefore}) // the network loses three requests
		_, err = ann.Say("Hello again")
		require.NoError(t, err)
		rec.Expect(bustest.Equal(Thanked, "Ann"))
		times, err := Count.Call(t.Context(), app, struct{}{})
		require.NoError(t, err)
		assert.EqualValues(t, 2, times)

		require.NoError(t, ann.End())
		rec.Expect("WebChatService.ended")
		rec.ExpectNone(time.Hour, "Thanks.*")
		assert.NoError(t, vera.Err())
	})
}
