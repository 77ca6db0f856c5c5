package bus

import (
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// An undeclared name is remembered when it is published for the second time:
// names that are used once (with an id in them) cost neither memory nor the
// making of a topic. sights notes which names were seen, by hash; two that
// share a place make each other be remembered early or late, no more.
type recentNames struct {
	seed   maphash.Seed
	hashes [1024]atomic.Uint32
}

// firstTime reports whether name has not been published lately.
func (b *Bus) firstTime(name string) bool {
	s := b.recent.Load()
	if s == nil {
		b.recent.CompareAndSwap(nil, &recentNames{seed: maphash.MakeSeed()})
		s = b.recent.Load()
	}
	h := maphash.String(s.seed, name)
	mark := uint32(h>>32) | 1
	return s.hashes[h%uint64(len(s.hashes))].Swap(mark) != mark
}

// publishUnknown publishes an event whose name the client does not know yet.
func (c *Client) publishUnknown(ctx context.Context, event string, payload any) error {
	if err := c.checkShort(event); err != nil {
		return err
	}
	latent := c.latentEvent(event)
	if latent != nil && c.nobodyListens(latent, payload) {
		return nil
	}
	name := c.namespace + "." + event
	ordinary := latent == nil && c.flags.Load() == 0 && !c.bus.opts.Strict
	if ordinary && c.bus.topics.get(name) == nil && (c.bus.firstTime(name) || c.bus.undeclared.Load() >= maxUndeclared) {
		return c.publishOnce(ctx, name, payload)
	}
	t, err := c.eventTopic(event)
	if err != nil {
		return err
	}
	return c.publishTopic(ctx, t, payload)
}

// publishOnce publishes to the wildcard subscriptions that fit a name nobody has
// declared or subscribed to, and forgets the name.
func (c *Client) publishOnce(ctx context.Context, name string, payload any) error {
	b := c.bus
	var few [8]*Subscription
	b.mu.Lock()
	subs := b.patterns.match(name, few[:0])
	b.mu.Unlock()
	if len(subs) == 0 {
		return nil
	}
	if h, ok := ctx.(*handoff); ok { // for a name that is used once, no goroutine is spared
		h.start()
		ctx = h.Context
	}
	t := &topic{bus: b, name: name, namespace: c.namespace}
	t.meta.topic = t
	e := Event[any]{payload, &t.meta}
	timed := false
	for _, s := range subs {
		timed = timed || s.timed
	}
	if l := lineageOf(ctx); timed || l != (lineage{}) {
		e.m = newMeta(ctx, t, timed, l)
	}
	var first error
	inline := false
	for _, s := range subs {
		if s.inline {
			inline = true
			continue
		}
		l := s.lane.(*lane[any])
		if s.limit == 0 && l.post(payload, e.m, nil) {
			continue
		}
		g := mailboxGroup[any]{box: s.box, subs: []mailboxSub[any]{{typed: l}}}
		if s.limit == 0 {
			g.counted = 1
		}
		first = errors.Join(first, g.push(ctx, e, &e.Data, nil))
	}
	if inline {
		r, err := b.enterInline(name)
		if err != nil {
			return errors.Join(first, err)
		}
		callOnce(subs, 0, e, r)
	}
	if first != nil {
		b.overflowed(first)
	}
	return first
}

// callOnce calls the inline ones of subs, from number i on, as runFrom does.
// Who was ended meanwhile is left out: there is no list to take it from.
func callOnce(subs []*Subscription, i int, e Event[any], r *reader) {
	at := i
	defer func() {
		if at < len(subs) {
			if p := recover(); p != nil {
				subs[at].panicked(p)
				callOnce(subs, at+1, e, r)
				return
			}
		}
		r.leave()
	}()
	for ; i < len(subs); i++ {
		at = i
		if s := subs[i]; s.inline && !s.dead.Load() {
			s.typed.(func(context.Context, Event[any]))(s.scope, e)
		}
	}
	at = i
}

// checkShort checks the short name of an own event. One that begins with the own namespace is a full name and a mistake;
// one that begins with another plugin's is probably one, too: nobody publishes in another's namespace.
func (c *Client) checkShort(event string) error {
	if err := checkEvent(event); err != nil {
		return err
	}
	ns, rest, dotted := splitName(event)
	switch {
	case !dotted:
	case ns == c.namespace:
		return badName(event, "own events are published by their short names: "+strconv.Quote(rest))
	case c.bus.client(ns) != nil:
		c.log.Warn("the short name of an event begins with the namespace of another plugin", "event", c.namespace+"."+event)
	}
	return nil
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

// neverDeclared reports that an event can never come: its plugin is ready, has
// declared its events, and this is not one of them.
func (b *Bus) neverDeclared(t *topic) error {
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

// warnUndeclaredSubscriptions tells of subscriptions that were made before c became ready and
// can never match.
func (c *Client) warnUndeclaredSubscriptions() {
	if !c.declares.Load() {
		return // nothing to compare with
	}
	prefix := c.namespace + "."
	for _, t := range c.bus.topics.matching(func(name string) bool { return strings.HasPrefix(name, prefix) }) {
		t.mu.Lock()
		waiting := slices.DeleteFunc(slices.Clone(t.subs.live()), func(s *Subscription) bool { return s.isWild })
		t.mu.Unlock()
		if len(waiting) == 0 {
			continue
		}
		if err := c.bus.neverDeclared(t); err != nil {
			c.log.Warn("subscribed to an event that its plugin does not declare", "subscriber", waiting[0].String(), "error", err)
		}
	}
}

// maxUndeclared is how many undeclared event names the bus remembers the route of.
const maxUndeclared = 4096
