package gmsrest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmsrest"
)

// The cable is out: nothing arrives, dials get no answer. Every call ends in time, and with the cable
// back nothing is missing.
func TestCableOut(t *testing.T) {
	bubble(t, chatsim.Options{}, func(t *testing.T, s *server) {
		conn := s.open(t.Context())
		id := conn.Session().ID
		s.AgentJoin(id, "Ann")
		listen(t, conn, 2*time.Second)
		s.Network().Partition()
		s.AgentSay(id, "Ann", "one")
		for range 3 {
			begin := time.Now()
			_, err := conn.Receive(t.Context())
			var e *chat.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, chat.CodeTimeout, e.Code)
			assert.LessOrEqual(t, time.Since(begin), 6*time.Second, "an interval and a time-out")
			_, err = conn.Send(t.Context(), chat.Action{Text: "lost?"})
			require.ErrorAs(t, err, &e)
			assert.Equal(t, chat.CodeTimeout, e.Code)
		}
		s.Network().Heal()
		var got []string
		for _, ev := range listen(t, conn, 10*time.Second) {
			for _, m := range ev.Messages {
				if m.Kind == chat.KindMessage && !m.Own {
					got = append(got, m.Text)
				}
			}
		}
		assert.Equal(t, []string{"one"}, got)
	})
}

// ledger receives like a service does: it asks for what is missing, and notes each line.
type ledger struct {
	next  int64   // the index that must come next
	lines []int64 // indices, as they came
}

// take notes the lines of an event; what is missing before one is fetched first. Lines that nothing brings
// would be a hole for good, which this transcript does not have.
func (l *ledger) take(ctx context.Context, conn chat.Conn, lines []chat.Message) {
	for _, m := range lines {
		for m.Index > l.next && ctx.Err() == nil {
			missing, err := conn.(chat.Refetcher).Refetch(ctx, chat.Position{Index: l.next}, chat.Position{Index: m.Index})
			if errors.Is(err, chat.ErrEnded) {
				break
			}
			if err != nil || int64(len(missing)) < m.Index-l.next { // the answer may have a hole of its own
				time.Sleep(100 * time.Millisecond)
				continue
			}
			for _, m := range missing {
				l.note(m.Index)
			}
		}
		l.note(m.Index)
	}
}

func (l *ledger) note(index int64) {
	l.lines = append(l.lines, index)
	l.next = max(l.next, index+1)
}

// Both sides write at once over a network that delays, breaks and loses, to a server that is busy, answers
// nonsense, repeats itself, leaves lines out, restarts. The ledger: every line of the transcript comes out
// once, and in order, after holes were seen and filled; the server has every line that was confirmed
// exactly once, and every other at most once. The bubble sees to it that no goroutine is left.
func TestLedgerUnderFaults(t *testing.T) {
	seeds := uint64(8)
	if os.Getenv("SOAK") == "1" {
		seeds = 1000
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, chatsim.Options{SilenceLimit: -1}, func(t *testing.T, s *server) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				conn := s.open(ctx)
				id := conn.Session().ID
				s.AgentJoin(id, "Ann")
				received := ledger{next: 1}
				var wg sync.WaitGroup
				wg.Go(func() {
					for {
						ev, err := conn.Receive(context.Background())
						if errors.Is(err, io.EOF) {
							return
						}
						if err == nil {
							received.take(t.Context(), conn, ev.Messages)
						}
					}
				})
				outcome := make(map[string]error)
				var mu sync.Mutex
				for writer := range 2 {
					rnd := rand.New(rand.NewPCG(seed, uint64(writer)))
					wg.Go(func() {
						for i := range 40 {
							text := fmt.Sprintf("%d.%d", writer, i)
							_, err := conn.Send(ctx, chat.Action{Text: text})
							mu.Lock()
							outcome[text] = err
							mu.Unlock()
							time.Sleep(time.Duration(rnd.IntN(2000)) * time.Millisecond)
						}
					})
				}
				rnd := rand.New(rand.NewPCG(seed, 99))
				for range 60 {
					time.Sleep(time.Duration(rnd.IntN(1500)) * time.Millisecond)
					s.AgentSay(id, "Ann", "a")
					switch rnd.IntN(8) {
					case 0:
						s.Network().Reset()
					case 1:
						s.Network().Refuse()
						time.Sleep(2 * time.Second)
						s.Network().Heal()
					case 2:
						s.Restart(true)
					default:
						s.Faults().Add(gmssim.Of(s.Server).RandomFault(rnd))
					}
				}
				time.Sleep(3 * time.Minute)
				s.Faults().Clear()
				time.Sleep(time.Minute) // what was accepted late has arrived, what is missing was fetched
				s.EndChat(id)
				wg.Wait()
				synctest.Wait()

				snapshot := s.chat(id).Snapshot()
				want := make([]int64, len(snapshot.Events))
				for i := range want {
					want[i] = int64(i + 1)
				}
				assert.Equal(t, want, received.lines)
				times := make(map[string]int)
				for _, text := range snapshot.Lines(chatsim.Client) {
					times[text]++
				}
				for text, err := range outcome {
					switch {
					case err == nil:
						assert.Equal(t, 1, times[text], "confirmed: %s", text)
					case chat.OutcomeOf(err) == chat.Unknown:
						assert.LessOrEqual(t, times[text], 1, "unknown: %s", text)
					default:
						assert.Zero(t, times[text], "%v: %s", err, text)
					}
				}
				assert.Len(t, outcome, 80)
			})
		})
	}
}

// A hole is seen, for indices tell it, and filled without a line coming twice. A hole that nothing fills stays
// visible.
func TestHoles(t *testing.T) {
	bubble(t, chatsim.Options{Faces: []chatsim.Face{gmssim.New(&gmssim.Options{Quirks: gmssim.Quirks{HiddenTakeIndex: true}})}}, func(t *testing.T, s *server) {
		conn := s.open(t.Context())
		id := conn.Session().ID
		s.AgentJoin(id, "Ann")
		listen(t, conn, 2*time.Second)
		for _, text := range []string{"one", "two", "three"} {
			s.AgentSay(id, "Ann", text)
		}
		s.Faults().Add(chatsim.Fault{Op: "refresh", Omit: 2})
		events := listen(t, conn, 5*time.Second)
		require.Len(t, lines(events), 1)
		assert.Equal(t, "three", lines(events)[0].Text)
		assert.Equal(t, int64(5), lines(events)[0].Index)
		position := conn.Position()

		missing, err := conn.(chat.Refetcher).Refetch(t.Context(), chat.Position{Index: 3}, chat.Position{Index: 5})
		require.NoError(t, err)
		require.Len(t, missing, 2)
		assert.Equal(t, []string{"one", "two"}, []string{missing[0].Text, missing[1].Text})
		assert.Equal(t, position, conn.Position())
		assert.Empty(t, lines(listen(t, conn, 5*time.Second)))

		_, err = s.seats[id+"Ann"].Whisper("between us")
		require.NoError(t, err)
		s.AgentSay(id, "Ann", "four")
		events = listen(t, conn, 5*time.Second)
		require.Len(t, lines(events), 1)
		assert.Equal(t, int64(7), lines(events)[0].Index)
		missing, err = conn.(chat.Refetcher).Refetch(t.Context(), chat.Position{Index: 6}, chat.Position{Index: 7})
		require.NoError(t, err)
		assert.Empty(t, missing, "it was never for visitors")
	})
}

// lines is what events brought.
func lines(events []chat.Event) (all []chat.Message) {
	for _, ev := range events {
		all = append(all, ev.Messages...)
	}
	return all
}

// Over real sockets, with chats, files, failures and downloads that are left half read: when all is closed,
// neither goroutine nor descriptor is left.
func TestNothingIsLeft(t *testing.T) {
	count := func() (goroutines, descriptors int) {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			return runtime.NumGoroutine(), 0 // a system without: the goroutines hold the sockets
		}
		return runtime.NumGoroutine(), len(entries)
	}
	var goroutines, descriptors int
	require.Eventually(t, func() bool { // counted where it will be compared
		goroutines, descriptors = count()
		return true
	}, time.Hour, time.Millisecond)
	func() {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
		defer sim.Close()
		listener := httptest.NewServer(sim.Handler())
		defer listener.Close()
		d, err := gmsrest.New(gmsrest.Config{
			DataURL: sim.BaseURLs(listener.Listener.Addr().String())["gms"], Config: gms.Config{AjaxTimeout: -1},
		}, &chat.Options{})
		require.NoError(t, err)
		defer d.CloseIdleConnections()
		for range 5 {
			conn, err := d.Open(t.Context(), chat.Request{Nickname: "Ada"})
			require.NoError(t, err)
			c, _ := sim.Chat(conn.Session().ID)
			seat, err := c.Join("Ann", chatsim.RoleAgent)
			require.NoError(t, err)
			f, err := seat.SendFile("a.txt", "", make([]byte, 1<<20))
			require.NoError(t, err)
			_, err = conn.(chat.Filer).SendFile(t.Context(), chat.Upload{Name: "a.txt", Size: 9, Content: strings.NewReader("too short")})
			require.NoError(t, err)
			_, err = conn.(chat.Filer).SendFile(t.Context(), chat.Upload{Name: "a.txt", Size: 90, Content: strings.NewReader("too short")})
			require.Error(t, err)
			down, err := conn.(chat.Filer).ReceiveFile(t.Context(), f.ID, 0)
			require.NoError(t, err)
			_, err = io.ReadFull(down.Content, make([]byte, 100))
			require.NoError(t, err)
			require.NoError(t, down.Content.Close())
			sim.Faults().Add(chatsim.Fault{Op: "send", Drop: chatsim.DropAfter}) // the upload that broke may still arrive
			_, err = conn.Send(t.Context(), chat.Action{Text: "x"})
			require.Error(t, err)
			require.NoError(t, conn.Close())
		}
	}()
	require.Eventually(t, func() bool {
		g, f := count()
		return g <= goroutines && f <= descriptors
	}, time.Hour, 10*time.Millisecond)
}
