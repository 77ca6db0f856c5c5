package bayeux

import (
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// errRelieved is returned to a goroutine that is not the reader any more, because another one has taken its place.
var errRelieved = &chat.Error{Op: "receive", Code: chat.CodeClosed, Text: "another goroutine reads"}

// listener waits on a websocket for the reply to one meta message. The reader has one at a time. Another goroutine that
// takes the reader's place goes on with it.
type listener struct {
	c      *Client
	s      *socket
	op, id string // of the message
	limit  time.Duration
	later  *time.Timer // sends the message after a pause; nil: it was sent
	hands  bool        // another goroutine may take the reader's place meanwhile

	// The reader alone uses these.
	reply   *message
	receive func() // to be called soon, since something was delivered; nil: nothing was
}

// overSocket is exchange on a websocket.
func (c *Client) overSocket(s *socket, op string, m *outgoing, unit []byte, pause, limit time.Duration) (*message, *chat.Error) {
	l := &listener{c: c, s: s, op: op, id: m.ID, limit: limit}
	l.hands = m.Channel == metaConnect // during a handshake the reader is needed
	s.waits = time.Now().Add(pause + limit)
	if s.ahead != nil {
		s.ahead.before = l.beforeNetwork
	}
	if l.hands && m.Advice == nil {
		s.expect(s.waits.Add(-connectSlack))
	}
	if pause > 0 { // what comes meanwhile is read
		l.later = time.AfterFunc(pause, func() { s.send(frame{data: unit}) })
	} else {
		s.send(frame{data: unit})
	}
	return l.listen()
}

// listen reads until the reply is there, and returns it. It returns errRelieved if another goroutine goes on with l.
func (l *listener) listen() (*message, *chat.Error) {
	r, e := l.wait()
	if e != errRelieved && l.later != nil {
		l.later.Stop()
	}
	return r, e
}

// wait is listen without what is to be done at the end. The reader calls the function that takes in what was delivered
// by itself: to wake a goroutine that does it would cost more than most of the rest.
func (l *listener) wait() (*message, *chat.Error) {
	c, s := l.c, l.s
	for {
		if c.handler.AwaitRoom() { // the server was not listened to meanwhile: that is no silence of the server
			s.waits = time.Now().Add(l.limit)
			s.alive()
		}
		err := l.read()
		switch {
		case err != nil:
			l.wake()
			return nil, c.brokenSocket(s, l.op, err)
		case l.reply != nil:
			l.wake()
			return l.reply, nil
		case l.receive == nil:
		case !l.hands:
			l.wake()
		default:
			f := l.receive
			l.receive = nil
			if s.handOff(f, l) {
				return nil, errRelieved
			}
		}
	}
}

// read reads one message and takes it in, and others if they have been read from the network already.
func (l *listener) read() error {
	s := l.s
	for {
		if s.ahead == nil {
			s.deadline()
		}
		kind, from, err := s.conn.NextReader() // here a session is for most of its life
		if err == nil {
			err = s.take(kind, from, l.take)
		}
		if err != nil || l.reply != nil || !s.more() {
			return err
		}
	}
}

func (l *listener) take(all []message) {
	r, f := l.c.dispatch(all, l.id)
	l.reply = r
	if f != nil {
		l.receive = f
	}
}

// beforeNetwork is called before the network is asked for more, which may take long.
func (l *listener) beforeNetwork() {
	l.wake()
	l.s.beforeNetwork()
}

// wake has a goroutine of its own take in what was delivered.
func (l *listener) wake() {
	if f := l.receive; f != nil {
		l.receive = nil
		go f() // it is the handler's, who waits for it
	}
}
