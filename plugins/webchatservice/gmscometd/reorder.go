package gmscometd

import (
	"cmp"
	"slices"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

// reorderFor is how long a line waits for those before it, which another answer may bring.
const reorderFor = 250 * time.Millisecond

// reorderBuffer holds answers whose lines have overtaken others. The zero buffer is empty. conn.mu guards it.
type reorderBuffer struct {
	early []delivery
	timer *time.Timer // ends the wait; nil: there was none
}

func (b *reorderBuffer) empty() bool { return len(b.early) == 0 }

// add puts an answer into the buffer. The first one sets the timer, which calls late.
func (b *reorderBuffer) add(d delivery, late func()) {
	b.early = append(b.early, d)
	if len(b.early) == 1 {
		b.timer = time.AfterFunc(reorderFor, late)
	}
}

// stop stops the timer.
func (b *reorderBuffer) stop() {
	if b.timer != nil {
		b.timer.Stop()
	}
}

// firstNewLocked returns the lowest index of a line that has not come out yet, 0 if there is none.
func (c *conn) firstNewLocked(a *gms.Answer) int64 {
	for i := range a.Messages {
		if m := &a.Messages[i]; m.Index != 0 && c.transcript.New(m) {
			return m.Index
		}
	}
	return 0
}

// inOrderLocked takes in an answer, or puts it into the buffer if lines before it are missing. whole says that the answer
// has all that the server has from where the transcript stands.
func (c *conn) inOrderLocked(d delivery, whole bool) {
	ended := d.answer.Ended
	if !whole && (c.firstNewLocked(&d.answer) > c.transcript.Next || ended && !c.reorder.empty()) {
		c.reorder.add(d, c.waitedForOrder)
		return
	}
	if ended {
		c.releaseLocked(true)
	}
	c.takeLocked(d)
	c.releaseLocked(whole)
}

// waitedForOrder is called when the lines that were overtaken have not come in time.
func (c *conn) waitedForOrder() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.releaseLocked(true)
	}
}

// releaseLocked takes in what the buffer holds, in order: all of it, or what follows the transcript now.
func (c *conn) releaseLocked(all bool) {
	b := &c.reorder
	if b.empty() {
		return
	}
	slices.SortStableFunc(b.early, func(x, y delivery) int {
		if x.answer.Ended != y.answer.Ended {
			if x.answer.Ended {
				return 1
			}
			return -1
		}
		return cmp.Compare(c.firstNewLocked(&x.answer), c.firstNewLocked(&y.answer))
	})
	for !b.empty() {
		d := b.early[0]
		if !all && c.firstNewLocked(&d.answer) > c.transcript.Next {
			return
		}
		b.early = b.early[1:]
		c.takeLocked(d)
	}
	b.timer.Stop()
	b.early = nil
}
