package bus

import "errors"

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
		t.subs.all = subs
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
	if s.left.Load() { // the plugin was taken down meanwhile
		b.mu.Unlock()
		return s.client.gone("subscribe " + s.name)
	}
	b.seq++
	s.seq = b.seq
	b.patterns.add(s)
	var drain []*serial
	var errs []error
	for _, t := range b.topics.matching(s.pattern.matches) {
		d, _, err := t.attach(s, kindOf[any]{})
		drain, errs = append(drain, d...), append(errs, err)
	}
	b.mu.Unlock()
	drainAll(drain)
	return errors.Join(errs...)
}

// detach takes s out of every topic it is in. It does so once.
func (b *Bus) detach(s *Subscription) {
	if s.tap != nil {
		b.unwatch(nil, func(t *tap) bool { return t == s.tap })
		return
	}
	if !s.left.CompareAndSwap(false, true) {
		return
	}
	if !s.isWild {
		if t := b.topics.get(s.name); t != nil && t.detach(s) {
			b.collect(t)
		}
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.seq == 0 { // not yet in any topic: subscribeWild finds that it has left
		return
	}
	b.patterns.remove(s)
	for _, t := range b.topics.matching(s.pattern.matches) {
		t.mu.Lock()
		t.subs.leave()
		t.changed()
		t.mu.Unlock()
	}
}

// detach takes s, which has left, out of the topic if it is in it. It reports whether no subscription to this very
// name is left.
func (t *topic) detach(s *Subscription) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.topic == t {
		s.topic = nil
		t.exact--
		t.subs.leave()
		t.changed()
	}
	return t.exact == 0
}

// collect forgets a topic that only exact subscriptions had kept, and the last
// of them has gone. Wildcard ones come back with the name.
func (b *Bus) collect(t *topic) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.exact == 0 && !t.declared && !t.held && !t.retains && !t.gone {
		t.gone = true
		b.topics.drop(t.name, t)
	}
}
