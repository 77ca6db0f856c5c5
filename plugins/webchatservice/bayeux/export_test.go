package bayeux

import (
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// States are all states.
func States() (all []State) {
	for s := range stateNames {
		all = append(all, State(s))
	}
	return all
}

// May reports whether one state may follow another.
func May(from, to State) bool { return from.may(to) }

// Set makes a transition of a client in state from, and returns the state after it.
func Set(from, to State) (after State, ok bool) {
	c := &Client{state: from}
	ok = c.setLocked(to)
	return c.state, ok
}

// Parsed is a message as the parser makes it.
type Parsed struct {
	Channel, ID, ClientID, Error, Code string
	Reply, Success                     bool
	Data, Advice, Ack                  string
	Types                              []string
}

// Parse is the parser of what carriers bring.
func Parse(body []byte) ([]Parsed, error) {
	all, err := parseUnit(body, nil)
	var out []Parsed
	for _, m := range all {
		out = append(out, Parsed{
			m.channel, m.id, m.clientID, m.err, m.code(), m.reply, m.success, string(m.data), string(m.advice), string(m.ack), m.types,
		})
	}
	return out, err
}

// Delivery is what a handler gets.
type Delivery struct{ Channel, Data string }

// Deliver returns what the handler of a client without a session gets of a unit.
func Deliver(unit []byte) []Delivery {
	var h collector
	all, err := parseUnit(unit, nil)
	if err == nil {
		New(nil, &h, nil).dispatch(all, "")
	}
	return h.got
}

type collector struct{ got []Delivery }

func (h *collector) Deliver(channel string, data []byte) {
	h.got = append(h.got, Delivery{channel, string(data)})
}
func (h *collector) Waiting() func()        { return nil }
func (h *collector) AwaitRoom() bool        { return false }
func (h *collector) Connected()             {}
func (h *collector) Disconnected()          {}
func (h *collector) Failed(*chat.Error)     {}
func (h *collector) Secrets() []chat.Secret { return nil }

// Advice is what advices merge to.
type Advice struct {
	Reconnect                      string
	Interval, Timeout, MaxInterval time.Duration
	Multiple                       bool
}

// MergeAdvice merges advices, each a JSON value, over the defaults.
func MergeAdvice(all ...string) Advice {
	a := advice{timeout: defaultConnectTimeout}
	for _, raw := range all {
		a.merge([]byte(raw))
	}
	return Advice{a.reconnect, a.current(), a.timeout, a.maxInterval, a.multiple}
}

// Backoff is the pause after so many failures, in use or not.
func Backoff(failures int, inUse bool) time.Duration {
	c := &Client{failures: failures, inUse: inUse}
	return c.backoff()
}

// Pinged is how many frames wait to be written on a websocket after so many pings of a peer that reads nothing.
func Pinged(conn *websocket.Conn, n int) int {
	var writers sync.WaitGroup
	s := newSocket(conn, 1<<10, &writers, New(nil, &collector{}, nil))
	for i := range n {
		if err := conn.PingHandler()(strconv.Itoa(i)); err != nil {
			return -1
		}
	}
	s.mu.Lock()
	waiting := len(s.queue)
	s.mu.Unlock()
	s.abandon(closedError("receive"))
	writers.Wait()
	return waiting
}

// NewReadAhead wraps a connection as that of a websocket is; before is called before the network is asked.
func NewReadAhead(conn net.Conn, before func()) net.Conn {
	return &readAhead{Conn: conn, before: before}
}
