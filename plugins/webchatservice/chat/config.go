package chat

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Config is what the wires need to know from the webchat section of a configuration
// (webchatservice 2.1 to 2.8), in Go's terms. The zero value of each field but the addresses means
// the default. Drivers do not change it; nobody does after giving it away.
type Config struct {
	// Transport is webchat.transport.type; "" is the default transport, GMS.
	Transport string
	// TransportOptions is the rest of webchat.transport as it stands, for the wires that need it.
	TransportOptions map[string]any

	// DataURL is the root of the chat service, such as
	// https://gms.example.net/genesys/2/chat/customer-support. Trailing slashes do not matter.
	DataURL string
	// ServerURL is used as it stands in the place of an empty DataURL.
	ServerURL string
	// NoTrailingSlash is the opposite of enableUrlTrailingSlash: start at <root>, not <root>/.
	NoTrailingSlash bool
	// APIKey goes with every request as header apikey.
	APIKey Secret
	// Endpoint goes with the start request.
	Endpoint string
	// Headers go with every request, besides those of the protocol, which win.
	Headers map[string]Secret
	// WithCredentials keeps the server's cookies and sends them back.
	WithCredentials bool
	// AjaxTimeout limits each request from its first step to the last byte of the answer. 0 means
	// 3 s; negative no limit.
	AjaxTimeout time.Duration
	// FileUploadTimeout limits requests that carry files, in either direction. 0 or negative: no limit
	// but that of [Filer], for transfers in which nothing moves.
	FileUploadTimeout time.Duration
	// MaxAnswer limits the length of an answer, in bytes, after decompression. 0 means 8 MiB.
	MaxAnswer int64
	// MarkLines makes the wires that can send [Action.ClientID] with each line, for servers that
	// give it back: on GMS in eventAttributes. It is an option since a server may refuse, or show to
	// agents, what it does not know. Lines that carry the mark are recognised either way.
	MarkLines bool

	Poll   Poll
	CometD CometD
}

// Poll is the pace of polling (webchatservice 5.4).
type Poll struct {
	// Fixed is the opposite of dynamicPolling: always poll at Rate.
	Fixed bool
	// Rate is pollRate, used when Fixed, and right after waking. 0 means 3 s.
	Rate time.Duration
	// Min is pollRateMin. 0 means 500 ms.
	Min time.Duration
	// Max is pollRateMax. 0 means 3 s.
	Max time.Duration
	// Mult is pollRateMult, more than 1. 0 means 1.2.
	Mult float64
	// Sleep is pollRateSleep. 0 means 30 s.
	Sleep time.Duration
}

// CometD is the cometD section (webchatservice 2.2).
type CometD struct {
	Enabled bool
	// URL is cometURL, the Bayeux end point.
	URL string
	// Channel is the service channel. "" means /service/chatV2/customer-support.
	Channel string
	// APIURL is where files go; without it there are none.
	APIURL string
	// NoWebsocket is the opposite of websocketEnabled: long polling only.
	NoWebsocket bool
}

// Options is the world around a driver. The zero Options is the real one.
type Options struct {
	// Client makes the HTTP requests; nil means one made for the driver, with Dial and with the
	// environment's proxy. Where there are many chats, give all drivers one client, so that they
	// share connections; [NewTransport] makes its Transport from plain options. It is copied where it must differ (redirects, cookies); its Transport
	// is shared, and closing idle connections is its owner's business.
	Client *http.Client
	// Dial opens network connections, for a nil Client and for sockets; nil means the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Authorization gives requests their header Authorization, in the place of one in
	// [Config.Headers]; nil means none. One that is shared by many drivers is asked once for all.
	Authorization *Authorization
	// Logger gets what is worth knowing and is no error; nil means nothing is logged.
	Logger *slog.Logger
}

// Factory makes drivers of one wire. The first Factory of a list whose Matches is true makes the
// driver for a configuration.
type Factory struct {
	// Name names the wire: "gms", "gms-cometd".
	Name string
	// Matches reports whether c asks for this wire. It decides by what c selects, not by whether c is
	// complete, so that New can say what is missing.
	Matches func(c Config) bool
	// New makes a driver. It does not touch the network. Its error is an [*Error] with code
	// invalid that names the option.
	New func(c Config, o Options) (Driver, error)
}
