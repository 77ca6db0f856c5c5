package webchatservice

import (
	"context"
	"slices"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// FetchHistory is the command that fetches older lines (webchatservice 5.10).
var FetchHistory = bus.NewCommand[struct{}, Answer](Namespace+".fetchHistory",
	"Fetches an older page of a long-lived session.")

func (s *Service) fetchHistory(ctx context.Context, _ struct{}) (Answer, error) {
	ses, err := s.live("fetchHistory")
	if err != nil {
		return Answer{}, err
	}
	if !ses.async {
		return Answer{}, failure(ErrNotAsync, "fetchHistory", nil, "")
	}
	return ses.fetchPage(ctx)
}

// history is how far back the lines of a session are known. The session's monitor guards what follows turn.
type history struct {
	turn   chan struct{} // holds a token while a page is being fetched
	more   bool          // there are lines before those that are known
	oldest chat.Position // before which the next page ends; zero is where the lines of the connection begin
}

// fetchPage asks for the page of lines before the oldest one that is known, and publishes it. There is one at a time.
func (s *session) fetchPage(ctx context.Context) (Answer, error) {
	const op = "fetchHistory"
	select {
	case s.history.turn <- struct{}{}:
		defer func() { <-s.history.turn }()
	case <-ctx.Done():
		return Answer{}, failure(bus.ErrCancelled, op, context.Cause(ctx), "")
	}
	s.mu.Lock()
	more, oldest := s.history.more, s.history.oldest
	s.mu.Unlock()
	conn, ok := ability[chat.Historian](s.conn, func(c chat.Capabilities) bool { return c.History })
	switch {
	case !ok:
		return Answer{}, cannot(s.conn, ErrNoHistory, op, "history")
	case !more:
		return Answer{}, failure(ErrNoHistory, op, nil, "")
	}
	page, err := conn.History(ctx, oldest, s.deps.page)
	if err != nil {
		s.lock()
		defer s.unlock()
		s.reportLocked(err)
		return Answer{}, requestError(op, err)
	}
	l := s.deps.hooks.prepare(s.deps.log, page.Messages, false)
	s.lock()
	defer s.unlock()
	s.history.oldest, s.history.more = page.Oldest, !page.Beginning
	s.pageLocked(l)
	return Answer{}, nil
}

// pageLocked takes in older lines: they are news of what was, and not of what is.
func (s *session) pageLocked(l lines) {
	d := MessageReceivedData{SessionData: s.infoLocked(), OldMessages: true}
	var places []chat.Position
	for i := range slices.Backward(l.messages) { // newest first (webchatservice 4.2)
		m, place := &l.messages[i], l.wire[i].Position
		if _, hidden := l.hidden[i]; s.transcript.has(place, false) || hidden {
			continue
		}
		s.transcript.prepend(place, m)
		places = append(places, place)
		d.Messages = append(d.Messages, *m)
	}
	if len(d.Messages) == 0 {
		return
	}
	d.OriginalMessages = originals(d.Messages)
	d.after, d.before = s.transcript.around(places)
	s.roster.rebuild(s.transcript.lines(), s.history.more)
	emit(s, MessageReceived, d)
}

// dialer dials a stored session: whole, so that the transcript is whole again, or, if it is a long-lived one, from its
// last page or what was not seen yet.
func (r *record) dialer(driver chat.Resumer, page int, data map[string]any, credentials any) dialer {
	req := chat.ResumeRequest{Session: r.session(), Known: r.Position, Credentials: credentials}
	if r.Async {
		req.Tail, req.UserData = page, data
	}
	return func(ctx context.Context) (chat.Conn, error) { return driver.Resume(ctx, req) }
}
