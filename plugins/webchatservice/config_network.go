package webchatservice

import (
	"errors"
	"net/http"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// Network is the group network, this service's own: how requests leave. In the browser that is the browser's
// business. The zero Network is the usual way: the environment's proxy, the system's authorities, no client
// certificate. Nothing switches the verification of certificates off.
type Network struct {
	Proxy      Key    `json:"proxy,omitzero" doc:"URL of a proxy (http, https, socks5, socks5h), or direct for none; empty: that of the environment"`
	CAFile     string `json:"caFile,omitempty" doc:"PEM file of authorities to trust besides those of the system"`
	CertFile   string `json:"certFile,omitempty" doc:"PEM file of the certificate for servers that ask for one"`
	KeyFile    string `json:"keyFile,omitempty" doc:"PEM file of its key; empty: it is in certFile"`
	ServerName string `json:"serverName,omitempty" doc:"name that the server's certificate must be for; empty: the host of the URL"`
}

// network returns the client that makes the requests for cfg; nil leaves that to the drivers. A transport that
// it makes goes into made.
func (o *Options) network(cfg *Config) (client *http.Client, made *http.Transport, err error) {
	n := cfg.Network
	switch {
	case n == (Network{}):
		return o.HTTPClient, nil, nil
	case o.HTTPClient != nil:
		return nil, nil, failure(ErrInvalidConfig, "", errors.New("webchat.network: the program has an HTTP client of its own"),
			"leave the group out, or Options.HTTPClient")
	}
	made, err = chat.NewTransport(chat.TransportOptions{
		Proxy: n.Proxy.Secret, CAFile: n.CAFile, CertFile: n.CertFile, KeyFile: n.KeyFile, ServerName: n.ServerName,
		Dial: o.Dial, Prefix: "webchat.network.",
	})
	if err != nil {
		return nil, nil, failure(ErrInvalidConfig, "", err, "")
	}
	return &http.Client{Transport: made}, made, nil
}
