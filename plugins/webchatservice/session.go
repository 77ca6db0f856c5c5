package webchatservice

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// deps is what the sessions of one service share.
type deps struct {
	events *eventQueue
	store  *sessionStore
	log    *slog.Logger
	limits limits
	hooks  *hooks
	caps   *capabilities

	maxText *atomic.Int64 // code points of a message; 0 for any number; as configured now

	sleeps bool // sleepEnabled
	page   int  // lines of a page of history
}

// limits bound what a session does.
type limits struct {
	outbox       int           // messages that may wait
	outboxAge    time.Duration // how long one may
	settleWithin time.Duration // how long the transcript may take to show one
	giveUp       time.Duration // how long the server may be out of reach
	offline      int           // answers that the server is not available that are tolerated
	typing       time.Duration // how long an agent is believed to type
	inactivity   time.Duration // how long nobody may say anything; 0 for ever
	agentsLeft   time.Duration // how long no agent may be there after one was; 0 for ever
}

// checkText holds a message to the length that is configured.
func (d *deps) checkText(text string) error {
	limit := int(d.maxText.Load())
	if limit <= 0 || utf8.RuneCountInString(text) <= limit {
		return nil
	}
	e := failure(ErrTooLong, "sendMessage", nil, "")
	e.Text = fmt.Sprintf("Message length exceeds configured threshold of (%d) characters", limit)
	return e
}

// saveEvery is the time between saves that only tell that the server was heard of.
const saveEvery = 5 * time.Second

// session is one chat of the visitor, from the request that begins it to its end. It goes through its
// states once; see [State]. Its goroutines are its own: receiving, and as needed one each for the
// outbox, for typing and for the end. They have ended some time after done is closed; close waits.
//
// Each part has a type of its own and does its work by itself. What concerns several of them is here: how a session
// begins (connect.go), takes in what the server says (receive.go, lines.go), and ends (end.go).
type session struct {
	link
	done chan struct{} // closed in a final state

	async bool // long-lived; set before it begins

	// abandoned: the service stops while a stored chat is taken up again, which stays as it is. The monitor guards it.
	abandoned bool

	// The monitor guards what follows.

	info       chat.Session
	transcript transcript
	roster     roster
	outbox     outbox
	typing     typing
	polling    polling
	idle       idleAlert
	status     serverStatus
	history    history
	ending     ending
	timers     timers

	place    chat.Position // where the lines end that were published: what is stored
	lastID   string        // id of the last of them, on wires that name lines
	readMark readMark

	agentTyping bool // what the data store says

	heard     time.Time // when the server was last heard of
	saved     time.Time
	saveFails bool

	// retry holds a token when the next pause of the receiving goroutine is to be cut short. It is not a state: each
	// token ends one pause.
	retry chan struct{}
}

// newSession makes a session that begins as how says, under cfg.
func (d deps) newSession(cfg *Config, how State) *session {
	d.sleeps = cfg.SleepEnabled || cfg.Transport.SleepEnabled
	d.page = cfg.Async.MaxMessagePageSize
	s := &session{
		link:  link{deps: &d, monitor: monitor{events: d.events, changed: make(chan struct{})}},
		done:  make(chan struct{}),
		retry: make(chan struct{}, 1),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.outbox.link, s.outbox.recorder = &s.link, s
	s.typing.link = &s.link
	s.polling.link = &s.link
	s.ending.done = make(chan struct{})
	s.history.turn = make(chan struct{}, 1)
	s.timers.init(s)
	s.becomeLocked(how) // now, so that it can be ended before anything is asked of the server
	return s
}

// becomeLocked makes the session go to a state, if the table has that way.
func (s *session) becomeLocked(to State) bool {
	if !s.state.CanBecome(to) {
		return false
	}
	s.state = to
	s.notifyLocked()
	if to.Final() {
		close(s.done)
		s.laterLocked(s.disconnect)
	}
	return true
}

// disconnect ends what the session holds: its goroutines and its connection.
func (s *session) disconnect() {
	s.cancel()
	s.mu.Lock()
	conn := s.conn
	s.mu.Unlock()
	if conn != nil {
		if err := conn.Close(); err != nil {
			s.deps.log.Debug("closing the connection failed", "error", err)
		}
	}
}

// infoLocked tells which session it is, without its secrets.
func (s *session) infoLocked() SessionInfo {
	return SessionInfo{SessionID: s.info.ID, UserID: s.info.UserID, Alias: s.info.Alias}
}

// release gives the session up without ending it: it stays on the server and in the store. Nothing is
// published. One that is being ended is left to that. One that is being taken up again is not waited for.
func (s *session) release(ctx context.Context) {
	s.lock()
	defer s.unlock()
	if s.state == StateRestoring {
		s.abandoned = true
		s.becomeLocked(StateEnding) // connect sees to the rest
		s.cancel()
		return
	}
	if !s.state.live() {
		return
	}
	s.typing.stopLocked(true)
	s.outbox.stopped = true // what waits in the record is not sent after it was written
	var err error
	// what comes meanwhile is kept, too
	for s.outbox.unsaved = true; s.outbox.unsaved && err == nil && s.state.live() && s.deps.store.keeps(s); {
		s.unlock()
		err = s.save(ctx)
		s.lock()
	}
	if err == nil && s.deps.store.store != nil && !s.deps.store.keeps(s) {
		err = errReplaced
	}
	if s.state.live() {
		s.outbox.leaveLocked(err)
		s.becomeLocked(StateReleased)
	}
}

// close ends all goroutines of the session and waits for them, for as long as ctx lives.
func (s *session) close(ctx context.Context) error {
	s.lock()
	s.closing = true
	s.typing.stopLocked(true)
	s.timers.stopLocked()
	s.unlock()
	s.disconnect()
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
