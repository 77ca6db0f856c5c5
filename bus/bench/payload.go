package main

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/cxbus/cxbus/bus"
)

// value is a payload of 48 bytes that is handed over by value.
type value struct{ A, B, C, D, E, F int64 }

// payloads measures what publishing allocates.
func payloads() []job {
	return []job{
		{name: "pointer by name", entries: []entry{pointer("inline", bus.Inline()), pointer("mailbox")}},
		{name: "value by token", entries: []entry{values("inline", bus.Inline()), values("mailbox")}},
	}
}

func pointer(name string, opts ...bus.SubscribeOption) entry {
	return entry{name: name, start: func() (func(int) sample, func()) {
		b := byName{newOurs(topics(1), 1, opts...)}
		var got atomic.Int64
		b.subscribe(0, count(&got))
		m := &msg{N: 1}
		return func(n int) sample {
			got.Store(0)
			start := time.Now()
			for range n {
				b.publish(0, m)
			}
			wait(&got, int64(n))
			return per(start, n)
		}, b.close
	}}
}

func values(name string, opts ...bus.SubscribeOption) entry {
	return entry{name: name, start: func() (func(int) sample, func()) {
		b := bus.New(nil)
		ctx := context.Background()
		d := bus.NewEvent[value]("Plugin.value", "Measured.")
		p := must(d.Bind(must(b.Register("Plugin"))))
		var got atomic.Int64
		must(bus.Subscribe(must(b.Register("Listener")), d, func(_ context.Context, e bus.Event[value]) {
			got.Add(e.Data.A)
		}, opts...))
		return func(n int) sample {
			got.Store(0)
			v := value{A: 1}
			start := time.Now()
			for range n {
				v.B++
				_ = p.Publish(ctx, v)
			}
			wait(&got, int64(n))
			return per(start, n)
		}, func() { must(struct{}{}, b.Close(ctx)) }
	}}
}

// idle returns the bytes and goroutines that one idle bus with three plugins
// costs. Each plugin has a command, an event and a subscription to the next
// one's event in its mailbox, which has worked: burst events were handled.
func idle(burst int) (bytes, goroutines float64) {
	const buses = 200
	list := make([]*bus.Bus, 0, buses)
	heap, routines := settled()
	for range buses {
		b := bus.New(nil)
		var handled atomic.Int64
		var pubs []*bus.Publisher[*msg]
		events := []bus.EventOf[*msg]{
			bus.NewEvent[*msg]("A.event", "Measured."), bus.NewEvent[*msg]("B.event", "Measured."), bus.NewEvent[*msg]("C.event", "Measured."),
		}
		for i, ns := range []string{"A", "B", "C"} {
			c := must(b.Register(ns))
			must(0, bus.Handle(c, bus.NewCommand[*msg, *msg](ns+".command", "Measured."), answer()))
			pubs = append(pubs, must(events[i].Bind(c)))
			must(bus.Subscribe(c, events[(i+1)%3], count(&handled).event))
			c.Ready()
		}
		for range burst {
			for _, p := range pubs {
				must(0, p.Publish(context.Background(), &msg{}))
			}
		}
		wait(&handled, int64(3*burst))
		list = append(list, b)
	}
	heapAfter, routinesAfter := settled()
	for _, b := range list {
		must(0, b.Close(context.Background()))
	}
	return float64(heapAfter-heap) / buses, float64(routinesAfter-routines) / buses
}

// settled collects the garbage, lets goroutines that are ending end, and
// returns what is left.
func settled() (heap int64, goroutines int) {
	last := -1
	for n := runtime.NumGoroutine(); n != last; n = runtime.NumGoroutine() {
		last = n
		time.Sleep(5 * time.Millisecond)
	}
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc), runtime.NumGoroutine()
}
