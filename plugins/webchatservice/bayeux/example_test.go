package bayeux_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/bayeux"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/cometdsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
)

// plainHTTP makes requests without header fields and credentials.
type plainHTTP struct {
	address string
	client  *http.Client
}

func (h plainHTTP) Post(ctx context.Context, op, suffix string, unit []byte, limit time.Duration) ([]byte, *chat.Error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.address+suffix, bytes.NewReader(unit))
	if err != nil {
		return nil, &chat.Error{Outcome: chat.NotSent, Code: chat.CodeInvalid, Op: op, Err: err}
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := h.client.Do(req)
	if err != nil {
		return nil, &chat.Error{Code: chat.CodeNetwork, Op: op, Err: err}
	}
	defer resp.Body.Close() //nolint:errcheck // nothing was written to it
	if resp.StatusCode != http.StatusOK {
		return nil, &chat.Error{Outcome: chat.Rejected, Code: chat.CodeHTTPStatus, Op: op, Status: resp.StatusCode}
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, &chat.Error{Code: chat.CodeNetwork, Op: op, Err: err}
	}
	return body, nil
}

func (h plainHTTP) Upgrade(
	ctx context.Context, op string, limit time.Duration, dial func(context.Context, http.Header) (*http.Response, error),
) *chat.Error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if _, err := dial(ctx, nil); err != nil {
		return &chat.Error{Outcome: chat.NotSent, Code: chat.CodeNetwork, Op: op, Err: err}
	}
	return nil
}

// printing prints what happens.
type printing struct {
	connected chan struct{}
	delivered chan []byte
}

func (p printing) Connected()                    { close(p.connected) }
func (p printing) Disconnected()                 {}
func (p printing) Failed(e *chat.Error)          { fmt.Println("failed:", e) }
func (p printing) Deliver(_ string, data []byte) { p.delivered <- bytes.Clone(data) }
func (p printing) Waiting() func()               { return nil }
func (p printing) AwaitRoom() bool               { return false }
func (p printing) Secrets() []chat.Secret        { return nil }

// A client publishes a request, and is pushed the answer. The server is a simulator in memory; its chats are just
// messages here.
func Example() {
	sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
	defer sim.Close() //nolint:errcheck // nothing is left of it

	jar := bayeux.NewJar()
	requests := plainHTTP{cometdsim.URL(sim), &http.Client{Transport: sim.Client().Transport, Jar: jar}}
	handler := printing{make(chan struct{}), make(chan []byte, 10)}
	client := bayeux.New(requests, handler, &bayeux.Options{
		Dialer: bayeux.NewDialer(cometdsim.URL(sim), &bayeux.DialerOptions{Dial: sim.DialContext}),
		Jar:    jar,
	})
	client.Start()
	defer client.Close()

	<-handler.connected
	fmt.Println(client.State(), "on a websocket:", client.OnWebsocket())
	replies, err := client.Publish(context.Background(), "example", "/service/chatV2/customer-support",
		json.RawMessage(`{"operation":"requestChat","nickname":"Ada"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("taken:", replies[0].Successful)
	var answer struct{ StatusCode int }
	fmt.Println(json.Unmarshal(<-handler.delivered, &answer), answer.StatusCode)
	// Output:
	// connected on a websocket: true
	// taken: true
	// <nil> 0
}
