package cxbus_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/bus/busconfig"
)

// ErrZone is an error of the plugin's own: a code for programs, a text and a hint for people.
var ErrZone = &bus.Error{Code: "clock.zone", Text: "unknown time zone", Hint: "use a name such as Europe/Berlin"}

// ClockConfig is the section Clock of a configuration.
type ClockConfig struct {
	Zone string        `json:"zone" doc:"time zone of the answers"`
	Tick time.Duration `json:"tick" unit:"ms" min:"1" max:"60000" doc:"time between two ticks"`
}

var (
	Now    = bus.NewCommand[NowIn, NowOut]("Clock.now", "Tells the time.")
	Ticked = bus.NewEvent[NowOut]("Clock.ticked", "Some time has passed.")
)

type NowIn struct {
	Zone string `json:"zone,omitempty"` // empty: the configured one
}

type NowOut struct {
	Time time.Time `json:"time"`
}

// Clock is a plugin with a configuration, errors of its own, and a goroutine.
type Clock struct {
	cfg    ClockConfig
	ticked *bus.Publisher[NowOut]
	stop   context.CancelFunc
	done   chan struct{} // closed when the goroutine has ended
}

func (p *Clock) Namespace() string { return "Clock" }

func (p *Clock) Start(_ context.Context, c *bus.Client) (err error) {
	p.cfg = ClockConfig{Zone: "UTC", Tick: time.Second} // the defaults
	if err = c.Configure(&p.cfg); err != nil {
		return err
	}
	if p.ticked, err = Ticked.Bind(c); err != nil {
		return err
	}
	if err = bus.Handle(c, Now, p.now); err != nil {
		return err
	}
	// Last, since a start that fails leaves nothing behind.
	ctx, stop := context.WithCancel(c.Context())
	p.stop, p.done = stop, make(chan struct{})
	go p.run(ctx)
	return nil
}

// Stop ends the goroutine and waits for it.
func (p *Clock) Stop(context.Context) error {
	p.stop()
	<-p.done
	return nil
}

func (p *Clock) now(_ context.Context, in NowIn) (NowOut, error) {
	zone, err := time.LoadLocation(cmp.Or(in.Zone, p.cfg.Zone))
	if err != nil {
		e := *ErrZone // a copy for this occasion; errors.Is(&e, ErrZone) holds
		e.Op, e.Err = Now.Name(), err
		return NowOut{}, &e
	}
	return NowOut{time.Now().In(zone)}, nil
}

func (p *Clock) run(ctx context.Context) {
	defer close(p.done)
	ticker := time.NewTicker(p.cfg.Tick)
	defer ticker.Stop()
	for {
		select {
		case at := <-ticker.C:
			if err := p.ticked.Publish(ctx, NowOut{at}); err != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func Example_configure() {
	cfg, err := busconfig.Load(&busconfig.Options{
		File: "clock.yaml",
		Data: []byte("Clock: {zone: UTC, tick: 10}"), // instead of reading the file
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := cfg.CheckUnknown("Clock"); err != nil { // a misspelt section is nobody's
		log.Fatal(err)
	}
	ctx := context.Background()
	b := bus.New(&bus.Options{
		Configure: func(namespace string, into any) error { return cfg.Section(namespace).Decode(into) },
	})
	if err := b.Start(ctx, &Clock{}); err != nil {
		log.Fatal(err)
	}
	app, err := b.Register("App")
	if err != nil {
		log.Fatal(err)
	}
	tick, err := app.WaitFor(ctx, "Clock.ticked", nil)
	fmt.Println(tick.Name(), err)
	_, err = app.Call(ctx, "Clock.now", map[string]any{"zone": "Nowhere"})
	fmt.Println(errors.Is(err, ErrZone))
	fmt.Println(b.Close(ctx))
	// Output:
	// Clock.ticked <nil>
	// true
	// <nil>
}
