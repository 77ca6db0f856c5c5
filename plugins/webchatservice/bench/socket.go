package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// ask makes the servers work, and returns once they have.
func ask(ctx context.Context, to peers, what string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.Control+"/"+what, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close() //nolint:errcheck // nothing was written to it
	said, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", what, resp.Status, said)
	}
	return err
}

func onSocket(to *peers, address string) func(*webchatservice.Config, map[string]any) {
	to.CometD = address
	return func(c *webchatservice.Config, wire map[string]any) {
		c.CometD.Enabled = true
		delete(wire, "dataURL") // which is for another transport
	}
}

// serviceFlood takes lines off a websocket as fast as they come.
func serviceFlood(ctx context.Context, m *meter, to peers, n int) (sample, error) {
	count := newTally(n + 1) // and the welcome
	p, err := newParty(ctx, 1, peers{CometD: to.Push}, onSocket(&to, to.Push), nil, func(d *webchatservice.MessageReceivedData) { count.add(len(d.Messages)) })
	if err == nil {
		err = p.start(ctx, "Ada")
	}
	if err != nil {
		return sample{}, err
	}
	m.begin()
	if err := ask(ctx, to, "push?n="+strconv.Itoa(n)); err != nil {
		return sample{}, err
	}
	if err := count.wait(ctx); err != nil {
		return sample{}, err
	}
	s := m.end(n)
	return s, p.close()
}

func rawFlood(buffer int, split splitter, decode decoder) func(context.Context, *meter, peers, int) (sample, error) {
	return func(ctx context.Context, m *meter, to peers, n int) (sample, error) {
		count := newTally(n + 1)
		s, err := dialRaw(ctx, rawDialer(buffer), to.Push, "Ada", split, func(data []byte) error {
			lines, _, err := decode(data)
			count.add(lines)
			return err
		})
		if err != nil {
			return sample{}, err
		}
		m.begin()
		if err := ask(ctx, to, "push?n="+strconv.Itoa(n)); err != nil {
			return sample{}, err
		}
		if err := count.wait(ctx); err != nil {
			return sample{}, err
		}
		got := m.end(n)
		s.close()
		return got, nil
	}
}

// The load of the job on latency: each session gets as many lines.
const (
	latencyRate  = 1000 // lines a second, all sessions together
	latencyTurns = 5
)

// stamps are the times from frame to subscriber.
type stamps struct {
	count *tally
	mu    sync.Mutex
	took  []int64
}

func newStamps(n int) *stamps { return &stamps{count: newTally(n)} }

// take notes a line that begins with the time when it was sent.
func (s *stamps) take(text string) {
	now := time.Now().UnixNano()
	stamp, _, _ := strings.Cut(text, " ")
	sent, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return // the welcome
	}
	s.mu.Lock()
	s.took = append(s.took, now-sent)
	s.mu.Unlock()
	s.count.add(1)
}

func (s *stamps) measure(ctx context.Context, m *meter, to peers, n int) (sample, error) {
	m.begin()
	if err := ask(ctx, to, fmt.Sprintf("push?n=%d&rate=%d", n, latencyRate)); err != nil {
		return sample{}, err
	}
	if err := s.count.wait(ctx); err != nil {
		return sample{}, err
	}
	got := m.end(n)
	got.P50, got.P99 = percentiles(s.took)
	return got, nil
}

func serviceLatency(ctx context.Context, m *meter, to peers, n int) (sample, error) {
	all := newStamps(n * latencyTurns)
	p, err := newParty(ctx, n, peers{CometD: to.Push}, onSocket(&to, to.Push), nil, func(d *webchatservice.MessageReceivedData) {
		for i := range d.Messages {
			all.take(d.Messages[i].Text)
		}
	})
	if err == nil {
		err = p.start(ctx, "Ada")
	}
	if err != nil {
		return sample{}, err
	}
	s, err := all.measure(ctx, m, to, n*latencyTurns)
	return s, errors.Join(err, p.close())
}

func rawLatency(ctx context.Context, m *meter, to peers, n int) (sample, error) {
	all := newStamps(n * latencyTurns)
	sockets, err := rawParty(ctx, to.Push, n, func(data []byte) error {
		_, last, err := sameValid(data)
		all.take(last)
		return err
	})
	if err != nil {
		return sample{}, err
	}
	s, err := all.measure(ctx, m, to, n*latencyTurns)
	closeAll(sockets)
	return s, err
}

// Sizes of a raw websocket's buffers.
const (
	rawBuffer     = 512     // as the driver's
	defaultBuffer = 4 << 10 // as gorilla's if nobody says anything
)

func rawParty(ctx context.Context, address string, n int, f func([]byte) error) ([]*rawSocket, error) {
	d := rawDialer(rawBuffer)
	sockets := make([]*rawSocket, n)
	err := crowd(n, func(i int) (err error) {
		sockets[i], err = dialRaw(ctx, d, address, fmt.Sprint("Ada", i), sameDeliveries, f)
		return err
	})
	return sockets, err
}

func closeAll(sockets []*rawSocket) {
	_ = crowd(len(sockets), func(i int) error { // which never fails
		sockets[i].close()
		return nil
	})
}

// connectRounds is how many times the time to settle a round of connects takes, which the simulator holds for 30 s.
const connectRounds = 6

// serviceSockets holds websocket sessions to which nothing happens.
func serviceSockets(ctx context.Context, m *meter, to peers, n int) (sample, error) {
	m.empty()
	p, err := newParty(ctx, n, to, onSocket(&to, to.CometD), nil, func(*webchatservice.MessageReceivedData) {})
	if err == nil {
		err = p.start(ctx, "Ada")
	}
	if err != nil {
		return sample{}, err
	}
	s := m.full(n)
	s.Load = m.idle(connectRounds)
	return s, p.close()
}

func rawSockets(ctx context.Context, m *meter, to peers, n int) (sample, error) {
	m.empty()
	sockets, err := rawParty(ctx, to.CometD, n, func([]byte) error { return nil })
	if err != nil {
		return sample{}, err
	}
	s := m.full(n)
	s.Load = m.idle(connectRounds)
	closeAll(sockets)
	return s, nil
}

// The load of the job on long-polling.
const (
	pollSessions = 20
	pollEvery    = 10 * time.Millisecond // between two lines of a session
)

// sayLines has the agents of the visitors whose names begin with who speak, once all of them are there.
func sayLines(ctx context.Context, m *meter, to peers, who string, perSession int, count *tally) (sample, error) {
	if err := ask(ctx, to, fmt.Sprintf("say?who=%s&of=%d&n=0", who, pollSessions)); err != nil {
		return sample{}, err
	}
	m.begin()
	if err := ask(ctx, to, fmt.Sprintf("say?who=%s&of=%d&n=%d&every=%d", who, pollSessions, perSession, pollEvery)); err != nil {
		return sample{}, err
	}
	if err := count.wait(ctx); err != nil {
		return sample{}, err
	}
	return m.end(perSession * pollSessions), nil
}

// visitors returns what the names of an entry's visitors begin with, and nobody else's: chats that an earlier one
// left behind are still there.
func visitors(kind string) string { return kind + strconv.FormatInt(time.Now().UnixNano(), 36) + "-" }

// perSession is how many lines each session gets of n.
func perSession(n int) int { return max(1, n/pollSessions) }

func serviceLongPolling(ctx context.Context, m *meter, to peers, n int) (sample, error) {
	each, who := perSession(n), visitors("service")
	count := newTally(each * pollSessions)
	noSocket := func(c *webchatservice.Config, wire map[string]any) {
		c.CometD.Enabled = true
		delete(wire, "dataURL")
		wire["cometD"].(map[string]any)["websocketEnabled"] = false
	}
	p, err := newParty(ctx, pollSessions, to, noSocket, nil, func(d *webchatservice.MessageReceivedData) {
		for i := range d.Messages {
			if d.Messages[i].Type == chat.KindMessage {
				count.add(1)
			}
		}
	})
	if err == nil {
		err = p.start(ctx, who)
	}
	if err != nil {
		return sample{}, err
	}
	s, err := sayLines(ctx, m, to, who, each, count)
	return s, errors.Join(err, p.close())
}

// linesData is what a raw client publishes on a bus.
type linesData struct {
	Lines int
	Last  string
}

var linesEvent = bus.NewEvent[linesData]("Raw.lines", "Lines have come.")

// rawBus is a bus with a plugin that publishes lines, and a program that is subscribed to them.
func rawBus(h func(linesData)) (*bus.Bus, *bus.Publisher[linesData], error) {
	b := bus.New(nil)
	raw, err := b.Register("Raw")
	if err != nil {
		return nil, nil, err
	}
	app, err := b.Register("App")
	if err != nil {
		return nil, nil, err
	}
	lines, err := linesEvent.Bind(raw)
	if err != nil {
		return nil, nil, err
	}
	_, err = bus.Subscribe(app, linesEvent, func(_ context.Context, e bus.Event[linesData]) { h(e.Data) })
	return b, lines, err
}

func rawLongPolling(split splitter, decode decoder) func(context.Context, *meter, peers, int) (sample, error) {
	return func(ctx context.Context, m *meter, to peers, n int) (sample, error) {
		transport, err := chat.NewTransport(chat.TransportOptions{})
		if err != nil {
			return sample{}, err
		}
		each, who := perSession(n), visitors("raw")
		count := newTally(each * pollSessions)
		var running atomic.Int64
		var all [pollSessions]*rawLongPoll
		var buses [pollSessions]*bus.Bus
		err = crowd(pollSessions, func(i int) error {
			b, lines, err := rawBus(func(d linesData) {
				if strings.HasPrefix(d.Last, lineText) {
					count.add(d.Lines)
				}
			})
			if err != nil {
				return err
			}
			buses[i] = b
			running.Add(1)
			all[i], err = pollRaw(ctx, transport, to.CometD, fmt.Sprint(who, i), split, func(data []byte) error {
				lines1, last, err := decode(data)
				if err != nil {
					return err
				}
				return lines.Publish(context.Background(), linesData{lines1, last})
			})
			return err
		})
		if err != nil {
			return sample{}, err
		}
		s, err := sayLines(ctx, m, to, who, each, count)
		errs := []error{err}
		for i := range all {
			all[i].close()
			errs = append(errs, buses[i].Close(ctx))
		}
		transport.CloseIdleConnections()
		return s, errors.Join(errs...)
	}
}
