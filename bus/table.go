package bus

import (
	"maps"
	"sync"
	"sync/atomic"
)

// A table maps names to values that stay the same objects for as long as they
// are in it. Reading one that is there takes one atomic load and one map
// lookup, no lock. New names gather in a second map until they have been asked
// for often enough to pay for publishing a new read-only one, so adding n names
// costs O(n), not O(n²). Dropping names works the same way.
type table[V any] struct {
	read    atomic.Pointer[map[string]*V]
	amended atomic.Bool // dirty has names that read lacks

	mu     sync.Mutex // guards what follows
	dirty  map[string]*V
	shared bool // dirty is what read has, too: it must not be written to
	misses int
}

func (t *table[V]) get(name string) *V {
	for {
		m := t.read.Load()
		if m != nil {
			if v := (*m)[name]; v != nil {
				return v
			}
		}
		if t.amended.Load() {
			break
		}
		if t.read.Load() == m { // else the name may have moved into the new one
			return nil
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	v := t.dirty[name]
	if t.misses++; v != nil && t.misses >= len(t.dirty)/8 {
		t.promote()
	}
	return v
}

// promote publishes the dirty map; mu is held.
func (t *table[V]) promote() {
	m := t.dirty
	t.read.Store(&m)
	t.shared = true
	t.amended.Store(false)
	t.misses = 0
}

// own makes the dirty map one that can be written to; mu is held.
func (t *table[V]) own() {
	if t.dirty == nil {
		t.dirty = map[string]*V{}
	} else if t.shared {
		t.dirty = maps.Clone(t.dirty)
	}
	t.shared = false
}

// put adds or replaces a name.
func (t *table[V]) put(name string, v *V) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.own()
	_, there := t.dirty[name]
	t.dirty[name] = v
	if there || len(t.dirty) < 16 {
		t.promote() // readers must not see the old value
		return
	}
	t.amended.Store(true)
}

// drop removes a name if it still maps to v.
func (t *table[V]) drop(name string, v *V) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dirty[name] != v {
		return
	}
	t.own()
	delete(t.dirty, name)
	if len(t.dirty) < 16 {
		t.promote()
		return
	}
	// Dropping n names must not copy the table n times. A new empty map, never
	// nil: get tells by the pointer that nothing happened.
	t.amended.Store(true) // first: get must not find the empty map complete
	t.read.Store(&map[string]*V{})
}

// matching returns the values whose names fit.
func (t *table[V]) matching(fits func(name string) bool) (list []*V) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, v := range t.dirty {
		if fits(name) {
			list = append(list, v)
		}
	}
	return list
}

// all returns a copy of the whole table.
func (t *table[V]) all() map[string]*V {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.dirty)
}
