package webchatservice

import (
	"context"
	"sync"

	"github.com/cxbus/cxbus/bus"
)

// monitor is the lock of a session, with what the one who holds it may do: change the state, queue events, start
// goroutines, and put off what must not be done under a lock. The parts of a session share one monitor, which guards
// them all. Methods whose names end in Locked are called with the lock held.
type monitor struct {
	events *eventQueue
	ctx    context.Context // of the goroutines; it ends when the session is over
	cancel context.CancelFunc
	wg     sync.WaitGroup // counts the goroutines

	mu      sync.Mutex // guards what follows, and the parts
	state   State
	closing bool          // no goroutine is started any more
	changed chan struct{} // closed, and replaced, at every change that somebody may wait for
	later   []func()      // put off until after unlocking
}

func (m *monitor) lock() { m.mu.Lock() }

// unlock lets go of the lock. Then it does what was put off, and publishes what was queued.
func (m *monitor) unlock() {
	m.letGo()
	m.events.flush()
}

// unlockWith is unlock that publishes with ctx, in this goroutine: see eventQueue.
func (m *monitor) unlockWith(ctx context.Context) {
	m.letGo()
	m.events.flushWith(ctx)
}

// letGo lets go of the lock, and does what was put off.
func (m *monitor) letGo() {
	later := m.later
	m.later = nil
	m.mu.Unlock()
	for _, f := range later {
		f()
	}
}

// laterLocked puts f off until after unlocking: the code of others, and what may wait.
func (m *monitor) laterLocked(f ...func()) { m.later = append(m.later, f...) }

// emitLocked queues an event: see emit. A session that is over says nothing more.
func (m *monitor) emitLocked(p publication) {
	if !m.state.Final() {
		m.events.push(p)
	}
}

// notifyLocked wakes whoever waits for a change.
func (m *monitor) notifyLocked() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// spawnLocked starts a goroutine of the session and reports whether it did: a session that is closing starts none.
func (m *monitor) spawnLocked(f func()) bool {
	if m.closing {
		return false
	}
	m.wg.Go(f)
	return true
}

// current returns the state.
func (m *monitor) current() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state
}

// emitAllLocked queues events.
func (m *monitor) emitAllLocked(all publications) {
	for _, p := range all {
		m.emitLocked(p)
	}
}

// emitter is a part of a session: each has the methods of its monitor.
type emitter interface{ emitLocked(p publication) }

// emit queues the event d with payload v, to be published after unlocking, in the order of the calls. The caller holds
// the lock.
func emit[T any](from emitter, d bus.EventOf[T], v T) { from.emitLocked(publicationOf(d, v)) }

// publication is an event to be published.
type publication struct {
	event   string // its full name
	payload any
}

// publicationOf returns the event d with payload v.
func publicationOf[T any](d bus.EventOf[T], v T) publication {
	return publication{event: d.Name(), payload: v}
}

// publications is a list of events, in order.
type publications []publication

func add[T any](to *publications, d bus.EventOf[T], v T) { *to = append(*to, publicationOf(d, v)) }
