package bustest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cxbus/cxbus/bus"
)

// Timeout is how long [Recorder.Expect] waits unless told otherwise.
const Timeout = 10 * time.Second

// Recorder writes down the events of a bus. Its methods are safe for concurrent
// use, but those that may fail the test are for the test's own goroutine.
type Recorder struct {
	// Timeout is how long Expect waits for all its steps. It may be changed
	// before Expect is called.
	Timeout time.Duration

	t      testing.TB
	client *bus.Client

	mu      sync.Mutex // guards what follows
	events  []bus.Event[any]
	next    int           // the first event that Expect has not passed
	changed chan struct{} // closed at the next event
}

// Record starts to write down the events whose names are or fit one of the
// patterns; without any, all of them. An event that fits two is written down
// twice. Retained events that are there already come first. The recorder has a
// mailbox of its own under the namespace "bustest", "bustest2" and so on; it
// ends with the bus.
func Record(t testing.TB, b *bus.Bus, patterns ...string) *Recorder {
	t.Helper()
	r := &Recorder{t: t, Timeout: Timeout, changed: make(chan struct{})}
	var err error
	for i, ns := 1, "bustest"; r.client == nil; ns = fmt.Sprint("bustest", i) {
		if r.client, err = b.Register(ns); err != nil && !errors.Is(err, bus.ErrNameTaken) {
			t.Fatalf("bustest: Record: %v", err)
		}
		i++
	}
	if len(patterns) == 0 {
		patterns = []string{"*"}
	}
	for _, p := range patterns {
		if _, err := r.client.Subscribe(p, r.write, bus.Timed()); err != nil {
			t.Fatalf("bustest: Record: %v", err)
		}
	}
	return r
}

func (r *Recorder) write(_ context.Context, e bus.Event[any]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	close(r.changed)
	r.changed = make(chan struct{})
}

// Events returns what has been written down, with every event whose Publish
// returned before the call.
func (r *Recorder) Events() []bus.Event[any] {
	_ = r.client.Flush(context.Background()) // it fails only when the bus is closed, and then nothing waits
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// Names returns the names of [Recorder.Events].
func (r *Recorder) Names() []string {
	var names []string
	for _, e := range r.Events() {
		names = append(names, e.Name())
	}
	return names
}

// Of returns the payloads of d among [Recorder.Events].
func Of[T any](r *Recorder, d bus.EventOf[T]) []T {
	var list []T
	for _, e := range r.Events() {
		if v, ok := e.Data.(T); ok && e.Name() == d.Name() {
			list = append(list, v)
		}
	}
	return list
}

// Step is one event that a test expects.
type Step struct {
	text string
	fits func(bus.Event[any]) bool
}

// Where expects an event of d whose payload ok accepts; a nil ok accepts every
// one. ok may be called several times and must not fail the test.
func Where[T any](d bus.EventOf[T], ok func(T) bool) Step {
	return Step{d.Name() + " where the payload fits", func(e bus.Event[any]) bool {
		v, typed := e.Data.(T)
		return typed && e.Name() == d.Name() && (ok == nil || ok(v))
	}}
}

// Equal expects an event of d with the payload want.
func Equal[T comparable](d bus.EventOf[T], want T) Step {
	s := Where(d, func(v T) bool { return v == want })
	s.text = fmt.Sprintf("%s with %+v", d.Name(), want)
	return s
}

// Matching expects an event whose name is or fits name and which ok accepts; a
// nil ok accepts every one.
func Matching(name string, ok func(bus.Event[any]) bool) Step {
	return Step{name, func(e bus.Event[any]) bool { return fits(name, e.Name()) && (ok == nil || ok(e)) }}
}

// fits reports whether an event's name is or fits pattern, as for
// [bus.Client.Subscribe]; in addition a star may end a part, and then stands
// for the rest of the name.
func fits(pattern, name string) bool {
	if pattern == "*" {
		return true
	}
	if rest, ok := strings.CutPrefix(pattern, "*."); ok {
		_, member, dotted := strings.Cut(name, ".")
		return dotted && (rest == "*" || fits(rest, member))
	}
	if head, ok := strings.CutSuffix(pattern, "*"); ok {
		rest, ok := strings.CutPrefix(name, head)
		return ok && (rest != "" || !strings.HasSuffix(head, "."))
	}
	return pattern == name
}

// step makes a Step of an argument.
func (r *Recorder) step(want any) Step {
	r.t.Helper()
	switch w := want.(type) {
	case string:
		return Matching(w, nil)
	case Step:
		if w.fits != nil {
			return w
		}
	}
	r.t.Fatalf("bustest: an expectation is a name, a pattern or a Step, not %#v", want)
	return Step{}
}

// Expect waits until events have come that fit the steps, in their order; other
// events may come before, between and after. A step is a name, a pattern or a
// [Step]. It begins behind the last event that an earlier Expect has used, and
// returns the events that fit, one for each step. If [Recorder.Timeout] passes
// first, the test ends with a list of what came instead.
func (r *Recorder) Expect(steps ...any) []bus.Event[any] {
	r.t.Helper()
	return r.expect(true, steps)
}

// ExpectNext is Expect with no other event before or between the steps.
func (r *Recorder) ExpectNext(steps ...any) []bus.Event[any] {
	r.t.Helper()
	return r.expect(false, steps)
}

func (r *Recorder) expect(skip bool, steps []any) []bus.Event[any] {
	r.t.Helper()
	timeout := time.NewTimer(r.Timeout)
	defer timeout.Stop()
	from := r.position()
	var found []bus.Event[any]
	for i, want := range steps {
		s := r.step(want)
		for {
			e, ok, changed := r.take()
			if !ok {
				select {
				case <-changed:
				case <-timeout.C:
					r.t.Fatalf("bustest: event %d of %d, %s, did not come within %v; since the last expectation came %s",
						i+1, len(steps), s.text, r.Timeout, r.since(from))
				}
				continue
			}
			if s.fits(e) {
				found = append(found, e)
				break
			}
			if !skip {
				r.t.Fatalf("bustest: event %d of %d is %s, not %s; since the last expectation came %s",
					i+1, len(steps), e.Name(), s.text, r.since(from))
			}
		}
	}
	return found
}

// take passes one event; if there is none it returns what to wait for.
func (r *Recorder) take() (bus.Event[any], bool, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next == len(r.events) {
		return bus.Event[any]{}, false, r.changed
	}
	r.next++
	return r.events[r.next-1], true, nil
}

func (r *Recorder) position() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next
}

// since lists the events from a position on, for people.
func (r *Recorder) since(from int) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if from == len(r.events) {
		return "nothing"
	}
	var s strings.Builder
	for _, e := range r.events[from:] {
		fmt.Fprintf(&s, "\n\t%s %+v", e.Name(), e.Data)
	}
	return s.String()
}

// ExpectNone waits for d and fails the test as soon as an event comes, or has
// come since the last Expect, that fits one of the steps; without any, every
// event does. The test goes on. With a d of 0 it looks only at the events whose
// Publish has returned; in a bubble call synctest.Wait first.
func (r *Recorder) ExpectNone(d time.Duration, steps ...any) {
	r.t.Helper()
	if len(steps) == 0 {
		steps = []any{"*"}
	}
	unwanted := make([]Step, len(steps))
	for i, want := range steps {
		unwanted[i] = r.step(want)
	}
	over := time.After(d)
	for at := r.position(); ; {
		if d == 0 {
			_ = r.client.Flush(context.Background())
		}
		r.mu.Lock()
		fresh, changed := r.events[at:], r.changed
		r.mu.Unlock()
		for _, e := range fresh {
			at++
			for _, s := range unwanted {
				if s.fits(e) {
					r.t.Errorf("bustest: unexpected event %s %+v", e.Name(), e.Data)
					return
				}
			}
		}
		if d == 0 {
			return
		}
		select {
		case <-changed:
		case <-over:
			return
		}
	}
}
