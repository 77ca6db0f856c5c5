package webchatservice

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// maxWait caps the time between two tries while a session lives: a server drops a visitor whom it has
// not heard of for 45 s (wire-gms A.8), and somebody is waiting.
const maxWait = 8 * time.Second

// maxRetryAfter caps what a server may ask for by Retry-After.
const maxRetryAfter = time.Minute

// newBackoff returns a source of waits: exponential, jittered by 30 percent, up to maxWait.
func newBackoff(first time.Duration) func(asked time.Duration) time.Duration {
	b := &backoff.ExponentialBackOff{
		InitialInterval:     first,
		RandomizationFactor: 0.3,
		Multiplier:          2,
		MaxInterval:         maxWait,
	}
	b.Reset()
	return func(asked time.Duration) time.Duration {
		return max(min(b.NextBackOff(), maxWait), min(asked, maxRetryAfter))
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
