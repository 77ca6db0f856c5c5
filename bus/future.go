package bus

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"
)

// future is what a Deferred and its Future share. The channel is made only for
// somebody who has to wait.
type future struct {
	name    string // of a command that is not found yet
	cmd     *command
	settled atomic.Bool

	mu    sync.Mutex      // guards what follows
	scope *scope          // to end at settlement; nil if shared
	life  context.Context // of the plugin, when an async handler may forget to settle
	done  chan struct{}
	stop  func() bool // ends the watch on life
	val   any
	err   error
	notes []any         // the last progress values
	base  int           // number of notes dropped before notes[0]
	more  chan struct{} // closed at the next note
	to    *future       // gets all that this one gets
	after []func(v any, err error)
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
	if f.more != nil {
		close(f.more)
		f.more = nil
	}
	stop, to, after, sc := f.stop, f.to, f.after, f.scope
	f.mu.Unlock()
	if stop != nil {
		stop()
	}
	if to != nil {
		to.settle(v, err)
	}
	for _, fn := range after {
		fn(v, err)
	}
	if sc != nil {
		sc.end()
	}
	return true
}

// begin says what f ends with: the context of its handler, unless that is
// shared, and the life of its plugin, if the handler may forget to settle.
// Somebody may wait for f already.
func (f *future) begin(sc *scope, life context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.scope, f.life = sc, life
	if f.done != nil {
		f.watchLocked()
	}
}

// watchLocked makes the plugin's end settle f.
func (f *future) watchLocked() {
	if f.life != nil {
		f.stop = context.AfterFunc(f.life, func() { f.settle(nil, f.cmd.owner.gone(f.cmd.name)) })
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
	if len(f.notes) == maxNotes {
		f.notes = append(f.notes[:0:0], f.notes[1:]...)
		f.base++
	}
	f.notes = append(f.notes, v)
	if f.more != nil {
		close(f.more)
		f.more = nil
	}
	if f.to != nil {
		f.to.notify(v)
	}
}

// onSettle runs fn once f has settled, in the settler's stack or here.
func (f *future) onSettle(fn func(v any, err error)) {
	f.wait() // the plugin's end settles f
	f.mu.Lock()
	settled, v, err := f.settled.Load(), f.val, f.err
	if !settled {
		f.after = append(f.after, fn)
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
	for _, v := range f.notes {
		to.notify(v)
	}
	f.to = to
	settled, v, err := f.settled.Load(), f.val, f.err
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
		select {
		case <-f.f.wait():
		case <-ctx.Done():
			var zero Out
			return zero, ctxError(f.f.op(), ctx)
		}
	}
	f.f.mu.Lock()
	v, err := f.f.val, f.f.err
	f.f.mu.Unlock()
	if out, ok := v.(Out); ok || err != nil {
		return out, err
	}
	return convert[Out]("result of "+f.f.op(), v)
}

func (f *future) op() string {
	if f.cmd == nil {
		return f.name
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
		*next = max(*next, f.base)
		if i := *next - f.base; i < len(f.notes) {
			v := f.notes[i]
			f.mu.Unlock()
			return v, true
		}
		if f.settled.Load() {
			f.mu.Unlock()
			return nil, false
		}
		if f.more == nil {
			f.more = make(chan struct{})
		}
		more := f.more
		f.mu.Unlock()
		select {
		case <-more:
		case <-ctx.Done():
			return nil, false
		}
	}
}
