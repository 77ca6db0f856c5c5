package chat_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// certify makes a certificate and key for host, signed by parent or by itself.
func certify(t *testing.T, host string, parent *tls.Certificate) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: parent == nil, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	signer, signKey := c, any(key)
	if parent != nil {
		signer, signKey = parent.Leaf, parent.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, c, signer, &key.PublicKey, signKey)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// files writes a certificate and its key as PEM.
func files(t *testing.T, c tls.Certificate) (certFile, keyFile string) {
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	return certFile, keyFile
}

// get asks for a page through a transport made of o.
func get(t *testing.T, o chat.TransportOptions, address string) (string, error) {
	transport, err := chat.NewTransport(o)
	require.NoError(t, err)
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get(address)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(body), nil
}

// A server with a certificate of one's own authority, that wants a certificate of the client.
func TestTransportTLS(t *testing.T) {
	ca := certify(t, "ca", nil)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	pool := x509.NewCertPool()
	pool.AddCert(ca.Leaf)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certify(t, "gms.example.net", &ca)}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	server.StartTLS()
	defer server.Close()
	caFile, _ := files(t, ca)
	certFile, keyFile := files(t, certify(t, "visitor", &ca))

	body, err := get(t, chat.TransportOptions{CAFile: caFile, CertFile: certFile, KeyFile: keyFile}, server.URL)
	require.NoError(t, err)
	assert.Equal(t, "visitor", body)
	_, err = get(t, chat.TransportOptions{CertFile: certFile, KeyFile: keyFile}, server.URL)
	require.ErrorContains(t, err, "certificate", "an unknown authority is not trusted")
	_, err = get(t, chat.TransportOptions{CAFile: caFile}, server.URL)
	require.Error(t, err, "the server wants a certificate")
	_, err = get(t, chat.TransportOptions{CAFile: caFile, CertFile: certFile, KeyFile: keyFile, ServerName: "other.example.net"}, server.URL)
	require.ErrorContains(t, err, "other.example.net")
}

func TestTransportProxy(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "proxied ", r.URL.Host, " ", r.Header.Get("Proxy-Authorization"))
	}))
	defer proxy.Close()
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "direct") }))
	defer target.Close()
	u, err := url.Parse(proxy.URL)
	require.NoError(t, err)
	u.User = url.UserPassword("ada", "pw")
	body, err := get(t, chat.TransportOptions{Proxy: chat.NewSecret(u.String())}, "http://gms.example.net/")
	require.NoError(t, err)
	assert.Equal(t, "proxied gms.example.net Basic YWRhOnB3", body)
	body, err = get(t, chat.TransportOptions{Proxy: chat.NewSecret("direct")}, target.URL)
	require.NoError(t, err)
	assert.Equal(t, "direct", body)
}

func TestTransportRefused(t *testing.T) {
	c := certify(t, "x", nil)
	certFile, keyFile := files(t, c)
	_, otherKey := files(t, certify(t, "y", nil))
	none := filepath.Join(t.TempDir(), "none")
	for name, o := range map[string]chat.TransportOptions{
		"net.proxy is not a URL":    {Proxy: chat.NewSecret("http://ada:CANARY-\x00@x")},
		"net.proxy begins with":     {Proxy: chat.NewSecret("ftp://ada:CANARY-@x")},
		"net.proxy names no host":   {Proxy: chat.NewSecret("http://ada:CANARY-@")},
		"net.caFile cannot be read": {CAFile: none},
		"net.caFile has no":         {CAFile: keyFile},
		"net.certFile cannot be":    {CertFile: none, KeyFile: keyFile},
		"net.keyFile cannot be":     {CertFile: certFile, KeyFile: none},
		"net.keyFile cannot be u":   {CertFile: certFile, KeyFile: otherKey},
		"net.certFile cannot":       {CertFile: certFile},
		"net.keyFile is set":        {KeyFile: keyFile},
	} {
		o.Prefix = "net."
		_, err := chat.NewTransport(o)
		var e *chat.Error
		require.ErrorAs(t, err, &e, name)
		assert.Equal(t, chat.CodeInvalid, e.Code)
		assert.Contains(t, err.Error(), name)
		assert.NotContains(t, fmt.Sprintf("%+v %#v", err, e), "CANARY-")
	}
}
