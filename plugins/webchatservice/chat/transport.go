package chat

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
)

// TransportOptions says how requests leave. The zero value is the usual way: the environment's proxy
// (HTTP_PROXY, HTTPS_PROXY, NO_PROXY), the system's certificate authorities, no client certificate.
// There is no way to accept a server whose certificate does not verify.
type TransportOptions struct {
	// Proxy is the URL of a proxy (http, https, socks5, socks5h), perhaps with user and password; or
	// "direct" for no proxy, whatever the environment says.
	Proxy Secret
	// CAFile names a file of PEM certificates of authorities to trust besides those of the system.
	CAFile string
	// CertFile names a PEM file with a certificate, and those between it and its authority, for
	// servers that ask for one; KeyFile the PEM file with its key, not encrypted, which is CertFile
	// when empty.
	CertFile string
	KeyFile  string
	// ServerName is the name that the server's certificate must be for; "" is the host of the URL.
	ServerName string
	// Dial opens connections; nil means the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Prefix is put before the names of these options in errors: "webchat.network.".
	Prefix string
}

// NewTransport returns a transport made of options. It reads the files now, and does not touch the network.
// Its error is an [*Error] with code invalid that names the option: proxy, caFile, certFile, keyFile.
//
// One transport may serve any number of drivers at once, and should: the connections are shared. It
// is its owner's to close idle connections.
func NewTransport(o TransportOptions) (*http.Transport, error) {
	t := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: o.Dial, ForceAttemptHTTP2: true,
		MaxIdleConns: 256, MaxIdleConnsPerHost: 64, IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: 10 * time.Second,
	}
	invalid := func(option, text, hint string, err error) (*http.Transport, error) {
		return nil, &Error{
			Outcome: NotSent, Code: CodeInvalid, Op: "configure", Text: o.Prefix + option + " " + text, Hint: hint, Err: err,
		}
	}
	switch proxy := o.Proxy.Reveal(); proxy {
	case "":
	case "direct":
		t.Proxy = nil
	default:
		u, err := url.Parse(proxy)
		const example = `it looks like http://proxy.example.net:3128, or is "direct"`
		if err != nil { // the error has the whole URL, which may have a password
			return invalid("proxy", "is not a URL", example, nil)
		}
		switch u.Scheme {
		case "http", "https", "socks5", "socks5h":
		default:
			return invalid("proxy", "begins with none of http://, https://, socks5://, socks5h://", example, nil)
		}
		if u.Hostname() == "" {
			return invalid("proxy", "names no host", example, nil)
		}
		t.Proxy = http.ProxyURL(u)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: o.ServerName}
	if o.CAFile != "" {
		data, err := os.ReadFile(o.CAFile)
		if err != nil {
			return invalid("caFile", "cannot be read: "+err.Error(), "give a file of PEM certificates", err)
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool() // a system without authorities trusts the file alone
		}
		if !pool.AppendCertsFromPEM(data) {
			return invalid("caFile", "has no certificate: "+o.CAFile, "give a file of PEM certificates", nil)
		}
		config.RootCAs = pool
	}
	switch {
	case o.CertFile != "":
		cert, option, err := loadCertificate(o.CertFile, o.KeyFile)
		if err != nil {
			return invalid(option, "cannot be used: "+err.Error(), "give a PEM certificate and its PEM key, not encrypted", err)
		}
		config.Certificates = []tls.Certificate{cert}
	case o.KeyFile != "":
		return invalid("keyFile", "is set without certFile", "set both, or certFile alone if it has the key, too", nil)
	}
	t.TLSClientConfig = config
	return t, nil
}

// loadCertificate also tells which option is to blame.
func loadCertificate(certFile, keyFile string) (tls.Certificate, string, error) {
	certPEM, err := os.ReadFile(certFile)
	if err != nil {
		return tls.Certificate{}, "certFile", err
	}
	keyPEM, keyOption := certPEM, "certFile"
	if keyFile != "" {
		keyOption = "keyFile"
		if keyPEM, err = os.ReadFile(keyFile); err != nil {
			return tls.Certificate{}, keyOption, err
		}
	}
	option := keyOption
	if block, _ := pem.Decode(certPEM); block == nil {
		option = "certFile"
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM) // its errors quote nothing of the key
	return cert, option, err
}
