package webchatservice_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
)

// signIn is how the visitors of the driver doorkeeper sign in.
type signIn struct{ name string }

// doorkeeper is a driver that notes who signs in.
type doorkeeper struct {
	chat.Driver

	mu   sync.Mutex // guards seen
	seen []any
}

func (d *doorkeeper) note(credentials any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen = append(d.seen, credentials)
}

func (d *doorkeeper) Open(ctx context.Context, r chat.Request) (chat.Conn, error) {
	d.note(r.Credentials)
	return d.Driver.Open(ctx, r)
}

func (d *doorkeeper) Resume(ctx context.Context, r chat.ResumeRequest) (chat.Conn, error) {
	d.note(r.Credentials)
	return d.Driver.(chat.Resumer).Resume(ctx, r)
}

// TestCredentialsReachTheDriver: what the program gives goes with a start and with a restore, as the value that it is.
func TestCredentialsReachTheDriver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &doorkeeper{Driver: chattest.NewMemory(nil).Driver()}
		visitor := &signIn{"Ada"}
		opts := &webchatservice.Options{
			Store: webchatservice.NewMemoryStore(), Credentials: visitor,
			Driver: d,
		}
		r := newRig(t, opts)
		r.begin()
		r.stop()

		r = newRig(t, opts)
		defer r.stop()
		_, err := call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		assert.Equal(t, []any{visitor, visitor}, d.seen)
	})
}

// keeper is a driver that notes which sessions it is to take up.
type keeper struct {
	chat.Driver
	resumed []chat.Session
}

func (k *keeper) Resume(ctx context.Context, r chat.ResumeRequest) (chat.Conn, error) {
	k.resumed = append(k.resumed, r.Session)
	return k.Driver.(chat.Resumer).Resume(ctx, r)
}

// TestSessionIsKeptWhole: what a driver says of a session comes back to it after a restart, also when the session
// expires and how it is renewed. Neither key shows in what is published.
func TestSessionIsKeptWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &keeper{Driver: chattest.NewMemory(nil).Driver()}
		opts := &webchatservice.Options{Store: webchatservice.NewMemoryStore(), Driver: k}
		r := newRig(t, opts)
		_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
		require.NoError(t, err)
		begun := time.Now()
		events := r.take()
		r.stop()
		time.Sleep(10 * time.Second)
		r = newRig(t, opts)
		defer r.stop()
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		want := chat.Session{
			ID: id, UserID: "user-1", Alias: "1", SecureKey: chat.NewSecret("memory-secure-key-1"),
			Refresh: chat.NewSecret("memory-refresh-key-1"), Expires: time.UnixMilli(begun.Add(24 * time.Hour).UnixMilli()).UTC(),
		}
		require.Len(t, k.resumed, 1)
		assert.True(t, want == k.resumed[0], "%v", k.resumed[0])
		seen := printed(t, append(events, r.take()...), nil)
		assert.NotContains(t, seen, "memory-secure-key")
		assert.NotContains(t, seen, "memory-refresh-key")
	})
}
