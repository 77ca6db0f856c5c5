package webchatservice

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cxbus/cxbus/bus"
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

	resumer chat.Resumer // to fetch missing lines with; nil where the wire cannot
	sleeps  bool         // sleepEnabled
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
	quiet   *time.Timer // ends a chat in which nobody says anything
	unsure  *time.Timer // ends the belief that an agent types
	high    int64       // highest index so far

	echoFrom int64 // first index that may be the echo of a message that was stored

	heard     time.Time // when the server was last heard of
	saved     time.Time
	saveFails bool
	trouble   string    // code of the incident that was last reported
	down      time.Time // since when the server is out of reach
	refusals  int       // answers with statusCode 1 in a row
	offline   bool

	why       EndReason // of an end that this side brings about; "" for visitor
	endAnswer Answer    // what endChat resolves with, set before hung is closed
	endErr    error
}

func newSession(e *env) *session {
	s := &session{
		env: e, done: make(chan struct{}), hung: make(chan struct{}),
		changed: make(chan struct{}), nudge: make(chan struct{}),
	}
	s.life, s.stop = context.WithCancel(context.Background())
	return s
}

// unlock lets go of mu, then does what must not be done while holding it: settling callers and
// publishing.
func (s *session) unlock() {
	after := s.after
	s.after = nil
	s.mu.Unlock()
	for _, f := range after {
		f()
	}
	s.env.out.flush()
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

// dialer opens the connection of a session: one attempt.
type dialer func(ctx context.Context) (chat.Conn, error)

// begin opens the session, and returns once the server has it or not. When ctx ends first, the session
// is ended as soon as it has begun: nobody is left with a chat that he does not know of.
func (s *session) begin(ctx context.Context, how State, dial dialer) (Answer, error) {
	type outcome struct {
		answer Answer
		err    error
	}
	result := make(chan outcome, 1)
	s.mu.Lock()
	s.goLocked(how)
	started := s.spawnLocked(func() {
		answer, err := s.connect(how, dial)
		result <- outcome{answer, err}
	})
	s.unlock()
	if !started {
		return Answer{}, bus.ErrStopped
	}
	select {
	case r := <-result:
		return r.answer, r.err
	case <-ctx.Done():
		s.mu.Lock()
		s.goLocked(StateEnding) // refused when it is live by now: then it stays
		s.unlock()
		select {
		case r := <-result: // it was live already
			if r.err == nil {
				return r.answer, nil
			}
		default:
		}
		return Answer{}, failure(ErrStartEnded, opOf(how), context.Cause(ctx), "the server is told as soon as it has answered")
	}
}

func opOf(how State) string {
	if how == StateRestoring {
		return "restore"
	}
	return "startChat"
}

// connect dials and brings the session to life. What surely did not reach the server is tried again.
func (s *session) connect(how State, dial dialer) (Answer, error) {
	wait := newBackoff(300 * time.Millisecond)
	var conn chat.Conn
	var err error
	for try := 1; ; try++ {
		conn, err = dial(s.life)
		if err == nil {
			break
		}
		e := wireError(err)
		if !e.Retryable() || try == startTries || s.current() == StateEnding {
			return Answer{}, s.failed(how, err)
		}
		s.mu.Lock()
		changed := s.changed
		s.unlock()
		if !pause(s.life, wait(e.RetryAfter), changed) {
			return Answer{}, s.failed(how, err)
		}
	}

	s.mu.Lock()
	s.conn, s.info = conn, conn.Session()
	if s.state == StateEnding { // given up meanwhile
		s.unlock()
		return Answer{}, s.undo(how)
	}
	s.unlock()
	first, err := conn.Receive(s.life) // returns at once, with the answer
	if err != nil {
		first = chat.Event{}
	}
	lines := s.prepare(&first, how == StateRestoring)
	polling := false
	if p, ok := conn.(chat.Poller); ok {
		p.Preview(s.preview)
		polling = p.Polling()
	}

	s.mu.Lock()
	if s.state == StateEnding {
		s.unlock()
		return Answer{}, s.undo(how)
	}
	s.env.keeper.adopt(s)
	s.goLocked(StateActive)
	s.heard = time.Now()
	if how == StateRestoring {
		s.emitLocked("restored", RestoredData{})
	} else {
		s.emitLocked("started", s.namesLocked())
	}
	s.answeredLocked(first.Raw)
	raw := first.Raw
	first.Raw = nil
	if s.polling = polling; polling {
		s.emitLocked("pollingStarted", struct{}{})
	}
	s.capsLocked()
	save := s.takeLocked(&first, lines, how == StateRestoring)
	s.activeLocked(true)
	if how == StateRestoring {
		s.resumeOutboxLocked()
	}
	s.spawnLocked(s.receive)
	s.unlock()
	if save {
		s.save()
	}
	return Answer{Answer: raw}, nil
}

// failed ends a session that never came to be.
func (s *session) failed(how State, err error) error {
	s.mu.Lock()
	ending := s.state == StateEnding
	var out error
	switch {
	case ending:
		out = failure(ErrStartEnded, opOf(how), err, "")
		close(s.hung)
	case how == StateRestoring:
		out = err // the service tells what it means
	default:
		s.reportLocked(err)
		sentinel := ErrStartFailed
		if chat.OutcomeOf(err) == chat.Unknown {
			sentinel = ErrStartUnknown
		}
		out = failure(sentinel, opOf(how), err, "")
	}
	s.goLocked(StateFailed)
	s.unlock()
	return out
}

// undo ends a chat that was given up while it began.
func (s *session) undo(how State) error {
	answer, told, err := s.tellEnd()
	s.mu.Lock()
	s.endAnswer = answer
	if !told {
		s.endErr = failure(ErrServerNotTold, "endChat", err, "")
	}
	s.goLocked(StateFailed)
	close(s.hung)
	s.unlock()
	return failure(ErrStartEnded, opOf(how), nil, "")
}

// receive takes in what the server says, for as long as the session lives.
func (s *session) receive() {
	wait := newBackoff(time.Second)
	for {
		ev, err := s.conn.Receive(s.life)
		if err == nil {
			if s.take(&ev) {
				return
			}
			wait = newBackoff(time.Second)
			continue
		}
		again, asked := s.failedReceive(err)
		if !again || !pause(s.life, wait(asked), s.nudge) {
			return
		}
	}
}

// failedReceive takes in that receiving failed, and reports whether and after how long the server asked
// to try again.
func (s *session) failedReceive(err error) (again bool, asked time.Duration) {
	s.mu.Lock()
	defer s.unlock()
	if s.state.Final() || s.life.Err() != nil {
		return false, 0
	}
	e := wireError(err)
	ending := s.state == StateEnding
	switch {
	case errors.Is(err, io.EOF):
		s.finishLocked(s.reason(chat.EndUnknown, ending), true)
		return false, 0
	case e.Outcome == chat.Gone:
		if !ending {
			s.emitLocked("sessionLost", SessionLostData{errorData(err)})
		}
		s.finishLocked(s.reason("expired", ending), true)
		return false, 0
	case e.Code == chat.CodeClosed:
		return false, 0
	}
	now := time.Now()
	if s.down.IsZero() {
		s.down = now
	}
	if s.state == StateActive {
		s.goLocked(StateInterrupted)
		s.emitLocked("disconnected", DisconnectedData{errorData(err)})
	}
	if e.Code != chat.CodeNetwork && e.Code != chat.CodeTimeout && e.Code != s.trouble {
		s.emitLocked("error", errorData(err))
	}
	s.trouble = e.Code
	if now.Sub(s.down) >= s.env.limits.giveUp {
		s.emitLocked("chatServerTimeout", struct{}{})
		s.finishLocked(EndLost, false)
		return false, 0
	}
	return true, e.RetryAfter
}

// reason says why a session is over, in the service's words.
func (s *session) reason(by chat.EndReason, ending bool) EndReason {
	switch {
	case ending && s.why != "":
		return s.why
	case ending || by == chat.EndVisitor:
		return EndVisitor
	case by == chat.EndUnknown:
		return EndServer
	}
	return EndReason(by)
}

// take takes in one event and reports whether the session is over.
func (s *session) take(ev *chat.Event) bool {
	gap := s.fill(ev)
	lines := s.prepare(ev, false)
	s.mu.Lock()
	save := s.takeLocked(ev, lines, false)
	if gap != nil {
		s.emitLocked("transcriptGap", *gap)
	}
	over := s.state.Final()
	s.unlock()
	if save && !over {
		s.save()
	}
	return over
}

// takeLocked takes in one event and reports whether the session should be saved.
func (s *session) takeLocked(ev *chat.Event, lines []line, restoring bool) (save bool) {
	if s.state.Final() {
		return false
	}
	away := s.state == StateInterrupted
	s.heard, s.down, s.trouble = time.Now(), time.Time{}, ""
	if s.state == StateInterrupted {
		s.goLocked(StateActive)
		s.emitLocked("reconnected", struct{}{})
	}
	s.statusLocked(ev.StatusCode, restoring)
	if ev.Session != nil && *ev.Session != s.info {
		s.info, save = *ev.Session, true
	}
	if len(lines) > 0 {
		s.linesLocked(ev, lines, restoring)
		save = true
	}
	s.answeredLocked(ev.Raw)
	if ev.Ended {
		ending := s.state == StateEnding
		why := s.reason(ev.EndedBy, ending)
		if len(ev.Errors) > 0 && !ending {
			s.emitLocked("error", errorData(endError(ev)))
		}
		if why == EndServer && away { // it missed the visitor, and has forgotten him
			why = EndExpired
			s.emitLocked("sessionLost", SessionLostData{errorData(endError(ev))})
		}
		s.finishLocked(why, true)
		return false
	}
	return save || s.heard.Sub(s.saved) >= saveEvery
}

// endError tells of an end that was an error.
func endError(ev *chat.Event) error {
	return &chat.Error{
		Outcome: chat.Gone, Code: chat.CodeEnded, Op: "receive", StatusCode: ev.StatusCode,
		Text: "server no longer has the chat", Errors: ev.Errors,
	}
}

// statusLocked follows the server's statusCode (webchatservice 5.1, wire-gms A.5).
func (s *session) statusLocked(code int, restoring bool) {
	switch code {
	case 0:
		s.refusals = 0
		if s.offline {
			s.offline = false
			s.emitLocked("chatServerBackOnline", struct{}{})
		}
	case 1:
		if restoring {
			s.emitLocked("restoredOffline", struct{}{})
		}
		s.refusals++
		if s.refusals > s.env.limits.offline && !s.offline {
			s.offline = true
			s.emitLocked("chatServerWentOffline", struct{}{})
		}
	}
}

// linesLocked takes in the lines of an event.
func (s *session) linesLocked(ev *chat.Event, lines []line, restoring bool) {
	d := MessageReceivedData{
		Messages:          make([]Message, 0, len(lines)),
		OriginalMessages:  make([]json.RawMessage, 0, len(lines)),
		Restoring:         restoring,
		SessionData:       s.namesLocked(),
		IdleTimeCountDown: ev.IdleTimerExpire,
	}
	var out []emission
	for i := range lines {
		l := &lines[i]
		m := &l.message
		if !s.script.mark(m) {
			continue
		}
		s.high = max(s.high, m.Index)
		if l.wire.Own && l.wire.Kind == chat.KindMessage && (!restoring || m.Index == 0 || m.Index >= s.echoFrom) {
			s.echoLocked(l.wire)
		}
		out = s.people.see(m, out)
		out = s.idle.see(m, out)
		switch m.Type {
		case chat.KindMessage, chat.KindPushURL, chat.KindFileUploaded:
			s.activeLocked(false)
		}
		if l.hidden {
			continue
		}
		s.script.insert(*m)
		d.Messages = append(d.Messages, *m)
		d.OriginalMessages = append(d.OriginalMessages, m.Original)
	}
	for _, e := range out {
		s.emitLocked(e.event, e.data)
	}
	s.watchTypingLocked()
	if len(d.Messages) > 0 {
		s.emitLocked("messageReceived", d)
	}
}

// answeredLocked publishes the server's answer to a request.
func (s *session) answeredLocked(answer json.RawMessage) {
	if answer != nil {
		s.emitLocked("ajaxResponse", s.env.hooks.maskJSON(answer))
	}
}

// reportLocked publishes a failure that the server told, or that no event of the connection tells.
func (s *session) reportLocked(err error) {
	e := wireError(err)
	if e.Code == chat.CodeCanceled || e.Code == chat.CodeClosed {
		return
	}
	quiet := e.Code == chat.CodeNetwork || e.Code == chat.CodeTimeout
	if quiet && (s.state.live() || s.state == StateEnding) {
		return // disconnected tells, should it last
	}
	s.emitLocked("error", errorData(err))
}

// finishLocked ends the session, for good and once.
func (s *session) finishLocked(why EndReason, told bool) {
	if !s.state.CanBecome(StateEnded) {
		return
	}
	s.stopTypingLocked(false)
	s.stopTimersLocked()
	for _, e := range s.people.clear(stamp(time.Now()), nil) {
		s.emitLocked(e.event, e.data)
	}
	if s.polling {
		s.polling = false
		s.emitLocked("pollingStopped", struct{}{})
	}
	s.abortLocked(failure(ErrNoSession, "", nil, ""))
	s.emitLocked("ended", EndedData{Reason: why, ServerTold: told})
	s.goLocked(StateEnded)
	s.after = append(s.after, s.forget, s.env.hooks.clearFilters)
}

// end ends the session, as the visitor wishes, and returns what became of that. Several callers get
// the same.
func (s *session) end(ctx context.Context) (Answer, error) {
	s.mu.Lock()
	switch {
	case s.state == StateEnding:
	case s.state.Final():
		s.unlock()
		return Answer{}, failure(ErrNoSession, "endChat", nil, "")
	case s.state.live():
		interrupted := s.state == StateInterrupted
		s.goLocked(StateEnding)
		if interrupted {
			s.abortPendingLocked(failure(ErrInterrupted, "", nil, ""))
		}
		if !s.spawnLocked(func() { s.hangUp(interrupted) }) {
			s.unlock()
			return Answer{}, bus.ErrStopped
		}
	default:
		s.goLocked(StateEnding) // connect sees to the rest
	}
	s.unlock()
	select {
	case <-s.hung:
	case <-ctx.Done():
		return Answer{}, failure(bus.ErrCancelled, "endChat", context.Cause(ctx), "the chat is being ended all the same")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.endAnswer, s.endErr
}

// hangUp lets the messages under way go first, tells the server, takes the last lines, and ends the
// session whatever became of these.
func (s *session) hangUp(interrupted bool) {
	defer close(s.hung)
	if !interrupted {
		s.drain()
	}
	s.mu.Lock()
	s.abortPendingLocked(failure(ErrNoSession, "", nil, ""))
	s.unlock()

	answer, told, err := s.tellEnd()
	s.mu.Lock()
	s.endAnswer = answer
	if !told {
		s.endErr = failure(ErrServerNotTold, "endChat", err, "the server ends the chat itself when it misses the visitor")
	}
	s.answeredLocked(answer.Answer)
	close(s.nudge)
	s.unlock()
	if told {
		pause(s.life, endWait, s.done)
	}
	s.mu.Lock()
	s.finishLocked(s.reason(chat.EndVisitor, true), told)
	s.unlock()
}

// drain waits until the outbox is empty, for endFlush at most.
func (s *session) drain() {
	deadline := time.Now().Add(endFlush)
	for {
		s.mu.Lock()
		empty := len(s.box.queue) == 0 || s.state != StateEnding
		changed := s.changed
		s.unlock()
		if empty || !time.Now().Before(deadline) || !pause(s.life, time.Until(deadline), changed) {
			return
		}
	}
}

// tellEnd tells the server that the chat is over. That may be told twice, so all failures that may
// pass are tried again.
func (s *session) tellEnd() (answer Answer, told bool, err error) {
	ctx, cancel := context.WithTimeout(s.life, endTimeout)
	defer cancel()
	wait := newBackoff(250 * time.Millisecond)
	for try := 1; ; try++ {
		var receipt chat.Receipt
		receipt, err = s.conn.Send(ctx, chat.Action{Kind: chat.ActionEnd})
		if err == nil {
			return Answer{Answer: receipt.Answer}, true, nil
		}
		e := wireError(err)
		switch {
		case e.Outcome == chat.Gone:
			return Answer{Answer: e.Answer}, true, nil
		case try == endTries, e.Outcome == chat.Rejected && !e.Retryable(), e.Code == chat.CodeClosed:
			return Answer{}, false, err
		}
		if !pause(ctx, wait(e.RetryAfter), nil) {
			return Answer{}, false, err
		}
	}
}

// release gives the session up without ending it: it stays on the server and in the store. Nothing is
// published.
func (s *session) release() {
	s.mu.Lock()
	if s.state.CanBecome(StateReleased) {
		s.stopTypingLocked(true)
	}
	s.unlock()
	s.save()
	s.mu.Lock()
	if s.state.CanBecome(StateReleased) {
		s.leaveOutboxLocked()
		s.goLocked(StateReleased)
	}
	s.unlock()
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

// save stores the session.
func (s *session) save() {
	err := s.env.keeper.save(s.life, s, func() *record {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.saved = time.Now()
		return s.recordLocked()
	})
	s.storeResult(err)
}

// forget takes the session out of the store.
func (s *session) forget() {
	// The session's own life is over.
	s.storeResult(s.env.keeper.forget(context.WithoutCancel(s.life), s))
}

// storeResult reports that the store began to fail, once.
func (s *session) storeResult(err error) {
	s.mu.Lock()
	failing := err != nil && s.life.Err() == nil
	if failing && !s.saveFails {
		s.emitLocked("error", failureData(failure(ErrStore, "", err, "the chat goes on and may not be restorable")))
	}
	s.saveFails = failing
	s.unlock()
}

func (s *session) recordLocked() *record {
	r := &record{
		Version:   recordVersion,
		SessionID: s.info.ID,
		UserID:    s.info.UserID,
		Alias:     s.info.Alias,
		SecureKey: s.info.SecureKey.Reveal(),
		Address:   s.info.Address.Reveal(),
		Heard:     stamp(s.heard),
		Position:  s.conn.Position(),
	}
	s.box.dirty = false
	for _, it := range slices.Concat(s.box.unsent, s.box.queue) {
		state := it.state
		if it.inFlight {
			state = MessageUnknown
		}
		r.Outbox = append(r.Outbox, storedItem{
			ID: it.id, Text: it.action.Text, Type: it.action.MessageType, ParentID: it.action.ParentID,
			State: string(state), Created: stamp(it.created),
		})
	}
	return r
}
