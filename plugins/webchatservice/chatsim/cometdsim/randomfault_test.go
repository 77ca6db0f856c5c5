package cometdsim_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/cometdsim"
)

// careful is a Bayeux client that starts anew whenever anything goes wrong.
type careful struct {
	*bayeux
	socket bool
	open   bool           // a session that has been attached
	seen   map[int]string // the transcript by index
}

// try sends one message and takes what comes with its reply and before. It
// reports whether the reply was a success.
func (c *careful) try(message string) bool {
	id := fmt.Sprintf("%d", c.next)
	var got []wireMessage
	if !c.socket {
		status, _, messages, err := c.post("/", "["+message+"]")
		if err != nil || status != 200 {
			return false
		}
		got = messages
	} else {
		if c.ws.WriteMessage(websocket.TextMessage, []byte("["+message+"]")) != nil {
			return false
		}
		for waited := time.Duration(0); ; waited += 100 * time.Millisecond {
			time.Sleep(100 * time.Millisecond)
			c.mu.Lock()
			for _, f := range c.frames {
				got = append(got, f...)
			}
			c.frames = nil
			err := c.err
			c.mu.Unlock()
			if err != nil || waited > 40*time.Second {
				return false
			}
			if slices.ContainsFunc(got, func(m wireMessage) bool { return m.ID == id }) {
				break
			}
		}
	}
	return c.take(got, id)
}

func (c *careful) take(got []wireMessage, id string) (ok bool) {
	for _, m := range got {
		if m.Data != nil {
			if m.Data.StatusCode == 0 {
				if c.key == "" {
					c.key, c.chat = m.Data.SecureKey, m.Data.ChatID
				}
				for i, line := range m.Data.Lines() {
					c.seen[m.Data.Indices()[i]] = line
				}
			}
			continue
		}
		if m.Channel == "/meta/handshake" {
			c.id = m.ClientID
		}
		ok = ok || m.ok() && m.ID == id
	}
	return ok
}

// attach makes a session, if there is none, and goes on where the last one
// ended. It reports whether all went well.
func (c *careful) attach() bool {
	if !c.open {
		c.id = ""
		if c.socket && !c.redial() {
			return false
		}
		if !c.try(c.message("/meta/handshake")) || c.id == "" {
			return false
		}
	}
	c.open = c.connectNow() && (c.key == "" || c.try(c.publishMessage("requestNotifications", "transcriptPosition", fmt.Sprint(c.first())))) && c.connectNow()
	return c.open
}

func (c *careful) redial() bool {
	if c.ws != nil {
		_ = c.ws.Close()
		time.Sleep(time.Millisecond)
	}
	d := websocket.Dialer{NetDialContext: c.sim.DialContext, HandshakeTimeout: 30 * time.Second}
	ws, _, err := d.Dial(strings.Replace(cometdsim.URL(c.sim), "http", "ws", 1), nil)
	if err != nil {
		return false
	}
	c.mu.Lock()
	c.err, c.frames = nil, nil
	c.mu.Unlock()
	c.read(ws)
	return true
}

func (c *careful) connectNow() bool { return c.try(c.connectMessage("advice", `{"timeout":0}`)) }

// first is the first position not seen.
func (c *careful) first() int {
	for n := 1; ; n++ {
		if c.seen[n] == "" {
			return n
		}
	}
}

// do gets a message accepted, once: done says whether it has been.
func (c *careful) do(t *testing.T, message func() string, done func() bool) {
	for tries := 0; ; tries++ {
		require.Less(t, tries, 100)
		if c.attach() && done() {
			return
		}
		if c.open {
			c.open = c.try(message()) && c.connectNow()
		}
		if !done() {
			time.Sleep(11 * time.Second) // no fault acts later than that
		}
	}
}

// A careful client comes through any of these faults too.
func TestRandomCometDFaults(t *testing.T) {
	for name, socket := range map[string]bool{"long-polling": false, "websocket": true} {
		for seed := range uint64(10) {
			t.Run(fmt.Sprint(name, " ", seed), func(t *testing.T) {
				bubble(t, &chatsim.Options{Seed: seed + 1, SilenceLimit: 10 * time.Minute}, func(t *testing.T, sim *chatsim.Server) {
					rng := rand.New(rand.NewPCG(seed, 1))
					c := &careful{bayeux: newBayeux(t, sim), socket: socket, seen: map[int]string{}}
					c.http.Timeout = 40 * time.Second
					c.do(t, func() string { return c.publishMessage("requestChat", "nickname", `"Ada"`) }, func() bool { return c.key != "" })
					var want []string
					for n := range 20 {
						if rng.IntN(2) == 0 {
							sim.Faults().Add(cometdsim.Of(sim).RandomFault(rng))
						}
						line := fmt.Sprint("line ", n)
						want = append(want, line)
						c.do(t, func() string { return c.publishMessage("sendMessage", "message", `"`+line+`"`) },
							func() bool { return slices.Contains(ownLines(c), line) })
						time.Sleep(time.Duration(rng.IntN(3000)) * time.Millisecond)
					}
					sim.Faults().Clear()
					time.Sleep(time.Minute / 2)
					c.open = false
					require.True(t, c.attach())
					s := c.side().Snapshot()
					assert.Equal(t, want, s.Lines(chatsim.Client))
					require.Len(t, c.seen, len(s.Events))
					for _, e := range s.Events {
						assert.Contains(t, c.seen[e.Index], string(e.Type)+" "+e.From.Nickname)
					}
					c.end()
				})
			})
		}
	}
}

// ownLines returns the lines that the client has seen of the visitor.
func ownLines(c *careful) (lines []string) {
	for _, line := range c.seen {
		if text, ok := strings.CutPrefix(line, "Message Ada: "); ok {
			lines = append(lines, text)
		}
	}
	return lines
}
