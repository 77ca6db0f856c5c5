package webchatservice

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// storeTimeout limits each call of a store: a disk that hangs must not stop a chat for good.
const storeTimeout = 5 * time.Second

// claimTries limits how often a record is read anew because somebody else has written it meanwhile.
const claimTries = 4

var (
	// errStoreHangs is what calls fail with while one that was left behind has not returned.
	errStoreHangs = errors.New("an earlier call of the store has not returned yet")
	// errMoved: the record is of this session, and another service has claimed it.
	errMoved = errors.New("another service has taken up this session")
	// errReplaced: the record is of another session, which another service has begun or taken up.
	errReplaced = errors.New("another service keeps another session of this visitor")
)

// sessionStore is the way to the store for one service. It limits each call in time and makes one at a time. It claims
// the record for this service, and notices when another one has claimed it. A session that is over neither comes back
// nor takes its successor's record away.
type sessionStore struct {
	store   Store   // nil: nothing is kept
	claimer Claimer // the same store, if it is one; else nil
	key     string
	owner   string // names this life of the service in records

	calls sync.WaitGroup // those of the store, also the one left behind

	lock  chan struct{} // cap 1: holds a token during a call. Not a mutex: waiting for a disk takes fake time, too
	left  chan struct{} // guarded by lock: closed when the call left behind has returned; nil when there is none
	hangs bool          // guarded by lock: it was waited for in vain
	claim claim         // guarded by lock

	mu      sync.Mutex // guards session
	session *session   // whose record it is; nil after forget
}

// claim is what this service knows of the record that it keeps.
type claim struct {
	held       bool   // it has been written
	owner      string // as written
	generation uint64 // as written
	revision   uint64 // of a Claimer's record
}

func newSessionStore(store Store, key string) *sessionStore {
	st := &sessionStore{store: store, key: key, lock: make(chan struct{}, 1), owner: rand.Text()}
	st.claimer, _ = store.(Claimer)
	return st
}

// call makes one call of the store. A disk that hangs must stop neither a chat nor the end of one, and not
// every store heeds its context, so the call has a goroutine of its own; wait waits for it. After an error nothing
// that f writes to may be read, since f may still be running.
func (st *sessionStore) call(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	if st.left != nil && !st.gone(ctx) {
		cancel()
		return errStoreHangs
	}
	returned := make(chan struct{})
	err := errors.New("store ended its goroutine")
	st.calls.Go(func() {
		defer cancel()
		defer close(returned)
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("store panicked: %v", p)
			}
		}()
		err = f(ctx)
	})
	select {
	case <-returned:
		return err
	case <-ctx.Done():
		select {
		case <-returned: // that is why its context is over
			return err
		default:
		}
		st.left, st.hangs = returned, false
		return context.Cause(ctx)
	}
}

// gone reports whether the call left behind has returned, after waiting for it, once.
func (st *sessionStore) gone(ctx context.Context) bool {
	if st.hangs {
		select {
		case <-st.left:
		default:
			return false
		}
	}
	select {
	case <-st.left:
		st.left = nil
		return true
	case <-ctx.Done():
		st.hangs = true
		return false
	}
}

// wait waits for the call left behind, for as long as ctx lives.
func (st *sessionStore) wait(ctx context.Context) error {
	gone := make(chan struct{})
	go func() {
		st.calls.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// adopt makes s the session whose record is kept. It never waits for the store.
func (st *sessionStore) adopt(s *session) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.session = s
}

// keeps reports whether the record is s's.
func (st *sessionStore) keeps(s *session) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.session == s
}

// disown makes the record nobody's if it is s's, and reports whether it was.
func (st *sessionStore) disown(s *session) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.session != s {
		return false
	}
	st.session = nil
	return true
}

// acquire waits for its turn to call the store; release hands the turn on.
func (st *sessionStore) acquire(ctx context.Context) error {
	select {
	case st.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (st *sessionStore) release() { <-st.lock }

// load returns the stored session, nil when there is none.
func (st *sessionStore) load(ctx context.Context) (*record, error) {
	if st.store == nil {
		return nil, nil
	}
	if err := st.acquire(ctx); err != nil {
		return nil, err
	}
	defer st.release()
	r, _, err := st.read(ctx)
	return r, err
}

// read returns the record as it is now, nil when there is none, and its revision: also of one that is unreadable, for
// which the error matches errRecord.
func (st *sessionStore) read(ctx context.Context) (*record, uint64, error) {
	type result struct {
		b        []byte
		revision uint64
	}
	var got result
	err := st.call(ctx, func(ctx context.Context) (err error) {
		var r result
		if st.claimer != nil {
			r.b, r.revision, err = st.claimer.LoadRevision(ctx, st.key)
		} else {
			r.b, err = st.store.Load(ctx, st.key)
		}
		got = r
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	if got.b == nil {
		return nil, 0, nil
	}
	r, err := parseRecord(got.b)
	if err != nil {
		return nil, got.revision, err
	}
	r.revision = got.revision
	return r, r.revision, nil
}

// write stores r over the record that has the revision given, and makes that the claim.
func (st *sessionStore) write(ctx context.Context, r *record, revision uint64) error {
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode session for the store: %w", err)
	}
	var written uint64
	err = st.call(ctx, func(ctx context.Context) (err error) {
		if st.claimer == nil {
			return st.store.Save(ctx, st.key, b)
		}
		n, err := st.claimer.SaveRevision(ctx, st.key, b, revision)
		written = n
		return err
	})
	if err == nil {
		st.claim = claim{held: true, owner: r.Owner, generation: r.Generation, revision: written}
	}
	return err
}

// mine reports whether r is what this service has written last, or tried to.
func (st *sessionStore) mine(r *record) bool {
	return (r.Owner == st.owner || r.Owner == st.claim.owner) && r.Generation == st.claim.generation
}

// take claims the stored session r for this service, before it is taken up again. It fails with [ErrConflict] if
// another service has claimed it since r was loaded. Otherwise r is as it was loaded, but for its revision.
func (st *sessionStore) take(ctx context.Context, r *record) error {
	if err := st.acquire(ctx); err != nil {
		return err
	}
	defer st.release()
	claimed := *r
	claimed.Owner, claimed.Generation = st.owner, r.Generation+1
	if st.claimer == nil { // which compares nothing itself
		now, _, err := st.read(ctx)
		switch {
		case err != nil:
			return err
		case now == nil || now.Owner != r.Owner || now.Generation != r.Generation:
			return ErrConflict
		}
	}
	err := st.write(ctx, &claimed, r.revision)
	if err == nil {
		r.revision = st.claim.revision
	}
	return err
}

// save stores what snapshot returns, if the record is s's. It returns errMoved or errReplaced if another service has
// claimed the record; what that one wrote stays. A final record gives the claim up.
func (st *sessionStore) save(ctx context.Context, s *session, snapshot func() *record) error {
	if st.store == nil {
		return nil
	}
	if err := st.acquire(ctx); err != nil {
		return err
	}
	defer st.release()
	if !st.keeps(s) {
		return nil
	}
	for try := 1; ; try++ {
		revision := st.claim.revision
		var prior *record
		strange := false // it is nothing that this program has written
		if !st.claim.held || st.claimer == nil || try > 1 {
			var err error
			prior, revision, err = st.read(ctx)
			if strange = errors.Is(err, errRecord); err != nil && !strange {
				return err
			}
		}
		r := snapshot()
		switch {
		case !st.claim.held: // the first one of this session takes the place of what is there
			st.claim.generation = 1
			if prior != nil {
				st.claim.generation = prior.Generation + 1
			}
		case strange || prior != nil && !st.mine(prior):
			st.disown(s)
			st.claim = claim{} // the next session of this service is as any other
			if !strange && prior.SessionID == r.SessionID {
				return errMoved
			}
			return errReplaced
		}
		r.Generation = st.claim.generation
		if !r.final {
			r.Owner = st.owner
		}
		err := st.write(ctx, r, revision)
		if !errors.Is(err, ErrConflict) || try == claimTries {
			return err
		}
	}
}

// forget deletes the record if it is s's, and no other service has claimed it.
func (st *sessionStore) forget(ctx context.Context, s *session) error {
	if st.store == nil {
		return nil
	}
	if err := st.acquire(ctx); err != nil {
		return err
	}
	defer st.release()
	if !st.disown(s) {
		return nil
	}
	held := st.claim
	st.claim = claim{}
	if !held.held {
		return nil
	}
	revision := held.revision
	for try := 1; ; try++ {
		if st.claimer == nil || try > 1 { // a save that was given up may have come through
			r, now, err := st.read(ctx)
			if err != nil || r == nil || r.Owner != held.owner && r.Owner != st.owner || r.Generation != held.generation {
				return err
			}
			revision = now
		}
		if err := st.remove(ctx, revision); !errors.Is(err, ErrConflict) {
			return err
		} else if try == claimTries {
			return nil // it is another's by now
		}
	}
}

// drop deletes r, a record of another life of the program, unless another service has claimed it since it was loaded.
func (st *sessionStore) drop(ctx context.Context, r *record) error {
	if err := st.acquire(ctx); err != nil {
		return err
	}
	defer st.release()
	if st.claimer == nil {
		now, _, err := st.read(ctx)
		if err != nil || now == nil {
			return err
		}
		if asLoaded := now.Owner == r.Owner && now.Generation == r.Generation; !asLoaded && !(st.claim.held && st.mine(now)) {
			return nil
		}
	}
	if err := st.remove(ctx, r.revision); !errors.Is(err, ErrConflict) { // another's by now
		return err
	}
	return nil
}

// remove deletes the record of that revision.
func (st *sessionStore) remove(ctx context.Context, revision uint64) error {
	return st.call(ctx, func(ctx context.Context) error {
		if st.claimer == nil {
			return st.store.Delete(ctx, st.key)
		}
		return st.claimer.DeleteRevision(ctx, st.key, revision)
	})
}
