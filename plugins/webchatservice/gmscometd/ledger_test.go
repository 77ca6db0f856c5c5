package gmscometd_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/cometdsim"
)

// bubble runs f over each carrier, in a synctest bubble with a simulator: what sleeps in f sleeps in fake time.
func bubble(t *testing.T, opts chatsim.Options, f func(*testing.T, *server)) {
	for _, carrier := range []string{websockets, longPolling} {
		t.Run(carrier, func(t *testing.T) { bubbleOn(t, carrier, opts, f) })
	}
}

// bubbleOn is bubble over one carrier.
func bubbleOn(t *testing.T, carrier string, opts chatsim.Options, f func(*testing.T, *server)) {
	synctest.Test(t, func(t *testing.T) {
		if opts.Script == nil {
			opts.Script = chatsim.Nobody
		}
		s := newServer(t, carrier, &opts)
		t.Cleanup(s.Close)
		f(t, s)
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

// follow receives until the end.
func (l *ledger) follow(ctx context.Context, conn chat.Conn) {
	for {
		ev, err := conn.Receive(context.Background())
		if errors.Is(err, io.EOF) || errors.Is(err, chat.ErrClosed) {
			return
		}
		if err == nil {
			l.take(ctx, conn, ev.Messages)
		}
	}
}

// whole is what the ledger of all of a chat has.
func whole(s chatsim.Snapshot) []int64 {
	want := make([]int64, len(s.Events))
	for i := range want {
		want[i] = int64(i + 1)
	}
	return want
}

// Both sides write at once over a network that delays, breaks and loses, to a server that is busy, answers
// nonsense, repeats itself, forgets Bayeux sessions, restarts. The ledger: every line of the transcript comes out
// once, and in order, after holes were seen and filled; the server has every line that was confirmed
// exactly once, and every other at most once. The bubble sees to it that no goroutine is left.
func TestLedgerUnderFaults(t *testing.T) {
	t.Parallel()
	seeds := uint64(6)
	if os.Getenv("SOAK") == "1" {
		seeds = 300
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
				wg.Go(func() { received.follow(t.Context(), conn) })
				outcome := make(map[string]error)
				var mu sync.Mutex
				for writer := range 2 {
					rnd := rand.New(rand.NewPCG(seed, uint64(writer)))
					wg.Go(func() {
						for i := range 40 {
							text := fmt.Sprintf("%d.%d", writer, i)
							r, err := conn.Send(ctx, chat.Action{Text: text})
							if err == nil && !r.Confirmed {
								err = &chat.Error{Outcome: chat.Unknown}
							}
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
					switch rnd.IntN(9) {
					case 0:
						s.Network().Reset()
					case 1:
						s.Network().Refuse()
						time.Sleep(2 * time.Second)
						s.Network().Heal()
					case 2:
						s.Restart(true)
					case 3:
						cometdsim.Of(s.Server).ForgetClients()
					default:
						s.Faults().Add(cometdsim.Of(s.Server).RandomFault(rnd))
					}
				}
				time.Sleep(5 * time.Minute)
				s.Faults().Clear()
				time.Sleep(2 * time.Minute) // what was accepted late has arrived, what is missing was fetched
				s.AgentSay(id, "Ann", "over?")
				time.Sleep(2 * time.Minute)
				s.EndChat(id)
				wg.Wait()
				synctest.Wait()

				snapshot := s.chat(id).Snapshot()
				assert.Equal(t, whole(snapshot), received.lines)
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
