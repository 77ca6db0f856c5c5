package webchatservice

import (
	"context"
	"io"
	"time"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// receiver takes in what the server says, for as long as the session lives. One goroutine at a time does that. While
// nothing is there to be received there may be none: a connection that is a [chat.Waker] starts one when there is.
type receiver struct{ *session }

// receive is the goroutine that a session starts with.
func (r receiver) receive() { r.receiveOn(r.events.ctx, false) }

// wakeUp is the goroutine that the connection starts when there is something to receive.
func (r receiver) wakeUp() {
	r.lock()
	closing := r.closing
	if !closing {
		r.wg.Add(1)
	}
	r.unlock()
	if closing {
		return
	}
	bus.Handoff(r.events.ctx, func(ctx context.Context) {
		defer r.wg.Done() // close waits for this goroutine, so it must not wait for handlers
		r.receiveOn(ctx, true)
	})
}

// receiveOn receives until the session is over, or until the connection takes over the waiting. woken says that the
// connection has said that there is something. What is published is published with ctx. A subscriber may end this
// goroutine (Goexit); then another one goes on.
func (r receiver) receiveOn(ctx context.Context, woken bool) {
	returned := false
	defer func() {
		if !returned {
			r.events.flush()
			r.receiveElsewhere()
		}
	}()
	r.loop(ctx, woken)
	returned = true
}

// receiveElsewhere leaves receiving to a new goroutine.
func (r receiver) receiveElsewhere() {
	r.lock()
	r.spawnLocked(r.receive)
	r.unlock()
}

// loop receives one event after the other. Lines that are missing before those of an event are asked for first. While
// they cannot be asked for the event is held back, so that the order of the lines holds. A goroutine that was woken
// takes in the first event only: it goes on as the goroutine of the handlers that this event has woken.
func (r receiver) loop(ctx context.Context, woken bool) {
	var held *chat.Event // received, and waiting for lines before it
	ev := new(chat.Event)
	for first := true; ; first = false {
		var err error
		if held == nil {
			if !first || !woken {
				if r.connectionWaits() {
					return
				}
				if woken { // Receive may wait, so the handlers must not wait for it
					r.receiveElsewhere()
					return
				}
			}
			if *ev, err = r.received(); err == nil {
				held = ev
			}
		}
		var gaps []TranscriptGapData
		if err == nil {
			gaps, err = r.fill(held, r.place) // which this goroutine alone changes
		}
		lastChance := held != nil && r.current() == StateEnding
		if err == nil || lastChance {
			if r.take(ctx, held, gaps) {
				return
			}
			held = nil
			continue
		}
		again, wait := r.failed(err, held, gaps)
		if !again || !pause(r.ctx, wait, r.retry) {
			return
		}
	}
}

// connectionWaits reports whether the connection takes over the waiting. This goroutine may end then: the connection
// starts another one when there is something to receive.
func (r receiver) connectionWaits() bool {
	w, ok := r.conn.(chat.Waker)
	return ok && w.Await(r.wakeUp)
}

// retryNow cuts the next pause of the receiving goroutine short.
func (r receiver) retryNow() {
	select {
	case r.retry <- struct{}{}:
	default: // a token is there
	}
}

// take takes in one event and reports whether the session is over.
func (r receiver) take(ctx context.Context, ev *chat.Event, gaps []TranscriptGapData) (over bool) {
	l := r.deps.hooks.prepare(r.deps.log, ev.Messages, false)
	stored := r.deps.store.store != nil
	if stored { // the store may take its time, so the handlers must not wait for this goroutine
		ctx = r.events.ctx
	}
	r.lock()
	save := r.applyLocked(ev, l, gaps, false)
	over = r.state.Final()
	r.unlockWith(ctx)
	if save && !over && stored {
		_ = r.save(r.ctx) // a failure is told by an event
	}
	return over
}

// failed takes in that receiving failed, and reports whether and after how long to try again. held, if not
// nil, is an event that waits for the lines of gaps.
func (r receiver) failed(err error, held *chat.Event, gaps []TranscriptGapData) (again bool, wait time.Duration) {
	now := time.Now()
	var l lines
	if held != nil && r.givesUp(now) { // not before: pre-processors see each line once
		l = r.deps.hooks.prepare(r.deps.log, held.Messages, false)
	}
	r.lock()
	defer r.unlock()
	if r.state.Final() || r.ctx.Err() != nil {
		return false, 0
	}
	e := wireError(err)
	ending := r.state == StateEnding
	switch {
	case err == io.EOF: //nolint:errorlint // as it is: a broken connection may have it as its cause
		r.ending.byServer = true
		r.finishLocked(r.endReason(chat.EndUnknown, ending), true)
		return false, 0
	case e.Outcome == chat.Gone:
		if !ending {
			emit(r, SessionLost, SessionLostData{errorData(err)})
		}
		r.ending.byServer = true
		r.finishLocked(r.endReason("expired", ending), true)
		return false, 0
	case e.Code == chat.CodeClosed:
		return false, 0
	}
	if r.downSince.IsZero() {
		r.downSince = now
	}
	if r.state == StateActive {
		r.becomeLocked(StateInterrupted)
		emit(r, Disconnected, DisconnectedData{errorData(err)})
	}
	if e.Code != chat.CodeNetwork && e.Code != chat.CodeTimeout && e.Code != r.errorCode {
		emit(r, Error, errorData(err))
	}
	r.errorCode = e.Code
	if r.givesUpLocked(now) {
		emit(r, ChatServerTimeout, struct{}{})
		if held != nil { // at least that
			r.emitGapsLocked(gaps)
			r.linesLocked(held, l, false)
		}
		r.finishLocked(EndLost, false)
		return false, 0
	}
	return true, r.backOffLocked(e.RetryAfter)
}

// givesUp reports whether the server has been out of reach for too long.
func (r receiver) givesUp(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.givesUpLocked(now)
}

// applyLocked takes in one event and reports whether the session should be saved.
func (s *session) applyLocked(ev *chat.Event, l lines, gaps []TranscriptGapData, restoring bool) (save bool) {
	if s.state.Final() {
		return false
	}
	interrupted := s.state == StateInterrupted
	s.heard = time.Now()
	s.upLocked()
	if interrupted {
		s.becomeLocked(StateActive)
		emit(s, Reconnected, struct{}{})
	}
	if !restoring {
		s.status.apply(ev.Unavailable, s.deps.limits.offline, s)
	}
	if ev.Earlier {
		s.history.more = true
	}
	if ev.Session != nil && *ev.Session != s.info {
		s.info, save = *ev.Session, true
	}
	if ev.Capabilities != nil {
		s.emitCapabilitiesLocked()
	}
	s.emitGapsLocked(gaps) // before the lines behind them
	s.place = ev.Position
	if len(l.messages) > 0 {
		s.linesLocked(ev, l, restoring)
		save = true
	}
	if restoring { // restoredOffline comes behind the lines (webchatservice 4.7)
		if ev.Unavailable {
			emit(s, RestoredOffline, struct{}{})
		}
		s.status.apply(ev.Unavailable, s.deps.limits.offline, s)
	}
	if ev.Raw != nil && !ev.Unavailable {
		s.outbox.polledLocked()
	}
	s.answeredLocked(ev.Raw)
	if ev.Ended {
		s.endedLocked(ev, interrupted)
		return false
	}
	return save || s.heard.Sub(s.saved) >= saveEvery
}

// endedLocked takes in that the server says that the chat is over. interrupted says that it was out of reach before.
func (s *session) endedLocked(ev *chat.Event, interrupted bool) {
	s.ending.byServer = true
	ending := s.state == StateEnding
	why := s.endReason(ev.EndedBy, ending)
	if len(ev.Errors) > 0 && !ending {
		emit(s, Error, errorData(endError(ev)))
	}
	if why == EndServer && interrupted { // it missed the visitor, and has forgotten him
		why = EndExpired
		emit(s, SessionLost, SessionLostData{errorData(endError(ev))})
	}
	s.finishLocked(why, true)
}

// endError tells of an end that was an error.
func endError(ev *chat.Event) error {
	return &chat.Error{
		Outcome: chat.Gone, Code: chat.CodeEnded, Op: "receive",
		Text: "server no longer has the chat", Errors: ev.Errors,
	}
}

// emitGapsLocked publishes which lines are not to be had.
func (s *session) emitGapsLocked(gaps []TranscriptGapData) {
	for _, gap := range gaps {
		emit(s, TranscriptGap, gap)
	}
}
