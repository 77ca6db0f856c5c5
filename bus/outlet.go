package bus

import (
	"context"
	"sync/atomic"
)

// An outlet is where the owner of an event publishes it: as much of the topic as
// publishing needs, so that those of thousands of topics stay in the cache. Its
// snapshot is its topic's as long as it is the topic's outlet, elsewhere
// afterwards.
type outlet struct {
	snap   atomic.Pointer[snapshot]
	meta   *meta // the topic's
	client *Client
}

func (o *outlet) topic() *topic { return o.meta.topic }

// elsewhere is for the outlets of a client that is gone: the way goes by the
// topic, which may have another one.
var elsewhere = &snapshot{list: detour{}}

type detour struct{}

func (detour) publishAny(ctx context.Context, _ *Bus, m *meta, _ *atomic.Pointer[snapshot], v any) error {
	return m.topic.publishAny(ctx, v)
}
func (detour) inlineAgain(v any, m *meta) { m.topic.snap.Load().list.inlineAgain(v, m) }
func (detour) queueKept(v any, m *meta) ([]*serial, error) {
	return m.topic.snap.Load().list.queueKept(v, m)
}

// outlet returns c's outlet; t.mu is held.
func (t *topic) outlet(c *Client) *outlet {
	if t.out != nil && t.out.client == c {
		return t.out
	}
	o := &outlet{meta: &t.meta, client: c}
	if t.out != nil && t.out.client.state.Load() < stateStopped { // c is gone, another has its name
		o.snap.Store(elsewhere)
		return o
	}
	t.shut()
	t.out = o
	o.snap.Store(t.snap.Load())
	return o
}

// shut parts the topic and its outlet; t.mu is held.
func (t *topic) shut() {
	if t.out != nil {
		t.out.snap.Store(elsewhere)
		t.out = nil
	}
}
