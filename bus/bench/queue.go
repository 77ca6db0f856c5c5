package main

import "sync"

// queueLen is how many messages wait in each queue: a mailbox's default.
const queueLen = 1024

// chanQueues has a channel and a goroutine for each subscriber.
type chanQueues struct {
	queues [][]chan *msg
	done   sync.WaitGroup
}

func newChanQueues(names []string) pubsub {
	return &chanQueues{queues: make([][]chan *msg, len(names))}
}

func (c *chanQueues) publish(topic int, m *msg) {
	for _, q := range c.queues[topic] {
		q <- m
	}
}

func (c *chanQueues) subscribe(topic int, h handlers) func() {
	q := make(chan *msg, queueLen)
	c.queues[topic] = append(c.queues[topic], q)
	c.done.Go(func() {
		for m := range q {
			h.plain(m)
		}
	})
	return func() {}
}

func (c *chanQueues) close() {
	for _, list := range c.queues {
		for _, q := range list {
			close(q)
		}
	}
	c.done.Wait()
}

// batch is two slices under a mutex: producers fill one while the consumer
// works through the other.
type batch struct {
	mu    sync.Mutex // guards what follows
	fill  []*msg
	stop  bool
	more  *sync.Cond // the consumer waits
	space *sync.Cond // producers wait
}

func newBatch() *batch {
	b := &batch{fill: make([]*msg, 0, queueLen)}
	b.more, b.space = sync.NewCond(&b.mu), sync.NewCond(&b.mu)
	return b
}

func (b *batch) put(m *msg) {
	b.mu.Lock()
	for len(b.fill) == queueLen {
		b.space.Wait()
	}
	b.fill = append(b.fill, m)
	first := len(b.fill) == 1
	b.mu.Unlock()
	if first {
		b.more.Signal()
	}
}

func (b *batch) run(fn func(*msg)) {
	work := make([]*msg, 0, queueLen)
	for {
		b.mu.Lock()
		for len(b.fill) == 0 && !b.stop {
			b.more.Wait()
		}
		if len(b.fill) == 0 {
			b.mu.Unlock()
			return
		}
		full := len(b.fill) == queueLen
		work, b.fill = b.fill, work[:0]
		b.mu.Unlock()
		if full {
			b.space.Broadcast()
		}
		for i, m := range work {
			work[i] = nil
			fn(m)
		}
	}
}

func (b *batch) end() {
	b.mu.Lock()
	b.stop = true
	b.mu.Unlock()
	b.more.Signal()
}

// batchQueues has a batch and a goroutine for each subscriber.
type batchQueues struct {
	queues [][]*batch
	done   sync.WaitGroup
}

func newBatchQueues(names []string) pubsub {
	return &batchQueues{queues: make([][]*batch, len(names))}
}

func (b *batchQueues) publish(topic int, m *msg) {
	for _, q := range b.queues[topic] {
		q.put(m)
	}
}

func (b *batchQueues) subscribe(topic int, h handlers) func() {
	q := newBatch()
	b.queues[topic] = append(b.queues[topic], q)
	b.done.Go(func() { q.run(h.plain) })
	return func() {}
}

func (b *batchQueues) close() {
	for _, list := range b.queues {
		for _, q := range list {
			q.end()
		}
	}
	b.done.Wait()
}
