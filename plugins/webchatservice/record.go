package webchatservice

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// recordVersion is that of the format below. Records of version 1, which have no owner, are read as well; others are
// refused.
const recordVersion = 2

// errRecord is matched by the errors of records that cannot be read.
var errRecord = errors.New("stored session is not what this program writes")

// record is what is stored of a session.
type record struct {
	Version int `json:"version"`
	// Owner names the life of the service that keeps the session. It is empty when that has let go of the session in
	// order, so that the record is its last word.
	Owner string `json:"owner,omitempty"`
	// Generation rises by one each time a service takes the record over from another one.
	Generation uint64 `json:"generation,omitempty"`

	SessionID string `json:"sessionID"`
	UserID    string `json:"userId,omitempty"`
	Alias     string `json:"alias,omitempty"`
	SecureKey string `json:"secureKey,omitempty"`
	Address   string `json:"address,omitempty"`
	Refresh   string `json:"refresh,omitempty"`
	Expires   int64  `json:"expires,omitempty"` // ms since 1970
	// Async: the session is long-lived, and may be silent for as long as it likes.
	Async bool `json:"async,omitempty"`
	// Heard is when the server was last heard of, in ms since 1970.
	Heard int64 `json:"heard"`
	// Position is what the visitor's side has seen.
	Position chat.Position `json:"position"`
	// Outbox are the messages whose fate was open.
	Outbox []storedItem `json:"outbox,omitempty"`

	// Unseen are the last messages that were sent and whose lines are not before Position: those lines are theirs, and not
	// of messages with the same text that wait.
	Unseen []storedItem `json:"unseen,omitempty"`

	revision uint64 // of the record in a Claimer
	final    bool   // it is the last word on the session
}

// storedItem is a message of the outbox in a record.
type storedItem struct {
	ID       string `json:"id"`
	Text     string `json:"text"`
	Type     string `json:"type,omitempty"`
	ParentID string `json:"parentID,omitempty"`
	// Postback is that of an answer to structured content.
	Postback *Postback `json:"postback,omitempty"`
	State    string    `json:"state"`
	Created  int64     `json:"created"` // ms since 1970
}

func (r *record) session() chat.Session {
	var expires time.Time
	if r.Expires != 0 {
		expires = time.UnixMilli(r.Expires).UTC()
	}
	return chat.Session{
		ID: r.SessionID, UserID: r.UserID, Alias: r.Alias,
		SecureKey: chat.NewSecret(r.SecureKey), Address: chat.NewSecret(r.Address),
		Refresh: chat.NewSecret(r.Refresh), Expires: expires,
	}
}

// age is how long the session has been silent. A clock that went back makes it 0.
func (r *record) age(now time.Time) time.Duration {
	return max(0, now.Sub(time.UnixMilli(r.Heard)))
}

// lastWord reports whether the owner has let go of the session in order: no message that waits was under way then.
func (r *record) lastWord() bool { return r.Version >= 2 && r.Owner == "" }

// parseRecord reads a stored record. Its errors match errRecord and do not quote the record.
func parseRecord(b []byte) (*record, error) {
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("%w: %T", errRecord, err)
	}
	if r.Version < 1 || r.Version > recordVersion || r.SessionID == "" {
		return nil, fmt.Errorf("%w: it has format %d, want %d", errRecord, r.Version, recordVersion)
	}
	return &r, nil
}

// save stores the session, and reports a failure as an event, too. If another
// service has taken the session up, it is over here.
func (s *session) save(ctx context.Context) error {
	var open []*outgoing
	err := s.deps.store.save(ctx, s, func() *record {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.saved = time.Now()
		open = s.outbox.openLocked()
		return s.recordLocked()
	})
	if len(open) > 0 && !errors.Is(err, errMoved) && !errors.Is(err, errReplaced) { // another failure may have stored it
		s.mu.Lock()
		for _, m := range open {
			m.stored = true
		}
		s.mu.Unlock()
	}
	if errors.Is(err, errMoved) {
		s.lock()
		s.movedLocked()
		s.unlock()
		return err
	}
	s.storeResult(err)
	return err
}

// movedLocked gives the session up because another service has taken it up: that one has the chat now.
func (s *session) movedLocked() {
	if !s.state.live() {
		return
	}
	s.typing.stopLocked(false)
	s.timers.stopLocked()
	s.outbox.movedLocked()
	emit(s, SessionMoved, struct{}{})
	s.becomeLocked(StateReleased)
}

// forget takes the session out of the store.
func (s *session) forget() {
	// The session's own life is over.
	s.storeResult(s.deps.store.forget(context.WithoutCancel(s.ctx), s))
}

// storeResult reports that the store began to fail, once.
func (s *session) storeResult(err error) {
	s.lock()
	failing := err != nil && s.ctx.Err() == nil
	if failing && !s.saveFails {
		emit(s, Error, failureData(failure(ErrStore, "", err, "the chat goes on and may not be restorable")))
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
		Refresh:   s.info.Refresh.Reveal(),
		Expires:   stamp(s.info.Expires),
		Heard:     stamp(s.heard),
		Position:  s.place, // what was received and waits for lines before it was not published
		Async:     s.async,
		final:     s.outbox.stopped,
	}
	s.outbox.unsaved = false
	for _, m := range s.outbox.openLocked() {
		state := m.state
		switch {
		case m.underWay && m.echoed: // the place in the transcript may be behind its line
			state = MessageSent
		case m.underWay:
			state = MessageUnknown
		}
		r.Outbox = append(r.Outbox, m.item(state))
	}
	for _, m := range s.outbox.awaitingEcho {
		if m.state == MessageSent {
			r.Unseen = append(r.Unseen, m.item(m.state))
		}
	}
	return r
}

// item is the message in a record.
func (m *outgoing) item(state MessageState) storedItem {
	return storedItem{
		ID: m.id, Text: m.action.Text, Type: m.action.MessageType, ParentID: m.action.ParentID,
		Postback: postbackOf(m.action.Reply),
		State:    string(state), Created: stamp(m.created),
	}
}

// message is the message of a record, as it was.
func (i *storedItem) message(now time.Time) *outgoing {
	m := &outgoing{
		id: i.ID,
		action: chat.Action{
			Kind: chat.ActionMessage, Text: i.Text, MessageType: i.Type, ParentID: i.ParentID, ClientID: i.ID,
		},
		created: now.Add(-max(0, now.Sub(time.UnixMilli(i.Created)))), // from here on the wall clock does not count
		state:   MessageState(i.State),
		stored:  true,
	}
	if i.Postback != nil {
		m.action.Reply, _ = i.Postback.reply(i.Type)
	}
	return m
}

// outboxChangedLocked notes that the outbox has changed, and sees to it that the store learns of it soon.
func (s *session) outboxChangedLocked() {
	s.outbox.unsaved = true
	if s.deps.store.store != nil && !s.outbox.saving && !s.state.Final() {
		s.outbox.saving = s.spawnLocked(func() {
			for {
				s.lock()
				if s.outbox.saving = s.outbox.unsaved && !s.state.Final(); !s.outbox.saving {
					s.unlock()
					return
				}
				s.unlock()
				if !s.deps.store.keeps(s) || s.save(s.ctx) != nil { // save takes unsaved back
					s.lock()
					s.outbox.saving = false
					s.unlock()
					return
				}
			}
		})
	}
}

// saveOutbox stores the session now.
func (s *session) saveOutbox() {
	if s.deps.store.store != nil {
		_ = s.save(s.ctx) // told by an event
	}
}

// reload takes in the messages of a stored session, before it is taken up again. What waited waits. What was under way
// is unknown until the transcript shows it.
func (s *session) reload(r *record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.async, s.place = r.Async, r.Position
	s.outbox.idPrefix = rand.Text()[:10]
	now := time.Now()
	for i := range r.Unseen {
		s.outbox.awaitingEcho = append(s.outbox.awaitingEcho, r.Unseen[i].message(now))
	}
	for i := range r.Outbox {
		m := r.Outbox[i].message(now)
		m.doubtful = !r.lastWord()
		switch m.state {
		case MessagePending:
			s.outbox.queue = append(s.outbox.queue, m)
		case MessageUnknown:
			s.outbox.awaitingEcho = append(s.outbox.awaitingEcho, m)
			s.outbox.unsent = append(s.outbox.unsent, m)
		case MessageFailed:
			s.outbox.unsent = append(s.outbox.unsent, m)
		case MessageSent: // and its caller was not told
			s.outbox.untold = append(s.outbox.untold, m)
		}
	}
}

// resumeOutboxLocked goes on with the messages of a stored session, and tells what is known of them.
func (s *session) resumeOutboxLocked() {
	for _, m := range s.outbox.openLocked() {
		s.outbox.emitStateLocked(m, nil)
	}
	s.outbox.untold = nil
	if slices.ContainsFunc(s.outbox.queue, func(m *outgoing) bool { return m.doubtful }) {
		s.outbox.notBefore = time.Now().Add(restoreSettle)
	}
	s.outbox.sendLocked()
}
