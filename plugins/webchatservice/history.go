package webchatservice

import (
	"context"
	"slices"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

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

// remember makes the roster what all lines known say, which are not from the beginning if cut. Nobody comes or
// goes by that.
func (p *people) remember(lines []*Message, cut bool) {
	var whole people
	for _, m := range lines {
		if m.From.Type == chat.RoleClient {
			continue
		}
		if cut {
			whole.meet(m, nil)
		}
		whole.see(m, nil)
	}
	p.roster = whole.roster
}

// meet takes somebody into the roster of whom a line comes and whose joining is not among the lines known, and adds
// that to out.
func (p *people) meet(m *Message, out []emission) []emission {
	switch m.Type {
	case chat.KindParticipantJoined, chat.KindParticipantLeft:
		return out
	}
	if m.From.Type == chat.RoleClient {
		if p.client != nil {
			return out
		}
	} else if members, _, _ := p.group(m.From.Type); m.From.ID == "" || known(*members, m.From.ID) {
		return out
	}
	unknown := *m
	unknown.Timestamp = 0 // since when is not known
	return p.join(&unknown, out)
}

func known(members map[string]Participant, id PartyID) bool {
	_, ok := members[string(id)]
	return ok
}

// takeUp dials a stored session: whole, so that the transcript is whole again, or, if it is a long-lived one, from its
// last page or what was not seen yet.
func (r *record) takeUp(driver chat.Resumer, page int, data map[string]any) dialer {
	tail, ok := driver.(chat.TailResumer)
	if !ok || !r.Async {
		return func(ctx context.Context) (chat.Conn, error) {
			return driver.Resume(ctx, r.session(), chat.Position{})
		}
	}
	return func(ctx context.Context) (chat.Conn, error) {
		return tail.ResumeTail(ctx, r.session(), r.Position, page, data)
	}
}
