package bus_test

import (
	"context"
	"runtime"
	"strconv"
	"testing"

	"github.com/cxbus/cxbus/bus"
)

// The benchmarks that pay for what the bus does by hand; the code names them. bus/bench compares with other buses.

// BenchmarkPublish publishes to inline subscribers, by token and by name.
func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{0, 1, 2, 10} {
		hub := bus.New(nil)
		notes, c := register(b, hub, "Notes"), register(b, hub, "C")
		added := bind(b, notes, bus.NewEvent[*note]("Notes.added", ""))
		for range n {
			subscribe(b, c, bus.NewEvent[*note]("Notes.added", ""), func(context.Context, bus.Event[*note]) {}, bus.Inline())
		}
		ctx, v := context.Background(), &note{}
		b.Run("Token/"+strconv.Itoa(n), func(b *testing.B) {
			for b.Loop() {
				_ = added.Publish(ctx, v)
			}
		})
		b.Run("Name/"+strconv.Itoa(n), func(b *testing.B) {
			for b.Loop() {
				_ = notes.Publish(ctx, "added", v)
			}
		})
	}
}

// BenchmarkQueue publishes to a mailbox that works; it takes out the time that the handlers need.
func BenchmarkQueue(b *testing.B) {
	for name, types := range map[string]int{"One": 1, "Two": 2} {
		b.Run(name, func(b *testing.B) {
			hub := bus.New(&bus.Options{MailboxSoft: 1 << 12})
			defer func() { _ = hub.Close(context.Background()) }()
			notes, c := register(b, hub, "Notes"), register(b, hub, "C")
			var all []*bus.Publisher[*note]
			for i := range types {
				d := bus.NewEvent[*note]("Notes.event"+strconv.Itoa(i), "")
				all = append(all, bind(b, notes, d))
				subscribe(b, c, d, func(context.Context, bus.Event[*note]) {})
			}
			ctx, v := context.Background(), &note{}
			for i := 0; b.Loop(); i++ {
				_ = all[i%types].Publish(ctx, v)
			}
		})
	}
}

// BenchmarkWake publishes to a mailbox that sleeps, and lets it handle the event: what starting a consumer costs.
func BenchmarkWake(b *testing.B) {
	hub := bus.New(nil)
	defer func() { _ = hub.Close(context.Background()) }()
	notes, n := register(b, hub, "Notes"), 0
	added := bind(b, notes, noteAdded)
	subscribe(b, register(b, hub, "C"), noteAdded, func(context.Context, bus.Event[note]) { n++ })
	b.ReportAllocs()
	for b.Loop() {
		_ = added.Publish(context.Background(), note{})
		runtime.Gosched()
	}
}

// BenchmarkTopics publishes to one after the other of 10,000 topics, each with an inline subscriber: what counts is
// how many cache lines a publish touches.
func BenchmarkTopics(b *testing.B) {
	const n = 10_000
	hub := bus.New(nil)
	notes, c := register(b, hub, "Notes"), register(b, hub, "C")
	all := make([]*bus.Publisher[*note], n)
	for i := range all {
		d := bus.NewEvent[*note]("Notes.event"+strconv.Itoa(i), "")
		all[i*7919%n] = bind(b, notes, d)
		subscribe(b, c, d, func(context.Context, bus.Event[*note]) {}, bus.Inline())
	}
	ctx, v := context.Background(), &note{}
	for i := 0; b.Loop(); i++ {
		_ = all[i%n].Publish(ctx, v)
	}
}

// BenchmarkCommand calls a plain handler, and an async one that settles at once.
func BenchmarkCommand(b *testing.B) {
	hub := bus.New(nil)
	notes, c := readyClient(b, hub, "Notes"), register(b, hub, "C")
	plain, async := bus.NewCommand[*note, int]("Notes.plain", ""), bus.NewCommand[*note, int]("Notes.async", "")
	_ = bus.Handle(notes, plain, func(context.Context, *note) (int, error) { return 1, nil })
	_ = bus.HandleAsync(notes, async, func(_ context.Context, _ *note, d *bus.Deferred[int]) { d.Resolve(1) })
	byToken, asyncByToken := caller(b, c, plain), caller(b, c, async)
	ctx, v := context.Background(), &note{}
	b.Run("Token", func(b *testing.B) {
		for b.Loop() {
			_, _ = byToken.Call(ctx, v)
		}
	})
	b.Run("Name", func(b *testing.B) {
		for b.Loop() {
			_, _ = c.Call(ctx, "Notes.plain", v)
		}
	})
	b.Run("Future", func(b *testing.B) {
		for b.Loop() {
			_, _ = asyncByToken.Go(ctx, v).Result(ctx)
		}
	})
}
