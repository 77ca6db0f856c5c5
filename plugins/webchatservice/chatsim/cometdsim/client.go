package cometdsim

import (
	"maps"
	"slices"
	"strings"
)

// Client is a Bayeux session as the server knows it.
type Client struct {
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

// Clients returns the Bayeux sessions that live, in order of their ids.
func (h *Face) Clients() []Client {
	h.mu.Lock()
	sessions := slices.Collect(maps.Values(h.sessions))
	h.mu.Unlock()
	clients := make([]Client, len(sessions))
	for i, b := range sessions {
		b.mu.Lock()
		clients[i] = Client{
			ID: b.id, Carrier: b.carrier, Connected: b.connected, Held: b.held != nil, Queued: len(b.queue), Node: b.node,
		}
		for c := range b.attached {
			clients[i].Chats = append(clients[i].Chats, c.ID())
		}
		b.mu.Unlock()
		slices.Sort(clients[i].Chats)
	}
	slices.SortFunc(clients, func(a, b Client) int { return strings.Compare(a.ID, b.ID) })
	return clients
}

// ForgetClients forgets the Bayeux sessions: the next message of each client
// is answered 402. Chats go on. It returns how many there were.
func (h *Face) ForgetClients() int { return h.forget() }

// DropSockets breaks every websocket with a reset. The Bayeux sessions live
// on.
func (h *Face) DropSockets() { h.breakSockets() }

// CloseSockets closes every websocket with a close frame of this code. The
// Bayeux sessions live on.
func (h *Face) CloseSockets(code int) {
	for _, k := range h.list() {
		k.send(frame{close: code})
	}
}
