package webchatservice_test

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
)

func TestBackoffIsCappedAndSpread(t *testing.T) {
	var seventh []time.Duration
	for range 2000 {
		wait := webchatservice.NewBackoff(time.Second)
		var passed time.Duration
		tries := 1
		for n := range 40 {
			d := wait(0)
			switch n {
			case 0, 1, 2: // 1 s, 2 s, 4 s
				mean := time.Second << n
				assert.InDelta(t, mean, d, float64(mean)/2)
			default:
				assert.GreaterOrEqual(t, d, 6500*time.Millisecond)
				assert.LessOrEqual(t, d, 8*time.Second)
			}
			if n == 6 {
				seventh = append(seventh, d)
			}
			if passed += d; passed <= time.Minute {
				tries++
			}
		}
		assert.LessOrEqual(t, tries, 12, "of a server that is down for a minute")
	}
	slices.Sort(seventh)
	assert.Greater(t, seventh[len(seventh)-1]-seventh[0], time.Second, "also the steady wait is spread")
}

func TestBackoffKeepsToWhatTheServerAsked(t *testing.T) {
	for range 1000 {
		wait := webchatservice.NewBackoff(250 * time.Millisecond)
		for _, asked := range []time.Duration{time.Second, 20 * time.Second, 50 * time.Second} {
			d := wait(asked)
			assert.GreaterOrEqual(t, d, asked)
			assert.LessOrEqual(t, d, asked+asked/10+time.Millisecond)
		}
		assert.Equal(t, time.Minute, wait(time.Hour), "nobody waits for an hour")
	}
}

// watch counts the requests that a server gets, by chat and by second.
type watch struct {
	mu     sync.Mutex
	from   time.Time
	chats  map[string]int
	second map[int]int
}

func (w *watch) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.from, w.chats, w.second = time.Now(), map[string]int{}, map[int]int{}
}

// end returns what was counted since begin, by chat and by second.
func (w *watch) end() (chats map[string]int, second map[int]int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	chats, second = w.chats, w.second
	w.chats, w.second = nil, nil
	return chats, second
}

// see is the Match of a fault: it counts, and agrees.
func (w *watch) see(r chatsim.Request) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.chats != nil {
		w.chats[r.Chat]++
		w.second[int(time.Since(w.from)/time.Second)]++
	}
	return true
}

// A server that is down for a minute is asked 12 times at most by each of a thousand sessions, with messages to send,
// and they neither ask in the same moment nor come back in the same moment.
func TestNoStormOfAThousand(t *testing.T) {
	t.Parallel()
	const sessions = 1000
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1})
		defer sim.Close()
		client := sim.Client() // one for all, as a gateway has
		defer client.CloseIdleConnections()
		type visitor struct {
			bus *bus.Bus
			app *bus.Client
		}
		visitors := make([]visitor, sessions)
		for i := range visitors {
			opts := onSim(sim)
			opts.Dial, opts.HTTPClient = nil, client
			setWire(opts, "dynamicPolling", false)
			setWire(opts, "pollRate", 3000) // fewer polls to simulate
			v := visitor{bus: bus.New(nil)}
			var err error
			v.app, err = v.bus.Register("App")
			require.NoError(t, err)
			v.app.Ready()
			require.NoError(t, v.bus.Start(t.Context(), webchatservice.New(opts)))
			_, err = v.app.Call(t.Context(), "WebChatService.startChat", webchatservice.StartChatIn{Nickname: strconv.Itoa(i)})
			require.NoError(t, err)
			visitors[i] = v
			time.Sleep(3 * time.Millisecond) // people do not come in the same moment either
			defer func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				assert.NoError(t, v.bus.Close(ctx))
			}()
		}
		time.Sleep(3 * time.Second)

		// The worst case: all notice in the same second, while sending.
		var seen watch
		seen.begin()
		outage := sim.Faults().Add(chatsim.Fault{Status: http.StatusServiceUnavailable, Times: -1, Match: seen.see})
		futures := make([]*bus.Future[any], sessions)
		for i, v := range visitors {
			futures[i] = v.app.Go(t.Context(), "WebChatService.sendMessage", webchatservice.SendMessageIn{Message: "hello?"})
		}
		time.Sleep(time.Minute)
		outage.Remove()
		chats, second := seen.end()
		require.Len(t, chats, sessions)
		most := 0
		for _, n := range chats {
			most = max(most, n)
		}
		assert.LessOrEqual(t, most, 12, "tries of one session")
		t.Logf("requests in each second of the outage: %v", second)
		for i, n := range second {
			if i > 3 { // before that each notices, and tries soon
				assert.Less(t, n, sessions/3, "requests in second %d: %v", i, second)
			}
		}

		// And back: nobody waits for longer than the cap, and not all come at once.
		seen.begin()
		sim.Faults().Add(chatsim.Fault{Times: -1, Match: func(r chatsim.Request) bool { seen.see(r); return false }})
		time.Sleep(10 * time.Second)
		chats, second = seen.end()
		require.Len(t, chats, sessions)
		for i, f := range futures {
			select {
			case <-f.Done():
			default:
				t.Fatalf("the message of session %d still waits", i)
			}
			_, err := f.Result(t.Context())
			require.NoError(t, err)
		}
		t.Logf("requests in each second after it: %v", second)
		for i, n := range second {
			// Each one that comes back polls, and sends its message.
			assert.Less(t, n, 2*sessions/3, "requests in second %d: %v", i, second)
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1})
		defer sim.Close()
		r := newRig(t, onSim(sim))
		defer r.stop()
		r.begin()
		time.Sleep(5 * time.Second)

		busy := sim.Faults().Add(chatsim.Fault{
			Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"20"}}, Times: -1,
		})
		time.Sleep(5 * time.Second)
		require.Positive(t, busy.Hits())
		before := len(sim.Requests())
		f := start(r, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "patience"})
		time.Sleep(12 * time.Second)
		assert.Len(t, sim.Requests(), before, "neither polls nor messages")
		busy.Remove()
		_, err := f.Result(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []string{"patience"}, sim.Chats()[0].Lines(chatsim.Client))
	})
}
