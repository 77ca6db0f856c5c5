package bayeux

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// socketBuffer is the size of a websocket's buffers in bytes, each way. Larger messages pass through them.
const socketBuffer = 512

// What all websockets share: buffers to write from, and buffers that messages are read into.
var (
	writers sync.Pool
	readers = sync.Pool{New: func() any { return new(bytes.Buffer) }}
)

// DialerOptions are the options of a [Dialer]. The zero value works.
type DialerOptions struct {
	// Transport says how HTTP requests reach the network, if it is an [*http.Transport]: its proxy, its TLS
	// configuration and its dial function are used for websockets, too.
	Transport http.RoundTripper
	// Dial makes connections. nil: as Transport does.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// MaxMessage is how long a message of the server may be, in bytes. 0: 8 MiB.
	MaxMessage int64
}

// Dialer opens websockets to one Bayeux server, for any number of clients at once.
type Dialer struct {
	address    string
	socket     websocket.Dialer
	maxMessage int64
}

// NewDialer returns a dialer for the Bayeux server at address, which is the URL that HTTP requests go to. It does not touch
// the network.
func NewDialer(address string, o *DialerOptions) *Dialer {
	if o == nil {
		o = new(DialerOptions)
	}
	d := &Dialer{address: "ws" + strings.TrimPrefix(address, "http"), maxMessage: o.MaxMessage}
	if d.maxMessage <= 0 {
		d.maxMessage = 8 << 20
	}
	d.socket = websocket.Dialer{
		Proxy: http.ProxyFromEnvironment, NetDialContext: o.Dial,
		ReadBufferSize: socketBuffer, WriteBufferSize: socketBuffer, WriteBufferPool: &writers,
	}
	secure := strings.HasPrefix(d.address, "wss:") // without TLS there is no configuration, which is not small
	if t, ok := o.Transport.(*http.Transport); ok {
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

var errExtension = errors.New("the server uses a websocket extension that nobody asked for")

// dial opens a websocket. unusable reports that the server was reached and did not open one: another carrier may work.
func (d *Dialer) dial(ctx context.Context, op string, h HTTP, jar *Jar, limit time.Duration) (conn *websocket.Conn, unusable bool, e *chat.Error) {
	e = h.Upgrade(ctx, op, limit, func(limited context.Context, header http.Header) (*http.Response, error) {
		reached, unhook := false, func() bool { return true }
		socket := d.socket
		if jar != nil {
			socket.Jar = jar
		}
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
			return &readAhead{Conn: conn}, nil
		}
		c, resp, err := socket.DialContext(limited, d.address, header)
		if err == nil && resp.Header.Get("Sec-WebSocket-Extensions") != "" {
			// None was asked for (RFC 6455 4.1). Compression would get round the limit of a message.
			_ = c.Close()
			unusable = true
			return nil, errExtension
		}
		if err == nil && unhook() {
			conn = c
			return resp, nil
		}
		if err == nil {
			_ = c.Close()
			resp, err = nil, context.Cause(limited)
		}
		unusable = reached
		return resp, err
	})
	return conn, unusable, e
}
