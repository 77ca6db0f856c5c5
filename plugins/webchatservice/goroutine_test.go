package webchatservice_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
)

// goroutine returns the number of this goroutine.
func goroutine() string {
	var b [64]byte
	return string(bytes.Fields(b[:runtime.Stack(b[:], false)])[1])
}

// asking notes the goroutine that has asked over HTTP last.
type asking struct {
	next http.RoundTripper
	by   *atomic.Value
}

// RoundTrip implements [http.RoundTripper].
func (a asking) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := a.next.RoundTrip(r)
	a.by.Store(goroutine())
	return resp, err
}

// reading notes the goroutine that has read last.
type reading struct {
	net.Conn
	by *atomic.Value
}

// Read implements [net.Conn].
func (c reading) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.by.Store(goroutine())
	return n, err
}

// The goroutine that has read a line from the network, or the answer to a poll, runs the handlers, too: to wake another
// one would cost more than most of the rest.
func TestHandlersRunInTheGoroutineThatRead(t *testing.T) {
	for _, w := range wireTable[:2] { // by long-polling the next request does not wait for handlers
		t.Run(w.name, func(t *testing.T) {
			onWire(t, w, func(t *testing.T, f *field) {
				var read atomic.Value
				read.Store("")
				dial := f.opts.Dial
				if w.name == "REST" {
					transport := &http.Transport{DialContext: dial}
					t.Cleanup(transport.CloseIdleConnections)
					f.opts.Dial, f.opts.HTTPClient = nil, &http.Client{Transport: asking{transport, &read}}
				} else {
					f.opts.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
						conn, err := dial(ctx, network, address)
						return reading{conn, &read}, err
					}
				}
				r, a := f.begin(t)
				var same, other atomic.Int64
				_, err := bus.Subscribe(r.app, webchatservice.MessageReceived, func(_ context.Context, e bus.Event[webchatservice.MessageReceivedData]) {
					if text := e.Data.Messages[0].Text; text != "a line" {
						return // what a chat begins with
					}
					if goroutine() == read.Load() {
						same.Add(1)
					} else {
						other.Add(1)
					}
				})
				require.NoError(t, err)
				for range 10 {
					time.Sleep(5 * time.Second)
					a.hear(t, "a line")
				}
				time.Sleep(5 * time.Second)
				synctest.Wait()
				assert.Zero(t, other.Load())
				assert.EqualValues(t, 10, same.Load())
			})
		})
	}
}
