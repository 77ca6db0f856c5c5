package bus

import "context"

// Publish publishes one of the client's own events by its short name; the
// namespace is always added, so a plugin cannot publish in another's. An event
// that was not declared carries any payload. A declared one takes its payload
// type, a map or raw JSON that is decoded strictly, or nil for the zero value;
// anything else is [ErrWrongType]. See [Publisher.Publish] for the rest.
func (c *Client) Publish(ctx context.Context, event string, payload any) error {
	o := c.events.get(event)
	if o == nil {
		return c.publishUnknown(ctx, event, payload)
	}
	if c.flags.Load() != 0 {
		if err := c.beforePublish(ctx, o.topic(), payload); err != nil {
			return err
		}
	}
	s := o.snap.Load()
	if s.idle != nil && s.idle == payloadType(&payload) {
		return nil
	}
	return s.list.publishAny(ctx, c.bus, o.meta, &o.snap, payload)
}

// publishTopic is the second half of Publish, for those in less of a hurry.
func (c *Client) publishTopic(ctx context.Context, t *topic, payload any) error {
	if c.flags.Load() != 0 {
		if err := c.beforePublish(ctx, t, payload); err != nil {
			return err
		}
	}
	return t.publishAny(ctx, payload)
}

// eventTopic returns the topic of an own event that is published by name.
func (c *Client) eventTopic(event string) (*topic, error) {
	if o := c.events.get(event); o != nil {
		return o.topic(), nil
	}
	t, err := c.ownTopic(event, false)
	if err != nil {
		return nil, err
	}
	return t, c.declaredOr(t)
}

// beforePublish is what publishing does when flags says so: it fails if the client is
// down, and lets taps see the event.
func (c *Client) beforePublish(ctx context.Context, t *topic, v any) error {
	if err := c.publishRefused(ctx, "publish ", t); err != nil {
		return err
	}
	if w := c.bus.watch.Load(); w != nil {
		w.event(t, c.bus.traced(ctx, lineageOf(ctx)), v)
	}
	return nil
}

// publishRefused reports why the client can no longer publish. While it is taken down
// handlers still can, so that what they were doing comes to its end; others
// cannot, or mailboxes would never run empty.
func (c *Client) publishRefused(ctx context.Context, verb string, t *topic) error {
	switch c.state.Load() {
	case stateStopped:
		return c.gone(verb + t.name)
	case stateStopping:
		if s := scopeOf(ctx); s == nil || s == c.lifeCtx || c.muted.Load() {
			return c.gone(verb + t.name)
		}
	}
	return nil
}

// PublishDirect is Publish as [Publisher.PublishDirect].
func (c *Client) PublishDirect(ctx context.Context, event string, payload any) error {
	if c.flags.Load()&flagWatched != 0 {
		if c.events.get(event) == nil {
			if err := c.checkShort(event); err != nil {
				return err
			}
		}
		t, err := c.eventTopic(event)
		if err != nil {
			return err
		}
		if t.hasNoSubscribers() {
			if err := c.publishRefused(ctx, "publish ", t); err != nil {
				return err
			}
			return t.publishAny(ctx, payload)
		}
	}
	return c.Publish(ctx, event, payload)
}

// Republish publishes and retains an own event by its short name. See
// [Publisher.Republish].
func (c *Client) Republish(ctx context.Context, event string, payload any) error {
	if c.events.get(event) == nil {
		if err := c.checkShort(event); err != nil {
			return err
		}
	}
	t, err := c.ownTopic(event, true)
	if err != nil {
		return err
	}
	if err := c.declaredOr(t); err != nil {
		return err
	}
	return t.republish(ctx, c, payload)
}

// ClearRetained forgets the retained value of an own event.
func (c *Client) ClearRetained(event string) {
	if o := c.events.get(event); o != nil {
		o.topic().clearRetained()
	}
}
