package gmscometd

import (
	"context"
	"net/http"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/bayeux"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

// requests makes the HTTP requests of a Bayeux client, through a GMS wire.
type requests struct{ wire *gms.Wire }

const jsonType = "application/json;charset=UTF-8"

// Post implements [bayeux.HTTP].
func (r requests) Post(ctx context.Context, op, suffix string, unit []byte, limit time.Duration) ([]byte, *chat.Error) {
	w := r.wire
	resp, e := w.Send(ctx, op, w.Address+suffix, jsonType, unit, limit)
	switch {
	case e != nil:
		return nil, e
	case resp.Status == http.StatusOK:
		return resp.Body, nil
	}
	e = w.Failure(op, resp)
	if resp.Status == http.StatusNotFound {
		e.Text = "the server has no CometD there (HTTP 404)"
		e.Hint = "check that " + w.Option + " is the Bayeux end point of a GMS, and that enable_notification_mode is on"
	}
	return nil, e
}

// Upgrade implements [bayeux.HTTP].
func (r requests) Upgrade(
	ctx context.Context, op string, limit time.Duration, dial func(context.Context, http.Header) (*http.Response, error),
) *chat.Error {
	w := r.wire
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	resp, e := w.Authorized(limited, op, func(auth chat.Secret) (*gms.Response, *chat.Error) {
		header, e := w.Header(op, auth)
		if e != nil {
			return nil, e
		}
		resp, err := dial(limited, header)
		if resp == nil {
			return nil, w.Broken(ctx, op, err, limit)
		}
		return &gms.Response{Status: resp.StatusCode}, nil
	})
	switch {
	case e != nil:
		return e
	case resp.Status == http.StatusSwitchingProtocols:
		return nil
	}
	return w.Failure(op, resp)
}

var _ bayeux.HTTP = requests{}
