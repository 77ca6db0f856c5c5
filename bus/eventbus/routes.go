package eventbus

import (
	"maps"
	"sync"
	"sync/atomic"
)

// routes finds the route of a topic with one atomic load and one map lookup.
// New topics gather in a second map until they have been asked for often enough
// to pay for a new read-only one, so that n topics cost O(n).
type routes struct {
	read    atomic.Pointer[map[string]*route]
	amended atomic.Bool // all has topics that read lacks

	mu     sync.Mutex // guards what follows
	all    map[string]*route
	misses int
}

func (t *routes) get(topic string) *route {
	if m := t.read.Load(); m != nil {
		if r := (*m)[topic]; r != nil {
			return r
		}
	}
	if !t.amended.Load() {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.all[topic]
	if t.misses++; r != nil && t.misses >= len(t.all)/8 {
		m := maps.Clone(t.all)
		t.read.Store(&m)
		t.amended.Store(false)
		t.misses = 0
	}
	return r
}

// add enters r unless its topic has a route, and returns the one that counts.
func (t *routes) add(r *route) *route {
	t.mu.Lock()
	defer t.mu.Unlock()
	if old := t.all[r.topic]; old != nil {
		return old
	}
	if t.all == nil {
		t.all = map[string]*route{}
	}
	t.all[r.topic] = r
	t.amended.Store(true)
	return r
}

func (t *routes) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.all)
}
