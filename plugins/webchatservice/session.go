package webchatservice

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// env is what the sessions of one service share.
type env struct {
	out    *outlet
	keeper *keeper
	log    *slog.Logger
	limits limits
	hooks  *hooks
	caps   *capabilities

	resumer     chat.Resumer // to fetch missing lines with; nil where the wire cannot
	credentials any          // of the visitor, for the driver
	sleeps      bool         // sleepEnabled
	page        int          // lines of a page of history
}

// limits bound what a session does.
type limits struct {
	outbox    int           // messages that may wait
	outboxAge time.Duration // how long one may
	doubt     time.Duration // how long the transcript may take to show one
	giveUp    time.Duration // how long the server may be out of reach
	offline   int           // answers with statusCode 1 that are tolerated
	typing    time.Duration // how long an agent is believed to type
	inactive  time.Duration // how long nobody may say anything; 0 for ever
	alone     time.Duration // how long no agent may be there after one was; 0 for ever
}

const (
	startTries  = 3                // of a start that surely did not reach the server
	endTries    = 3                // of the end, which may be told twice
	endFlush    = 10 * time.Second // for messages under way, before the end
	endWait     = 3 * time.Second  // for the last lines, after it
	endTimeout  = 8 * time.Second  // of all tries to tell the end
	typingQuiet = 2 * time.Second  // without sendTyping the visitor no longer types (webchatservice 5.6)
	saveEvery   = 5 * time.Second  // between saves that only tell that the server was heard of
)

// session is one chat of the visitor, from the request that begins it to its end. It goes through its
// states once; see [State]. Its goroutines are its own: receiving, and as needed one each for the
// outbox, for typing and for the end. They have ended some time after done is closed; close waits.
type session struct {
	env  *env
	life context.Context // of its goroutines
	stop context.CancelFunc
	wg   sync.WaitGroup
	done chan struct{} // closed in a final state
	hung chan struct{} // closed when endChat has done what it could

	async bool // long-lived; set before it begins

	paging chan struct{} // holds a token while a page of history is being fetched

	previewed atomic.Pointer[string] // what the visitor has typed so far

	mu      sync.Mutex // guards what follows
	state   State
	closed  bool          // no goroutine is started any more
	changed chan struct{} // closed at every change that somebody may wait for
	nudge   chan struct{} // closed to end the pause of the receiving goroutine
	after   []func()      // to be run after letting go of mu

	conn    chat.Conn // set once, before the session is live
	info    chat.Session
	script  transcript
	people  people
	box     outbox
	typing  typing
	polling bool
	asleep  bool
	idle    idle
	alone   alone
	quiet   *time.Timer // ends a chat in which nobody says anything
	unsure  *time.Timer // ends the belief that an agent types
	high    int64       // highest index so far
	oldest  int64       // first index that was asked for: 0 for all, -1 of a restored long-lived one while not known

	echoFrom int64 // first index that may be the echo of a message that was stored
	readMark int64 // highest index that was published before a restore

	heard     time.Time // when the server was last heard of
	saved     time.Time
	saveFails bool
	trouble   string                            // code of the incident that was last reported
	down      time.Time                         // since when the server is out of reach
	retry     func(time.Duration) time.Duration // see backOffLocked; nil while all is well
	refusals  int                               // answers with statusCode 1 in a row
	offline   bool

	why       EndReason // of an end that this side brings about; "" for visitor
	overThere bool      // the server has said that the chat is over
	endAnswer Answer    // what endChat resolves with, set before hung is closed
	endErr    error
}

func newSession(e *env) *session {
	s := &session{
		env: e, done: make(chan struct{}), hung: make(chan struct{}),
		changed: make(chan struct{}), nudge: make(chan struct{}), paging: make(chan struct{}, 1),
	}
	s.life, s.stop = context.WithCancel(context.Background())
	return s
}

// unlock lets go of mu, then does what must not be done while holding it: settling callers and
// publishing.
func (s *session) unlock() { s.unlockWith(s.env.out.ctx) }

// unlockWith is unlock that publishes with ctx: see outlet.
func (s *session) unlockWith(ctx context.Context) {
	after := s.after
	s.after = nil
	s.mu.Unlock()
	for _, f := range after {
		f()
	}
	s.env.out.flushWith(ctx)
}

// emitLocked queues an event. A session that is over says nothing more.
func (s *session) emitLocked(event string, data any) {
	if !s.state.Final() {
		s.env.out.push(emission{event, data})
	}
}

func (s *session) wakeLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// spawnLocked starts a goroutine of the session, unless the session is closing.
func (s *session) spawnLocked(f func()) bool {
	if s.closed {
		return false
	}
	s.wg.Go(f)
	return true
}

// goLocked makes the session go to a state, if the table has that way.
func (s *session) goLocked(to State) bool {
	if !s.state.CanBecome(to) {
		return false
	}
	s.state = to
	s.wakeLocked()
	if to.Final() {
		close(s.done)
		s.after = append(s.after, s.letGo)
	}
	return true
}

// letGo ends what the session holds.
func (s *session) letGo() {
	s.stop()
	if s.conn != nil {
		if err := s.conn.Close(); err != nil {
			s.env.log.Debug("closing the connection failed", "error", err)
		}
	}
}

// current returns the state.
func (s *session) current() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// names tells which session it is, without its secrets.
func (s *session) namesLocked() SessionInfo {
	return SessionInfo{SessionID: s.info.ID, UserID: s.info.UserID, Alias: s.info.Alias}
}

// release gives the session up without ending it: it stays on the server and in the store. Nothing is
// published. One that is being ended is left to that.
func (s *session) release(ctx context.Context) {
	s.mu.Lock()
	defer s.unlock()
	if !s.state.live() {
		return
	}
	s.stopTypingLocked(true)
	var err error
	for s.box.dirty = true; s.box.dirty && err == nil && s.state.live(); { // what comes meanwhile is kept, too
		s.unlock()
		err = s.save(ctx)
		s.mu.Lock()
	}
	if s.state.live() {
		s.leaveOutboxLocked(err)
		s.goLocked(StateReleased)
	}
}

// close ends all goroutines of the session and waits for them, for as long as ctx lives.
func (s *session) close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.stopTypingLocked(true)
	s.stopTimersLocked()
	s.unlock()
	s.letGo()
	gone := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
