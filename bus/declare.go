package bus

import (
	"strings"
)

// declare makes an own event with a payload type.
func (c *Client) declare(member, doc string, k kind) (*eventRoute, error) {
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
	was := t.kind.typ()
	if err := t.setKind(k); err != nil {
		return nil, err
	}
	if t.kind.typ() != was {
		t.changed()
	}
	t.declared = true
	if member != "ready" && !strings.HasPrefix(member, "data.") {
		c.declares.Store(true)
	}
	if t.doc == "" {
		t.doc = doc
	}
	return t.routeFor(c), nil
}

// declaredRoute returns the route of an own event that is declared with that payload type, or nil. Whether the client may
// still publish, the route itself asks.
func (c *Client) declaredRoute(member string, k kind) *eventRoute {
	o := c.events.get(member)
	if o == nil {
		return nil
	}
	t := o.topic()
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.declared || t.route != o || t.kind.typ() != k.typ() {
		return nil
	}
	return o
}

// ownTopic returns the topic of an own event that may not be declared. Unless
// it must last, the routes of no more than maxUndeclared such names are kept.
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
			keep := must || c.bus.undeclared.Load() < maxUndeclared
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

// eventNames returns the full names of the declared events.
func (c *Client) eventNames() (names []string) {
	for _, e := range c.info().Events {
		names = append(names, e.Name)
	}
	return names
}

// hold marks the topic as held by c, its owner, which then keeps the event route that
// is returned. An undeclared one is refused when there are too many. gone is set
// if the topic has left the table meanwhile.
func (t *topic) hold(c *Client, must bool) (o *eventRoute, gone bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone {
		return nil, true
	}
	if !t.held && !t.declared && !must {
		if t.bus.undeclared.Add(1) > maxUndeclared {
			t.bus.undeclared.Add(-1)
			return nil, false
		}
		t.undeclared = true
	}
	t.held = true
	return t.routeFor(c), false
}
