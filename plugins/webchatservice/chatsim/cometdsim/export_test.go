package cometdsim

import "net"

// ParseBayeux parses what a client sent and returns each message as JSON, with
// the fields that the server looks at.
func ParseBayeux(body []byte) ([][]byte, error) {
	messages, err := parseBayeux(body)
	out := make([][]byte, len(messages))
	for i, m := range messages {
		out[i] = marshal(m)
	}
	return out, err
}

// NotJSON reports whether the error says that it is not JSON at all.
func NotJSON(err error) bool { return err == errNotJSON }

// ReadData reads the data of a publish.
func ReadData(data []byte) (values, userData map[string]string, op string, ok bool) {
	f, op, bad := readData(data)
	return f.Values, f.UserData, op, bad == nil
}

// WatchFrames returns a connection that watches the frames read from c, and what says whether there was a close frame of one
// byte.
func WatchFrames(c net.Conn) (net.Conn, func() bool) {
	f := &frameConn{Conn: c}
	return f, f.shortClose.Load
}

// Queue is the deliveries of one session that no carrier has taken yet.
type Queue struct{ b *session }

// NewQueue returns the queue of a session that has the acknowledge extension.
func NewQueue() Queue { return Queue{&session{hub: New(nil), acks: true}} }

// Deliver queues a delivery with data.
func (q Queue) Deliver(data string) { q.b.deliver("/x", []byte(data)) }

// Cork is what a POST of publishes does before it is carried out.
func (q Queue) Cork() (mark int) { return q.b.cork() }

// TakeBefore is what that POST does after it. It returns how many deliveries the POST is answered with.
func (q Queue) TakeBefore(mark int) int {
	q.b.mu.Lock()
	defer q.b.mu.Unlock()
	return len(q.b.takeBeforeLocked(mark))
}

// TakeAll is what a connect does that is answered meanwhile.
func (q Queue) TakeAll() int {
	q.b.mu.Lock()
	defer q.b.mu.Unlock()
	return len(q.b.takeLocked(len(q.b.queue)))
}

// Lost is what a connect does that says that an answer was lost.
func (q Queue) Lost() {
	q.b.mu.Lock()
	defer q.b.mu.Unlock()
	q.b.acknowledgedLocked(&bayeuxMessage{Ext: &clientExt{Ack: []byte("0")}})
}
