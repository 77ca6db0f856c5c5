package bus

import (
	"context"
	"sync/atomic"
)

// An eventRoute is how a client publishes one of its own events. It holds as much of the topic as publishing needs, in
// three words, so that the routes of thousands of topics stay in the cache. While its client owns the topic, snap is the
// topic's own snapshot. Afterwards it is closedRoute.
type eventRoute struct {
	snap   atomic.Pointer[snapshot]
	meta   *meta // the one of the topic, which also leads to the topic
	client *Client
}

func (o *eventRoute) topic() *topic { return o.meta.topic }

// closedRoute is the snapshot in the routes of a client that is gone. It looks the topic's snapshot up for each publish,
// because another client may own the topic now.
var closedRoute = &snapshot{list: viaTopic{}}

type viaTopic struct{}

func (viaTopic) publishAny(ctx context.Context, _ *Bus, m *meta, _ *atomic.Pointer[snapshot], v any) error {
	return m.topic.publishAny(ctx, v)
}
func (viaTopic) inlineAgain(v any, m *meta) error { return m.topic.snap.Load().list.inlineAgain(v, m) }
func (viaTopic) queueRetained(v any, m *meta) ([]*serial, error) {
	return m.topic.snap.Load().list.queueRetained(v, m)
}

// routeFor returns c's route to t. t.mu is held.
func (t *topic) routeFor(c *Client) *eventRoute {
	if t.route != nil && t.route.client == c {
		return t.route
	}
	o := &eventRoute{meta: &t.meta, client: c}
	if t.route != nil && t.route.client.state.Load() < stateStopped { // c is gone, and another client has its name
		o.snap.Store(closedRoute)
		return o
	}
	t.closeRoute()
	t.route = o
	o.snap.Store(t.snap.Load())
	return o
}

// closeRoute separates the topic from the route of the client that owns it. t.mu is held.
func (t *topic) closeRoute() {
	if t.route != nil {
		t.route.snap.Store(closedRoute)
		t.route = nil
	}
}
