package bus

import (
	"slices"
	"sync/atomic"
	"time"
)

// A watchdog finds event handlers that do not come to an end. There is one timer for the whole bus. A mailbox that
// wakes arms it; it stops by itself when no mailbox has anything to do. While handlers hang and nothing else moves,
// it looks less and less often.
type watchdog struct {
	bus    *Bus
	armed  atomic.Bool // the timer is set, or look runs
	slowed atomic.Bool // the interval has grown beyond the short one

	// What follows is guarded by bus.mu.
	timer    *time.Timer   // nil before the first arming
	interval time.Duration // until the next look
	looking  bool          // look runs
}

// arm sets the timer if it is not set, and makes a long interval short again.
func (w *watchdog) arm() {
	b := w.bus
	if b.opts.SlowAfter <= 0 {
		return
	}
	if !w.armed.Load() && w.armed.CompareAndSwap(false, true) {
		b.mu.Lock()
		defer b.mu.Unlock()
		w.interval = w.shortInterval()
		if w.timer == nil {
			w.timer = time.AfterFunc(w.interval, w.look)
		} else {
			w.timer.Reset(w.interval)
		}
		return
	}
	if w.slowed.Load() {
		b.mu.Lock()
		defer b.mu.Unlock()
		w.slowed.Store(false)
		w.interval = w.shortInterval()
		if !w.looking && !b.closing.Load() {
			w.timer.Reset(w.interval)
		}
	}
}

// stopLocked stops the timer for good; bus.mu is held.
func (w *watchdog) stopLocked() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// watchdogLooks is how often the watchdog looks within SlowAfter.
const watchdogLooks = 4

func (w *watchdog) shortInterval() time.Duration {
	return max(w.bus.opts.SlowAfter/watchdogLooks, time.Millisecond)
}

// look is one look at all mailboxes. The timer calls it.
func (w *watchdog) look() {
	b := w.bus
	b.mu.Lock()
	if w.looking { // the other call goes on
		b.mu.Unlock()
		return
	}
	w.looking = true
	clients, interval := slices.Clone(b.order.live()), w.interval
	b.mu.Unlock()
	busy, moved := false, false
	for _, c := range clients {
		for _, mb := range c.allMailboxes() {
			state, in := mb.look(interval, b.opts.SlowAfter)
			busy = busy || state != mailboxIdle
			moved = moved || state == mailboxMoves
			if in != nil {
				b.report(SlowHandler, *in)
			}
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	w.looking = false
	switch {
	case b.closing.Load():
		w.armed.Store(false)
		return
	case !busy:
		w.armed.Store(false)
		if !anyMailbox(b.order.live(), (*mailbox).awake) || !w.armed.CompareAndSwap(false, true) {
			return
		}
		w.interval = w.shortInterval() // one woke since it was looked at
	case moved:
		w.interval = w.shortInterval()
	default: // nothing moves: look less and less often
		w.slowed.Store(true)
		if w.interval = min(2*w.interval, 1000*time.Hour); anyMailbox(b.order.live(), (*mailbox).unseen) {
			w.slowed.Store(false)
			w.interval = w.shortInterval() // one woke since it was looked at
		}
	}
	w.timer.Reset(w.interval)
}

func anyMailbox(clients []*Client, is func(*mailbox) bool) bool {
	return slices.ContainsFunc(clients, func(c *Client) bool { return slices.ContainsFunc(c.allMailboxes(), is) })
}

func (mb *mailbox) awake() bool { return !mb.idle(false) }

// unseen reports whether something runs that was not running at the last look.
func (mb *mailbox) unseen() bool {
	mb.mu.Lock()
	defer mb.mu.Unlock()
	return mb.running && mb.seen != [2]uint64{mb.batch, uint64(mb.pos.Load())}
}

// The states of a mailbox between two looks.
const (
	mailboxIdle  = iota
	mailboxMoves // or has not been stuck for long
	mailboxStuck // and was reported
)

// look tells whether the handler that runs is the one of the last look, interval
// ago, and returns an incident when it has been for limit.
func (mb *mailbox) look(interval, limit time.Duration) (state int, in *Incident) {
	mb.mu.Lock()
	defer mb.mu.Unlock()
	at := [2]uint64{mb.batch, uint64(mb.pos.Load())}
	s := mb.currentLocked()
	switch {
	case s == nil:
		mb.stuckFor = 0
		return mailboxIdle, nil
	case at != mb.seen:
		mb.seen, mb.stuckFor, mb.reported = at, 0, false
		return mailboxMoves, nil
	}
	mb.stuckFor += interval
	if mb.stuckFor < limit {
		return mailboxMoves, nil
	}
	if !mb.reported {
		mb.reported = true
		in = &Incident{Plugin: mb.client.namespace, Name: s.name, Subscriber: s.place(), Depth: mb.leftLocked(), Running: mb.stuckFor,
			Text: "slow event handler"}
	}
	return mailboxStuck, in
}
