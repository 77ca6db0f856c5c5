package bus

import "context"

// Topics returns how many event names b keeps a route for.
func Topics(b *Bus) int { return len(b.topics.all()) }

// MaxUndeclared is how many undeclared names may be among them.
const MaxUndeclared = maxUndeclared

// Table is the map from names to topics and commands.
type Table struct{ t table[int] }

func (t *Table) Get(name string) *int     { return t.t.get(name) }
func (t *Table) Put(name string, v *int)  { t.t.put(name, v) }
func (t *Table) Drop(name string, v *int) { t.t.drop(name, v) }

// PublishLate publishes as a publish does that had found its client up before it
// went.
func PublishLate[T any](p *Publisher[T], v T) error {
	return p.snap.Load().list.publishAny(context.Background(), p.client.bus, p.meta, &p.snap, v)
}

// Found returns a publish that has found the event's subscribers now and goes on when it is called.
func Found[T any](p *Publisher[T]) func(v T) error {
	s := p.snap.Load()
	return func(v T) error { return s.list.publishAny(context.Background(), p.client.bus, p.meta, &p.snap, v) }
}
