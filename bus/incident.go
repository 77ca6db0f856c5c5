package bus

import (
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
