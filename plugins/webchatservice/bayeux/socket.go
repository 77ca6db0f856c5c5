package bayeux

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/wirejson"
)

// socket is a websocket that carries the session (wire-gms D.7). The reader reads. Another goroutine writes, and lives
// while there is something to write.
type socket struct {
	conn       *websocket.Conn
	c          *Client
	maxMessage int64
	wg         *sync.WaitGroup // of what Close waits for

	// The reader alone uses these.
	heard bool       // something came
	came  bool       // messages came since the network was asked last
	units []message  // room for the messages of the next unit
	waits time.Time  // until when something must come
	ahead *readAhead // nil: it is below TLS

	mu      sync.Mutex // guards what follows
	queue   []frame
	writing bool
	dead    *chat.Error        // why it is of no use any more; nil: it is of use
	pending map[string]*waiter // by the id of the message
	last    time.Time          // when something came last
	due     time.Time          // when the server has to answer the last connect
	pinger  *time.Timer
	task    *listener   // what the reader goes on with when it is back, or who takes its place; nil: it is not away
	calls   uint64      // for which the reader was away so far
	late    *time.Timer // ends such a call; nil: there was none
}

// frame is what waits to be written.
type frame struct {
	kind int // of a control frame; 0: a text message
	data []byte
	ids  []string // of the messages in it that somebody waits for
}

// newSocket returns the socket of c on conn. What it starts belongs to wg.
func newSocket(conn *websocket.Conn, maxMessage int64, wg *sync.WaitGroup, c *Client) *socket {
	s := &socket{conn: conn, maxMessage: maxMessage, wg: wg, c: c, last: time.Now()}
	s.ahead, _ = conn.NetConn().(*readAhead)
	conn.SetReadLimit(maxMessage)
	conn.SetPongHandler(func(string) error {
		s.alive()
		return nil
	})
	conn.SetPingHandler(func(data string) error {
		s.alive()
		s.pong([]byte(data))
		return nil
	})
	s.pinger = time.AfterFunc(pingEvery, s.ping)
	return s
}

// badUnit is the error of a unit that cannot be read.
type badUnit struct{ error }

var errBinary = errors.New("the server sent a binary message")

// read reads one unit and hands its messages to f.
func (s *socket) read(f func([]message)) error {
	s.deadline()
	kind, r, err := s.conn.NextReader()
	if err != nil {
		return err
	}
	return s.take(kind, r, f)
}

// more reports whether more was read from the network than was asked for.
func (s *socket) more() bool { return s.ahead != nil && len(s.ahead.rest) > 0 }

// take reads the unit that has begun, and hands its messages to f, which must not keep them.
func (s *socket) take(kind int, r io.Reader, f func([]message)) error {
	b := readers.Get().(*bytes.Buffer) //nolint:errcheck // there is nothing else in it
	defer func() {
		if b.Cap() <= 64<<10 {
			b.Reset()
			readers.Put(b)
		}
	}()
	if _, err := b.ReadFrom(r); err != nil {
		return err
	}
	if kind != websocket.TextMessage {
		return errBinary
	}
	all, err := parseUnit(b.Bytes(), s.units[:0])
	if err != nil {
		return badUnit{err}
	}
	s.heard = true
	if s.ahead == nil {
		s.alive()
	} else {
		s.came = true // beforeNetwork notes the time, once for all units that were there
	}
	f(all)
	clear(all)
	if s.units = all; len(all) > 1 { // that is rare: the room is not kept
		s.units = nil
	}
	return nil
}

// send queues a frame.
func (s *socket) send(f frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sendLocked(f)
}

func (s *socket) sendLocked(f frame) {
	if s.dead != nil {
		return
	}
	s.queue = append(s.queue, f)
	if !s.writing {
		s.writing = true
		s.wg.Add(1) // it is not 0 now: the reader is there, or a caller that Close waits for
		go s.write()
	}
}

// write writes until there is nothing to write.
func (s *socket) write() {
	defer s.wg.Done()
	for {
		s.mu.Lock()
		if len(s.queue) == 0 || s.dead != nil {
			s.writing = false
			s.mu.Unlock()
			return
		}
		f := s.queue[0]
		s.queue = s.queue[1:]
		for _, id := range f.ids {
			if w := s.pending[id]; w != nil {
				w.wrote = true
			}
		}
		s.mu.Unlock()
		_ = s.conn.SetWriteDeadline(time.Now().Add(writeWait))
		var err error
		if f.kind != 0 {
			err = s.conn.WriteControl(f.kind, f.data, time.Now().Add(writeWait))
		} else {
			err = s.conn.WriteMessage(websocket.TextMessage, f.data)
		}
		if err != nil {
			_ = s.conn.Close() // the reader finds out
			s.mu.Lock()
			s.queue = nil
			s.writing = false
			s.mu.Unlock()
			return
		}
	}
}

// failure returns why the socket is of no use any more, nil if it is of use.
func (s *socket) failure() *chat.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dead
}

// abandon closes the socket. What waits for replies fails with e.
func (s *socket) abandon(e *chat.Error) {
	s.mu.Lock()
	if s.dead == nil {
		s.dead = e
		s.queue = nil
		s.pinger.Stop()
		for id, w := range s.pending {
			delete(s.pending, id)
			failure := *e
			failure.Outcome = chat.Unknown
			w.dead <- &failure
		}
	}
	s.mu.Unlock()
	_ = s.conn.Close()
}

// broken returns why reading has failed, and tells the server if it is the server's fault.
func (s *socket) broken(op string, err error) *chat.Error {
	if e := s.failure(); e != nil {
		failure := *e
		failure.Op = op
		return &failure
	}
	e := &chat.Error{Code: chat.CodeNetwork, Op: op, Err: err}
	if errors.Is(err, io.EOF) {
		e.Err = io.ErrUnexpectedEOF // io.EOF is how the end of a chat is told
	}
	var closed *websocket.CloseError
	var late net.Error
	var unit badUnit
	closeCode := 0
	switch {
	case errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure:
		e.Text = fmt.Sprintf("the server closed the websocket (code %d)", closed.Code)
		if closed.Text != "" {
			e.Text += ": " + s.c.hide(closed.Text)
		}
	case errors.Is(err, websocket.ErrReadLimit):
		e.Code, e.Text = chat.CodeTooLarge, fmt.Sprintf("the server's message is longer than %d bytes", s.maxMessage)
	case errors.Is(err, errBinary):
		e.Code, e.Text, closeCode = chat.CodeBadAnswer, errBinary.Error(), websocket.CloseUnsupportedData
	case errors.As(err, &unit):
		e.Code, e.Text, closeCode = chat.CodeBadAnswer, wirejson.Unreadable(unit.error), websocket.CloseInvalidFramePayloadData
		e.Err = unit.error
	case errors.As(err, &late) && late.Timeout():
		e.Code, e.Text = chat.CodeTimeout, "the server did not answer in time on the websocket"
	case errors.Is(err, io.EOF), closed != nil:
		e.Text = "the websocket broke off"
	default:
		e.Text = "the websocket broke: " + err.Error()
	}
	if closeCode != 0 {
		_ = s.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(closeCode, ""), time.Now().Add(time.Second))
	}
	return e
}
