package webchatservice_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
)

const frontAddress = "front.test:443"

// front puts an HTTP server before the simulator, in its network, and leads the service there.
func (f *field) front(t *testing.T, handler http.Handler, config *tls.Config) {
	t.Helper()
	l, err := f.sim.Network().Listen(frontAddress)
	require.NoError(t, err)
	// of a test
	srv := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0), TLSConfig: config} //nolint:gosec
	var serving sync.WaitGroup
	serving.Go(func() {
		if config == nil {
			_ = srv.Serve(l)
			return
		}
		_ = srv.ServeTLS(l, "", "")
	})
	t.Cleanup(func() {
		_ = srv.Close()
		serving.Wait()
	})
	f.cable.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return f.sim.DialContext(ctx, network, frontAddress)
	}
}

// secure makes the service use https, with this configuration.
func (f *field) secure(t *testing.T, config *tls.Config) {
	t.Helper()
	transport := &http.Transport{DialContext: f.cable.DialContext, TLSClientConfig: config, ForceAttemptHTTP2: true}
	f.opts.Dial, f.opts.HTTPClient = nil, &http.Client{Transport: transport}
	t.Cleanup(transport.CloseIdleConnections)
	f.opts.Config.Wire = webchatservice.NewWire(replaced(f.opts.Config.Wire.Reveal(), "http://", "https://").(map[string]any))
}

// replaced returns a JSON value with old replaced by new in all of its texts.
func replaced(v any, old, new string) any {
	switch v := v.(type) {
	case string:
		return strings.ReplaceAll(v, old, new)
	case map[string]any:
		for name := range v {
			v[name] = replaced(v[name], old, new)
		}
	}
	return v
}

// certificateOf makes a certificate for a host that is valid from now for this long, signed by parent or by itself.
func certificateOf(t *testing.T, host string, from, to time.Time, parent *tls.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, NotBefore: from, NotAfter: to,
		IsCA: parent == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
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

// A server whose certificate or protocol is not good is refused, and the error says what is wrong.
func TestTLSIsRefusedByName(t *testing.T) {
	const host = "sim.test"
	for name, c := range map[string]struct {
		says   string // "": nothing is wrong
		hint   string
		config func(t *testing.T, authority *tls.Certificate) *tls.Config
	}{
		"expired": {"expired", "have the certificate renewed", func(t *testing.T, authority *tls.Certificate) *tls.Config {
			now := time.Now()
			return &tls.Config{Certificates: []tls.Certificate{certificateOf(t, host, now.Add(-2*time.Hour), now.Add(-time.Hour), authority)}}
		}},
		"not yet valid": {"not yet valid", "set the clock", func(t *testing.T, authority *tls.Certificate) *tls.Config {
			now := time.Now()
			return &tls.Config{Certificates: []tls.Certificate{certificateOf(t, host, now.Add(time.Hour), now.Add(2*time.Hour), authority)}}
		}},
		"another host": {"valid for else.test, not sim.test", "webchat.network.serverName", func(t *testing.T, authority *tls.Certificate) *tls.Config {
			now := time.Now()
			return &tls.Config{Certificates: []tls.Certificate{certificateOf(t, "else.test", now.Add(-time.Hour), now.Add(time.Hour), authority)}}
		}},
		"self-signed": {"unknown authority", "webchat.network.caFile", func(t *testing.T, _ *tls.Certificate) *tls.Config {
			now := time.Now()
			return &tls.Config{Certificates: []tls.Certificate{certificateOf(t, host, now.Add(-time.Hour), now.Add(time.Hour), nil)}}
		}},
		"TLS 1.1": {"protocol version", "have it speak TLS 1.2", func(t *testing.T, authority *tls.Certificate) *tls.Config {
			now := time.Now()
			return &tls.Config{
				Certificates: []tls.Certificate{certificateOf(t, host, now.Add(-time.Hour), now.Add(time.Hour), authority)},
				MinVersion:   tls.VersionTLS10, MaxVersion: tls.VersionTLS11, //nolint:gosec // it is to be refused
			}
		}},
		"no TLS": {"HTTP response to HTTPS client", "check webchat.", func(*testing.T, *tls.Certificate) *tls.Config { return nil }},
		"good": {"", "", func(t *testing.T, authority *tls.Certificate) *tls.Config {
			now := time.Now()
			return &tls.Config{Certificates: []tls.Certificate{certificateOf(t, host, now.Add(-time.Hour), now.Add(time.Hour), authority)}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			onEachWire(t, func(t *testing.T, f *field) {
				now := time.Now()
				authority := certificateOf(t, "authority", now.Add(-24*time.Hour), now.Add(24*time.Hour), nil)
				pool := x509.NewCertPool()
				pool.AddCert(authority.Leaf)
				f.front(t, f.sim.Handler(), c.config(t, &authority))
				f.secure(t, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12})
				r := newRig(t, f.opts)
				defer r.stop()
				_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
				if c.says == "" {
					require.NoError(t, err)
					require.NoError(t, send(r, "hello"))
					return
				}
				require.ErrorIs(t, err, webchatservice.ErrStartFailed)
				assert.ErrorContains(t, err, c.says)
				assert.ErrorContains(t, err, c.hint)
				assert.Empty(t, f.sim.Chats())
			})
		})
	}
}

// A chat server that speaks HTTP/2 is a chat server like others; websockets go over HTTP/1.1.
func TestHTTP2(t *testing.T) {
	onEachWire(t, func(t *testing.T, f *field) {
		now := time.Now()
		cert := certificateOf(t, "sim.test", now.Add(-time.Hour), now.Add(time.Hour), nil)
		pool := x509.NewCertPool()
		pool.AddCert(cert.Leaf)
		var mu sync.Mutex
		protocols := map[string]int{}
		f.front(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			protocols[r.Proto]++
			mu.Unlock()
			f.sim.Handler().ServeHTTP(w, r)
		}), &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}})
		f.secure(t, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12})
		r, a := f.begin(t)
		a.converse(t, 5)
		f.sim.Faults().Add(chatsim.Fault{Drop: chatsim.DropAfter}) // a stream that is reset
		a.converse(t, 2)
		file := webchatservice.FileIn{Name: "a.txt", Data: make([]byte, 300<<10)}
		_, err := call(r, webchatservice.SendFile, webchatservice.SendFileIn{Files: file})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		a.balance(t)
		assert.Zero(t, a.gaps)
		assert.Len(t, a.chat.Snapshot().Files, 1)
		mu.Lock()
		defer mu.Unlock()
		assert.NotZero(t, protocols["HTTP/2.0"])
		assert.LessOrEqual(t, protocols["HTTP/1.1"], 3, "websockets alone")
	})
}

// Interim answers are no answers, however many there are; and a server that sends nothing else holds no call up beyond
// its limit.
func TestInterimAnswers(t *testing.T) {
	onEachWire(t, func(t *testing.T, f *field) {
		const limit = 3 * time.Second
		var mu sync.Mutex
		forever := false
		f.front(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			endless := forever
			mu.Unlock()
			for n := 0; n < 100 || endless && r.Context().Err() == nil; n++ {
				w.Header().Set("Link", "</a>; rel=preload")
				w.WriteHeader([]int{http.StatusEarlyHints, http.StatusProcessing}[n%2])
				if n >= 100 {
					time.Sleep(time.Millisecond)
				}
			}
			w.Header().Del("Link")
			f.sim.Handler().ServeHTTP(w, r)
		}), nil)
		setWire(f.opts, "ajaxTimeout", limit.Milliseconds())
		r, a := f.begin(t)
		a.converse(t, 5)
		time.Sleep(time.Minute)
		a.balance(t)
		assert.Zero(t, a.gaps)
		assert.Zero(t, a.outages)

		d := f.driver(t, f.sim, &chat.Options{Dial: f.cable.DialContext}, limit)
		defer idle(d)
		mu.Lock()
		forever = true
		mu.Unlock()
		begun := time.Now()
		_, err := d.Open(t.Context(), chat.Request{Nickname: "Ada"})
		require.Error(t, err)
		assert.LessOrEqual(t, time.Since(begun), time.Duration(f.openRequests)*limit*11/10)
		mu.Lock()
		forever = false
		mu.Unlock()
		time.Sleep(time.Minute)
		require.NoError(t, end(r))
	})
}
