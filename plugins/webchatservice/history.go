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

// history is how far back the lines of a session are known. The session's monitor guards oldest.
type history struct {
	turn   chan struct{} // holds a token while a page is being fetched
	oldest int64         // first index that was asked for: 0 for all, -1 of a restored long-lived one while not known
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
	oldest := s.history.oldest
	s.mu.Unlock()
	conn, ok := s.conn.(chat.Refetcher)
	if oldest <= 1 || !ok {
		return Answer{}, failure(ErrNoHistory, op, nil, "")
	}
	from := max(oldest-int64(s.deps.page), 1)
	found, err := conn.Refetch(ctx, chat.Position{Index: from}, chat.Position{Index: oldest})
	if err != nil {
		s.lock()
		defer s.unlock()
		s.reportLocked(err)
		return Answer{}, requestError(op, err)
	}
	l := s.deps.hooks.prepare(s.deps.log, found, false)
	s.lock()
	defer s.unlock()
	s.history.oldest = from
	s.pageLocked(l)
	return Answer{}, nil
}

// pageLocked takes in older lines: they are news of what was, and not of what is.
func (s *session) pageLocked(l lines) {
	d := MessageReceivedData{SessionData: s.infoLocked(), OldMessages: true}
	for i := range slices.Backward(l.messages) { // newest first (webchatservice 4.2)
		m := &l.messages[i]
		if _, hidden := l.hidden[i]; !s.transcript.mark(m) || hidden {
			continue
		}
		s.transcript.insert(m)
		d.Messages = append(d.Messages, *m)
	}
	if len(d.Messages) == 0 {
		return
	}
	d.OriginalMessages = originals(d.Messages)
	s.roster.rebuild(s.transcript.lines, s.history.oldest > 1)
	emit(s, MessageReceived, d)
}

// dialer dials a stored session: whole, so that the transcript is whole again, or, if it is a long-lived one, from its
// last page or what was not seen yet.
func (r *record) dialer(driver chat.Resumer, page int, data map[string]any, credentials any) dialer {
	tail, ok := driver.(chat.TailResumer)
	if !ok || !r.Async {
		return func(ctx context.Context) (chat.Conn, error) {
			return driver.Resume(ctx, chat.ResumeRequest{Session: r.session(), Credentials: credentials})
		}
	}
	return func(ctx context.Context) (chat.Conn, error) {
		return tail.ResumeTail(ctx, chat.ResumeRequest{
			Session: r.session(), From: r.Position, Lines: page, UserData: data, Credentials: credentials,
		})
	}
}
