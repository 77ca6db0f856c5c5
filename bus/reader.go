package bus

import (
	"context"
	"sync/atomic"
	"time"
	"unsafe"
)

// readers counts the publishes that are calling inline subscribers, so that
// whoever removed one can wait until none may still call it. A publish adds to
// one of a few counters, chosen by its stack, so that publishers on different
// cores do not share a cache line. There are two sets of counters: a waiter
// turns to the other set and waits for the first to drain, so that a steady
// stream of new publishes cannot keep it waiting.
type readers struct {
	_      [64]byte      // what is written near must not hold up who reads epoch
	epoch  atomic.Uint32 // its last bit says which set new publishes add to
	turn   chan struct{} // one waiter at a time
	_      [64 - 16]byte
	shards [readerShards]readerShard
}

const readerShards = 8

type readerShard struct {
	n [2]reader
	_ [64 - 8]byte
}

type reader struct{ n atomic.Int32 }

// enter must come before the snapshot's subscribers are called; what is called
// is safe because a waiter removes its subscription before it looks at the
// counters.
func (rs *readers) enter() *reader {
	r := rs.shard()
	r.n.Add(1)
	return r
}

// shard returns the counter for this goroutine, which calls enter on it.
func (rs *readers) shard() *reader {
	// The address of the stack costs nothing, where a random number makes BenchmarkPublish/Token/1 a quarter slower. One
	// counter for all would do on one core; "two producers" of bus/bench is what several are for.
	var here byte
	stack := uintptr(unsafe.Pointer(&here)) >> 11 // stacks are apart by 2 KB, or a power of two more
	return &rs.shards[(stack^stack>>3)%readerShards].n[rs.epoch.Load()&1]
}

func (r *reader) leave() { r.n.Add(-1) }

// wait returns once every publish that was calling inline subscribers when it
// was called has finished, but for own, the caller's own.
func (rs *readers) wait(ctx context.Context, own int32) error {
	select {
	case rs.turn <- struct{}{}:
		defer func() { <-rs.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for range 2 {
		old := rs.epoch.Add(1) - 1
		for pause := time.Microsecond; rs.count(old&1) > own; pause = min(2*pause, time.Millisecond) {
			t := time.NewTimer(pause)
			select {
			case <-t.C:
			case <-ctx.Done():
				t.Stop()
				return ctx.Err()
			}
		}
	}
	return nil
}

func (rs *readers) count(set uint32) (n int32) {
	for i := range rs.shards {
		n += rs.shards[i].n[set].n.Load()
	}
	return n
}
