package bus

import (
	"errors"
	"slices"
)

// topic returns the topic of a full name. One that is new is made and, if keep
// is set, entered into the table.
func (b *Bus) topic(name, namespace string, keep bool) *topic {
	if t := b.topics.get(name); t != nil {
		return t
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if t := b.topics.get(name); t != nil {
		return t
	}
	t := newTopic(b, name, namespace)
	t.transient = !keep
	if subs := b.patterns.match(name, nil); len(subs) > 0 {
		t.subs = subs
		t.rebuild()
	}
	if c := b.clients[namespace]; c != nil && keep {
		c.declareLatent(t)
	}
	if keep {
		b.topics.put(name, t)
	}
	return t
}

// subscribeWild adds a wildcard subscription to the topics there are; those
// made later pick it up themselves.
func (b *Bus) subscribeWild(s *Subscription) error {
	b.mu.Lock()
	if s.dead.Load() { // the plugin was taken down meanwhile
		b.mu.Unlock()
		return s.client.gone("subscribe " + s.name)
	}
	b.seq++
	s.seq = b.seq
	b.patterns.add(s)
	var drain []*serial
	var errs []error
	for name, t := range b.topics.all() {
		if s.pattern.matches(name) {
			d, _, err := t.attach(s, kindOf[any]{})
			drain, errs = append(drain, d...), append(errs, err)
		}
	}
	b.mu.Unlock()
	drainAll(drain)
	return errors.Join(errs...)
}

// detach takes s out of every topic it is in.
func (b *Bus) detach(s *Subscription) {
	if s.tap != nil {
		b.unwatch(nil, func(t *tap) bool { return t == s.tap })
		return
	}
	if !s.isWild {
		if t := b.topics.get(s.name); t != nil {
			t.detach(s)
			b.collect(t)
		}
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.patterns.remove(s)
	for name, t := range b.topics.all() {
		if s.pattern.matches(name) {
			t.detach(s)
		}
	}
}

func (t *topic) detach(s *Subscription) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.subs, s); i >= 0 {
		t.subs = slices.Concat(t.subs[:i], t.subs[i+1:])
		t.rebuild()
	}
}

// collect forgets a topic that only exact subscriptions had kept, and the last
// of them has gone. Wildcard ones come back with the name.
func (b *Bus) collect(t *topic) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	exact := slices.ContainsFunc(t.subs, func(s *Subscription) bool { return !s.isWild })
	if !exact && !t.declared && !t.held && !t.retains && !t.gone {
		t.gone = true
		b.topics.drop(t.name, t)
	}
}
