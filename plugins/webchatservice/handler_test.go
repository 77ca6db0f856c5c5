package webchatservice_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
)

// overAll runs a test over each way to the server, in a bubble with a simulator that has nobody at its desk, with a
// chat in which Ann is. Nobody is subscribed to anything.
func overAll(t *testing.T, f func(t *testing.T, r *rig, ann *chatsim.Seat)) {
	for name, options := range map[string]func(*chatsim.Server) *webchatservice.Options{
		"REST":      onSim,
		websockets:  func(sim *chatsim.Server) *webchatservice.Options { return onCometD(sim, websockets) },
		longPolling: func(sim *chatsim.Server) *webchatservice.Options { return onCometD(sim, longPolling) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1})
				defer func() { require.NoError(t, sim.Close()) }()
				r := newRig(t, options(sim))
				defer r.stop()
				r.begin()
				ann, err := only(t, sim).Join("Ann", chatsim.RoleAgent)
				require.NoError(t, err)
				time.Sleep(5 * time.Second)
				r.ears.Unsubscribe()
				synctest.Wait()
				f(t, r, ann)
			})
		})
	}
}

// hear has a plugin of its own handle what agents say.
func (r *rig) hear(namespace string, h func(ctx context.Context, text string)) *bus.Client {
	c, err := r.bus.Register(namespace)
	require.NoError(r.t, err)
	c.Ready()
	_, err = bus.Subscribe(c, webchatservice.MessageReceived, func(ctx context.Context, e bus.Event[webchatservice.MessageReceivedData]) {
		for _, m := range e.Data.Messages {
			if m.Type == chat.KindMessage && m.From.Type == chat.RoleAgent {
				h(ctx, m.Text)
			}
		}
	})
	require.NoError(r.t, err)
	return c
}

// A handler that does not return holds up its own plugin, and nothing else: others hear what comes, in time, and the
// chat goes on. This holds whichever plugin subscribed first, and also for the only one that is subscribed.
func TestHandlerThatHangs(t *testing.T) {
	overAll(t, func(t *testing.T, r *rig, ann *chatsim.Seat) {
		hold, heard := make(chan struct{}), make(chan string, 10)
		lost := 0
		_, err := bus.Subscribe(r.app, webchatservice.Disconnected, func(context.Context, bus.Event[webchatservice.DisconnectedData]) { lost++ })
		require.NoError(t, err)
		r.hear("Slow", func(context.Context, string) { <-hold })
		say(t, ann, "one")
		time.Sleep(10 * time.Second)
		r.hear("Quick", func(_ context.Context, text string) { heard <- text })
		for i := range 3 {
			begun := time.Now()
			say(t, ann, fmt.Sprint("line ", i))
			assert.Equal(t, fmt.Sprint("line ", i), <-heard)
			assert.LessOrEqual(t, time.Since(begun), 3100*time.Millisecond, "what a poll takes")
			require.NoError(t, send(r, "well"))
			time.Sleep(time.Minute)
		}
		time.Sleep(10 * time.Minute)
		assert.Zero(t, lost)
		close(hold)
		require.NoError(t, end(r))
		assert.Equal(t, []string{"one", "line 0", "line 1", "line 2"}, r.lines(chat.RoleAgent))
	})
}

// A handler may talk to the chat that it hears of, wait for the answers, and end it.
func TestHandlerThatTalks(t *testing.T) {
	overAll(t, func(t *testing.T, r *rig, ann *chatsim.Seat) {
		done := make(chan error, 10)
		var c *bus.Client
		c = r.hear("Echo", func(ctx context.Context, text string) {
			if text == "bye" {
				_, err := c.Call(ctx, webchatservice.EndChat.Name(), struct{}{})
				done <- err
				return
			}
			_, err := c.Call(ctx, webchatservice.SendMessage.Name(), webchatservice.SendMessageIn{Message: "re: " + text})
			done <- err
		})
		for _, text := range []string{"one", "two"} {
			say(t, ann, text)
			require.NoError(t, <-done)
		}
		say(t, ann, "bye")
		require.NoError(t, <-done)
		assert.Equal(t, []string{"re: one", "re: two"}, r.lines(chat.RoleClient))
		assert.ErrorIs(t, end(r), webchatservice.ErrNoSession)
	})
}

// A handler may take down the service, and the bus, of which it is told.
func TestHandlerThatTakesDown(t *testing.T) {
	for name, down := range map[string]func(context.Context, *bus.Bus) error{
		"Unload": func(ctx context.Context, b *bus.Bus) error { return b.Unload(ctx, webchatservice.Namespace) },
		"Close":  func(ctx context.Context, b *bus.Bus) error { return b.Close(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			overAll(t, func(t *testing.T, r *rig, ann *chatsim.Seat) {
				done := make(chan error, 1)
				r.hear("Guard", func(ctx context.Context, _ string) { done <- down(ctx, r.bus) })
				say(t, ann, "go")
				require.NoError(t, <-done)
			})
		})
	}
}

// An inline handler that ends the goroutine which publishes ends neither the link nor what others hear.
func TestInlineHandlerThatEndsTheGoroutine(t *testing.T) {
	overAll(t, func(t *testing.T, r *rig, ann *chatsim.Seat) {
		heard := make(chan string, 10)
		r.hear("Quick", func(_ context.Context, text string) { heard <- text })
		_, err := bus.Subscribe(r.app, webchatservice.MessageReceived, func(_ context.Context, e bus.Event[webchatservice.MessageReceivedData]) {
			if e.Data.Messages[0].Text == "end" {
				runtime.Goexit()
			}
		}, bus.Inline())
		require.NoError(t, err)
		for _, text := range []string{"one", "end", "two"} {
			say(t, ann, text)
			assert.Equal(t, text, <-heard)
			time.Sleep(time.Minute)
		}
	})
}
