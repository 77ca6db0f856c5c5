package webchatservice_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

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
