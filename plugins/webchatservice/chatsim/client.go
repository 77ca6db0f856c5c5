package chatsim

import (
	"maps"
	"slices"
	"strings"
)

// BayeuxClient is a Bayeux session as the server knows it.
type BayeuxClient struct {
	// ID is its clientId.
	ID string
	// Carrier is what its last handshake or connect came over:
	// "long-polling" or "websocket".
	Carrier string
	// Connected says that it has sent a connect, Held that one waits for its
	// answer.
	Connected, Held bool
	// Queued is how many deliveries wait for a carrier.
	Queued int
	// Chats are the ids of the chats whose events it gets.
	Chats []string
	// Node is the number of the node it was made on, from 0.
	Node int
}

// BayeuxClients returns the Bayeux sessions that live, in order of their ids.
func (s *Server) BayeuxClients() []BayeuxClient {
	s.hub.mu.Lock()
	sessions := slices.Collect(maps.Values(s.hub.sessions))
	s.hub.mu.Unlock()
	clients := make([]BayeuxClient, len(sessions))
	for i, b := range sessions {
		b.mu.Lock()
		clients[i] = BayeuxClient{
			ID: b.id, Carrier: b.carrier, Connected: b.connected, Held: b.held != nil, Queued: len(b.queue), Node: b.node,
		}
		for c := range b.attached {
			clients[i].Chats = append(clients[i].Chats, c.id)
		}
		b.mu.Unlock()
		slices.Sort(clients[i].Chats)
	}
	slices.SortFunc(clients, func(a, b BayeuxClient) int { return strings.Compare(a.ID, b.ID) })
	return clients
}

// ForgetClients forgets the Bayeux sessions: the next message of each client
// is answered 402. Chats go on. It returns how many there were.
func (s *Server) ForgetClients() int { return s.hub.forget() }

// DropSockets breaks every websocket with a reset. The Bayeux sessions live
// on.
func (s *Server) DropSockets() { s.hub.breakSockets() }

// CloseSockets closes every websocket with a close frame of this code. The
// Bayeux sessions live on.
func (s *Server) CloseSockets(code int) {
	for _, k := range s.hub.list() {
		k.send(frame{close: code})
	}
}
