package webchatservice_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/bus/busconfig"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmsrest"
)

// certify makes a certificate for this machine, signed by parent or by itself.
func certify(t *testing.T, parent *tls.Certificate) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "cxbus test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
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
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// pems writes a certificate and its key.
func pems(t *testing.T, c *tls.Certificate) (certFile, keyFile string) {
	t.Helper()
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	return certFile, keyFile
}

// chatWith starts a chat by a configuration file with that webchat section, sends a line and ends it, over real
// sockets.
func chatWith(t *testing.T, opts webchatservice.Options, section map[string]any) error {
	t.Helper()
	section["ajaxTimeout"] = 600_000 // a busy machine takes its time
	data, err := json.Marshal(map[string]any{"webchat": section})
	require.NoError(t, err)
	file, err := busconfig.Load(&busconfig.Options{File: "test.json", Data: data, Environ: []string{}})
	require.NoError(t, err)
	opts.Drivers = []chat.Factory{gmsrest.Factory()}
	b := bus.New(&bus.Options{Configure: func(namespace string, into any) error { return file.Section(namespace).Decode(into) }})
	defer func() { assert.NoError(t, b.Close(context.Background())) }()
	app, err := b.Register("App")
	require.NoError(t, err)
	app.Ready()
	if err := b.Start(t.Context(), webchatservice.New(&opts)); err != nil {
		return err
	}
	if _, err := app.Call(t.Context(), "WebChatService.startChat", webchatservice.StartChatIn{Nickname: "Ada"}); err != nil {
		return err
	}
	if _, err := app.Call(t.Context(), "WebChatService.sendMessage", webchatservice.SendMessageIn{Message: "hello"}); err != nil {
		return err
	}
	_, err = app.Call(t.Context(), "WebChatService.endChat", nil)
	return err
}

// onTLS serves sim with TLS and returns the address of the chat service.
func onTLS(t *testing.T, sim *chatsim.Server, config *tls.Config) string {
	t.Helper()
	front := httptest.NewUnstartedServer(sim.Handler())
	front.TLS = config
	front.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail are what it is for
	front.StartTLS()
	t.Cleanup(front.Close)
	return "https://" + front.Listener.Addr().String() + "/genesys/2/chat/customer-support"
}

func TestConfiguredAuthority(t *testing.T) {
	sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
	defer sim.Close()
	authority := certify(t, nil)
	caFile, _ := pems(t, authority)
	url := onTLS(t, sim, &tls.Config{Certificates: []tls.Certificate{*certify(t, authority)}, MinVersion: tls.VersionTLS12})

	err := chatWith(t, webchatservice.Options{}, map[string]any{"dataURL": url})
	require.ErrorIs(t, err, webchatservice.ErrStartFailed, "the authority is not known")
	assert.Empty(t, sim.Chats())
	require.NoError(t, chatWith(t, webchatservice.Options{}, map[string]any{"dataURL": url, "network": map[string]any{"caFile": caFile}}))
	assert.Len(t, sim.Chats(), 1)
	err = chatWith(t, webchatservice.Options{}, map[string]any{"dataURL": url, "network": map[string]any{"caFile": caFile, "serverName": "else.example"}})
	require.ErrorIs(t, err, webchatservice.ErrStartFailed, "the name is another one")

	for option, network := range map[string]map[string]any{
		"webchat.network.caFile":  {"caFile": caFile + ".missing"},
		"webchat.network.keyFile": {"keyFile": caFile},
		"webchat.network.proxy":   {"proxy": "ftp://CANARY-proxy-password@proxy.example"},
	} {
		err = chatWith(t, webchatservice.Options{}, map[string]any{"dataURL": url, "network": network})
		require.ErrorIs(t, err, webchatservice.ErrInvalidConfig, "at the start, not at the first chat")
		assert.ErrorContains(t, err, option)
		assert.NotContains(t, err.Error(), "CANARY")
	}
	err = chatWith(t, webchatservice.Options{HTTPClient: http.DefaultClient}, map[string]any{"dataURL": url, "network": map[string]any{"caFile": caFile}})
	require.ErrorIs(t, err, webchatservice.ErrInvalidConfig, "an option without effect is an error")
}

func TestConfiguredClientCertificate(t *testing.T) {
	sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
	defer sim.Close()
	authority := certify(t, nil)
	known := x509.NewCertPool()
	known.AddCert(authority.Leaf)
	caFile, _ := pems(t, authority)
	certFile, keyFile := pems(t, certify(t, authority))
	url := onTLS(t, sim, &tls.Config{
		Certificates: []tls.Certificate{*certify(t, authority)}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: known, MinVersion: tls.VersionTLS12,
	})
	err := chatWith(t, webchatservice.Options{}, map[string]any{"dataURL": url, "network": map[string]any{"caFile": caFile}})
	require.Error(t, err)
	assert.Empty(t, sim.Chats())
	require.NoError(t, chatWith(t, webchatservice.Options{}, map[string]any{
		"dataURL": url, "network": map[string]any{"caFile": caFile, "certFile": certFile, "keyFile": keyFile},
	}))
	assert.Len(t, sim.Chats(), 1)
}

// gate is an HTTP proxy that asks for a password: it forwards plain requests and makes tunnels.
type gate struct {
	transport      *http.Transport
	plain, tunnels atomic.Int32
	lines          sync.WaitGroup
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r2 := r.Clone(r.Context())
	r2.Header.Set("Authorization", r.Header.Get("Proxy-Authorization"))
	if user, password, ok := r2.BasicAuth(); !ok || user != "ada" || password != "CANARY-proxy-password" {
		http.Error(w, "who are you", http.StatusProxyAuthRequired)
		return
	}
	if r.Method == http.MethodConnect {
		g.tunnels.Add(1)
		g.tunnel(w, r.Host)
		return
	}
	g.plain.Add(1)
	r.Header.Del("Proxy-Authorization")
	r.RequestURI = ""
	resp, err := g.transport.RoundTrip(r)
	if err != nil {
		http.Error(w, "cannot", http.StatusBadGateway)
		return
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read from
	w.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body)
}

func (g *gate) tunnel(w http.ResponseWriter, address string) {
	g.lines.Add(1) // the server waits for this call no longer than until Hijack
	defer g.lines.Done()
	there, err := (&net.Dialer{}).Dial("tcp", address)
	if err != nil {
		http.Error(w, "cannot", http.StatusBadGateway)
		return
	}
	here, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = there.Close()
		return
	}
	_, _ = io.WriteString(here, "HTTP/1.1 200 Connection established\r\n\r\n")
	for _, pair := range [][2]net.Conn{{here, there}, {there, here}} {
		g.lines.Go(func() {
			_, _ = io.Copy(pair[0], pair[1])
			_ = pair[0].Close()
		})
	}
}

func TestConfiguredProxy(t *testing.T) {
	sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
	defer sim.Close()
	g := &gate{transport: &http.Transport{}}
	defer g.transport.CloseIdleConnections()
	proxy := httptest.NewServer(g)
	defer g.lines.Wait()
	defer proxy.Close()
	front := httptest.NewServer(sim.Handler())
	defer front.Close()
	address := "http://ada:CANARY-proxy-password@" + proxy.Listener.Addr().String()

	plain := sim.BaseURLs(front.Listener.Addr().String())["gms"]
	require.NoError(t, chatWith(t, webchatservice.Options{}, map[string]any{"dataURL": plain, "network": map[string]any{"proxy": address}}))
	assert.GreaterOrEqual(t, g.plain.Load(), int32(3), "start, send, disconnect")
	before := g.plain.Load()
	require.NoError(t, chatWith(t, webchatservice.Options{}, map[string]any{"dataURL": plain, "network": map[string]any{"proxy": "direct"}}))
	assert.Equal(t, before, g.plain.Load())

	authority := certify(t, nil)
	caFile, _ := pems(t, authority)
	secure := onTLS(t, sim, &tls.Config{Certificates: []tls.Certificate{*certify(t, authority)}, MinVersion: tls.VersionTLS12})
	require.NoError(t, chatWith(t, webchatservice.Options{}, map[string]any{
		"dataURL": secure, "network": map[string]any{"proxy": address, "caFile": caFile},
	}))
	assert.Positive(t, g.tunnels.Load())

	wrong := "http://ada:CANARY-wrong@" + proxy.Listener.Addr().String()
	err := chatWith(t, webchatservice.Options{}, map[string]any{"dataURL": plain, "network": map[string]any{"proxy": wrong}})
	require.Error(t, err)
	assert.NotContains(t, fmt.Sprintf("%+v %#v", err, err), "CANARY")
}

func TestConfiguredMarks(t *testing.T) {
	for _, mark := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
			defer sim.Close()
			opts := onSim(sim)
			setWire(opts, "markLines", mark)
			r := newRig(t, opts)
			defer r.stop()
			r.begin()
			out, err := call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "hello"})
			require.NoError(t, err)
			line := sim.Chats()[0].Events[1]
			require.Equal(t, "hello", line.Text)
			if !mark {
				assert.Empty(t, line.Attributes)
				return
			}
			assert.Contains(t, string(line.Attributes), out.MessageID)

			// With marks a text that another device has sent meanwhile settles nothing.
			sim.Faults().Add(chatsim.Fault{Op: "send", Late: 5 * time.Second})
			f := start(r, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "again"})
			_, err = f.Result(t.Context())
			require.NoError(t, err)
			assert.Equal(t, []string{"hello", "again"}, sim.Chats()[0].Lines(chatsim.Client))
		})
	}
}

func TestConfiguredInactivityLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
		defer sim.Close()
		opts := onSim(sim)
		opts.Config.InactivityLimit = 60_000
		r := newRig(t, opts)
		defer r.stop()
		r.begin()
		time.Sleep(2 * time.Minute)
		assert.Equal(t, webchatservice.EndIdle, payload[webchatservice.EndedData](t, r.take(), "ended").Reason)
		assert.True(t, sim.Chats()[0].Ended)
	})
}

// desk hands out tokens and notes how often it is asked.
type desk struct {
	mu    sync.Mutex
	valid string
	asked int
	fail  bool
}

func (d *desk) ask(context.Context, chat.Secret) (chat.Secret, error) {
	time.Sleep(100 * time.Millisecond) // an identity server is not fast
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail {
		return chat.Secret{}, errors.New("CANARY-token server is down")
	}
	d.asked++
	d.valid = fmt.Sprintf("Bearer CANARY-token-%d", d.asked)
	return chat.NewSecret(d.valid), nil
}

// times is how often it was asked.
func (d *desk) times() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

func (d *desk) expire() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.valid = "none"
}

// A token that runs out is asked for once, for all requests of all chats that wait for one, and nothing is lost or told
// as a failure.
func TestAuthorizationIsAskedAgainOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
		defer sim.Close()
		d := &desk{}
		shared := chat.NewAuthorization(d.ask)
		client := &http.Client{Transport: &bouncer{sim.Client().Transport, d}}
		var rigs []*rig
		for range 10 {
			opts := onSim(sim)
			opts.HTTPClient, opts.Authorization = client, shared
			r := newRig(t, opts)
			defer r.stop()
			r.begin()
			rigs = append(rigs, r)
		}
		assert.Equal(t, 1, d.times())
		time.Sleep(5 * time.Second)
		for round := range 3 {
			d.expire()
			var futures []*bus.Future[webchatservice.SendMessageOut]
			for _, r := range rigs {
				futures = append(futures, start(r, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: fmt.Sprint(round)}))
			}
			time.Sleep(10 * time.Second)
			assert.Equal(t, round+2, d.times())
			for _, f := range futures {
				_, err := f.Result(t.Context())
				require.NoError(t, err)
			}
		}
		for i, r := range rigs {
			assert.Equal(t, []string{"messageReceived", "messageReceived", "messageReceived"}, r.told(), "nobody noticed")
			assert.Equal(t, []string{"0", "1", "2"}, sim.Chats()[i].Lines(chatsim.Client))
		}

		d.mu.Lock()
		d.fail = true
		d.mu.Unlock()
		d.expire()
		_, err := call(rigs[0], webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "no"})
		require.Error(t, err)
		assert.NotContains(t, printed(t, rigs[0].take(), err), "CANARY")
		d.mu.Lock()
		d.fail = false
		d.mu.Unlock()
		require.NoError(t, send(rigs[0], "yes"), "and the next one asks again")
	})
}

// bouncer answers 401 to whoever has not the token that is valid now.
type bouncer struct {
	next http.RoundTripper
	desk *desk
}

func (b *bouncer) RoundTrip(r *http.Request) (*http.Response, error) {
	b.desk.mu.Lock()
	valid := b.desk.valid
	b.desk.mu.Unlock()
	if r.Header.Get("Authorization") != valid {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return &http.Response{
			StatusCode: http.StatusUnauthorized, Status: "401 Unauthorized", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: http.Header{}, Body: http.NoBody, Request: r,
		}, nil
	}
	return b.next.RoundTrip(r)
}
