package webchatservice

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
