package eventbus

import (
	"errors"
	"reflect"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/cxbus/cxbus/bus"
)

// A route is one topic.
type route struct {
	bus   *Bus
	topic string
	name  string // of the event
	pub   *bus.Publisher[any]
	aud   atomic.Pointer[audience] // nil while there are no subscribers

	mu    sync.Mutex // guards what follows and the subscribers' fields; never held while calling out
	subs  queue
	funcs map[function]*queue // the subscribers by function; nil until somebody looks for one among many
}

// audience is what publishing has to know of the subscribers: immutable.
type audience struct {
	stale bool          // the subscribers have changed: build anew
	kinds []handler     // one for each type of function
	onces []*subscriber // asynchronous ones that end with the next event
}

var staleAudience = &audience{stale: true}

// function says which function a subscriber is, or, with a nil key, which code.
type function struct {
	typ  reflect.Type
	code uintptr
	key  unsafe.Pointer
}

func (h *handler) function() function { return function{h.typ, h.code, h.key} }
func (h *handler) sameCode() function { return function{h.typ, h.code, nil} }

// audience returns what publishing has to know; nil if nobody is subscribed.
func (r *route) audience() *audience {
	a := r.aud.Load()
	if a == nil || !a.stale {
		return a
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if a = r.aud.Load(); a == nil || !a.stale {
		return a
	}
	a = &audience{}
	seen := map[reflect.Type]bool{}
	for _, s := range r.subs.live() {
		if !seen[s.typ] {
			seen[s.typ] = true
			a.kinds = append(a.kinds, s.handler)
		}
		if s.once && s.asynchronous {
			a.onces = append(a.onces, s)
		}
	}
	r.aud.Store(a)
	return a
}

// check returns an error for each type of handler that cannot take args.
func (a *audience) check(r *route, args []any) error {
	var errs []error
	for i := range a.kinds {
		if h := &a.kinds[i]; !h.fits(args) {
			errs = append(errs, h.unfit(r, args))
		}
	}
	return errors.Join(errs...)
}

// take takes the asynchronous subscribers that the event about to be published
// ends off the list: the topic has no callback of theirs any more, though they
// have yet to be called.
func (r *route) take(a *audience, args []any) {
	for _, s := range a.onces {
		if s.fits(args) {
			r.leave(s)
		}
	}
}

func (r *route) enter(s *subscriber) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.subs.add(s)
	if r.funcs != nil {
		r.indexLocked(s)
	}
	r.aud.Store(staleAudience)
}

func (r *route) leave(s *subscriber) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leaveLocked(s)
}

func (r *route) leaveLocked(s *subscriber) {
	if s.left {
		return
	}
	s.left = true
	r.subs.leave()
	if r.funcs != nil {
		for _, f := range []function{s.function(), s.sameCode()} {
			if q := r.funcs[f]; q.leave() == 0 {
				delete(r.funcs, f)
			}
		}
	}
	if r.subs.len() == 0 {
		r.aud.Store(nil)
		return
	}
	r.aud.Store(staleAudience)
}

// few is how many subscribers are searched one by one.
const few = 16

// find takes the subscriber that h means off the list; it returns nil if there is none.
func (r *route) find(h handler) *subscriber {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.findLocked(h.function())
	if s == nil {
		s = r.findLocked(h.sameCode())
	}
	if s != nil {
		r.leaveLocked(s)
	}
	return s
}

// findLocked returns the oldest subscriber that is f.
func (r *route) findLocked(f function) *subscriber {
	if r.funcs == nil && r.subs.len() > few {
		r.funcs = map[function]*queue{}
		for _, s := range r.subs.live() {
			r.indexLocked(s)
		}
	}
	if r.funcs != nil {
		if q := r.funcs[f]; q != nil {
			return q.first()
		}
		return nil
	}
	for _, s := range r.subs.live() {
		if s.function() == f || s.sameCode() == f {
			return s
		}
	}
	return nil
}

func (r *route) indexLocked(s *subscriber) {
	for _, f := range []function{s.function(), s.sameCode()} {
		q := r.funcs[f]
		if q == nil {
			q = &queue{}
			r.funcs[f] = q
		}
		q.add(s)
	}
}

// A queue holds subscribers in the order they subscribed. Those that have left are swept out when they are half of it,
// so that nobody has to be searched for.
type queue struct {
	all  []*subscriber
	left int // how many of all have left
}

func (q *queue) add(s *subscriber) { q.all = append(q.all, s) }

func (q *queue) len() int { return len(q.all) - q.left }

// leave notes that one of all has left, and returns how many are there.
func (q *queue) leave() int {
	if q.left++; 2*q.left >= len(q.all) {
		q.sweep()
	}
	return q.len()
}

func (q *queue) sweep() {
	kept := q.all[:0]
	for _, s := range q.all {
		if !s.left {
			kept = append(kept, s)
		}
	}
	clear(q.all[len(kept):])
	q.all, q.left = kept, 0
}

func (q *queue) live() []*subscriber {
	if q.left > 0 {
		q.sweep()
	}
	return q.all
}

// first returns the oldest subscriber that is there. There is one.
func (q *queue) first() *subscriber {
	for q.all[0].left {
		q.all[0] = nil
		q.all = q.all[1:]
		q.left--
	}
	return q.all[0]
}
