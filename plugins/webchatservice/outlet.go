package webchatservice

import "sync"

// outlet publishes events in the order of the changes of state that they tell of. Whoever changes
// state pushes, holding the lock of that state, and flushes after letting it go; one goroutine at a
// time publishes, with no lock held, so that subscribers may call commands.
type outlet struct {
	publish func(emission)

	mu    sync.Mutex // guards what follows
	queue []emission
	busy  bool
}

func (o *outlet) push(e emission) {
	o.mu.Lock()
	o.queue = append(o.queue, e)
	o.mu.Unlock()
}

// flush publishes what is queued, or leaves it to the goroutine that does so already.
func (o *outlet) flush() {
	o.mu.Lock()
	if o.busy {
		o.mu.Unlock()
		return
	}
	o.busy = true
	for len(o.queue) > 0 {
		batch := o.queue
		o.queue = nil
		o.mu.Unlock()
		for _, e := range batch {
			o.publish(e)
		}
		o.mu.Lock()
	}
	o.busy = false
	o.mu.Unlock()
}
