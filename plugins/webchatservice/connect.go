package webchatservice

import (
	"context"
	"time"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// startTries is how often a start is tried that surely did not reach the server.
const startTries = 3

// dialer opens the connection of a session: one attempt.
type dialer func(ctx context.Context) (chat.Conn, error)

// connecting is a session that begins. how is StateStarting or StateRestoring.
type connecting struct {
	*session
	how State
}

// begin opens the session, and returns once the server has it or not. When ctx ends first, the session
// is ended as soon as it has begun: nobody is left with a chat that he does not know of.
func (c connecting) begin(ctx context.Context, dial dialer) (Answer, error) {
	type outcome struct {
		answer Answer
		err    error
	}
	result := make(chan outcome, 1)
	c.lock()
	started := c.spawnLocked(func() {
		answer, err := c.connect(dial)
		result <- outcome{answer, err}
	})
	c.unlock()
	if !started {
		return Answer{}, bus.ErrStopped
	}
	select {
	case r := <-result:
		return r.answer, r.err
	case <-ctx.Done():
		c.lock()
		opening := c.state == c.how || c.state == StateEnding
		if opening {
			c.becomeLocked(StateEnding) // connect sees to the rest
		}
		c.unlock()
		if !opening { // it has begun or failed by now, and connect is about to say so
			r := <-result
			return r.answer, r.err
		}
		return Answer{}, failure(ErrStartEnded, commandOf(c.how), context.Cause(ctx), "the server is told as soon as it has answered")
	}
}

// commandOf names the command that begins a session in that state.
func commandOf(how State) string {
	if how == StateRestoring {
		return "restore"
	}
	return "startChat"
}

// connect opens the connection and brings the session to life.
func (c connecting) connect(dial dialer) (Answer, error) {
	conn, err := c.dial(dial)
	if err != nil {
		return Answer{}, c.failed(err)
	}
	c.lock()
	c.conn, c.info = conn, conn.Session()
	if c.state == StateEnding { // given up meanwhile
		c.unlock()
		return Answer{}, c.undo()
	}
	c.unlock()
	base := conn.Position()
	first, err := c.received() // returns at once, with the answer
	if err != nil {
		first = chat.Event{Position: c.place}
	}
	gaps, err := receiver{c.session}.fill(&first, base)
	if err != nil {
		c.deps.log.Debug("missing lines could not be asked for", "error", err)
	}
	l := c.deps.hooks.prepare(c.deps.log, first.Messages, c.how == StateRestoring)
	polls := false
	if p, ok := poller(conn); ok {
		p.Preview(c.typing.preview)
		polls = p.Polling()
	}

	c.lock()
	if c.state == StateEnding {
		c.unlock()
		return Answer{}, c.undo()
	}
	c.deps.store.adopt(c.session)
	raw := first.Raw
	save := c.activateLocked(&first, l, gaps, polls)
	c.unlock()
	if save {
		_ = c.save(c.ctx) // a failure is told by an event
	}
	return c.answer(raw), nil
}

// dial opens the connection. What surely did not reach the server is tried again.
func (c connecting) dial(dial dialer) (chat.Conn, error) {
	wait := newBackoff(300 * time.Millisecond)
	for try := 1; ; try++ {
		conn, err := c.attempt(dial)
		if err == nil {
			return conn, nil
		}
		e := wireError(err)
		if !e.Retryable() || try == startTries || c.current() == StateEnding {
			return nil, err
		}
		c.lock()
		changed := c.changed
		c.unlock()
		if !pause(c.ctx, wait(e.RetryAfter), changed) {
			return nil, err
		}
	}
}

// attempt opens the connection once. A driver that does not return costs the attempt.
func (c connecting) attempt(dial dialer) (conn chat.Conn, err error) {
	if odd := contained(func() { conn, err = dial(c.ctx) }); odd != nil {
		return nil, driverError(c.deps.log, "open", odd)
	}
	return conn, err
}

// activateLocked makes the session active, publishes that, takes in what the server's answer brought, and starts to
// receive. It reports whether the session should be saved.
func (c connecting) activateLocked(first *chat.Event, l lines, gaps []TranscriptGapData, polls bool) (save bool) {
	restoring := c.how == StateRestoring
	c.becomeLocked(StateActive)
	c.heard = time.Now()
	if restoring {
		c.readMark = readMarkOf(first.Messages)
		emit(c.session, Restored, RestoredData{Async: c.async, ReadMark: c.readMark.index, ReadMarkID: c.readMark.id})
	} else {
		emit(c.session, Started, c.infoLocked())
	}
	setData(c.session, DataSessionActive, true)
	if c.async {
		setData(c.session, DataMode, Mode{Async: true})
	}
	c.answeredLocked(first.Raw)
	first.Raw = nil // published
	if !restoring {
		c.polling.setLocked(polls)
	}
	c.emitCapabilitiesLocked()
	save = c.applyLocked(first, l, gaps, restoring)
	if restoring { // behind the lines (webchatservice 4.7)
		c.polling.setLocked(polls)
	}
	c.timers.activityLocked(true)
	if restoring {
		c.resumeOutboxLocked()
	}
	c.spawnLocked(receiver{c.session}.receive)
	return save
}

// failed ends a session that never came to be.
func (c connecting) failed(err error) error {
	c.lock()
	given := c.state == StateEnding
	var out error
	switch {
	case c.abandoned:
		out = bus.ErrStopped
	case given:
		out = failure(ErrStartEnded, commandOf(c.how), err, "")
	case c.how == StateRestoring:
		out = err // the service tells what it means
	default:
		c.reportLocked(err)
		sentinel := ErrStartFailed
		if chat.OutcomeOf(err) == chat.Unknown {
			sentinel = ErrStartUnknown
		}
		out = failure(sentinel, commandOf(c.how), err, "")
	}
	c.becomeLocked(StateFailed)
	if given {
		close(c.ending.done)
	}
	c.unlock()
	return out
}

// undo ends a chat that was given up while it began; one that is abandoned stays on the server.
func (c connecting) undo() error {
	c.mu.Lock()
	abandoned := c.abandoned
	c.mu.Unlock()
	if abandoned {
		return c.failed(nil)
	}
	answer, told, err := c.tellEnd()
	c.lock()
	c.ending.answer = answer
	if !told {
		c.ending.err = failure(ErrServerNotTold, "endChat", err, "")
	}
	c.becomeLocked(StateFailed)
	close(c.ending.done)
	c.unlock()
	return failure(ErrStartEnded, commandOf(c.how), nil, "")
}
