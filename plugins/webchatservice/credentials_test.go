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
	lines chan chat.Event

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
	c, err := d.Driver.Open(ctx, r)
	if err != nil {
		return nil, err
	}
	return &fakeConn{Conn: c, lines: d.lines}, nil
}

func (d *doorkeeper) Resume(ctx context.Context, r chat.ResumeRequest) (chat.Conn, error) {
	d.note(r.Credentials)
	return d.Driver.(chat.Resumer).Resume(ctx, r)
}

// TestCredentialsReachTheDriver: what the program gives goes with a start, with a restore, and with a connection that is
// made only to fetch missing lines, as the value that it is.
func TestCredentialsReachTheDriver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &doorkeeper{Driver: chattest.NewMemory(nil).Driver(), lines: make(chan chat.Event)}
		visitor := &signIn{"Ada"}
		opts := &webchatservice.Options{
			Store: webchatservice.NewMemoryStore(), Credentials: visitor,
			Drivers: []chat.Factory{{
				Name: "doorkeeper", Matches: func(chat.Config) bool { return true },
				New: func(chat.Config, chat.Options) (chat.Driver, error) { return d, nil },
			}},
		}
		r := newRig(t, opts)
		r.begin()
		d.lines <- chat.Event{Messages: []chat.Message{{Index: 9, HasIndex: true, Kind: chat.KindMessage}}} // 1 to 8 are missing
		synctest.Wait()
		r.stop()

		r = newRig(t, opts)
		defer r.stop()
		_, err := call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		assert.Equal(t, []any{visitor, visitor, visitor}, d.seen)
	})
}
