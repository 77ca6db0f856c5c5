package webchatservice

import (
	"context"
	"slices"
	"sync"

	"github.com/cxbus/cxbus/bus"
)

// outlet publishes events in the order of the changes of state that they tell of. Whoever changes
// state pushes, holding the lock of that state, and flushes after letting it go; one goroutine at a
// time publishes, with no lock held, so that subscribers may call commands.
type outlet struct {
	ctx     context.Context // of the service's events
	publish func(context.Context, emission)

	mu    sync.Mutex // guards what follows
	queue []emission
	done  []emission // an empty queue for the next batch
	busy  bool
}

// outletKeeps is how many events a queue may have room for that is kept for the next ones.
const outletKeeps = 8

func (o *outlet) push(e emission) {
	o.mu.Lock()
	o.queue = append(o.queue, e)
	o.mu.Unlock()
}

// flush publishes what is queued, or leaves it to the goroutine that does so already.
func (o *outlet) flush() { o.flushWith(o.ctx) }

// tail returns a context for flushWith.
func (o *outlet) tail() *bus.Tail { return &bus.Tail{Context: o.ctx} }

// flushWith is flush with another context: a tail, or the outlet's own.
func (o *outlet) flushWith(ctx context.Context) {
	o.mu.Lock()
	if o.busy {
		o.mu.Unlock()
		return
	}
	o.busy = true
	for len(o.queue) > 0 {
		batch := o.queue
		o.queue, o.done = o.done[:0], nil
		o.mu.Unlock()
		o.publishAll(ctx, batch)
		o.mu.Lock()
		if cap(batch) <= outletKeeps {
			o.done = batch
		}
	}
	o.busy = false
	o.mu.Unlock()
}

// publishAll publishes events. If a subscriber ends the goroutine, those behind are left to the next flush.
func (o *outlet) publishAll(ctx context.Context, batch []emission) {
	rest, returned := batch, false
	defer func() {
		if !returned {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.queue = append(slices.Clone(rest), o.queue...)
			o.busy = false
		}
	}()
	for len(rest) > 0 {
		e := rest[0]
		rest[0] = emission{}
		rest = rest[1:]
		o.publish(ctx, e)
	}
	returned = true
}

// emission is an event to be published.
type emission struct {
	event string // short name
	data  any
}
