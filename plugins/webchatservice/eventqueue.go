package webchatservice

import (
	"context"
	"slices"
	"sync"
)

// eventQueue publishes events in the order of the changes of state that they tell of. Whoever changes
// state pushes, holding the lock of that state, and flushes after letting it go; one goroutine at a
// time publishes, with no lock held, so that subscribers may call commands.
type eventQueue struct {
	ctx     context.Context // of the service's events
	publish func(context.Context, publication)

	mu         sync.Mutex // guards what follows
	queue      []publication
	spare      []publication // an empty queue for the next batch
	publishing bool          // a goroutine publishes
}

func (q *eventQueue) push(p publication) {
	q.mu.Lock()
	q.queue = append(q.queue, p)
	q.mu.Unlock()
}

// maxSpareQueue is for how many events a queue may have room that is kept for the next batch.
const maxSpareQueue = 8

// flush publishes what is queued, or leaves it to the goroutine that does so already. Inline subscribers run in the
// goroutine that publishes, and may end it. The caller's one has more to do, so another one publishes.
func (q *eventQueue) flush() {
	for q.waits() {
		_ = contained(func() { q.flushWith(q.ctx) }) // if it was ended, another one goes on
	}
}

// waits reports whether there are events that no goroutine publishes.
func (q *eventQueue) waits() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.queue) > 0 && !q.publishing
}

// flushWith is flush in the caller's goroutine, with another context: that of a handoff, or the queue's own. A caller
// whose goroutine is ended by it flushes what is left.
func (q *eventQueue) flushWith(ctx context.Context) {
	q.mu.Lock()
	if q.publishing {
		q.mu.Unlock()
		return
	}
	q.publishing = true
	for len(q.queue) > 0 {
		batch := q.queue
		q.queue, q.spare = q.spare[:0], nil
		q.mu.Unlock()
		q.publishAll(ctx, batch)
		q.mu.Lock()
		if cap(batch) <= maxSpareQueue {
			q.spare = batch
		}
	}
	q.publishing = false
	q.mu.Unlock()
}

// publishAll publishes events. If a subscriber ends the goroutine, those behind are left to the next flush.
func (q *eventQueue) publishAll(ctx context.Context, batch []publication) {
	rest, returned := batch, false
	defer func() {
		if !returned {
			q.mu.Lock()
			defer q.mu.Unlock()
			q.queue = append(slices.Clone(rest), q.queue...)
			q.publishing = false
		}
	}()
	for len(rest) > 0 {
		p := rest[0]
		rest[0] = publication{}
		rest = rest[1:]
		q.publish(ctx, p)
	}
	returned = true
}
