package bus

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"
)

// future is what a Deferred and its Future share. It is made for every command
// that is started, so what few need is apart, and the channel is made only for
// somebody who has to wait.
type future struct {
	cmd     *command
	settled atomic.Bool // val and err do not change any more

	mu             sync.Mutex // guards what follows
	endsWithPlugin bool       // the plugin's end settles it, as its async handler may forget to
	scope          *scope     // to end at settlement; nil if shared
	done           chan struct{}
	val            any
	err            error
	followers      *followers // nil while nobody waits or follows
}

// followers is the part of a future that only those need who wait for it or
// follow its progress.
type followers struct {
	stop  func() bool   // ends the watch on the plugin's life
	notes []any         // the last progress values
	base  int           // number of notes dropped before notes[0]
	more  chan struct{} // closed at the next note
	to    *future       // gets all that this one gets
	after []func(v any, err error)
}

// followersLocked returns the part for those who wait or follow.
func (f *future) followersLocked() *followers {
	if f.followers == nil {
		f.followers = &followers{}
	}
	return f.followers
}

// maxNotes is how many progress values wait for a listener.
const maxNotes = 64

// closedChan is a channel that is always closed.
func closedChan() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func (f *future) settle(v any, err error) bool {
	f.mu.Lock()
	if f.settled.Load() {
		f.mu.Unlock()
		return false
	}
	f.val, f.err = v, err
	f.settled.Store(true)
	if f.done != nil {
		close(f.done)
	}
	sc, rare := f.scope, f.followers
	if rare != nil && rare.more != nil {
		close(rare.more)
	}
	f.mu.Unlock()
	if rare != nil {
		rare.settled(v, err)
	}
	if sc != nil {
		sc.end()
	}
	return true
}

// settled tells those who follow. Nothing changes r any more.
func (r *followers) settled(v any, err error) {
	if r.stop != nil {
		r.stop()
	}
	if r.to != nil {
		r.to.settle(v, err)
	}
	for _, fn := range r.after {
		fn(v, err)
	}
}

// begin says what f ends with: the context of its handler, unless that is
// shared, and, if the handler may forget to settle it, its plugin. Somebody may
// wait for f already.
func (f *future) begin(sc *scope, mortal bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.scope, f.endsWithPlugin = sc, mortal
	if f.done != nil && !f.settled.Load() {
		f.watchLocked()
	}
}

// watchLocked makes the plugin's end settle f.
func (f *future) watchLocked() {
	if f.endsWithPlugin {
		f.followersLocked().stop = context.AfterFunc(f.cmd.owner.life, func() { f.settle(nil, f.cmd.owner.gone(f.cmd.name)) })
	}
}

func (f *future) wait() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.settled.Load() {
		return closedChan()
	}
	if f.done == nil {
		f.done = make(chan struct{})
		f.watchLocked()
	}
	return f.done
}

func (f *future) notify(v any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.settled.Load() {
		return
	}
	r := f.followersLocked()
	if len(r.notes) == maxNotes {
		r.notes = append(r.notes[:0:0], r.notes[1:]...)
		r.base++
	}
	r.notes = append(r.notes, v)
	if r.more != nil {
		close(r.more)
		r.more = nil
	}
	if r.to != nil {
		r.to.notify(v)
	}
}

// onSettle runs fn once f has settled, in the settler's stack or here.
func (f *future) onSettle(fn func(v any, err error)) {
	f.wait() // the plugin's end settles f
	f.mu.Lock()
	settled, v, err := f.settled.Load(), f.val, f.err
	if !settled {
		r := f.followersLocked()
		r.after = append(r.after, fn)
	}
	f.mu.Unlock()
	if settled {
		fn(v, err)
	}
}

// forward hands the settlement and the progress of f on to another future,
// which nobody settles but f.
func (f *future) forward(to *future) {
	f.wait() // the plugin's end settles f
	f.mu.Lock()
	settled, v, err := f.settled.Load(), f.val, f.err
	r := f.followersLocked()
	for _, v := range r.notes {
		to.notify(v)
	}
	if !settled {
		r.to = to
	}
	f.mu.Unlock()
	if settled {
		to.settle(v, err)
	}
}

// Deferred settles one call of an async handler. It is safe for concurrent
// use; the first settlement wins.
type Deferred[Out any] struct{ f future }

// Resolve settles the command with v. It reports whether this was the first
// settlement.
func (d *Deferred[Out]) Resolve(v Out) bool { return d.f.settle(v, nil) }

// Reject settles the command with err; nil counts as an error without a
// reason. It reports whether this was the first settlement.
func (d *Deferred[Out]) Reject(err error) bool {
	if err == nil {
		err = &Error{Code: "rejected", Text: "rejected without a reason"}
	}
	return d.f.settle(nil, err)
}

// Notify hands a progress value to whoever follows [Future.Progress]. It never
// waits; of what nobody has read yet the last 64 values are kept. After the
// settlement it does nothing.
func (d *Deferred[Out]) Notify(v any) {
	d.f.notify(v)
}

// Done is closed once the command has settled, also by the bus.
func (d *Deferred[Out]) Done() <-chan struct{} { return d.f.wait() }

// Future is the result of a command under way. It is safe for concurrent use
// and may be waited for any number of times.
type Future[Out any] struct{ f future }

func failedFuture[Out any](err error) *Future[Out] {
	f := &Future[Out]{}
	f.f.settle(nil, err)
	return f
}

// Done is closed once the command has settled.
func (f *Future[Out]) Done() <-chan struct{} { return f.f.wait() }

// Result waits for the settlement and returns it. It returns [ErrCancelled] or
// [ErrTimeout] when ctx ends first; the command goes on, under the context it
// was started with.
func (f *Future[Out]) Result(ctx context.Context) (Out, error) {
	if !f.f.settled.Load() {
		waitingScope(ctx)
		select {
		case <-f.f.wait():
		case <-ctx.Done():
			var zero Out
			return zero, ctxError(f.f.op(), ctx)
		}
	}
	v, err := f.f.val, f.f.err
	if out, ok := v.(Out); ok || err != nil {
		return out, err
	}
	return decode[Out]("result of "+f.f.op(), v, true)
}

func (f *future) op() string {
	if f.cmd == nil { // the command was never found
		return "command"
	}
	return f.cmd.name
}

// Progress yields the progress values of an async handler, from the first that
// is still kept, until the command settles or ctx ends. The loop body runs in
// the caller's goroutine.
func (f *Future[Out]) Progress(ctx context.Context) iter.Seq[any] {
	return func(yield func(any) bool) {
		for next := 0; ; next++ {
			v, ok := f.f.note(ctx, &next)
			if !ok || !yield(v) {
				return
			}
		}
	}
}

// note waits for the note numbered *next, or the oldest that is kept.
func (f *future) note(ctx context.Context, next *int) (any, bool) {
	f.wait() // the plugin's end settles the command
	for {
		f.mu.Lock()
		r := f.followersLocked()
		*next = max(*next, r.base)
		if i := *next - r.base; i < len(r.notes) {
			v := r.notes[i]
			f.mu.Unlock()
			return v, true
		}
		if f.settled.Load() {
			f.mu.Unlock()
			return nil, false
		}
		if r.more == nil {
			r.more = make(chan struct{})
		}
		more := r.more
		f.mu.Unlock()
		waitingScope(ctx)
		select {
		case <-more:
		case <-ctx.Done():
			return nil, false
		}
	}
}
