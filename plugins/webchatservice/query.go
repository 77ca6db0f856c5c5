package webchatservice

import (
	"context"
	"encoding/json"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// The commands that ask for what is known, and change nothing (webchatservice 3).
var (
	GetTranscript = bus.NewCommand[struct{}, Transcript](Namespace+".getTranscript",
		"Gives the lines of the session, or of the last one until the next starts.")
	GetAgents = bus.NewCommand[struct{}, Roster](Namespace+".getAgents",
		"Gives who takes and took part, besides the visitor.")
	GetStats = bus.NewCommand[struct{}, Stats](Namespace+".getStats",
		"Gives the participants and the times of the first and the last line.")
	GetSessionData = bus.NewCommand[struct{}, SessionData](Namespace+".getSessionData",
		"Gives the keys of the session, secureKey too; empty ones without a session.")
	VerifySession = bus.NewCommand[struct{}, VerifySessionOut](Namespace+".verifySession",
		"Tells whether there is a session that is, or could be, used.")
)

// Transcript is what getTranscript resolves with.
type Transcript struct {
	// Messages are the lines, in the order of the transcript.
	Messages []Message `json:"messages"`
	// OriginalMessages are the same lines as the server sent them, one for each of Messages.
	OriginalMessages []chat.JSON `json:"originalMessages"`
}

// Stats is what getStats resolves with. Times are in ms; all three are false in JSON when there is no line.
type Stats struct {
	Roster
	StartTime Time    `json:"startTime"` // of the first line
	EndTime   Time    `json:"endTime"`   // of the last line
	Duration  Elapsed `json:"duration"`  // from the one to the other; -1 when there is no line
}

// SessionData is what getSessionData resolves with: the one place where secureKey is given out. It
// is in the JSON; fmt and log/slog print it hidden.
type SessionData struct {
	SessionID string `json:"sessionID"` // the server's id of the chat
	UserID    string `json:"userId"`    // the server's id of the visitor
	SecureKey Key    `json:"secureKey"` // proves to the server that it is this visitor: a secret
	Alias     string `json:"alias"`     // which of the chat servers has the chat
}

// MarshalJSON writes {sessionID, userId, secureKey, alias}, the key as it is.
func (d SessionData) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		SessionID string `json:"sessionID"`
		UserID    string `json:"userId"`
		SecureKey string `json:"secureKey"`
		Alias     string `json:"alias"`
	}{d.SessionID, d.UserID, d.SecureKey.Reveal(), d.Alias})
}

// VerifySessionOut is what verifySession resolves with.
type VerifySessionOut struct {
	SessionActive bool `json:"sessionActive"` // there is one that is, or could be, used
}

func (s *Service) getTranscript(context.Context, struct{}) (Transcript, error) {
	ses := s.last()
	if ses == nil {
		return (&transcript{}).view(), nil
	}
	ses.mu.Lock()
	defer ses.mu.Unlock()
	return ses.transcript.view(), nil
}

func (s *Service) getAgents(context.Context, struct{}) (Roster, error) {
	ses := s.last()
	if ses == nil {
		return (&roster{}).view(), nil
	}
	ses.mu.Lock()
	defer ses.mu.Unlock()
	return ses.roster.view(), nil
}

func (s *Service) getStats(context.Context, struct{}) (Stats, error) {
	ses := s.last()
	if ses == nil {
		return Stats{Roster: (&roster{}).view(), Duration: -1}, nil
	}
	ses.mu.Lock()
	defer ses.mu.Unlock()
	first, last := ses.transcript.span()
	stats := Stats{Roster: ses.roster.view(), StartTime: Time(first), EndTime: Time(last), Duration: -1}
	if first != 0 {
		stats.Duration = Elapsed(last - first)
	}
	return stats, nil
}

func (s *Service) getSessionData(context.Context, struct{}) (SessionData, error) {
	ses := s.last()
	if ses == nil {
		return SessionData{}, nil
	}
	ses.mu.Lock()
	defer ses.mu.Unlock()
	if !ses.state.live() && ses.state != StateEnding {
		return SessionData{}, nil
	}
	return SessionData{ses.info.ID, ses.info.UserID, Key{ses.info.SecureKey}, ses.info.Alias}, nil
}

func (s *Service) verifySession(ctx context.Context, _ struct{}) (VerifySessionOut, error) {
	s.mu.Lock()
	running, cur, limit := s.restore, s.cur, ms(s.cfg.RestoreTimeout)
	s.mu.Unlock()
	if running != nil {
		select {
		case <-running.done:
		case <-ctx.Done():
			return VerifySessionOut{}, failure(bus.ErrCancelled, "verifySession", context.Cause(ctx), "")
		}
		cur = s.last()
	}
	if cur != nil && cur.current().live() {
		return VerifySessionOut{true}, nil
	}
	defer s.deps.events.flush()
	r, err := s.deps.stored(ctx, "verifySession", limit)
	return VerifySessionOut{r != nil}, err
}
