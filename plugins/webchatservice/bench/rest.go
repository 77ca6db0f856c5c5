package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmsrest"
)

const (
	answerLines = 20
	chatAnswers = 200 // in one chat, which is long
)

// bodies are the answers of one chat.
func bodies(n int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = appendAnswer(nil, int64(i*answerLines+1), answerLines, lineText)
	}
	return all
}

// replay is a driver that takes the bodies of answers to polls from memory and does with them what the driver of this wire
// does, once it has them.
type replay struct {
	wire   *gms.Wire
	bodies [][]byte
	begin  chan struct{}
}

func (r *replay) factory() []chat.Factory {
	driver := func(c gmsrest.Config, o *chat.Options) (chat.Driver, error) {
		var err error
		r.wire, err = gms.NewWire(c.Config, o, "webchat.dataURL", c.DataURL, "")
		return r, err
	}
	return []chat.Factory{chat.NewFactory(gmsrest.Name, driver, chat.Selection{})}
}

// Open implements [chat.Driver].
func (r *replay) Open(context.Context, chat.Request) (chat.Conn, error) {
	s := chat.Session{ID: "0001HaF3KQ9B00A1", UserID: "00D45B1F2C7A0033", Alias: "204", SecureKey: key}
	c := &replayed{r: r, book: gms.NewTranscript(s, 1, chat.Position{}), over: make(chan struct{})}
	return c, nil
}

// replayed is a chat of which all is known.
type replayed struct {
	r     *replay
	book  gms.Transcript
	next  int
	once  sync.Once
	over  chan struct{}
	alarm *time.Timer // rings when the next poll is due; nil: none was due yet
}

// Await implements [chat.Waker] as the driver of this wire does: a timer starts the goroutine that polls. The timer has
// nothing to wait for here.
func (c *replayed) Await(f func()) bool {
	switch {
	case c.next == 0: // the answer to the start
		return false
	case c.next == 1, c.next > len(c.r.bodies):
		begin := c.r.begin
		if c.next > 1 {
			begin = nil
		}
		go func() {
			select {
			case <-begin:
			case <-c.over:
			}
			f()
		}()
	case c.alarm == nil:
		c.alarm = time.AfterFunc(0, f)
	default:
		c.alarm.Reset(0) // f is the same at each call
	}
	return true
}

// Receive implements [chat.Conn].
func (c *replayed) Receive(ctx context.Context) (chat.Event, error) {
	if c.next == 0 { // the answer to the start
		c.next++
		return chat.Event{}, nil
	}
	wait := c.r.begin
	if c.next > len(c.r.bodies) {
		wait = nil
	}
	select {
	case <-wait:
	case <-ctx.Done():
		return chat.Event{}, context.Cause(ctx)
	case <-c.over:
		return chat.Event{}, io.EOF
	}
	body := c.r.bodies[c.next-1]
	c.next++
	a, e := c.r.wire.Judge("receive", &gms.Response{Status: http.StatusOK, Body: body}, key)
	if e != nil {
		return chat.Event{}, e
	}
	ev, _ := c.book.Take(a, a.Raw)
	return ev, nil
}

// Send implements [chat.Conn]: whatever it is, it ends the chat.
func (c *replayed) Send(context.Context, chat.Action) (chat.Receipt, error) {
	return chat.Receipt{Confirmed: true}, c.Close()
}

// Session implements [chat.Conn].
func (c *replayed) Session() chat.Session { return c.book.Session }

// Position implements [chat.Conn].
func (c *replayed) Position() chat.Position { return c.book.Position() }

// Capabilities implements [chat.Conn].
func (c *replayed) Capabilities() chat.Capabilities { return chat.Capabilities{} }

// Close implements [chat.Conn].
func (c *replayed) Close() error {
	c.once.Do(func() { close(c.over) })
	return nil
}

// serviceAnswers takes answers from their bodies to a subscriber.
func serviceAnswers(ctx context.Context, m *meter, to peers, n int) (sample, error) {
	perChat := min(n, chatAnswers)
	chats := n / perChat
	all := bodies(perChat)
	var parties []*party
	var replays []*replay
	var counts []*tally
	for range chats {
		r := &replay{bodies: all, begin: make(chan struct{})}
		count := newTally(perChat * answerLines)
		p, err := newParty(ctx, 1, to, nil, r.factory(), func(d *webchatservice.MessageReceivedData) { count.add(len(d.Messages)) })
		if err == nil {
			err = p.start(ctx, "Ada")
		}
		if err != nil {
			return sample{}, err
		}
		parties, replays, counts = append(parties, p), append(replays, r), append(counts, count)
	}
	m.begin()
	for i, r := range replays {
		close(r.begin)
		if err := counts[i].wait(ctx); err != nil {
			return sample{}, err
		}
	}
	s := m.end(chats * perChat)
	var errs []error
	for _, p := range parties {
		errs = append(errs, p.close())
	}
	return s, errors.Join(errs...)
}

// decodeAnswers only decodes them.
func decodeAnswers(decode decoder) func(context.Context, *meter, peers, int) (sample, error) {
	return func(_ context.Context, m *meter, _ peers, n int) (sample, error) {
		all := bodies(chatAnswers)
		m.begin()
		for i := range n {
			if lines, _, err := decode(all[i%len(all)]); lines != answerLines || err != nil {
				return sample{}, fmt.Errorf("%d lines: %w", lines, err)
			}
		}
		return m.end(n), nil
	}
}

// pollers is how many chats poll at once where the cost of a poll is measured.
const pollers = 8

// counted counts the answers that go through a transport.
type counted struct {
	http.RoundTripper
	done *atomic.Pointer[tally]
}

func (c counted) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.RoundTripper.RoundTrip(r)
	if t := c.done.Load(); t != nil {
		t.add(1)
	}
	return resp, err
}

// hasty makes the driver poll without pause.
func hasty() []chat.Factory {
	driver := func(c gmsrest.Config, o *chat.Options) (*gmsrest.Driver, error) {
		c.DynamicPolling = new(bool)
		c.PollRate, c.PollRateMin, c.PollRateMax, c.PollRateMult = 1, 1, 1, 2
		return gmsrest.New(c, o)
	}
	return []chat.Factory{chat.NewFactory(gmsrest.Name, driver, chat.Selection{})}
}

// warm lets n answers come before anything is measured, then n more.
func warm(ctx context.Context, m *meter, done *atomic.Pointer[tally], n int) (sample, error) {
	for _, round := range []bool{false, true} {
		count := newTally(n)
		if !round {
			count = newTally(max(1, n/10))
		}
		m.begin()
		done.Store(count)
		if err := count.wait(ctx); err != nil {
			return sample{}, err
		}
	}
	return m.end(n), nil
}

func servicePolls(ctx context.Context, m *meter, to peers, n int) (sample, error) {
	p, err := newParty(ctx, pollers, to, nil, hasty(), func(*webchatservice.MessageReceivedData) {})
	if err != nil {
		return sample{}, err
	}
	var done atomic.Pointer[tally]
	p.client.Transport = counted{p.client.Transport, &done}
	if err := p.start(ctx, "Ada"); err != nil {
		return sample{}, err
	}
	s, err := warm(ctx, m, &done, n)
	return s, errors.Join(err, p.close())
}

func rawPolls(decode decoder) func(context.Context, *meter, peers, int) (sample, error) {
	return func(ctx context.Context, m *meter, to peers, n int) (sample, error) {
		transport, err := chat.NewTransport(chat.TransportOptions{})
		if err != nil {
			return sample{}, err
		}
		var done atomic.Pointer[tally]
		client := &http.Client{Transport: counted{transport, &done}}
		ctx, cancel := context.WithCancel(ctx)
		var all sync.WaitGroup
		errs := make([]error, pollers)
		for i := range pollers {
			p := &poller{client: client, root: to.GMS}
			if err := p.start(ctx, fmt.Sprint("Ada", i)); err != nil {
				cancel()
				return sample{}, err
			}
			all.Go(func() {
				for ctx.Err() == nil {
					if err := p.poll(ctx, decode); err != nil && ctx.Err() == nil {
						errs[i] = err
						return
					}
				}
			})
		}
		s, err := warm(ctx, m, &done, n)
		cancel()
		all.Wait()
		transport.CloseIdleConnections()
		return s, errors.Join(err, errors.Join(errs...))
	}
}

func servicePolling(ctx context.Context, m *meter, to peers, n int) (sample, error) {
	m.empty()
	p, err := newParty(ctx, n, to, nil, nil, func(*webchatservice.MessageReceivedData) {})
	if err == nil {
		err = p.start(ctx, "Ada")
	}
	if err != nil {
		return sample{}, err
	}
	s := m.full(n)
	s.Load = m.idle(1)
	return s, p.close()
}

// rawPolling polls at the pace that the driver has.
func rawPolling(ctx context.Context, m *meter, to peers, n int) (sample, error) {
	m.empty()
	transport, err := chat.NewTransport(chat.TransportOptions{})
	if err != nil {
		return sample{}, err
	}
	client := &http.Client{Transport: transport}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	all := make([]*poller, n)
	err = crowd(n, func(i int) error {
		all[i] = &poller{client: client, root: to.GMS}
		return all[i].start(ctx, fmt.Sprint("Ada", i))
	})
	if err != nil {
		return sample{}, err
	}
	var wg sync.WaitGroup
	var failed atomic.Pointer[error]
	for _, p := range all {
		wg.Go(func() {
			for rate := 500 * time.Millisecond; ; rate = min(rate*6/5, 3*time.Second) {
				t := time.NewTimer(rate)
				select {
				case <-t.C:
				case <-ctx.Done():
					t.Stop()
					return
				}
				if err := p.poll(ctx, plain); err != nil && ctx.Err() == nil {
					failed.Store(&err)
					return
				}
			}
		})
	}
	s := m.full(n)
	s.Load = m.idle(1)
	cancel()
	wg.Wait()
	transport.CloseIdleConnections()
	if err := failed.Load(); err != nil {
		return s, *err
	}
	return s, nil
}

// idleBuses makes buses with the service, of which nobody starts a chat.
func idleBuses(ctx context.Context, m *meter, to peers, n int) (sample, error) {
	m.empty()
	p, err := newParty(ctx, n, to, nil, nil, func(*webchatservice.MessageReceivedData) {})
	if err != nil {
		return sample{}, err
	}
	s := m.full(n)
	s.Load = m.idle(1)
	return s, p.close()
}
