package gmscometd

import (
	"slices"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// MaxQueue is how many lines may wait for Receive. With more, nothing is read from the server.
const MaxQueue = 4096

const (
	queueKeeps = 2  // for how many events an empty queue keeps room
	mergeMost  = 48 // how many lines an event may have that others are merged into: about what is read at once
)

// queue holds the events that wait for Receive. Lines that are pushed faster than they are received become one event, if
// they are in the order of the transcript. The zero queue is empty.
type queue struct {
	all   []queued
	head  int // index in all of the first event that waits
	lines int // how many lines wait; an event without a line counts as one
}

// queued is an event that waits.
type queued struct {
	event chat.Event
	lines int  // how many lines it counts as
	merge bool // it has nothing but lines, so that others may be added
}

func (q *queue) empty() bool { return len(q.all) == 0 }

// push adds an event.
func (q *queue) push(ev *chat.Event) {
	n := max(len(ev.Messages), 1)
	q.lines += n
	merge := len(ev.Messages) > 0 && !ev.Unavailable && !ev.Ended && ev.Session == nil && ev.Raw == nil &&
		ev.IdleCountdown == nil && ev.Capabilities == nil && !ev.Earlier && len(ev.Errors) == 0
	if merge && len(q.all) > 0 {
		if last := &q.all[len(q.all)-1]; last.merge && last.lines+n <= mergeMost && follows(ev.Messages, last.event.Messages) {
			last.add(ev, n)
			return
		}
	}
	if q.head > len(q.all)/2 && len(q.all) == cap(q.all) {
		n := copy(q.all, q.all[q.head:])
		clear(q.all[n:])
		q.all, q.head = q.all[:n], 0
	}
	q.all = append(q.all, queued{*ev, n, merge})
}

// follows reports whether lines come after others in the transcript.
func follows(lines, before []chat.Message) bool {
	if len(before) == 0 {
		return true
	}
	first, last := &lines[0], &before[len(before)-1]
	return first.Index != 0 && last.Index != 0 && first.Behind == nil
}

// add adds the lines of a later event.
func (q *queued) add(ev *chat.Event, lines int) {
	e := &q.event
	if len(e.Messages) == cap(e.Messages) {
		e.Messages = slices.Grow(e.Messages, mergeMost-len(e.Messages))
	}
	e.Messages = append(e.Messages, ev.Messages...)
	e.Position = ev.Position
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

// withdraw takes lines out of the events that wait, because they were given out in another way.
func (q *queue) withdraw(lines []chat.Message) {
	given := make(map[chat.Position]bool, len(lines))
	for _, m := range lines {
		given[m.Position] = true
	}
	for i := range q.all {
		ev := &q.all[i].event
		ev.Messages = slices.DeleteFunc(ev.Messages, func(m chat.Message) bool { return m.Index != 0 && given[m.Position] })
	}
}
