package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmscometd"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmsrest"
	"github.com/cxbus/cxbus/plugins/webchatservice/wires"
)

// The limits of a load.
const (
	maxSessions = 100_000
	maxRate     = 1_000_000
	atOnce      = 32               // chats that are started, or ended, at the same time
	settleTime  = 30 * time.Second // for lines under way, after the last one was sent
	hurryTime   = 3 * time.Second  // the same, after Ctrl-C
	arriveTime  = 5 * time.Second  // for confirmed lines to come back
)

// loadOptions are the flags of busdemo load.
type loadOptions struct {
	config    string
	transport string
	sessions  int
	rate      float64
	duration  time.Duration
	json      bool
	faults    faultOptions
}

func (p *program) loadCommand() *cobra.Command {
	var o loadOptions
	cmd := &cobra.Command{
		Use:   "load",
		Short: "Hold many chats at once and keep the books",
		Long: "load holds many chats at once: against the embedded simulator, or against the service that a\n" +
			"configuration names. Each chat has a bus of its own; connections are shared. Progress is on standard\n" +
			"error. In the end it prints what became of all lines and how long they took, and its status is 0 if\n" +
			"every line that was sent ended in one state, and everything came out once and in order, or was\n" +
			"said to be lost. Ctrl-C ends it with the figures so far.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			ctx, stop := p.endOnHangUp(cmd.Context())
			defer stop()
			return p.load(ctx, o)
		},
	}
	flags := cmd.Flags()
	configFlag(flags, &o.config)
	transportFlag(flags, &o.transport)
	flags.IntVar(&o.sessions, "sessions", 10, "hold `N` chats at once")
	flags.Float64Var(&o.rate, "rate", 10, "send `R` messages a second, in all chats together; 0 sends none")
	flags.DurationVar(&o.duration, "for", 10*time.Second, "send for this `DURATION`")
	flags.BoolVar(&o.json, "json", false, "print the figures as one JSON object")
	faultFlags(flags, &o.faults)
	return cmd
}

func (o *loadOptions) check() error {
	switch {
	case o.sessions < 1 || o.sessions > maxSessions:
		return &usageError{fmt.Errorf("--sessions %d is out of range; want 1 to %d", o.sessions, maxSessions)}
	case !(o.rate >= 0 && o.rate <= maxRate): // so written, NaN is out of range too
		return &usageError{fmt.Errorf("--rate %v is out of range; want 0 to %d", o.rate, maxRate)}
	case o.duration <= 0:
		return &usageError{fmt.Errorf("--for %v is out of range; want a time above 0, such as 10s", o.duration)}
	case o.faults.every > 0 && o.config != "":
		return &usageError{errors.New("--faults is for the embedded simulator; with --config the server makes its own")}
	}
	if err := o.faults.check(); err != nil {
		return err
	}
	return checkTransport(o.transport, o.config)
}

// load is a run of busdemo load.
type load struct {
	options   loadOptions
	config    webchatservice.Config
	sim       *chatsim.Server // nil when the chat server is another
	dial      func(ctx context.Context, network, address string) (net.Conn, error)
	transport *http.Transport
	headers   map[string]chat.Secret
	log       *slog.Logger
	watches   stopwatches
	chats     []*loadChat
	took      time.Duration // of the sending
}

func (p *program) load(ctx context.Context, o loadOptions) error {
	l, err := p.newLoad(o)
	if err != nil {
		return err
	}
	if err = l.start(ctx); err == nil {
		stop := func() {}
		if l.sim != nil { // begin and end are not what is measured
			stop = spoil(l.sim, o.faults)
		}
		watch := l.watch(p.stderr)
		l.send(ctx)
		stop()
		l.settle(ctx)
		watch()
	}
	ended := l.end(ctx)
	l.close()
	if err != nil {
		return err
	}
	if err := l.print(p.stdout); err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	sum, early := l.sum()
	switch {
	case !sum.balanced():
		err = errors.New("the ledger does not balance: see the figures")
	case early > 0:
		err = fmt.Errorf("%s ended before its time, or was given up", plural(early, "chat"))
	}
	if ctx.Err() != nil {
		return together(err, errInterrupted)
	}
	return together(err, ended)
}

func (p *program) newLoad(o loadOptions) (*load, error) {
	l := &load{options: o, dial: new(net.Dialer).DialContext, headers: p.headers(), log: p.logger()}
	var proxy chat.Secret
	defaults := func() *webchatservice.Config {
		c := webchatservice.DefaultConfig(wires.All()...)
		if l.sim != nil {
			pointTo(l.sim, o.transport, &c)
		}
		return &c
	}
	cfg, addressed, err := p.settings(o.config, defaults)
	if err != nil {
		return nil, err
	}
	if !addressed {
		l.sim = p.newSim(&chatsim.Options{
			Script: chatsim.Scripted(&chatsim.ScriptOptions{JoinDelay: -1, ReplyDelay: -1}), Seed: o.faults.seed,
			Keep: max(10*o.sessions, 1000),
		})
		l.dial, proxy = l.sim.DialContext, chat.NewSecret("direct")
	}
	l.config = *defaults()
	err = cfg.Configure(webchatservice.Section, &l.config)
	if err == nil {
		l.transport, err = chat.NewTransport(chat.TransportOptions{Proxy: proxy, Dial: l.dial})
	}
	if err != nil {
		if l.sim != nil {
			err = together(err, l.sim.Close())
		}
		return nil, err
	}
	l.transport.MaxIdleConns, l.transport.MaxIdleConnsPerHost = 0, o.sessions+atOnce // each chat may poll
	return l, nil
}

// wire names the wire in use.
func (l *load) wire() string {
	switch {
	case l.config.Transport.Type != "":
		return l.config.Transport.Type
	case l.config.CometD.Enabled:
		return gmscometd.Name
	}
	return gmsrest.Name
}

// start starts the chats. The first one goes ahead, so that a server which cannot be reached is told of once.
func (l *load) start(ctx context.Context) error {
	first, err := l.newChat(ctx)
	if first != nil {
		l.chats = append(l.chats, first)
	}
	if err != nil {
		return err
	}
	var mu sync.Mutex // guards chats and failed
	var failed []error
	each(ctx, l.options.sessions-1, func(int) {
		c, err := l.newChat(ctx)
		mu.Lock()
		defer mu.Unlock()
		if c != nil {
			l.chats = append(l.chats, c)
		}
		if err != nil {
			failed = append(failed, err)
		}
	})
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case len(failed) > 0:
		return fmt.Errorf("%d of %s could not be started, the first because: %w", len(failed), plural(l.options.sessions, "chat"), failed[0])
	}
	return nil
}

// each calls f for 0 to n-1, some of them at the same time, until ctx ends, and waits for the calls.
func each(ctx context.Context, n int, f func(i int)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(atOnce, n) {
		wg.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		select {
		case next <- i:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(next)
	wg.Wait()
}

// send sends lines at the rate asked for, in one chat after the other. It does not wait for what becomes of them: a
// server that is slow does not slow the load down.
func (l *load) send(ctx context.Context) {
	begun := time.Now()
	defer func() { l.took = time.Since(begun) }()
	timer := time.NewTimer(0)
	defer timer.Stop()
	until := func(at time.Duration) bool {
		wait := at - time.Since(begun)
		if wait <= 0 {
			return ctx.Err() == nil
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
			return true
		case <-ctx.Done():
			return false
		}
	}
	if l.options.rate > 0 {
		for i := 0; ; i++ {
			at := time.Duration(float64(i) / l.options.rate * float64(time.Second))
			if at >= l.options.duration || time.Since(begun) >= l.options.duration {
				break
			}
			if !until(at) {
				return
			}
			l.chats[i%len(l.chats)].say(ctx)
		}
	}
	until(l.options.duration)
}

// settle waits until it is known what became of all lines, and those that the server has have come back; for some time
// at most.
func (l *load) settle(ctx context.Context) {
	limit := settleTime
	if ctx.Err() != nil {
		limit = hurryTime
	}
	await(limit, func() bool {
		sum, _ := l.sum()
		return sum.Sent == sum.Confirmed+sum.Unknown+sum.Failed
	})
	await(arriveTime, func() bool {
		sum, _ := l.sum()
		return sum.Lost == 0
	})
}

// await waits until done reports true, for limit at most.
func await(limit time.Duration, done func() bool) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(limit)
	for !done() && time.Now().Before(deadline) {
		<-tick.C
	}
}

// end ends the chats, on the server too. What is still under way is settled by that. The end of ctx does not cut it
// short.
func (l *load) end(ctx context.Context) error {
	var mu sync.Mutex // guards failed
	var failed []error
	each(context.WithoutCancel(ctx), len(l.chats), func(i int) {
		if err := l.chats[i].end(ctx); err != nil {
			mu.Lock()
			failed = append(failed, err)
			mu.Unlock()
		}
	})
	if len(failed) > 0 {
		return fmt.Errorf("%s could not be ended in order, the first because: %w", plural(len(failed), "chat"), failed[0])
	}
	return nil
}

func (l *load) close() {
	l.transport.CloseIdleConnections()
	if l.sim != nil {
		_ = l.sim.Close() // it is in this process, and what it had to say has been said
	}
}

// sum returns the figures of all chats, and how many of them ended before their time.
func (l *load) sum() (sum tally, early int) {
	for _, c := range l.chats {
		sum.add(c.ledger.tally())
		if c.over.Load() {
			early++
		}
	}
	return sum, early
}
