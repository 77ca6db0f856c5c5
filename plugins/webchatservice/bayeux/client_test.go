package bayeux_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/bayeux"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// begin starts a client and waits until it is connected.
func begin(t *testing.T, c *client) {
	t.Helper()
	c.Start()
	require.Equal(t, []string{"disconnected", "connected"}, c.take())
	require.Equal(t, bayeux.StateConnected, c.State())
}

// Messages come in the order of the server, whatever their number.
func TestOrder(t *testing.T) {
	both(t, func(t *testing.T, s *server, c *client) {
		begin(t, c)
		var want []string
		for n := range 300 {
			s.push(n)
			want = append(want, fmt.Sprint(n))
			if n%100 == 99 {
				time.Sleep(time.Second)
			}
		}
		time.Sleep(time.Second)
		assert.Equal(t, want, c.take())
	})
}

// An idle session asks for nothing but connects, which are held.
func TestIdle(t *testing.T) {
	both(t, func(t *testing.T, s *server, c *client) {
		begin(t, c)
		time.Sleep(10 * time.Minute)
		assert.Empty(t, c.take())
		assert.InDelta(t, 20, s.messages(connect), 2)
		assert.Equal(t, 1, s.messages(handshake))
	})
}

// Replies come in the order of the data, and tell what the server said.
func TestPublish(t *testing.T) {
	both(t, func(t *testing.T, s *server, c *client) {
		begin(t, c)
		s.set(func() {
			s.answer = func(in, reply fields) {
				if in["data"] == "bad" {
					reply["successful"], reply["error"] = false, "403:x:no geheim-0123456789 here\n"
				}
			}
		})
		replies, e := c.Publish(t.Context(), "say", "/news", json.RawMessage(`"good"`), json.RawMessage(`"bad"`), json.RawMessage(`"fine"`))
		require.Nil(t, e)
		require.Len(t, replies, 3)
		assert.True(t, replies[0].Successful && !replies[1].Successful && replies[2].Successful)
		e = c.Refused("say", replies[1])
		assert.Equal(t, chat.Rejected, e.Outcome)
		assert.Equal(t, chat.CodeForbidden, e.Code)
		assert.Contains(t, e.Text, "403:x:no [secret] here")
		assert.NotContains(t, e.Text, "\n")

		_, e = c.Publish(t.Context(), "say", "/news", json.RawMessage(`{`))
		assert.Equal(t, chat.CodeInvalid, e.Code)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, e = c.Publish(ctx, "say", "/news", json.RawMessage(`1`))
		assert.Equal(t, chat.CodeCanceled, e.Code)
		assert.Equal(t, chat.NotSent, e.Outcome)
	})
}

// A request that is not answered ends in time, and may have been taken in.
func TestPublishTimesOut(t *testing.T) {
	run(t, true, func(t *testing.T, s *server, c *client) {
		begin(t, c)
		s.set(func() {
			s.answer = func(in, reply fields) {
				if in["data"] != nil {
					reply["id"] = "another"
				}
			}
		})
		at := time.Now()
		_, e := c.Publish(t.Context(), "say", "/news", json.RawMessage(`1`))
		assert.Equal(t, 3*time.Second, time.Since(at))
		assert.Equal(t, chat.CodeTimeout, e.Code)
		assert.Equal(t, chat.Unknown, e.Outcome)
		assert.Contains(t, e.Hint, "timeout")
	})
}

// Reset ends the link as the network would, and says why.
func TestReset(t *testing.T) {
	both(t, func(t *testing.T, _ *server, c *client) {
		begin(t, c)
		c.Reset(&chat.Error{Code: chat.CodeTimeout, Text: "no sign of life"})
		time.Sleep(2 * time.Second)
		assert.Contains(t, c.take(), "failed "+chat.CodeTimeout)
		time.Sleep(20 * time.Second)
		assert.Equal(t, bayeux.StateConnected, c.State())
	})
}

// While there is no room nothing is read; then everything comes. Close ends the wait.
func TestNoRoom(t *testing.T) {
	both(t, func(t *testing.T, s *server, c *client) {
		begin(t, c)
		full := make(chan struct{})
		c.mu.Lock()
		c.full = full
		c.mu.Unlock()
		s.push(1)
		time.Sleep(time.Second)
		c.take()
		s.push(2)
		time.Sleep(5 * time.Minute)
		assert.Empty(t, c.take())
		close(full)
		c.mu.Lock()
		c.full = nil
		c.mu.Unlock()
		time.Sleep(time.Minute)
		told := c.take()
		assert.Contains(t, told, "2")
		c.mu.Lock()
		c.full = make(chan struct{})
		c.mu.Unlock()
		s.push(3)
		time.Sleep(time.Second)
		c.Close()
	})
}

// The function of Waiting may take its time: others are read meanwhile. It may publish, and end its goroutine.
func TestWaiting(t *testing.T) {
	for name, f := range map[string]func(t *testing.T, c *client, done chan struct{}){
		"Blocks":    func(_ *testing.T, _ *client, done chan struct{}) { <-done },
		"Publishes": func(t *testing.T, c *client, _ chan struct{}) { publishes(t, c) },
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, s *server, c *client) {
				begin(t, c)
				done := make(chan struct{})
				called := make(chan struct{})
				c.await(func() {
					close(called)
					f(t, c, done)
				})
				s.push(1)
				<-called
				time.Sleep(20 * time.Millisecond)
				s.push(2)
				time.Sleep(20 * time.Millisecond)
				assert.Equal(t, []string{"1", "2"}, c.take())
				publishes(t, c)
				close(done)
				time.Sleep(time.Minute)
				s.push(3)
				assert.Equal(t, []string{"3"}, c.take())
			})
		})
	}
}

func publishes(t *testing.T, c *client) {
	replies, e := c.Publish(context.Background(), "say", "/news", json.RawMessage(`1`))
	if assert.Nil(t, e) {
		assert.True(t, replies[0].Successful)
	}
}

// After Close nothing runs and nothing is told; the server was left. Close is as good twice, at once, and from a function
// of Waiting.
func TestClose(t *testing.T) {
	both(t, func(t *testing.T, s *server, c *client) {
		begin(t, c)
		closed := make(chan struct{})
		c.await(func() {
			defer close(closed)
			c.Close()
		})
		s.push(1)
		<-closed
		var all sync.WaitGroup
		for range 3 {
			all.Go(c.Close)
		}
		all.Wait()
		assert.Equal(t, 1, s.messages(disconnect))
		c.take()
		s.push(2)
		time.Sleep(time.Hour)
		assert.Empty(t, c.take())
		assert.Equal(t, bayeux.StateDisconnected, c.State())
		assert.Empty(t, c.ClientID())
		_, e := c.Publish(t.Context(), "say", "/news", json.RawMessage(`1`))
		assert.Equal(t, chat.CodeClosed, e.Code)
		c.Retry()
		c.Resume()
		c.Reset(&chat.Error{})
		c.InUse()
		<-c.Done()
		synctest.Wait()
	})
}

// Close waits for a server that says nothing one second, and for one that is away not at all.
func TestCloseDoesNotHang(t *testing.T) {
	both(t, func(t *testing.T, s *server, c *client) {
		begin(t, c)
		s.network.Refuse()
		time.Sleep(time.Minute)
		at := time.Now()
		c.Close()
		assert.LessOrEqual(t, time.Since(at), time.Second)
	})
	run(t, true, func(t *testing.T, s *server, c *client) {
		begin(t, c)
		s.set(func() { s.answer = func(_, reply fields) { reply["id"] = "another" } })
		at := time.Now()
		c.Close()
		assert.LessOrEqual(t, time.Since(at), time.Second)
	})
	run(t, true, func(_ *testing.T, _ *server, c *client) { c.Close() }) // it was never started
}
