package bus

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A topic is one event name. Publishing reads its snapshot. Everything else changes the topic under mu and makes the
// snapshot stale; the next publish builds a new one. So n subscriptions that are made or ended between two publishes
// cost one snapshot, not n.
type topic struct {
	snap atomic.Pointer[snapshot] // stored by changed and fresh alone
	bus  *Bus
	meta meta // shared by the events that carry nothing of their own

	name      string
	namespace string

	mu         sync.Mutex  // guards what follows; after bus.mu and retain, before mailboxes
	route      *eventRoute // of the client that owns the name, once it has published or declared it
	kind       kind
	subs       ordered[*Subscription]
	exact      int // how many of subs are not wildcards
	doc        string
	declared   bool
	held       bool // its client holds the topic by short name
	undeclared bool // and it counts among the undeclared names that the bus remembers
	transient  bool // made for one publish, in nobody's reach afterwards
	gone       bool // removed from the bus's table
	retains    bool // republished at least once: every publish takes retain

	retain sync.Mutex // orders publishing, clearing and subscribing once keeps is set
	value  any        // guarded by retain
	rev    uint64     // guarded by retain
	has    bool       // guarded by retain
	last   *meta      // guarded by retain: of the event that brought value
}

// stale is the snapshot of a topic that has changed since its last publish.
var stale = &snapshot{list: unbuilt{}}

// unbuilt builds the snapshot, and does then what it was asked for.
type unbuilt struct{}

func (unbuilt) publishAny(ctx context.Context, b *Bus, m *meta, at *atomic.Pointer[snapshot], v any) error {
	return m.topic.fresh().list.publishAny(ctx, b, m, at, v)
}
func (unbuilt) inlineAgain(v any, m *meta) error { return m.topic.fresh().list.inlineAgain(v, m) }
func (unbuilt) queueRetained(v any, m *meta) ([]*serial, error) {
	return m.topic.fresh().list.queueRetained(v, m)
}

// changed makes what has changed known to publishers; t.mu is held. A publish that begins when the caller has
// unlocked mu sees it.
func (t *topic) changed() { t.store(stale) }

// fresh returns the snapshot, which it builds if it is stale.
func (t *topic) fresh() *snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.freshLocked()
}

func (t *topic) freshLocked() *snapshot {
	s := t.snap.Load()
	if s == stale {
		s = t.kind.build(t)
		t.store(s)
	}
	return s
}

// store stores the snapshot where publishes look for it; t.mu is held.
func (t *topic) store(s *snapshot) {
	t.snap.Store(s)
	if t.route != nil {
		t.route.snap.Store(s)
	}
}

func newTopic(b *Bus, name, namespace string) *topic {
	t := &topic{bus: b, name: name, namespace: namespace, kind: kindOf[any]{}}
	t.meta.topic = t
	t.snap.Store(stale)
	return t
}

// hasNoSubscribers reports whether nobody is subscribed.
func (t *topic) hasNoSubscribers() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.subs.len() == 0
}

// newMeta is for an event that carries something of its own.
func newMeta(ctx context.Context, t *topic, timed bool, l lineage) *meta {
	m := &meta{topic: t, lineage: l}
	if timed {
		m.stamp(ctx)
	}
	return m
}

// stamp fills in what somebody has asked for.
func (m *meta) stamp(ctx context.Context) {
	b := m.topic.bus
	m.time, m.id = time.Now(), b.ids.Add(1)
	m.lineage = b.traced(ctx, m.lineage)
}

// setKind gives the topic its payload type; t.mu is held. A topic that was
// only ever used by name takes any type.
func (t *topic) setKind(k kind) error {
	if t.kind.typ() == k.typ() || k.untyped() {
		return nil
	}
	if !t.kind.untyped() {
		return ErrWrongType.with(t.name, "the event carries "+t.kind.typ().String()+", not "+k.typ().String())
	}
	t.kind = k
	return nil
}

// publishAny publishes what was given by name, by a way that needs no event route.
func (t *topic) publishAny(ctx context.Context, v any) error {
	return t.snap.Load().list.publishAny(ctx, t.bus, &t.meta, &t.snap, v)
}
