package webchatservice

import (
	"context"
	"errors"
	"time"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// The commands that take up a session that was begun before (webchatservice 3).
var (
	Restore = bus.NewCommand[RestoreIn, Answer](Namespace+".restore",
		"Takes up the stored session, or the one in sessionData.")
	AsyncRestore = bus.NewCommand[struct{}, struct{}](Namespace+".asyncRestore",
		"Takes up the stored session, as restore does.")
)

// RestoreIn are the options of restore. The zero RestoreIn means the session in the [Store].
type RestoreIn struct {
	// Async tells that the session of SessionData is a long-lived one.
	Async RestoreAsync `json:"async,omitzero"`
	// SessionData is a session that the caller has kept, as getSessionData gave it. It is taken up in the
	// place of a stored one, and becomes the stored one.
	SessionData *SessionKeys `json:"sessionData,omitempty"`
}

// RestoreAsync is the group async of [RestoreIn].
type RestoreAsync struct {
	Enabled bool `json:"enabled,omitempty"`
}

// SessionKeys is a [SessionData] that shows its key nowhere, not even as JSON: SessionKeys(data) makes one.
type SessionKeys struct {
	SessionID string `json:"sessionID"` // the server's id of the chat
	UserID    string `json:"userId"`    // the server's id of the visitor
	SecureKey Key    `json:"secureKey"` // a secret
	Alias     string `json:"alias"`     // which of the chat servers has the chat
}

// restoring is a restore under way.
type restoring struct{ done chan struct{} }

func (s *Service) restoreChat(ctx context.Context, in RestoreIn) (Answer, error) {
	s.mu.Lock()
	switch {
	case s.stopped:
		s.mu.Unlock()
		return Answer{}, bus.ErrStopped
	case s.restore != nil:
		s.mu.Unlock()
		return Answer{}, failure(ErrRestoring, "restore", nil, "")
	case s.cur != nil && !s.cur.current().Final():
		s.mu.Unlock()
		return Answer{}, failure(ErrAlreadyActive, "restore", nil, "")
	}
	running := &restoring{make(chan struct{})}
	s.restore = running
	limit := ms(s.cfg.RestoreTimeout)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.restore = nil
		s.mu.Unlock()
		close(running.done)
		s.deps.events.flush()
	}()

	r, err := in.record(), error(nil)
	if r == nil {
		r, err = s.deps.stored(ctx, "restore", limit)
	}
	if err != nil {
		return Answer{}, err
	}
	if r == nil || r.SessionID == "" {
		return Answer{}, failure(ErrNothingStored, "restore", nil, "")
	}
	if err := s.prepareDriver(); err != nil {
		return Answer{}, err
	}
	s.mu.Lock()
	driver := s.drivers.current
	s.mu.Unlock()
	resumer, ok := driver.(chat.Resumer)
	if !ok {
		return Answer{}, failure(ErrNoRestore, "restore", nil, "")
	}
	if in.SessionData == nil {
		if err := s.deps.claim(ctx, r); err != nil {
			return Answer{}, err
		}
	}
	s.mu.Lock()
	if s.stopped { // while the store was asked
		s.mu.Unlock()
		return Answer{}, bus.ErrStopped
	}
	ses, before := s.deps.newSession(&s.cfg, StateRestoring), s.cur
	s.cur = ses
	data := merged(s.cfg.UserData, s.userData)
	s.mu.Unlock()
	ses.reload(r)

	answer, err := connecting{ses, StateRestoring}.begin(ctx, r.dialer(resumer, ses.deps.page, data, s.opts.Credentials))
	if err == nil {
		return answer, nil
	}
	s.mu.Lock()
	if s.cur == ses && before != nil && ses.current().Final() { // else it is being ended still
		s.cur = before // whose transcript is still to be had
	}
	s.mu.Unlock()
	switch {
	case chat.OutcomeOf(err) == chat.Gone:
		if in.SessionData == nil {
			s.deps.clear(ctx, r)
		}
		s.deps.events.push(publicationOf(RestoreTimeout, RestoreTimeoutData{Reason: "ended"}))
		return Answer{}, failure(ErrSessionOver, "restore", err, "start a new chat")
	case isFailure(err):
		return Answer{}, err // ended, or stopped, on the way
	}
	s.deps.events.push(publicationOf(RestoreFailed, RestoreFailedData{errorData(err)}))
	return Answer{}, failure(ErrRestoreFailed, "restore", err, "")
}

// asyncRestore is restore by another name.
func asyncRestore(s *Service, ctx context.Context, _ struct{}) (none struct{}, err error) {
	_, err = s.restoreChat(ctx, RestoreIn{})
	return none, err
}

// record is the session that the caller brings; nil when he brings none.
func (in *RestoreIn) record() *record {
	d := in.SessionData
	if d == nil {
		return nil
	}
	return &record{
		Version: recordVersion, SessionID: d.SessionID, UserID: d.UserID, Alias: d.Alias,
		SecureKey: d.SecureKey.Reveal(), Heard: stamp(time.Now()), Async: in.Async.Enabled,
	}
}

// isFailure reports whether err is one of the bus's or the service's own.
func isFailure(err error) bool {
	_, ok := err.(*bus.Error) //nolint:errorlint // the outermost error is asked about
	return ok
}

// stored returns the stored session, or nil when there is none; one that has been silent for limit is cleared first.
func (d *deps) stored(ctx context.Context, op string, limit time.Duration) (*record, error) {
	r, err := d.store.load(ctx)
	if err != nil {
		return nil, failure(ErrStore, op, err, "")
	}
	if r == nil {
		return nil, nil
	}
	if r.Async || r.age(time.Now()) < limit { // the server keeps a long-lived one (wire-gms C.1)
		return r, nil
	}
	d.clear(ctx, r)
	d.events.push(publicationOf(RestoreTimeout, RestoreTimeoutData{Reason: "timeout"}))
	return nil, nil
}

// claim makes the stored session this service's own. A store that fails otherwise does not hold up the restore.
func (d *deps) claim(ctx context.Context, r *record) error {
	err := d.store.take(ctx, r)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrConflict):
		return failure(ErrSessionMoved, "restore", err, "it goes on there")
	}
	d.log.Warn("restored session could not be claimed in the store", "error", err)
	return nil
}

// clear forgets a stored session that cannot be restored.
func (d *deps) clear(ctx context.Context, r *record) {
	if err := d.store.drop(ctx, r); err != nil {
		d.log.Warn("dead session stays in the store", "error", err)
	}
}
