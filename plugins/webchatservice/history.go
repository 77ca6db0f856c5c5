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

// fetchPage asks for the page of lines before the oldest one that is known, and publishes it. There is one at a time.
func (s *session) fetchPage(ctx context.Context) (Answer, error) {
	const op = "fetchHistory"
	select {
	case s.paging <- struct{}{}:
		defer func() { <-s.paging }()
	case <-ctx.Done():
		return Answer{}, failure(bus.ErrCancelled, op, context.Cause(ctx), "")
	}
	s.mu.Lock()
	oldest := s.oldest
	s.mu.Unlock()
	conn, ok := s.conn.(chat.Refetcher)
	if oldest <= 1 || !ok {
		return Answer{}, failure(ErrNoHistory, op, nil, "")
	}
	from := max(oldest-int64(s.env.page), 1)
	found, err := conn.Refetch(ctx, chat.Position{Index: from}, chat.Position{Index: oldest})
	if err != nil {
		s.mu.Lock()
		defer s.unlock()
		s.reportLocked(err)
		return Answer{}, s.requestError(op, err)
	}
	lines := s.prepare(found, false)
	s.mu.Lock()
	defer s.unlock()
	s.oldest = from
	s.pageLocked(lines)
	return Answer{}, nil
}

// pageLocked takes in older lines: they are news of what was, and not of what is.
func (s *session) pageLocked(l lines) {
	d := MessageReceivedData{SessionData: s.namesLocked(), OldMessages: true}
	for i := range slices.Backward(l.messages) { // newest first (webchatservice 4.2)
		m := &l.messages[i]
		if _, hidden := l.hidden[i]; !s.script.mark(m) || hidden {
			continue
		}
		s.script.insert(m)
		d.Messages = append(d.Messages, *m)
	}
	if len(d.Messages) == 0 {
		return
	}
	d.OriginalMessages = originals(d.Messages)
	s.people.remember(s.script.lines, s.oldest > 1)
	s.emitLocked("messageReceived", d)
}

// takeUp dials a stored session: whole, so that the transcript is whole again, or, if it is a long-lived one, from its
// last page or what was not seen yet.
func (r *record) takeUp(driver chat.Resumer, page int, data map[string]any, credentials any) dialer {
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
