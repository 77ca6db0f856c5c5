package webchatservice_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
)

// opened runs f on a rig with a chat that was opened as a value.
func opened(t *testing.T, f func(t *testing.T, r *rig, m *chattest.Memory, c *webchatservice.Chat)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		opts := onMemory(m)
		opts.GiveUpAfter = time.Minute
		r := newRig(t, opts)
		defer r.stop()
		c, err := webchatservice.Open(t.Context(), r.app, webchatservice.StartChatIn{Nickname: "Ada"})
		require.NoError(t, err)
		f(t, r, m, c)
	})
}

// said returns the texts of the lines until they end.
func said(ctx context.Context, c *webchatservice.Chat) (texts []string) {
	for m := range c.Lines(ctx) {
		who := m.From.Name
		if m.Own() {
			who = "I"
		}
		texts = append(texts, who+": "+m.Text)
	}
	return texts
}

func TestOpen(t *testing.T) {
	opened(t, func(t *testing.T, r *rig, m *chattest.Memory, c *webchatservice.Chat) {
		m.AgentJoin(id, "Bob")
		var want []string
		for i := range 500 {
			if i%2 == 0 {
				require.NoError(t, c.Say(t.Context(), fmt.Sprint(i)))
				want = append(want, fmt.Sprint("I: ", i))
			} else {
				m.AgentSay(id, "Bob", fmt.Sprint(i))
				synctest.Wait()
				want = append(want, fmt.Sprint("Bob: ", i))
			}
		}
		require.NoError(t, c.End(t.Context()))
		assert.Equal(t, want, said(t.Context(), c))
		assert.NoError(t, c.Err())
		assert.NoError(t, c.End(t.Context()), "it is over already")
		assert.ErrorIs(t, c.Say(t.Context(), "too late"), webchatservice.ErrNoSession)

		// The next chat is another one.
		next, err := webchatservice.Open(t.Context(), r.app, webchatservice.StartChatIn{Nickname: "Ada"})
		require.NoError(t, err)
		require.NoError(t, next.Say(t.Context(), "again"))
		require.NoError(t, next.End(t.Context()))
		assert.Equal(t, []string{"I: again"}, said(t.Context(), next))
		assert.Empty(t, said(t.Context(), c))
	})
}

func TestOpenRefused(t *testing.T) {
	opened(t, func(t *testing.T, r *rig, _ *chattest.Memory, c *webchatservice.Chat) {
		_, err := webchatservice.Open(t.Context(), r.app, webchatservice.StartChatIn{})
		require.ErrorIs(t, err, webchatservice.ErrSessionActive)
		require.NoError(t, c.Say(t.Context(), "the first goes on"))
		require.NoError(t, c.End(t.Context()))
		assert.Equal(t, []string{"I: the first goes on"}, said(t.Context(), c))
	})
}

// A loop that is left, or whose context ends, goes on where it stood.
func TestLinesGoOn(t *testing.T) {
	opened(t, func(t *testing.T, _ *rig, m *chattest.Memory, c *webchatservice.Chat) {
		m.AgentSay(id, "Bob", "one")
		m.AgentSay(id, "Bob", "two")
		for line := range c.Lines(t.Context()) {
			assert.Equal(t, "one", line.Text)
			break
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.Equal(t, []string{"Bob: two"}, said(ctx, c))
		assert.NoError(t, c.Err())
		m.AgentSay(id, "Bob", "three")
		m.EndChatBy(id, chat.EndAgent)
		assert.Equal(t, []string{"Bob: three"}, said(t.Context(), c))
		assert.NoError(t, c.Err())
	})
}

func TestLinesOfALostChat(t *testing.T) {
	opened(t, func(t *testing.T, _ *rig, m *chattest.Memory, c *webchatservice.Chat) {
		m.Partition()
		assert.Empty(t, said(t.Context(), c))
		assert.ErrorIs(t, c.Err(), chat.ErrEnded)
	})
}

// Whoever waits for lines is let go when the bus closes.
func TestLinesOfAClosedBus(t *testing.T) {
	opened(t, func(t *testing.T, r *rig, _ *chattest.Memory, c *webchatservice.Chat) {
		done := make(chan []string, 1)
		go func() { done <- said(context.Background(), c) }()
		synctest.Wait()
		r.stop()
		assert.Empty(t, <-done)
		if err := c.Err(); err != nil { // the end of the session may have come first
			assert.ErrorIs(t, err, bus.ErrStopped)
		}
	})
}

// A chat that is over says nothing in the one that has begun since.
func TestSayAfterTheEnd(t *testing.T) {
	opened(t, func(t *testing.T, r *rig, m *chattest.Memory, c *webchatservice.Chat) {
		require.NoError(t, c.End(t.Context()))
		synctest.Wait()
		r.begin()
		require.ErrorIs(t, c.Say(t.Context(), "to whom?"), webchatservice.ErrNoSession)
		assert.Empty(t, m.VisitorLines("chat-2"))
	})
}

// A chat that is over holds on to nothing, also when nobody asks for its lines.
func TestOpenedAndLeftAlone(t *testing.T) {
	opened(t, func(t *testing.T, r *rig, _ *chattest.Memory, c *webchatservice.Chat) {
		subscriptions := func() (n int) {
			for _, who := range r.svc.Client().Subscribers() {
				n += len(who)
			}
			return n
		}
		require.NoError(t, c.End(t.Context()))
		synctest.Wait()
		before := subscriptions()
		for range 3 {
			next, err := webchatservice.Open(t.Context(), r.app, webchatservice.StartChatIn{})
			require.NoError(t, err)
			require.NoError(t, next.End(t.Context()))
			synctest.Wait()
		}
		assert.Equal(t, before, subscriptions())
	})
}

// A handler may open a chat and wait for its lines: the chat does not need the goroutine of the client's handlers.
func TestOpenInAHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()
		heard := make(chan []string, 1)
		_, err := bus.Subscribe(r.app, webchatservice.DataUserData.Changed(), func(ctx context.Context, _ bus.Event[bus.DataChange]) {
			c, err := webchatservice.Open(ctx, r.app, webchatservice.StartChatIn{Nickname: "Ada"})
			if !assert.NoError(t, err) {
				return
			}
			m.AgentSay(id, "Bob", "hello")
			for line := range c.Lines(ctx) {
				heard <- []string{line.Text}
				assert.NoError(t, c.End(ctx))
			}
			close(heard)
		})
		require.NoError(t, err)
		_, err = call(r, webchatservice.UpdateUserData, map[string]any{"a": "b"})
		require.NoError(t, err)
		assert.Equal(t, []string{"hello"}, <-heard)
		<-heard
	})
}
