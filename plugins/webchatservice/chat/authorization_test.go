package chat_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// However many wait, it asks once: for the first value, and for the one after a refusal.
func TestAuthorizationAsksOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		a := chat.NewAuthorization(func(_ context.Context, refused chat.Secret) (chat.Secret, error) {
			n := asked.Add(1)
			assert.Equal(t, n == 1, refused.IsZero())
			time.Sleep(time.Second)
			return chat.NewSecret(fmt.Sprintf("Bearer %d", n)), nil
		})
		all := func(get func(context.Context) (chat.Secret, error), want string) {
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() {
					v, err := get(t.Context())
					assert.NoError(t, err)
					assert.Equal(t, want, v.Reveal())
				})
			}
			wg.Wait()
		}
		all(a.Value, "Bearer 1")
		all(a.Value, "Bearer 1")
		assert.Equal(t, int64(1), asked.Load())
		refused := chat.NewSecret("Bearer 1")
		all(func(ctx context.Context) (chat.Secret, error) { return a.Renew(ctx, refused) }, "Bearer 2")
		all(func(ctx context.Context) (chat.Secret, error) { return a.Renew(ctx, refused) }, "Bearer 2")
		assert.Equal(t, int64(2), asked.Load())
	})
}

// A failure is for all who waited; who comes later asks again.
func TestAuthorizationSharesFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("CANARY-token refused")
		asked := 0
		a := chat.NewAuthorization(func(context.Context, chat.Secret) (chat.Secret, error) {
			asked++
			time.Sleep(time.Second)
			if asked == 1 {
				return chat.Secret{}, cause
			}
			return chat.NewSecret("x"), nil
		})
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				_, err := a.Value(t.Context())
				var e *chat.Error
				if assert.ErrorAs(t, err, &e) {
					assert.Equal(t, chat.NotSent, e.Outcome)
					assert.Equal(t, chat.CodeUnauthorized, e.Code)
				}
				assert.ErrorIs(t, err, cause)
				assert.NotContains(t, err.Error(), "CANARY-")
			})
		}
		wg.Wait()
		assert.Equal(t, 1, asked)
		v, err := a.Value(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "x", v.Reveal())
	})
}

// Who gives up, gives up for himself: the next one asks.
func TestAuthorizationGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		a := chat.NewAuthorization(func(ctx context.Context, _ chat.Secret) (chat.Secret, error) {
			asked++
			select {
			case <-time.After(2 * time.Second):
				return chat.NewSecret("x"), nil
			case <-ctx.Done():
				return chat.Secret{}, ctx.Err()
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := a.Value(ctx)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
		})
		synctest.Wait()
		wg.Go(func() {
			_, err := a.Value(ctx)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
		})
		wg.Go(func() {
			v, err := a.Value(t.Context())
			assert.NoError(t, err)
			assert.Equal(t, "x", v.Reveal())
		})
		wg.Wait()
		assert.Equal(t, 2, asked)
	})
}

// It never waits for ever, and knows values that cannot help.
func TestAuthorizationWithoutValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := "hang"
		a := chat.NewAuthorization(func(ctx context.Context, _ chat.Secret) (chat.Secret, error) {
			if answer == "hang" {
				<-ctx.Done()
				return chat.Secret{}, ctx.Err()
			}
			return chat.NewSecret(answer), nil
		})
		code := func(err error) string {
			var e *chat.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, chat.NotSent, e.Outcome)
			return e.Code
		}
		begin := time.Now()
		_, err := a.Value(context.Background())
		assert.Equal(t, chat.CodeTimeout, code(err))
		assert.Equal(t, 30*time.Second, time.Since(begin))
		answer = ""
		_, err = a.Value(t.Context())
		assert.Equal(t, chat.CodeUnauthorized, code(err))
		answer = "old"
		_, err = a.Value(t.Context())
		require.NoError(t, err)
		_, err = a.Renew(t.Context(), chat.NewSecret("old"))
		assert.Equal(t, chat.CodeUnauthorized, code(err))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = a.Value(ctx)
		assert.Equal(t, chat.CodeCanceled, code(err))
	})
}
