package bayeux

import (
	"time"

	"github.com/gorilla/websocket"
)

// Timing of a websocket. One that says nothing for pingEvery is asked whether it is there. It is dead pongWait later.
const (
	pingEvery = 25 * time.Second
	pongWait  = 10 * time.Second
	writeWait = 10 * time.Second // how long a write may take
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

// ping asks the server whether it is there, if it has said nothing for pingEvery. It is called by a timer.
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
