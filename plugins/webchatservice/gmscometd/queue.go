package gmscometd

import (
	"slices"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

// MaxQueue is how many lines wait for Receive until nothing more is read.
const MaxQueue = 4096

// Of a queue.
const (
	queueKeeps = 2  // events that it keeps room for when it is empty
	mergeMost  = 48 // lines of an event that others are merged into: what a burst has, if they are short
)

// queue is what waits for Receive. Lines that were pushed one after the other, faster than they are received, become one
// event, if they are in the order of the transcript. The zero queue is empty.
type queue struct {
	all   []queued
	head  int // in all: those before were given out
	lines int // that wait; an event without one counts as one
}

// queued is an event with where a reader stands after it.
type queued struct {
	event chat.Event
	next  int64
	lines int // it counts as
	merge bool
}

func (q *queue) empty() bool { return len(q.all) == 0 }

func (q *queue) push(ev *chat.Event, next int64) {
	n := max(len(ev.Messages), 1)
	q.lines += n
	merge := len(ev.Messages) > 0 && ev.StatusCode == gms.StatusOK && !ev.Ended && ev.Session == nil && ev.Raw == nil &&
		ev.IdleTimerExpire == nil && len(ev.Errors) == 0
	if merge && len(q.all) > 0 {
		if last := &q.all[len(q.all)-1]; last.merge && last.lines+n <= mergeMost && follows(ev.Messages, last.event.Messages) {
			last.add(ev, next, n)
			return
		}
	}
	if q.head > len(q.all)/2 && len(q.all) == cap(q.all) {
		n := copy(q.all, q.all[q.head:])
		clear(q.all[n:])
		q.all, q.head = q.all[:n], 0
	}
	q.all = append(q.all, queued{*ev, next, n, merge})
}

// follows reports whether lines come after those before them.
func follows(lines, before []chat.Message) bool {
	if len(before) == 0 {
		return true
	}
	first, last := &lines[0], &before[len(before)-1]
	return first.HasIndex && last.HasIndex && first.Index > last.Index
}

// add takes the lines of a later event into q.
func (q *queued) add(ev *chat.Event, next int64, lines int) {
	e := &q.event
	if len(e.Messages) == cap(e.Messages) {
		e.Messages = slices.Grow(e.Messages, mergeMost-len(e.Messages))
	}
	e.Messages = append(e.Messages, ev.Messages...)
	e.Position = ev.Position
	q.next = next
	q.lines += lines
}

// pop takes the first event out of a queue that is not empty.
func (q *queue) pop() queued {
	first := q.all[q.head]
	q.lines -= first.lines
	q.all[q.head] = queued{}
	if q.head++; q.head < len(q.all) {
		return first
	}
	if q.all, q.head = q.all[:0], 0; cap(q.all) > queueKeeps {
		q.all = nil
	}
	return first
}
