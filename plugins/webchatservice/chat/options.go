package chat

import (
	"context"
	"log/slog"
	"net"
	"net/http"
)

// Options is the world around a driver. nil and the zero Options are the real one.
type Options struct {
	// Client makes the HTTP requests; nil means one made for the driver, with Dial and with the
	// environment's proxy. Where there are many chats, give all drivers one client, so that they
	// share connections; [NewTransport] makes its Transport from plain options. It is copied where it must
	// differ (redirects, cookies); its Transport is shared, and closing idle connections is its owner's business.
	Client *http.Client
	// Dial opens network connections, for a nil Client and for sockets; nil means the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Headers go with every request, besides those of the protocol, which win. Drivers take their values out of
	// whatever a server says that shows them. nil means none.
	Headers map[string]Secret
	// Authorization gives requests their header Authorization, in the place of one in Headers; nil means none. One
	// that is shared by many drivers is asked once for all.
	Authorization *Authorization
	// Logger gets what is worth knowing and is no error; nil means nothing is logged.
	Logger *slog.Logger
}
