package gmscometd

import (
	"bytes"
	"context"
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

// Timing of a websocket. A link that says nothing for pingEvery is asked, and is dead pongWait later.
const (
	pingEvery = 25 * time.Second
	pongWait  = 10 * time.Second
	writeWait = 10 * time.Second
)

// frame is what waits to be written.
type frame struct {
	kind int // of the message; 0: text
	data []byte
	ids  []string // of the messages in it that somebody waits for
}

// socket is a websocket that carries the session (wire-gms D.7). The client's goroutine reads; a goroutine that
// lives while there is something to write writes.
type socket struct {
	d     *dialer
	conn  *websocket.Conn
	wg    *sync.WaitGroup     // the client's
	hide  func(string) string // makes a text fit to be shown
	heard bool                // something came; of the reader
	came  bool                // messages came since the network was asked last; of the reader
	units []message           // of the reader: room for the next ones
	waits time.Time           // until when something must come; of the reader
	burst *burstConn          // nil: it is below TLS

	mu      sync.Mutex // guards what follows
	queue   []frame
	writing bool
	dead    *chat.Error // why it is of no use any more
	pending map[string]*waiter
	last    time.Time // when something came last
	pinger  *time.Timer
	task    *listener   // what the reader does when it is back from a loan, or who takes its place; nil: it is not lent
	loans   uint64      // so far
	late    *time.Timer // ends a loan; nil: there was none
}

// waiter waits for the reply to a message.
type waiter struct {
	reply chan *message // cap 1
	wrote bool          // the message may have left
	dead  chan *chat.Error
}

func newSocket(d *dialer, conn *websocket.Conn, wg *sync.WaitGroup, hide func(string) string) *socket {
	s := &socket{d: d, conn: conn, wg: wg, hide: hide, last: time.Now()}
	s.burst, _ = conn.NetConn().(*burstConn)
	conn.SetReadLimit(d.maxAnswer)
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

// read reads one message and hands it out.
func (s *socket) read(f func([]message)) error {
	s.deadline()
	kind, r, err := s.conn.NextReader()
	if err != nil {
		return err
	}
	return s.take(kind, r, f)
}

// more reports whether more has been read from the network than was asked for.
func (s *socket) more() bool { return s.burst != nil && len(s.burst.rest) > 0 }

// take reads the message that has begun, and hands it out. What f gets lives as long as f runs.
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
	if s.burst == nil {
		s.alive()
	} else {
		s.came = true // which is noted once for all that was there
	}
	f(all)
	clear(all)
	if s.units = all; len(all) > 1 { // as is rare
		s.units = nil
	}
	return nil
}

// errDead is for a request for which there was a socket that had just broken.
var errDead = errors.New("the websocket broke before the request")

var errBinary = errors.New("the server sent a binary message")

// badUnit is what cannot be read.
type badUnit struct{ error }

// dry is called before the network is asked for more, which may take long: see burstConn.
func (s *socket) dry() {
	if s.came {
		s.came = false
		s.alive()
	}
	s.deadline()
}

// alive notes that something came.
func (s *socket) alive() {
	s.mu.Lock()
	s.last = time.Now()
	s.mu.Unlock()
	if s.burst == nil {
		s.deadline()
	}
}

// deadline sets until when something must come: an answer to a ping, and the reply that is waited for. Only the
// reader calls it.
func (s *socket) deadline() {
	s.mu.Lock()
	at := s.last.Add(pingEvery + pongWait)
	s.mu.Unlock()
	if s.waits.Before(at) {
		at = s.waits
	}
	_ = s.conn.SetReadDeadline(at) // a connection that is closed is found out by reading
}

// ping asks the server whether it is there, if it has said nothing for a while.
func (s *socket) ping() {
	s.mu.Lock()
	if s.dead != nil {
		s.mu.Unlock()
		return
	}
	quiet := time.Since(s.last)
	if quiet < pingEvery {
		s.pinger.Reset(pingEvery - quiet)
		s.mu.Unlock()
		return
	}
	s.pinger.Reset(pingEvery)
	s.mu.Unlock()
	s.send(frame{kind: websocket.PingMessage})
}

// pong answers a ping. One answer waits at most, to the last ping (RFC 6455 5.5.3): a server that pings and does not read
// makes no memory grow.
func (s *socket) pong(data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.queue {
		if s.queue[i].kind == websocket.PongMessage {
			s.queue[i].data = data
			return
		}
	}
	s.sendLocked(frame{kind: websocket.PongMessage, data: data})
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
		s.wg.Add(1) // the client's goroutine, or a caller that close waits for, is here
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

// request sends a unit and waits for the replies to its messages.
func (s *socket) request(ctx context.Context, op string, unit []byte, ids []string, limit time.Duration) ([]*message, *chat.Error) {
	waiters := make([]*waiter, len(ids))
	s.mu.Lock()
	if s.dead != nil {
		e := *s.dead
		s.mu.Unlock()
		e.Op, e.Outcome, e.Err = op, chat.NotSent, errDead
		return nil, &e
	}
	if s.pending == nil {
		s.pending = make(map[string]*waiter, 1)
	}
	for i, id := range ids {
		waiters[i] = &waiter{reply: make(chan *message, 1), dead: make(chan *chat.Error, 1)}
		s.pending[id] = waiters[i]
	}
	s.mu.Unlock()
	s.send(frame{data: unit, ids: ids})
	s.relieve() // a reply is to be read
	timer := time.NewTimer(limit)
	defer timer.Stop()
	var replies []*message
	var e *chat.Error
	for _, w := range waiters {
		select {
		case r := <-w.reply:
			replies = append(replies, r)
			continue
		case e = <-w.dead:
			e.Op = op
		case <-ctx.Done():
			e = &chat.Error{Code: chat.CodeCanceled, Op: op, Text: "given up while waiting for the answer", Err: context.Cause(ctx)}
		case <-timer.C:
			e = &chat.Error{
				Code: chat.CodeTimeout, Op: op, Text: fmt.Sprintf("the server did not answer within %v", limit),
				Hint: "check the network, or raise webchat.ajaxTimeout",
			}
		}
		break
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	wrote := true
	for i, w := range waiters {
		wrote = wrote && w.wrote
		delete(s.pending, ids[i])
	}
	if len(s.pending) == 0 {
		s.pending = nil
	}
	if e == nil {
		return replies, nil
	}
	if !wrote { // it is still in the queue, and is taken out
		e.Outcome = chat.NotSent
		for i := range s.queue {
			if len(s.queue[i].ids) > 0 && s.queue[i].ids[0] == ids[0] {
				s.queue = append(s.queue[:i:i], s.queue[i+1:]...)
				break
			}
		}
	}
	return nil, e
}

// answered hands a reply to who waits for it.
func (s *socket) answered(m *message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.pending[m.id]
	if w == nil {
		return false
	}
	delete(s.pending, m.id)
	w.reply <- m.keep()
	return true
}

// failure returns why the socket is of no use any more.
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

// farewell tells the server that the client leaves, and closes once it has the reply: what is under way
// to a socket that is closed before that may be lost with it (wire-gms D.7).
func (s *socket) farewell(unit []byte, id string) {
	if _, e := s.request(context.Background(), "close", unit, []string{id}, goodbye); e != nil {
		return
	}
	_ = s.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, "Disconnect"), time.Now().Add(goodbye))
}

// broken says why a socket failed.
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
			e.Text += ": " + s.hide(closed.Text)
		}
	case errors.Is(err, websocket.ErrReadLimit):
		e.Code, e.Text = chat.CodeTooLarge, fmt.Sprintf("the server's message is longer than %d bytes", s.d.maxAnswer)
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
