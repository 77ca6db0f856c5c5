package webchatservice_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
)

// lateConn answers the request to end the chat later than the end itself comes.
type lateConn struct{ chat.Conn }

func (c lateConn) Send(ctx context.Context, a chat.Action) (chat.Receipt, error) {
	r, err := c.Conn.Send(ctx, a)
	if a.Kind == chat.ActionEnd && err == nil {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return chat.Receipt{}, &chat.Error{Code: chat.CodeCanceled, Op: "end", Err: context.Cause(ctx)}
		}
	}
	return r, err
}

type lateDriver struct{ chat.Driver }

func (d lateDriver) Open(ctx context.Context, r chat.Request) (chat.Conn, error) {
	conn, err := d.Driver.Open(ctx, r)
	return lateConn{conn}, err
}

// A server that says that the chat is over was told, though its answer to the
// request comes behind that, where nobody waits any more.
func TestEndBeforeItsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := chattest.NewMemory(nil).Factory()
		open := f.New
		f.New = func(c chat.Config, o chat.Options) (chat.Driver, error) {
			d, err := open(c, o)
			return lateDriver{d}, err
		}
		r := newRig(t, &webchatservice.Options{Drivers: []chat.Factory{f}})
		defer r.stop()
		r.begin()
		_, err := call(r, webchatservice.EndChat, struct{}{})
		require.NoError(t, err)
		assert.Equal(t, webchatservice.EndedData{Reason: webchatservice.EndVisitor, ServerTold: true},
			payload[webchatservice.EndedData](t, r.take(), "ended"))
	})
}
