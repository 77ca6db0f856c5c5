package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A mailbox queues the events of one plugin and runs its handlers one after
// the other. Publishers append to one slice while the consumer works through
// the other. The consumer is a goroutine that starts with the first event and
// ends when nothing is left, so an idle mailbox holds none.
//
// The fields are in the order of who uses them: a publisher that queues an event writes to the first cache line alone,
// and to the payload's place. What the consumer writes for each call is in a line of its own.
type mailbox struct {
	mu       sync.Mutex // guards what follows
	counted  int        // events in fill, and in the open run, that the limits count
	soft     int        // how many of them may wait, besides the batch in work, before publishers wait; does not change
	open     *laneHead  // the lane of the open run: the events that were queued last; nil if there is none
	openMeta *meta      // what these events carry besides their payloads
	openLen  int        // how many they are
	handoff  *handoff   // what the consumer waits for; nil if it works
	running  bool       // a consumer works, or will: what is queued needs no other

	forgotten bool // to be forgotten once nothing runs
	reported  bool // the handler that runs was reported by the watchdog
	handlers  bool // of a subscription made with OwnMailbox; does not change
	client    *Client
	runs      func()        // run
	hard      int           // how many events may wait at most; does not change
	uncounted int           // events that wait and that the limits do not count
	fill      []run         // in front of the open run
	work      []run         // the batch in work; only the consumer moves through it
	taken     int           // events in work
	lanes     []*laneHead   // with something in fill
	late      *time.Timer   // starts the consumer when it has waited for too long; nil before the first handoff
	space     chan struct{} // closed when the consumer has taken a batch; nil while nobody waits
	dropped   uint64        // counts overflows
	batch     uint64        // counts batches
	drained   int           // batches taken while the plugin is stopping; the consumer's
	seen      [2]uint64     // batch and position at the watchdog's last look
	stuckFor  time.Duration // how long the handler has been seen running

	_              [cacheLine]byte
	pos            atomic.Int64 // number of the call in work that runs, from 1
	at             atomic.Int64 // run in work that it belongs to, and behind 32 bits the calls before that run
	overflowLogged atomic.Bool  // an overflow was logged since the mailbox was last empty
	_              [cacheLine - 24]byte
}

// cacheLine is how many bytes a core fetches, and keeps others from writing to, at a time.
const cacheLine = 64

// run is a number of events in a row for one lane, where the payloads wait.
type run struct {
	lane deliverer
	m    *meta
	n    int
}

type deliverer interface {
	// deliver calls the handlers for the events of r one after the other, from the one that doneInRun tells on.
	deliver(mb *mailbox, r *run)
	// subscription returns the one whose handler gets call number n of a run.
	subscription(n int) *Subscription
}

// openRun begins a run of events for another lane, or with another meta. mu is held.
func (mb *mailbox) openRun(l *laneHead, m *meta) {
	mb.closeRun()
	if !l.dirty {
		l.dirty = true
		mb.lanes = append(mb.lanes, l)
	}
	mb.open, mb.openMeta = l, m
}

// closeRun puts the open run into fill. mu is held.
func (mb *mailbox) closeRun() {
	if mb.openLen > 0 {
		if mb.fill == nil {
			mb.fill = make([]run, 0, 2) // a cache line
		}
		mb.fill = append(mb.fill, run{mb.open.self, mb.openMeta, mb.openLen})
		mb.open.filled += mb.openLen
		mb.openLen = 0
	}
	mb.open, mb.openMeta = nil, nil
}

// waitingLocked returns how many events wait, besides the batch in work.
func (mb *mailbox) waitingLocked() int { return mb.counted + mb.uncounted }

// leftLocked returns how many events wait, or are in the batch in work and have not been handled.
func (mb *mailbox) leftLocked() int { return mb.waitingLocked() + mb.taken - int(mb.pos.Load()) }

// doneInRun returns how many calls of the run in work were made: 0, unless a handler has panicked. Only the consumer
// calls it.
func (mb *mailbox) doneInRun() int { return int(mb.pos.Load() - mb.at.Load()>>32) }

// queued unlocks mu after something was queued, and wakes the mailbox if it does not work. h is the handoff of the
// publisher, or nil.
func (mb *mailbox) queued(h *handoff) {
	if len(mb.fill)+mb.openLen > 0 && mb.sleepsLocked() {
		mb.wake(h)
		return
	}
	mb.mu.Unlock()
}

// sleepsLocked reports whether no consumer works.
func (mb *mailbox) sleepsLocked() bool { return !mb.running || mb.handoff != nil }

// wake unlocks mu, and starts the consumer or leaves it to h. It is called when something was queued in a mailbox that
// sleeps.
func (mb *mailbox) wake(h *handoff) {
	switch {
	case mb.running && mb.handoff == h: // it waits for this publisher already
		mb.mu.Unlock()
	case mb.running: // it waits for another one, whom this publisher need not wait for
		mb.late.Stop()
		mb.workLocked()
		mb.mu.Unlock()
		mb.start()
	case h == nil:
		mb.running = true
		mb.workLocked()
		mb.mu.Unlock()
		mb.start()
	default:
		mb.running = true
		mb.waitLocked(h)
		mb.mu.Unlock()
		h.take(mb)
	}
}

// room waits until one more event for each of the subscriptions that alive counts fits below the soft limit, or decides
// that the publish may pass it. It returns how many those are: 0 if all of them have ended, also while it waited. It is
// called with mu held; it returns with mu held, or, if it returns an error, without.
func (mb *mailbox) room(ctx context.Context, h *handoff, alive func() int, t *topic) (n int, err error) {
	patient := scopeOf(ctx) == nil
	for {
		if n = alive(); n == 0 || mb.client.state.Load() >= stateStopped {
			return 0, nil // the lanes are dead
		}
		if mb.counted+n > mb.hard {
			return 0, mb.overflowLocked(n, t)
		}
		if mb.counted == 0 || mb.counted+n <= mb.soft || !patient {
			return n, nil
		}
		if mb.space == nil {
			mb.space = make(chan struct{})
		}
		space := mb.space
		mb.mu.Unlock()
		h.start() // the mailbox that has to make room may be the one that waits for h
		waitingScope(ctx)
		select {
		case <-space:
		case <-ctx.Done():
			return 0, ctxError("publish "+t.name+" to "+mb.client.namespace, ctx)
		}
		mb.mu.Lock()
	}
}

// release makes those look again who wait for room: the client has stopped, or a subscription has ended.
func (mb *mailbox) release() {
	mb.mu.Lock()
	defer mb.mu.Unlock()
	if mb.space != nil {
		close(mb.space)
		mb.space = nil
	}
}

// overflowLocked counts and reports an event that does not fit; it unlocks mu.
func (mb *mailbox) overflowLocked(n int, t *topic) error {
	mb.dropped += uint64(n)
	depth, busy := mb.counted, mb.busyLocked()
	mb.mu.Unlock()
	return ErrOverflow.because("publish "+t.name, &overflow{mb, t.name, depth, busy}, "the event was not delivered to it; make its handlers faster or raise MailboxHard")
}

// overflowed logs the overflows in err, once per incident: until the mailbox
// has been empty. The caller holds no lock.
func (b *Bus) overflowed(err error) {
	if err == nil {
		return
	}
	var list interface{ Unwrap() []error }
	if errors.As(err, &list) {
		for _, err := range list.Unwrap() {
			b.overflowed(err)
		}
		return
	}
	var o *overflow
	if errors.As(err, &o) && o.box.overflowLogged.CompareAndSwap(false, true) {
		b.report(MailboxOverflow, Incident{Plugin: o.box.client.namespace, Name: o.event, Depth: o.depth, Text: "mailbox overflow"}, "behind", o.busy)
	}
}

// overflow is the cause of an ErrOverflow.
type overflow struct {
	box   *mailbox
	event string
	depth int
	busy  string
}

func (o *overflow) Error() string {
	return fmt.Sprintf("subscriber %s has %d events waiting behind %s", o.box.client.namespace, o.depth, o.busy)
}

// busyLocked names the handler that runs, or "nothing".
func (mb *mailbox) busyLocked() string {
	if s := mb.currentLocked(); s != nil {
		return s.String()
	}
	return "nothing"
}

// currentLocked returns the subscription whose handler runs, or nil. mu is held.
//
// Nobody's call is missed who asks after ending its subscription: the consumer stores the position before it looks
// whether the subscription has ended.
func (mb *mailbox) currentLocked() *Subscription {
	for mb.running {
		at := mb.at.Load()
		call := mb.pos.Load() - at>>32
		if mb.at.Load() != at {
			continue // it went on to the next run
		}
		if i := int(int32(at)); i < len(mb.work) && call > 0 {
			return mb.work[i].lane.subscription(int(call) - 1)
		}
		break
	}
	return nil
}

// start starts the consumer, for which there is work. The function that the goroutine runs is made once: it would be
// allocated for each goroutine.
func (mb *mailbox) start() {
	if mb.runs == nil {
		mb.runs = mb.run
	}
	go mb.runs()
}

// run is the consumer: it works through the batch that it has been given, and further ones until nothing is left.
func (mb *mailbox) run() {
	mb.client.bus.watchdog.arm()
	for more := true; more; more = mb.next() {
		mb.countDrained()
		for i, n := 0, len(mb.work); i < n; {
			i = mb.runFrom(i)
		}
	}
}

// resume goes on after a handler ended its goroutine with runtime.Goexit.
func (mb *mailbox) resume(i int) {
	for n := len(mb.work); i < n; {
		i = mb.runFrom(i)
	}
	if mb.next() {
		mb.run()
	}
}

// next takes the next batch. It returns false if there is none: then the mailbox sleeps.
func (mb *mailbox) next() bool {
	mb.mu.Lock()
	clear(mb.work)
	mb.work = mb.work[:0]
	mb.at.Store(0)
	mb.pos.Store(0)
	mb.taken = 0
	if len(mb.fill)+mb.openLen > 0 {
		mb.workLocked()
		mb.mu.Unlock()
		return true
	}
	mb.running = false
	mb.overflowLogged.Store(false)
	forgotten := mb.forgotten
	mb.mu.Unlock()
	if forgotten {
		mb.client.dropMailbox(mb)
	}
	mb.client.signalRecheck()
	return false
}

// workLocked makes what waits the batch in work, for a consumer that has none. mu is held. Whoever wakes a mailbox does
// this for the consumer, which needs not take the mutex before the first handler then.
func (mb *mailbox) workLocked() {
	mb.handoff = nil
	mb.closeRun()
	mb.fill, mb.work = mb.work[:0], mb.fill
	for i, l := range mb.lanes {
		l.self.swap()
		mb.lanes[i] = nil
	}
	mb.lanes = mb.lanes[:0]
	mb.taken, mb.counted, mb.uncounted = mb.waitingLocked(), 0, 0
	mb.batch++
	if mb.space != nil {
		close(mb.space)
		mb.space = nil
	}
}

// maxDrained is how many batches a mailbox may take while its plugin is stopping, before the plugin's handlers can
// publish no more: what they publish may be what keeps the mailboxes from running empty.
const maxDrained = 1024

// countDrained counts a batch if the plugin is stopping. The consumer calls it.
func (mb *mailbox) countDrained() {
	c := mb.client
	if c.state.Load() < stateStopping {
		return
	}
	if mb.drained++; mb.drained >= maxDrained && c.muted.CompareAndSwap(false, true) {
		c.bus.log.Error("handlers keep a stopping plugin busy: it can publish no more", "plugin", c.namespace)
	}
}

// runFrom runs the handlers from run i on and returns where to go on: at the
// end, or at the run of a handler that panicked, which has counted that event.
func (mb *mailbox) runFrom(i int) (next int) {
	work, at := mb.work, i
	defer func() {
		if at == len(work) {
			return
		}
		if p := recover(); p != nil {
			work[at].lane.subscription(mb.doneInRun() - 1).panicked(p)
			next = at
			return
		}
		next = len(work) // the handler called runtime.Goexit: this goroutine ends here,
		go mb.resume(at) // another takes its place
	}()
	for ; i < len(work); i++ {
		if i != at { // else the run goes on, or is the first
			mb.at.Store(mb.pos.Load()<<32 | int64(i))
		}
		at = i
		r := &work[i]
		r.lane.deliver(mb, r)
	}
	at = len(work)
	return at
}

// flushMarker is a run that only says that it was reached.
type flushMarker struct {
	sub  *Subscription
	done chan struct{}
}

func (k flushMarker) deliver(*mailbox, *run)         { close(k.done) }
func (k flushMarker) subscription(int) *Subscription { return k.sub }

// flush waits until everything queued so far was handled.
func (mb *mailbox) flush(ctx context.Context) error {
	mb.mu.Lock()
	if !mb.running {
		mb.mu.Unlock()
		return nil
	}
	k := flushMarker{&Subscription{client: mb.client, name: "flush"}, make(chan struct{})}
	mb.closeRun()
	mb.fill = append(mb.fill, run{k, nil, 1})
	mb.queued(nil)
	select {
	case <-k.done:
		return nil
	case <-mb.client.down: // a handler hung; what it held up was dropped
		return mb.client.gone("flush " + mb.client.namespace)
	case <-ctx.Done():
		return ctxError("flush "+mb.client.namespace, ctx)
	}
}

// idle reports whether nothing waits and no handler runs, apart from self (the
// mailbox's own handler is asking, so its queue cannot drain).
func (mb *mailbox) idle(self bool) bool {
	mb.mu.Lock()
	defer mb.mu.Unlock()
	return self || !mb.running
}

// waitCall waits until no call of s runs.
func (mb *mailbox) waitCall(ctx context.Context, s *Subscription) error {
	for pause := time.Microsecond; ; pause = min(2*pause, time.Millisecond) {
		mb.mu.Lock()
		busy := mb.currentLocked() == s
		mb.mu.Unlock()
		if !busy {
			return nil
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctxError("unsubscribe "+s.name, ctx)
		}
	}
}
