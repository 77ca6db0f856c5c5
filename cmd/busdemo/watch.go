package main

import (
	"context"
	"slices"
	"sync"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
)

// watch takes down all events of a bus, so that the program can do something and then wait for what
// comes of it: unlike with Client.WaitFor, an event that came in between is not missed. Safe for
// concurrent use.
type watch struct {
	mu      sync.Mutex // guards the rest
	events  []bus.Event[any]
	changed chan struct{} // closed at every new event
}

func newWatch() *watch { return &watch{changed: make(chan struct{})} }

// add takes an event down, but for the answers to single requests: nobody waits for one, and a long
// chat has many.
func (w *watch) add(e bus.Event[any]) {
	if e.Name() == webchatservice.AjaxResponse.Name() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
	close(w.changed)
	w.changed = make(chan struct{})
}

// now returns the place after the last event so far.
func (w *watch) now() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.events)
}

// since returns the events from a place on, and a channel that is closed when there are more.
func (w *watch) since(place int) ([]bus.Event[any], <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.events[place:len(w.events):len(w.events)], w.changed
}

// await waits for an event from a place on that match accepts, and returns the place after it, or
// false when ctx ends first.
func (w *watch) await(ctx context.Context, place int, match func(bus.Event[any]) bool) (int, bool) {
	for {
		events, changed := w.since(place)
		for _, e := range events {
			place++
			if match(e) {
				return place, true
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return place, false
		}
	}
}

// has reports whether an event of that name has come.
func (w *watch) has(name string) bool {
	events, _ := w.since(0)
	return slices.ContainsFunc(events, isEvent(name))
}

func isEvent(name string) func(bus.Event[any]) bool {
	return func(e bus.Event[any]) bool { return e.Name() == name }
}
