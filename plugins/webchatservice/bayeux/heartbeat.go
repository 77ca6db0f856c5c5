package bayeux

import (
	"time"

	"github.com/gorilla/websocket"
)

// Timing of a websocket. One that says nothing for pingEvery is asked whether it is there. It is dead pongWait later.
//
// A server that holds a connect for 30 s, as most do, answers it in between. That shows that it is there as well as a pong
// does. So when the answer to a connect is due within dueWithin of the last word, the question is put off until
// pingLatest. The time of death stays the same. Half of what many idle sessions cost is spared so.
const (
	pingEvery  = 25 * time.Second
	pongWait   = 10 * time.Second
	dueWithin  = 31 * time.Second // the 30 s, and the way there and back
	pingLatest = 32 * time.Second
	writeWait  = 10 * time.Second // how long a write may take
)

// alive notes that something came.
func (s *socket) alive() {
	s.mu.Lock()
	s.last = time.Now()
	s.mu.Unlock()
	if s.ahead == nil {
		s.deadline()
	}
}

// beforeNetwork is called by the reader before the network is asked for more: see readAhead.
func (s *socket) beforeNetwork() {
	if s.came {
		s.came = false
		s.alive()
	}
	s.deadline()
}

// deadline sets until when something must come: the answer to a ping, and the reply that is waited for. Only the reader
// calls it.
func (s *socket) deadline() {
	s.mu.Lock()
	at := s.last.Add(pingEvery + pongWait)
	s.mu.Unlock()
	if s.waits.Before(at) {
		at = s.waits
	}
	_ = s.conn.SetReadDeadline(at) // if the connection is closed, reading will tell
}

// expect notes when the server has to answer a connect.
func (s *socket) expect(at time.Time) {
	s.mu.Lock()
	s.due = at
	s.mu.Unlock()
}

// askAtLocked is when to ask the server whether it is there, if it says nothing until then.
func (s *socket) askAtLocked() time.Time {
	if s.due.After(s.last) && s.due.Sub(s.last) <= dueWithin {
		return s.last.Add(pingLatest)
	}
	return s.last.Add(pingEvery)
}

// ping asks the server whether it is there, if it is time to. It is called by a timer.
func (s *socket) ping() {
	s.mu.Lock()
	if s.dead != nil {
		s.mu.Unlock()
		return
	}
	if early := time.Until(s.askAtLocked()); early > 0 {
		s.pinger.Reset(early)
		s.mu.Unlock()
		return
	}
	s.pinger.Reset(pingEvery)
	s.mu.Unlock()
	s.send(frame{kind: websocket.PingMessage})
}

// pong answers a ping. At most one answer waits to be written, that to the last ping (RFC 6455 5.5.3). So a server that
// pings and does not read makes no memory grow.
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
