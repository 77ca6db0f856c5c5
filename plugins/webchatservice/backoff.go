package webchatservice

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// maxWait caps the time between two tries while a session lives: a server drops a visitor whom it has
// not heard of for 45 s (wire-gms A.8), and somebody is waiting.
const maxWait = 8 * time.Second

// maxRetryAfter caps what a server may ask for by Retry-After.
const maxRetryAfter = time.Minute

// newBackoff returns a source of waits. They double from first, each half as long up to half as long again,
// until they would pass maxWait; from then on they are a little shorter than that. The wide jitter at first
// spreads sessions that fail in the same moment; the narrow one later bounds how often a server that is
// down is asked: with a first wait of 1 s, 12 times in its first minute, whatever the dice say.
//
// What the server asked for by Retry-After is kept to, up to maxRetryAfter, plus a tenth at most: those who
// were told the same do not come back in the same moment.
func newBackoff(first time.Duration) func(asked time.Duration) time.Duration {
	const steady = maxWait * 10 / 11
	b := &backoff.ExponentialBackOff{InitialInterval: first, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: maxWait}
	b.Reset()
	rising, next := true, first
	return func(asked time.Duration) time.Duration {
		switch {
		case !rising:
		case next < maxWait:
			next *= 2
		default:
			rising = false
			b = &backoff.ExponentialBackOff{InitialInterval: steady, RandomizationFactor: 0.1, Multiplier: 1, MaxInterval: steady}
			b.Reset()
		}
		d := min(b.NextBackOff(), maxWait)
		if asked <= 0 {
			return d
		}
		return max(d, min(asked+rand.N(asked/10+1), maxRetryAfter)) //nolint:gosec // nobody gains by guessing it
	}
}

// pause waits for d, or until ctx ends or wake is closed; nil never is. It reports whether ctx lives.
func pause(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-wake:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}
