package webchatservice

import (
	"io"
	"time"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// receive takes in what the server says, for as long as the session lives.
func (s *session) receive() {
	tail := s.env.out.tail()
	defer tail.Go() // close waits for this goroutine, and must not wait for handlers
	s.receiveOn(tail, false)
}

// receiveOn is receive; called tells that the connection has called for it. What it publishes wakes mailboxes that are
// the caller's to run. If other people's code ends the goroutine, another one receives.
func (s *session) receiveOn(tail *bus.Tail, called bool) {
	returned := false
	defer func() {
		if !returned {
			s.mu.Lock()
			s.spawnLocked(s.receive)
			s.unlock()
		}
	}()
	s.receiveAll(tail, called)
	returned = true
}

func (s *session) receiveAll(tail *bus.Tail, called bool) {
	var held *chat.Event // waits for lines before it that could not be asked for
	ev := new(chat.Event)
	for ; ; called = false {
		var err error
		if held == nil {
			if !called && s.rest() {
				return
			}
			tail.Go() // what follows may wait
			if *ev, err = s.conn.Receive(s.life); err == nil {
				held = ev
			}
		}
		var gaps []TranscriptGapData
		if err == nil {
			gaps, err = s.fill(held)
		}
		if err == nil || held != nil && s.current() == StateEnding { // then it is now or never
			if s.take(tail, held, gaps) {
				return
			}
			held = nil
			continue
		}
		again, wait := s.failedReceive(err, held, gaps)
		if !again || !pause(s.life, wait, s.nudge) {
			return
		}
	}
}

// rest reports whether the goroutine may end for now: the connection calls for another one.
func (s *session) rest() bool {
	w, ok := s.conn.(chat.Waker)
	return ok && w.Await(s.wakeUp)
}

// wakeUp is the goroutine that the connection has called for.
func (s *session) wakeUp() {
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.wg.Add(1)
	}
	s.unlock()
	if closed {
		return
	}
	tail := s.env.out.tail()
	defer tail.Run()
	defer s.wg.Done()
	s.receiveOn(tail, true)
}

// failedReceive takes in that receiving failed, and reports whether and after how long to try again. held, if not
// nil, is what was received and waits for the lines of gaps.
func (s *session) failedReceive(err error, held *chat.Event, gaps []TranscriptGapData) (again bool, wait time.Duration) {
	now := time.Now()
	var l lines
	if held != nil && s.givesUp(now) { // not before: pre-processors see each line once
		l = s.prepare(held.Messages, false)
	}
	s.mu.Lock()
	defer s.unlock()
	if s.state.Final() || s.life.Err() != nil {
		return false, 0
	}
	e := wireError(err)
	ending := s.state == StateEnding
	switch {
	case err == io.EOF: //nolint:errorlint // as it is: a broken connection may have it as its cause
		s.overThere = true
		s.finishLocked(s.reason(chat.EndUnknown, ending), true)
		return false, 0
	case e.Outcome == chat.Gone:
		if !ending {
			s.emitLocked("sessionLost", SessionLostData{errorData(err)})
		}
		s.overThere = true
		s.finishLocked(s.reason("expired", ending), true)
		return false, 0
	case e.Code == chat.CodeClosed:
		return false, 0
	}
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
	if s.givesUpLocked(now) {
		s.emitLocked("chatServerTimeout", struct{}{})
		if held != nil { // at least that
			s.gapsLocked(gaps)
			s.linesLocked(held, l, false)
		}
		s.finishLocked(EndLost, false)
		return false, 0
	}
	return true, s.backOffLocked(e.RetryAfter)
}

// givesUp reports whether the server has been out of reach for too long.
func (s *session) givesUp(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.givesUpLocked(now)
}

func (s *session) givesUpLocked(now time.Time) bool {
	return !s.down.IsZero() && now.Sub(s.down) >= s.env.limits.giveUp
}

// backOffLocked returns how long to wait after a failure. There is one back-off for all that a session tries
// again, so that a server that is down is not asked by each of its goroutines in turn.
func (s *session) backOffLocked(asked time.Duration) time.Duration {
	if s.retry == nil {
		s.retry = newBackoff(time.Second)
	}
	return s.retry(asked)
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
func (s *session) take(tail *bus.Tail, ev *chat.Event, gaps []TranscriptGapData) bool {
	l := s.prepare(ev.Messages, false)
	s.mu.Lock()
	save := s.takeLocked(ev, l, gaps, false)
	over := s.state.Final()
	s.unlockWith(tail)
	if save && !over && s.env.keeper.store != nil {
		tail.Go()          // the store may take its time
		_ = s.save(s.life) // told by an event
	}
	return over
}

// gapsLocked publishes which lines are not to be had.
func (s *session) gapsLocked(gaps []TranscriptGapData) {
	for _, gap := range gaps {
		s.emitLocked("transcriptGap", gap)
	}
}

// takeLocked takes in one event and reports whether the session should be saved.
func (s *session) takeLocked(ev *chat.Event, l lines, gaps []TranscriptGapData, restoring bool) (save bool) {
	if s.state.Final() {
		return false
	}
	away := s.state == StateInterrupted
	s.heard, s.down, s.trouble, s.retry = time.Now(), time.Time{}, "", nil
	if s.state == StateInterrupted {
		s.goLocked(StateActive)
		s.emitLocked("reconnected", struct{}{})
	}
	if !restoring {
		s.statusLocked(ev.StatusCode, false)
	}
	if ev.Session != nil && *ev.Session != s.info {
		s.info, save = *ev.Session, true
	}
	s.gapsLocked(gaps) // before the lines behind them
	if len(l.messages) > 0 {
		s.linesLocked(ev, l, restoring)
		save = true
	}
	if restoring { // restoredOffline comes behind the lines (webchatservice 4.7)
		s.statusLocked(ev.StatusCode, true)
	}
	s.answeredLocked(ev.Raw)
	if ev.Ended {
		s.overThere = true
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
