package gmscometd_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/cometdsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmscometd"
)

// attended receives as a service does: it is called when there is something, takes all there is, calls do with the text
// of each message, and wants to be called again.
type attended struct {
	t     *testing.T
	conn  chat.Conn
	do    func(text string)
	tail  func() // what it does when it has taken all there was; nil: nothing
	calls atomic.Int64
}

func attend(t *testing.T, conn chat.Conn, do func(text string)) *attended {
	a := &attended{t: t, conn: conn, do: do}
	a.rest()
	t.Cleanup(func() { time.Sleep(time.Second) }) // who was called returns by then
	return a
}

// rest takes what there is until there is nothing.
func (a *attended) rest() {
	for !a.conn.(chat.Waker).Await(a.wake) {
		if !a.take() {
			return
		}
	}
}

func (a *attended) wake() {
	a.calls.Add(1)
	if a.take() {
		a.rest()
	}
	if a.tail != nil {
		a.tail()
	}
}

// take reports whether there may be more.
func (a *attended) take() bool {
	ev, err := a.conn.Receive(a.t.Context())
	for _, m := range ev.Messages {
		if m.Kind == chat.KindMessage {
			a.do(m.Text)
		}
	}
	return err == nil
}

// who opens a chat with an agent.
func who(t *testing.T, s *server) (conn chat.Conn, id string) {
	conn = s.open(t.Context())
	id = conn.Session().ID
	s.AgentJoin(id, "Ann")
	synctest.Wait()
	return conn, id
}

// whoThrough is who over a websocket whose connection is wrapped.
func whoThrough(t *testing.T, s *server, wrap func(net.Conn) net.Conn) (conn chat.Conn, id string) {
	d, err := gmscometd.New(s.config(), &chat.Options{Client: s.client(), Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := s.dial(ctx, network, address)
		return wrap(conn), err
	}})
	require.NoError(t, err)
	conn, err = d.Open(t.Context(), chat.Request{Nickname: "Ada"})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, conn.Close()) })
	id = conn.Session().ID
	s.AgentJoin(id, "Ann")
	synctest.Wait()
	return conn, id
}

// A receiver that does not return for long holds up neither replies, nor the link, nor the lines after it.
func TestReceiverThatHangs(t *testing.T) {
	bubble(t, chatsim.Options{SilenceLimit: -1}, func(t *testing.T, s *server) {
		conn, id := who(t, s)
		hold, texts := make(chan struct{}), make(chan string, 10)
		attend(t, conn, func(text string) {
			texts <- text
			if text == "hang" {
				<-hold
			}
		})
		s.AgentSay(id, "Ann", "hang")
		require.Equal(t, "hang", <-texts)
		connects := s.ops()[connect]
		time.Sleep(5 * time.Minute) // nobody asks for anything
		assert.Greater(t, s.ops()[connect], connects+3)
		for i := range 5 {
			begun := time.Now()
			_, err := conn.Send(t.Context(), chat.Action{Text: fmt.Sprint("line ", i)})
			require.NoError(t, err)
			assert.Less(t, time.Since(begun), time.Second)
		}
		time.Sleep(10 * time.Minute) // many a connect, and many a ping
		s.AgentSay(id, "Ann", "after")
		time.Sleep(time.Minute)
		assert.Empty(t, texts)
		close(hold)
		for i := range 5 {
			assert.Equal(t, fmt.Sprint("line ", i), <-texts)
		}
		assert.Equal(t, "after", <-texts)
		assert.Equal(t, 1, s.ops()[handshake])
		s.AgentSay(id, "Ann", "later")
		assert.Equal(t, "later", <-texts)
	})
}

// A receiver that the reader calls may close the connection, and may end its goroutine.
func TestReceiverThatCloses(t *testing.T) {
	for name, end := range map[string]func(chat.Conn){
		"Close":  func(conn chat.Conn) { _ = conn.Close() },
		"Goexit": func(chat.Conn) { runtime.Goexit() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, chatsim.Options{SilenceLimit: -1}, func(t *testing.T, s *server) {
				conn, id := who(t, s)
				ended := make(chan struct{})
				attend(t, conn, func(string) {
					defer close(ended)
					end(conn)
				})
				s.AgentSay(id, "Ann", "end")
				<-ended
				_, err := conn.Send(t.Context(), chat.Action{Text: "still there?"})
				if name == "Close" {
					require.ErrorIs(t, err, chat.ErrClosed)
				} else {
					require.NoError(t, err)
					time.Sleep(5 * time.Minute)
					assert.Equal(t, 1, s.ops()[handshake])
				}
				require.NoError(t, conn.Close())
			})
		})
	}
}

// A program's own code that ends the client's goroutine, as when it dials again, does not keep Close waiting.
func TestDialThatEndsTheGoroutine(t *testing.T) {
	bubbleOn(t, websockets, chatsim.Options{SilenceLimit: -1}, func(t *testing.T, s *server) {
		var dialled atomic.Int64
		conn, _ := whoThrough(t, s, func(conn net.Conn) net.Conn {
			if dialled.Add(1) > 1 {
				_ = conn.Close()
				runtime.Goexit()
			}
			return conn
		})
		s.Network().Reset()
		time.Sleep(time.Minute)
		assert.EqualValues(t, 2, dialled.Load())
		require.NoError(t, conn.Close())
	})
}

// A receiver may make a request and wait for its answer.
func TestReceiverThatAsks(t *testing.T) {
	bubbleOn(t, websockets, chatsim.Options{SilenceLimit: -1}, func(t *testing.T, s *server) {
		conn, id := who(t, s)
		took := make(chan time.Duration, 10)
		attend(t, conn, func(text string) {
			if text == "question" {
				begun := time.Now()
				_, err := conn.Send(t.Context(), chat.Action{Text: "answer"})
				assert.NoError(t, err)
				took <- time.Since(begun)
			}
		})
		for range 5 {
			s.AgentSay(id, "Ann", "question")
			assert.Zero(t, <-took, "that nobody reads was not noticed at once")
		}
	})
}

// A connect that waits for its time is sent, also if the reader is away in a receiver meanwhile.
func TestReceiverThatHangsBetweenConnects(t *testing.T) {
	often := cometdsim.Options{Timeout: time.Second, Interval: 2 * time.Second}
	bubbleOn(t, websockets, chatsim.Options{SilenceLimit: -1, Faces: []chatsim.Face{cometdsim.New(&often)}}, func(t *testing.T, s *server) {
		conn, id := who(t, s)
		attend(t, conn, func(string) { time.Sleep(50 * time.Millisecond) })
		before := s.ops()[connect]
		for range 300 {
			time.Sleep(100 * time.Millisecond)
			s.AgentSay(id, "Ann", "hang")
		}
		ops := s.ops()
		assert.InDelta(t, 10, ops[connect]-before, 1)
		assert.Equal(t, 1, ops[handshake])
		assert.LessOrEqual(t, ops["upgrade"], 1)
	})
}

// A reader that was relieved, and returns while its successor is away, takes nothing back.
func TestReceiverThatReturnsLate(t *testing.T) {
	often := cometdsim.Options{Timeout: 15 * time.Millisecond}
	bubbleOn(t, websockets, chatsim.Options{SilenceLimit: -1, Faces: []chatsim.Face{cometdsim.New(&often)}}, func(t *testing.T, s *server) {
		conn, id := who(t, s)
		var pause atomic.Int64
		a := attend(t, conn, func(text string) {
			d, err := time.ParseDuration(text)
			assert.NoError(t, err)
			pause.Store(int64(d))
		})
		a.tail = func() { time.Sleep(time.Duration(pause.Load())) }
		for range 10 {
			s.AgentSay(id, "Ann", "25ms") // relieved after 10; the connect that is waited for is another one after 15
			time.Sleep(20 * time.Millisecond)
			s.AgentSay(id, "Ann", "12ms")
			time.Sleep(40 * time.Millisecond)
		}
		before := s.ops()[connect]
		time.Sleep(time.Second)
		assert.Greater(t, s.ops()[connect], before+40)
		assert.Equal(t, 1, s.ops()[handshake])
	})
}

// All lines come, once and in order, whatever time the receiver takes for each.
func TestReceiverThatIsSlowNowAndThen(t *testing.T) {
	often := cometdsim.Options{Timeout: 20 * time.Millisecond}
	bubble(t, chatsim.Options{SilenceLimit: -1, Faces: []chatsim.Face{cometdsim.New(&often)}}, func(t *testing.T, s *server) {
		conn, id := who(t, s)
		var texts []string
		done := make(chan struct{})
		const lines = 400
		a := attend(t, conn, func(text string) {
			switch texts = append(texts, text); {
			case len(texts) == lines:
				close(done)
			case len(texts)%17 == 0:
				time.Sleep(30 * time.Millisecond)
			case len(texts)%5 == 0:
				time.Sleep(time.Millisecond)
			}
		})
		a.tail = func() { time.Sleep(time.Duration(a.calls.Load()%9) * 5 * time.Millisecond) } // others are called meanwhile
		var want []string
		for i := range lines {
			text := fmt.Sprint("line ", i)
			want = append(want, text)
			s.AgentSay(id, "Ann", text)
			if i%3 == 0 {
				time.Sleep(time.Duration(i%13) * time.Millisecond)
			}
		}
		<-done
		assert.Equal(t, want, texts)
		assert.Equal(t, 1, s.ops()[handshake])
		assert.LessOrEqual(t, s.ops()["upgrade"], 1)
		assert.LessOrEqual(t, a.calls.Load(), int64(lines))
	})
}

// halting is a connection on which, once it halts, the last bytes of what is there come a while later.
type halting struct {
	net.Conn
	halts *atomic.Bool
	rest  []byte
}

const halt = 5 * time.Second

func (c *halting) Read(p []byte) (int, error) {
	if len(c.rest) > 0 {
		time.Sleep(halt)
		n := copy(p, c.rest)
		c.rest = c.rest[n:]
		return n, nil
	}
	if !c.halts.Load() {
		return c.Conn.Read(p)
	}
	time.Sleep(time.Millisecond) // more is there by then
	n, err := c.Conn.Read(p)
	if whole := n - 10; whole > 2*512 {
		c.rest = append(c.rest, p[whole:n]...)
		return whole, err
	}
	return n, err
}

// A message that has come in part holds up none of those before it.
func TestMessageThatHalts(t *testing.T) {
	bubbleOn(t, websockets, chatsim.Options{SilenceLimit: -1}, func(t *testing.T, s *server) {
		var halts atomic.Bool
		conn, id := whoThrough(t, s, func(conn net.Conn) net.Conn { return &halting{Conn: conn, halts: &halts} })
		const lines = 8
		var texts []string
		begun, times, done := time.Now(), make([]time.Duration, 0, lines), make(chan struct{})
		attend(t, conn, func(text string) {
			times = append(times, time.Since(begun))
			if texts = append(texts, text); len(texts) == lines {
				close(done)
			}
		})
		halts.Store(true)
		var want []string
		for i := range lines {
			want = append(want, fmt.Sprint("line ", i, strings.Repeat(" and so on", 100)))
			s.AgentSay(id, "Ann", want[i])
		}
		<-done
		assert.Equal(t, want, texts)
		assert.Less(t, times[lines-2], halt)
		assert.GreaterOrEqual(t, times[lines-1], halt)
		assert.Equal(t, 1, s.ops()[handshake])
	})
}

// lagging is a connection on which, while it lags, the last kilobyte of what is there comes with what follows.
type lagging struct {
	net.Conn
	lags *atomic.Bool
	buf  []byte
}

func (c *lagging) Read(p []byte) (int, error) {
	for {
		n := len(c.buf)
		if c.lags.Load() {
			n -= 1 << 10
		}
		if n > 0 {
			n = copy(p, c.buf[:n])
			c.buf = c.buf[n:]
			return n, nil
		}
		if !c.lags.Load() {
			return c.Conn.Read(p)
		}
		time.Sleep(time.Millisecond) // all of it is there by then
		more := make([]byte, 64<<10)
		n, err := c.Conn.Read(more)
		if c.buf = append(c.buf, more[:n]...); err != nil {
			return 0, err
		}
	}
}

// A link that was silent for long, and then brings a message and half of another, is not taken for a silent one.
func TestMessageBehindMessage(t *testing.T) {
	opts := chatsim.Options{SilenceLimit: -1, Faces: []chatsim.Face{cometdsim.New(&cometdsim.Options{Timeout: 10 * time.Minute})}}
	bubbleOn(t, websockets, opts, func(t *testing.T, s *server) {
		s.Faults().Add(always(chatsim.Fault{Op: "upgrade", NoPong: true})) // a pong would do
		var lags atomic.Bool
		conn, id := whoThrough(t, s, func(conn net.Conn) net.Conn { return &lagging{Conn: conn, lags: &lags} })
		l := listen(t, conn)
		time.Sleep(34 * time.Second)
		lags.Store(true)
		for range 4 {
			s.AgentSay(id, "Ann", strings.Repeat("and so on ", 300))
		}
		time.Sleep(5 * time.Second)
		assert.Len(t, l.texts(), 3, "the last one is on its way")
		assert.Zero(t, l.failures())
		lags.Store(false)
		s.AgentSay(id, "Ann", "bye")
		synctest.Wait()
		assert.Len(t, l.texts(), 5)
		assert.Zero(t, l.failures())
	})
}
