package gmscometd

import (
	"context"
	"encoding/json"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// inner returns the connection itself.
func inner(c chat.Conn) *conn { return c.(*conn) }

// StateOf is the state of a connection's client.
func StateOf(c chat.Conn) string { return inner(c).client.State().String() }

// ClientID is the clientId of a connection's client.
func ClientID(c chat.Conn) string { return inner(c).client.ClientID() }

// Connect returns a connection whose client has begun to make a Bayeux session.
func (d *Driver) Connect(ctx context.Context) (chat.Conn, error) {
	c, e := d.connect(ctx, "open", chat.Session{}, 1, chat.Position{})
	if e != nil {
		return nil, e
	}
	return c, nil
}

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
	replies, e := in.client.Publish(ctx, "send", in.d.channel, data...)
	if e != nil {
		return nil, e
	}
	var said []bool
	for _, r := range replies {
		said = append(said, r.Successful)
	}
	return said, nil
}

// Deliver returns the event of the data of a delivery to a chat with this key, without a network.
func (d *Driver) Deliver(key chat.Secret, data []byte) (chat.Event, error) {
	c := newConn(d, chat.Session{ID: "c", SecureKey: key}, 1, chat.Position{})
	c.closed = true // nothing is started
	defer c.reorder.stop()
	if err := c.deliver(data); err != nil {
		return chat.Event{}, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return c.Receive(ctx)
}

// Merge queues events and gives them out again, each with how many lines waited before.
func Merge(events []chat.Event) (out []chat.Event, waiting []int) {
	var q queue
	for i := range events {
		q.push(&events[i])
	}
	for !q.empty() {
		waiting = append(waiting, q.lines)
		p := q.pop()
		out = append(out, p.event)
	}
	return out, append(waiting, q.lines)
}
