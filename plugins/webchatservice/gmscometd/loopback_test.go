package gmscometd_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/cometdsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmscometd"
)

const secureSockets = "Websocket with TLS"

// The same over real sockets and in real time, on each carrier, and with TLS, below which nothing is read ahead: a
// conversation, a file, a link that breaks, lines by the hundred, the end.
func TestLoopback(t *testing.T) {
	for _, way := range []string{websockets, secureSockets, longPolling} {
		t.Run(way, func(t *testing.T) {
			carrier, scheme, serve := way, "http:", httptest.NewServer
			if way == secureSockets {
				carrier, scheme, serve = websockets, "https:", httptest.NewTLSServer
			}
			sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody, Faces: []chatsim.Face{gmssim.New(&gmssim.Options{Files: gmssim.FileLimits{Types: []string{"txt"}}})}})
			front := serve(sim.Handler())
			defer front.Close()
			defer sim.Close() //nolint:errcheck // it ends what front waits for
			urls := sim.BaseURLs(front.Listener.Addr().String())
			for name, url := range urls {
				urls[name] = scheme + strings.TrimPrefix(url, "http:")
			}
			sockets := carrier != longPolling
			d, err := gmscometd.New(gmscometd.Config{
				CometURL: urls["cometd"], APIURL: urls["files"], WebsocketEnabled: &sockets, Config: gms.Config{AjaxTimeout: -1},
			}, &chat.Options{Client: &http.Client{Transport: front.Client().Transport}})
			require.NoError(t, err)
			defer d.CloseIdleConnections()
			ctx := t.Context() // it takes as long as the machine needs
			conn, err := d.Open(ctx, chat.Request{Nickname: "Ada"})
			require.NoError(t, err)
			assert.Equal(t, map[string]string{websockets: "websocket", longPolling: "long-polling"}[carrier], cometdsim.Of(sim).Clients()[0].Carrier)
			c, err := sim.Desk().Next(ctx)
			require.NoError(t, err)
			ann, err := c.Join("Ann", chatsim.RoleAgent)
			require.NoError(t, err)

			// On a busy machine lines come without those before them, which come later or are to be asked for.
			seen, last := map[int64]int{}, ""
			add := func(lines []chat.Message) {
				for _, m := range lines {
					seen[m.Index]++
					last = m.Text
				}
			}
			until := func(text string) {
				for last != text {
					ev, err := conn.Receive(ctx)
					if err != nil { // a broken link is told, and comes back
						require.NoError(t, ctx.Err())
						continue
					}
					add(ev.Messages)
				}
			}
			_, err = ann.Say("Hello")
			require.NoError(t, err)
			until("Hello")
			r, err := conn.Send(ctx, chat.Action{Text: "Hello yourself"})
			require.NoError(t, err)
			assert.True(t, r.Confirmed)
			_, err = conn.(chat.Filer).SendFile(ctx, chat.Upload{Name: "a.txt", Content: strings.NewReader("a"), Size: 1})
			require.NoError(t, err)
			cometdsim.Of(sim).DropSockets()
			front.CloseClientConnections()
			_, err = ann.Say("back?")
			require.NoError(t, err)
			until("back?")
			done := make(chan struct{})
			var called func()
			called = func() { // takes all there is, and wants to be called again
				for !conn.(chat.Waker).Await(called) {
					ev, err := conn.Receive(ctx)
					if add(ev.Messages); last == "bye" || ctx.Err() != nil {
						close(done)
						return
					}
					assert.NoError(t, err)
				}
			}
			called()
			for range 200 {
				_, err = ann.Say(strings.Repeat("and so on ", 20))
				require.NoError(t, err)
			}
			_, err = ann.Say("bye")
			require.NoError(t, err)
			<-done
			const all = 207
			for from := int64(1); from <= all; {
				if seen[from] > 0 {
					from++
					continue
				}
				to := from
				for seen[to] == 0 && to <= all {
					to++
				}
				missing, err := conn.(chat.Refetcher).Refetch(ctx, chat.Position{Index: from}, chat.Position{Index: to})
				require.NoError(t, err)
				add(missing)
			}
			for i := range int64(all) {
				assert.Equal(t, 1, seen[i+1], "line %d, each once", i+1)
			}
			assert.Len(t, seen, all)
			_, err = conn.Send(ctx, chat.Action{Kind: chat.ActionEnd})
			require.NoError(t, err)
			require.NoError(t, conn.Close())
			assert.True(t, c.Snapshot().Ended)
			assert.Empty(t, cometdsim.Of(sim).Clients())
		})
	}
}
