package bus

import (
	"slices"
	"time"
)

// Incident is the payload of the events of the namespace Bus: something that
// went wrong on the bus and that no caller was told of.
type Incident struct {
	Plugin     string        `json:"plugin"`               // whose handler or mailbox
	Name       string        `json:"name"`                 // event or command
	Subscriber string        `json:"subscriber,omitempty"` // file and line of the subscription
	Depth      int           `json:"depth,omitempty"`      // events waiting in the mailbox
	Running    time.Duration `json:"running,omitempty"`    // nanoseconds, at least
	Text       string        `json:"text"`
}

// The events of the bus itself. Each is published, and logged, once per
// incident.
var (
	// SlowHandler: an event handler has been running for [Options.SlowAfter]
	// and holds its plugin's mailbox up.
	SlowHandler = NewEvent[Incident]("Bus.slowHandler", "An event handler runs for too long.")
	// MailboxOverflow: a mailbox is at its hard limit; publishers get
	// ErrOverflow until it has been empty.
	MailboxOverflow = NewEvent[Incident]("Bus.mailboxOverflow", "A mailbox is full and events are refused.")
	// HandlerPanicked: a handler or hook panicked; the stack is in the log.
	HandlerPanicked = NewEvent[Incident]("Bus.handlerPanicked", "A handler panicked.")
)

// ownNamespace is the bus's own.
const ownNamespace = "Bus"

// maxReports is how many incidents may be published at the same time, or one
// inside the other; further ones are in the log alone.
const maxReports = 256

// reportOf is report for an incident that s has caused. If the event would come
// to s itself, the log alone gets it, since the next panic would cause the next
// event without end.
func (b *Bus) reportOf(s *Subscription, d EventOf[Incident], in Incident, attrs ...any) {
	if s.hears(d.name) {
		b.logIncident(in, attrs...)
		return
	}
	b.report(d, in, attrs...)
}

func (b *Bus) logIncident(in Incident, attrs ...any) {
	b.log.Error(in.Text, append([]any{"plugin", in.Plugin, "name", in.Name, "subscriber", in.Subscriber, "depth", in.Depth}, attrs...)...)
}

// report logs an incident and publishes it. The caller holds no lock.
func (b *Bus) report(d EventOf[Incident], in Incident, attrs ...any) {
	b.logIncident(in, attrs...)
	if b.topics.get(d.name) == nil && b.watch.Load() == nil {
		b.mu.Lock()
		quiet := b.patterns.match(d.name, nil) == nil
		b.mu.Unlock()
		if quiet {
			return // nobody listens
		}
	}
	if b.closing.Load() {
		return
	}
	// An inline subscriber whose reaction to an incident causes another must not
	// use up the stack.
	defer b.reports.Add(-1)
	if b.reports.Add(1) > maxReports {
		return
	}
	b.mu.Lock()
	if b.self == nil {
		b.self = newClient(b, ownNamespace, nil)
	}
	c := b.self
	b.mu.Unlock()
	if p, err := d.Bind(c); err == nil {
		_ = p.Publish(c.lifeCtx, in) // an overflow of the listener's is in the log already
	}
}

// armWatchdog sets the watchdog going, which looks, while mailboxes are at work,
// for handlers that do not come to an end. It is one timer for the whole bus: it is armed by a mailbox that
// wakes and stops when all have gone to sleep.
func (b *Bus) armWatchdog() {
	if b.opts.SlowAfter <= 0 {
		return
	}
	if b.armed.CompareAndSwap(false, true) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.nap = b.shortNap()
		if b.dog == nil {
			b.dog = time.AfterFunc(b.nap, b.look)
		} else {
			b.dog.Reset(b.nap)
		}
		return
	}
	if b.dozing.Load() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.dozing.Store(false)
		b.nap = b.shortNap()
		if !b.looking && !b.closing.Load() {
			b.dog.Reset(b.nap)
		}
	}
}

// watchdogLooks is how often the watchdog looks within SlowAfter.
const watchdogLooks = 4

func (b *Bus) shortNap() time.Duration { return max(b.opts.SlowAfter/watchdogLooks, time.Millisecond) }

// look is one look of the watchdog.
func (b *Bus) look() {
	b.mu.Lock()
	if b.looking { // the other one goes on
		b.mu.Unlock()
		return
	}
	b.looking = true
	clients, nap := slices.Clone(b.order), b.nap
	b.mu.Unlock()
	busy, moved := false, false
	for _, c := range clients {
		for _, mb := range c.allBoxes() {
			state, in := mb.look(nap, b.opts.SlowAfter)
			busy = busy || state != boxIdle
			moved = moved || state == boxMoves
			if in != nil {
				b.report(SlowHandler, *in)
			}
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.looking = false
	switch {
	case b.closing.Load():
		b.armed.Store(false)
		return
	case !busy:
		b.armed.Store(false)
		if !anyBox(b.order, (*mailbox).awake) || !b.armed.CompareAndSwap(false, true) {
			return
		}
		b.nap = b.shortNap() // one woke since it was looked at
	case moved:
		b.nap = b.shortNap()
	default: // what hangs for ever is looked at less and less often
		b.dozing.Store(true)
		if b.nap = min(2*b.nap, 1000*time.Hour); anyBox(b.order, (*mailbox).unseen) {
			b.dozing.Store(false)
			b.nap = b.shortNap() // one woke since it was looked at
		}
	}
	b.dog.Reset(b.nap)
}

func anyBox(clients []*Client, is func(*mailbox) bool) bool {
	return slices.ContainsFunc(clients, func(c *Client) bool { return slices.ContainsFunc(c.allBoxes(), is) })
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
	boxIdle  = iota
	boxMoves // or has not been stuck for long
	boxStuck // and was reported
)

// look tells whether the handler that runs is the one of the last look, nap
// ago, and returns an incident when it has been for limit.
func (mb *mailbox) look(nap, limit time.Duration) (state int, in *Incident) {
	mb.mu.Lock()
	defer mb.mu.Unlock()
	at := [2]uint64{mb.batch, uint64(mb.pos.Load())}
	s := mb.currentLocked()
	switch {
	case s == nil:
		mb.stuck = 0
		return boxIdle, nil
	case at != mb.seen:
		mb.seen, mb.stuck, mb.told = at, 0, false
		return boxMoves, nil
	}
	mb.stuck += nap
	if mb.stuck < limit {
		return boxMoves, nil
	}
	if !mb.told {
		mb.told = true
		in = &Incident{Plugin: mb.client.namespace, Name: s.name, Subscriber: s.place(), Depth: mb.waiting + mb.taken - int(mb.pos.Load()), Running: mb.stuck,
			Text: "slow event handler"}
	}
	return boxStuck, in
}
