package chat

import (
	"context"
	"sync/atomic"
	"time"
)

// askLimit is how long an Authorization may be asked for at a time.
const askLimit = 30 * time.Second

// Authorization keeps the value of the header Authorization that requests carry, and asks for a new one
// when the server no longer accepts it: once for all who wait. It may be used from many goroutines and
// by many drivers at once; it starts no goroutine.
type Authorization struct {
	ask    func(ctx context.Context, refused Secret) (Secret, error)
	rounds atomic.Uint64 // how often was asked, to the end
	turn   chan struct{} // holds a token while somebody asks; guards what follows

	value  Secret
	failed error // of the last round
}

// NewAuthorization returns an Authorization that asks ask: for the first value, with a zero refused, when
// the first request is made, and for another one each time a server has answered HTTP 401 to refused.
// The value is the whole header, such as "Bearer abc". Calls do not overlap; ctx ends with the request
// that is waiting, and after 30 s. An error fails all requests that wait then; the next one asks
// again.
func NewAuthorization(ask func(ctx context.Context, refused Secret) (Secret, error)) *Authorization {
	return &Authorization{ask: ask, turn: make(chan struct{}, 1)}
}

// Value returns the value to use. It asks for one only if there is none. The error is an [*Error] with
// outcome NotSent.
func (a *Authorization) Value(ctx context.Context) (Secret, error) { return a.other(ctx, Secret{}) }

// Renew returns another value than refused: one that came meanwhile, or a new one. The error is an
// [*Error] with outcome NotSent; that there is none but refused is one, too.
func (a *Authorization) Renew(ctx context.Context, refused Secret) (Secret, error) {
	return a.other(ctx, refused)
}

// other returns a value that is not the one given.
func (a *Authorization) other(ctx context.Context, refused Secret) (Secret, error) {
	before := a.rounds.Load()
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return Secret{}, authorizationError(CodeCanceled, "given up while waiting for credentials", context.Cause(ctx))
	}
	switch {
	case ctx.Err() != nil:
		return Secret{}, authorizationError(CodeCanceled, "given up while waiting for credentials", context.Cause(ctx))
	case !a.value.IsZero() && a.value != refused:
		return a.value, nil
	case a.rounds.Load() != before && a.failed != nil: // somebody else has asked for all who waited
		return Secret{}, a.failed
	}
	limited, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	value, err := a.ask(limited, refused)
	switch {
	case err != nil && ctx.Err() != nil: // given up by this one alone: the next one asks
		return Secret{}, authorizationError(CodeCanceled, "given up while asking for credentials", context.Cause(ctx))
	case err != nil && limited.Err() != nil:
		err = authorizationError(CodeTimeout, "no credentials came in time", err)
	case err != nil:
		err = authorizationError(CodeUnauthorized, "no credentials could be had", err)
	case value.IsZero():
		err = authorizationError(CodeUnauthorized, "the credentials are empty", nil)
	case value == refused:
		err = authorizationError(CodeUnauthorized, "there are no other credentials than those that were refused", nil)
	default:
		a.value = value
	}
	a.failed = err
	a.rounds.Add(1)
	if err != nil {
		return Secret{}, err
	}
	return value, nil
}

// authorizationError has no cause's text in its own: what an Authorization function says may hold a token.
func authorizationError(code, text string, err error) error {
	return &Error{Outcome: NotSent, Code: code, Op: "authorize", Text: text, Hint: "check the Authorization function", Err: err}
}
