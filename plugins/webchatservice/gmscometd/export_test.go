package gmscometd

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

// StateNames are the names of the states, and May is the table.
func StateNames() []string { return stateNames[:] }

// May reports whether one state may follow another.
func May(from, to int) bool { return state(from).may(state(to)) }

// Set makes a transition of a client in state from, and returns the state after it.
func Set(from, to int) (after int, ok bool) {
	c := &client{state: state(from)}
	ok = c.setLocked(state(to))
	return int(c.state), ok
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

// Advice is what advices merge to.
type Advice struct {
	Reconnect                      string
	Interval, Timeout, MaxInterval time.Duration
	Multiple                       bool
}

// MergeAdvice merges advices, each a JSON value, over the defaults.
func MergeAdvice(all ...string) Advice {
	a := advice{timeout: defaultTimeout}
	for _, raw := range all {
		a.merge([]byte(raw))
	}
	return Advice{a.reconnect, a.interval, a.timeout, a.maxInterval, a.multiple}
}

// Backoff is the pause after so many failures, with a chat or without.
func Backoff(failures int, live bool) time.Duration {
	c := &client{failures: failures, live: live}
	return c.backoff()
}

// StateOf is the state of a connection's client.
func StateOf(conn chat.Conn) string {
	c := inner(conn).client
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.String()
}

// ClientID is the clientId of a connection's client.
func ClientID(conn chat.Conn) string {
	c := inner(conn).client
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.id
}

// Lose stops a connection's client, as an advice of none does.
func Lose(conn chat.Conn) {
	c := inner(conn)
	c.client.mu.Lock()
	c.client.state = stateDisconnected
	c.client.mu.Unlock()
	c.lost(&chat.Error{Code: chat.CodeNetwork, Op: "receive", Text: "lost"})
}

// Idle returns a connection whose client does nothing as if it were connected, and a function that reports whether the
// client was asked to go on after having stopped.
func (d *Driver) Idle() (conn chat.Conn, asked func() bool) {
	c := newConn(d, nil, chat.Session{}, 1)
	c.client.state = stateConnected
	return c, func() bool { return len(c.client.more) > 0 }
}

// Pinged is how many frames wait to be written on a websocket after so many pings of a peer that reads nothing.
func Pinged(conn *websocket.Conn, n int) int {
	var writers sync.WaitGroup
	s := newSocket(&dialer{maxAnswer: 1 << 10}, conn, &writers, nil)
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

func inner(conn chat.Conn) *chatConn {
	if f, ok := conn.(*fileConn); ok {
		return f.conn
	}
	return conn.(*chatConn)
}

type chatConn = conn

// PublishAll publishes several requests in one unit, and returns what each reply says.
func PublishAll(ctx context.Context, c chat.Conn, operations ...string) ([]bool, error) {
	in := inner(c)
	var data []json.RawMessage
	for _, operation := range operations {
		d, e := request("send", operation, in.Session(), map[string]any{"message": operation, "nickname": operation})
		if e != nil {
			return nil, e
		}
		data = append(data, d)
	}
	replies, e := in.client.publish(ctx, "send", in.d.channel, data...)
	if e != nil {
		return nil, e
	}
	var said []bool
	for _, r := range replies {
		said = append(said, r.success)
	}
	return said, nil
}

// Taker takes units of messages all the way to events, without a network.
type Taker struct{ c *conn }

// NewTaker returns a Taker for a chat with this key.
func NewTaker(key chat.Secret) *Taker {
	d := &Driver{wire: &gms.Wire{}, channel: defaultChannel, log: slog.New(slog.DiscardHandler)}
	c := &conn{d: d, wake: make(chan struct{}, 1), room: make(chan struct{}, 1), changed: make(chan struct{}), book: gms.NewTranscript(chat.Session{ID: "c", SecureKey: key}, 1), closed: true}
	c.life, c.stop = context.WithCancel(context.Background())
	c.client = &client{deliver: c.deliver, waiting: c.waiting, state: stateConnected}
	return &Taker{c}
}

// Take returns the event of a unit.
func (t *Taker) Take(ctx context.Context, unit []byte) (chat.Event, error) {
	t.c.book, t.c.queue = gms.NewTranscript(t.c.book.Session, 1), queue{} // each counts as new
	all, err := parseUnit(unit, nil)
	if err != nil {
		return chat.Event{}, err
	}
	t.c.client.dispatch(all, "")
	return t.c.Receive(ctx)
}

// NewBurst wraps a connection as a websocket's is; dry is called before the network is asked.
func NewBurst(conn net.Conn, dry func()) net.Conn { return &burstConn{Conn: conn, dry: dry} }

// Merge queues events and gives them out again, each with how many lines waited before.
func Merge(events []chat.Event) (out []chat.Event, waiting []int) {
	var q queue
	for i := range events {
		q.push(&events[i], events[i].Position.Index)
	}
	for !q.empty() {
		waiting = append(waiting, q.lines)
		p := q.pop()
		if p.next != p.event.Position.Index {
			panic("a reader stands elsewhere")
		}
		out = append(out, p.event)
	}
	return out, append(waiting, q.lines)
}
