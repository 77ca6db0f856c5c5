package gmsrest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
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

// Both sides write at once over a network that delays, breaks and loses. The ledger: every line of the
// transcript comes out once, and in order; the server has every line that was confirmed exactly once,
// and every other at most once.
func TestLedgerUnderFaults(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, chatsim.Options{SilenceLimit: -1}, func(t *testing.T, s *server) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				conn := s.open(ctx)
				id := conn.Session().ID
				s.AgentJoin(id, "Ann")
				var got []int64
				var wg sync.WaitGroup
				wg.Go(func() {
					for {
						ev, err := conn.Receive(context.Background())
						if errors.Is(err, io.EOF) {
							return
						}
						if err == nil {
							for _, m := range ev.Messages {
								got = append(got, m.Index)
							}
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
						s.Faults().Add(chatsim.Fault{Drop: chatsim.DropAfter})
					case 2:
						s.Faults().Add(chatsim.Fault{Drop: chatsim.DropBefore})
					case 3:
						s.Faults().Add(chatsim.Fault{Delay: time.Duration(rnd.IntN(5000)) * time.Millisecond})
					case 4:
						s.Faults().Add(chatsim.Fault{Cut: 1 + rnd.IntN(100)})
					case 5:
						s.Faults().Add(chatsim.Fault{Op: "refresh", Double: true, Shuffle: true, Overlap: 5})
					case 6:
						s.Network().Refuse()
						time.Sleep(2 * time.Second)
						s.Network().Heal()
					}
				}
				time.Sleep(3 * time.Minute)
				s.Faults().Clear()
				s.EndChat(id)
				wg.Wait()
				synctest.Wait()

				snapshot := s.chat(id).Snapshot()
				want := make([]int64, len(snapshot.Events))
				for i := range want {
					want[i] = int64(i + 1)
				}
				assert.Equal(t, want, got)
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
