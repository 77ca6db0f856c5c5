package bus

import (
	"slices"
	"strings"
)

// declare makes an own event with a payload type.
func (c *Client) declare(member, doc string, k kind) (*outlet, error) {
	if err := c.usable("declare " + c.namespace + "." + member); err != nil {
		return nil, err
	}
	t, err := c.ownTopic(member, true)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	// Under mu: whoever takes the plugin down undeclares what is declared here.
	if err := c.usable("declare " + t.name); err != nil {
		return nil, err
	}
	if err := t.setKind(k); err != nil {
		return nil, err
	}
	t.declared = true
	if member != "ready" && !strings.HasPrefix(member, "data.") {
		c.declares.Store(true)
	}
	if t.doc == "" {
		t.doc = doc
	}
	o := t.outlet(c)
	t.rebuild()
	return o, nil
}

// ownTopic returns the topic of an own event that may not be declared. Unless
// it must last, the routes of no more than maxStrays such names are kept.
func (c *Client) ownTopic(member string, must bool) (*topic, error) {
	if err := checkEvent(member); err != nil {
		return nil, err
	}
	name := c.namespace + "." + member
	if c.state.Load() >= stateStopped {
		return nil, c.gone("publish " + name)
	}
	must = must || c.latentEvent(member) != nil
	for {
		t := c.bus.topics.get(name)
		if t == nil {
			keep := must || c.bus.strays.Load() < maxStrays
			if t = c.bus.topic(name, c.namespace, keep); !keep {
				return t, nil
			}
		}
		o, gone := t.hold(c, must)
		switch {
		case gone:
			continue
		case o != nil:
			c.events.put(member, o)
		default:
			c.bus.collect(t)
		}
		return t, nil
	}
}

// declaredOr reports that an own event is published undeclared.
func (c *Client) declaredOr(t *topic) error {
	t.mu.Lock()
	declared := t.declared
	t.mu.Unlock()
	switch {
	case declared:
		return nil
	case c.bus.opts.Strict:
		_, member, _ := splitName(t.name)
		if o := c.events.get(member); o != nil {
			c.events.drop(member, o)
		}
		return ErrUndeclared.with("publish "+t.name, didYouMean(t.name, c.eventNames()))
	}
	c.log.Debug("published an event that is not declared", "event", t.name)
	return nil
}

// eventNames returns the full names of the declared events.
func (c *Client) eventNames() (names []string) {
	for _, e := range c.info().Events {
		names = append(names, e.Name)
	}
	return names
}

// orphan reports that an event can never come: its plugin is ready, has
// declared its events, and this is not one of them.
func (b *Bus) orphan(t *topic) error {
	owner := b.client(t.namespace)
	if owner == nil || owner.state.Load() != stateReady || !owner.declares.Load() {
		return nil
	}
	_, member, _ := splitName(t.name)
	t.mu.Lock()
	declared := t.declared
	t.mu.Unlock()
	if declared || strings.HasPrefix(member, "data.") || member == "ready" {
		return nil
	}
	return ErrUndeclared.with("subscribe "+t.name, didYouMean(t.name, owner.eventNames()))
}

// warnOrphans tells of subscriptions that were made before c became ready and
// can never match.
func (c *Client) warnOrphans() {
	for _, t := range c.bus.topics.all() {
		if t.namespace != c.namespace {
			continue
		}
		t.mu.Lock()
		waiting := slices.DeleteFunc(slices.Clone(t.subs), func(s *Subscription) bool { return s.isWild })
		t.mu.Unlock()
		if len(waiting) == 0 {
			continue
		}
		if err := c.bus.orphan(t); err != nil {
			c.log.Warn("subscribed to an event that its plugin does not declare", "subscriber", waiting[0].String(), "error", err)
		}
	}
}

// hold marks the topic as held by c, its owner, which then keeps the outlet that
// is returned. An undeclared one is refused when there are too many. gone is set
// if the topic has left the table meanwhile.
func (t *topic) hold(c *Client, must bool) (o *outlet, gone bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone {
		return nil, true
	}
	if !t.cached && !t.declared && !must {
		if t.bus.strays.Add(1) > maxStrays {
			t.bus.strays.Add(-1)
			return nil, false
		}
		t.stray = true
	}
	t.cached = true
	return t.outlet(c), false
}
