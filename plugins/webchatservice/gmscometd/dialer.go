package gmscometd

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

const socketBuffer = 512 // bytes, each way; larger messages pass through it

// What all websockets share: buffers to write from, and what messages are read into.
var (
	writers sync.Pool
	readers = sync.Pool{New: func() any { return new(bytes.Buffer) }}
)

// dialer opens websockets. It is shared by all connections of a driver.
type dialer struct {
	address   string
	socket    websocket.Dialer
	maxAnswer int64
}

// newDialer returns a dialer that reaches the network as w does.
func newDialer(w *gms.Wire, o chat.Options) *dialer {
	d := &dialer{address: "ws" + strings.TrimPrefix(w.Address, "http"), maxAnswer: w.MaxAnswer()}
	d.socket = websocket.Dialer{
		Proxy: http.ProxyFromEnvironment, NetDialContext: o.Dial,
		ReadBufferSize: socketBuffer, WriteBufferSize: socketBuffer, WriteBufferPool: &writers,
	}
	secure := strings.HasPrefix(d.address, "wss:") // a configuration is not small
	if t, ok := w.Transport().(*http.Transport); ok {
		d.socket.Proxy = t.Proxy
		if o.Dial == nil {
			d.socket.NetDialContext = t.DialContext
		}
		if t.TLSClientConfig != nil && secure {
			d.socket.TLSClientConfig = t.TLSClientConfig.Clone()
			d.socket.TLSClientConfig.NextProtos = []string{"http/1.1"}
		}
	}
	if d.socket.TLSClientConfig == nil && secure {
		d.socket.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return d
}

// dial opens a websocket. unusable reports that the server was reached and that it was no websocket: another carrier
// may work.
func (d *dialer) dial(ctx context.Context, op string, w *gms.Wire, limit time.Duration) (conn *websocket.Conn, unusable bool, e *chat.Error) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	resp, e := w.Authorized(limited, op, func(auth chat.Secret) (*gms.Response, *chat.Error) {
		header, e := w.Header(op, auth)
		if e != nil {
			return nil, e
		}
		reached, unhook := false, func() bool { return true }
		socket := d.socket
		socket.Jar = w.Jar()
		dial := socket.NetDialContext
		if dial == nil {
			dial = new(net.Dialer).DialContext
		}
		socket.NetDialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			if reached = err == nil; !reached {
				return nil, err
			}
			unhook = context.AfterFunc(limited, func() { _ = conn.Close() }) // gorilla looks at the deadline alone
			return &burstConn{Conn: conn}, nil
		}
		c, resp, err := socket.DialContext(limited, d.address, header)
		if err == nil && unhook() {
			conn = c
			return nil, nil
		}
		if err == nil {
			_ = c.Close()
			err = context.Cause(limited)
		}
		if resp != nil {
			unusable = true
			return &gms.Response{Status: resp.StatusCode}, nil
		}
		unusable = reached
		return nil, w.Broken(ctx, op, err, limit)
	})
	if e == nil && conn == nil {
		e = w.Failure(op, resp)
	}
	return conn, unusable, e
}
