package eventbus_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/asaskevich/EventBus"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/bus/eventbus"
)

// pair returns the original and ours.
func pair(tb testing.TB) (orig, ours EventBus.Bus) {
	c, err := bus.New(nil).Register("Legacy")
	if err != nil {
		tb.Fatal(err)
	}
	return EventBus.New(), eventbus.New(c)
}

type order struct{ id, items int }

// jobs are what the original and ours are compared on: handlers of one topic,
// and the arguments of a publish.
var jobs = []struct {
	name  string
	fn    func() any // a new closure each time
	async bool
	args  []any
}{
	{"func()", func() any { n := 0; return func() { n++ } }, false, nil},
	{"func(string)", func() any { n := 0; return func(s string) { n += len(s) } }, false, []any{"payload"}},
	{"func(any)", func() any { n := 0; return func(any) { n++ } }, false, []any{"payload"}},
	{"func(string,any)", func() any { n := 0; return func(s string, _ any) { n += len(s) } }, false, []any{"payload", 1}},
	{"reflected", func() any { n := 0; return func(o *order) { n += o.items } }, false, []any{&order{1, 2}}},
	{"async", func() any { n := 0; return func(s string) { n += len(s) } }, true, []any{"payload"}},
}

// BenchmarkPublish publishes to 1 and 10 subscribers, on the original and on
// ours in turns, a hundred rounds or so, and reports the median of the ratios.
func BenchmarkPublish(b *testing.B) {
	for _, job := range jobs {
		for _, subscribers := range []int{1, 10} {
			b.Run(fmt.Sprintf("%s/%d", job.name, subscribers), func(b *testing.B) {
				orig, ours := pair(b)
				for range subscribers {
					for _, eb := range []EventBus.Bus{orig, ours} {
						var err error
						if job.async {
							err = eb.SubscribeAsync("topic:name", job.fn(), true)
						} else {
							err = eb.Subscribe("topic:name", job.fn())
						}
						if err != nil {
							b.Fatal(err)
						}
					}
				}
				compare(b, func(n int) { publish(orig, n, job.args) }, func(n int) { publish(ours, n, job.args) })
			})
		}
	}
}

func publish(eb EventBus.Bus, n int, args []any) {
	for range n {
		eb.Publish("topic:name", args...)
	}
	eb.WaitAsync()
}

// BenchmarkNobody publishes where nobody is subscribed.
func BenchmarkNobody(b *testing.B) {
	orig, ours := pair(b)
	compare(b, func(n int) { publish(orig, n, nil) }, func(n int) { publish(ours, n, nil) })
}

// BenchmarkOf is what Of saves over reflection.
func BenchmarkOf(b *testing.B) {
	orig, ours := pair(b)
	n := 0
	fn := func(o *order) { n += o.items }
	if err := orig.Subscribe("topic:name", fn); err != nil {
		b.Fatal(err)
	}
	if err := ours.Subscribe("topic:name", eventbus.Of(fn)); err != nil {
		b.Fatal(err)
	}
	args := []any{&order{1, 2}}
	compare(b, func(n int) { publish(orig, n, args) }, func(n int) { publish(ours, n, args) })
}

// compare runs b.N operations of each in short turns.
func compare(b *testing.B, orig, ours func(n int)) {
	const turn = 2000
	var was, is time.Duration
	var ratios []float64
	b.ResetTimer()
	for left := b.N; left > 0; left -= turn {
		n := min(left, turn)
		start := time.Now()
		orig(n)
		mid := time.Now()
		ours(n)
		end := time.Now()
		was += mid.Sub(start)
		is += end.Sub(mid)
		ratios = append(ratios, float64(end.Sub(mid))/float64(mid.Sub(start)))
	}
	slices.Sort(ratios)
	b.ReportMetric(0, "ns/op") // of both together, which says nothing
	b.ReportMetric(float64(was.Nanoseconds())/float64(b.N), "ns/original")
	b.ReportMetric(float64(is.Nanoseconds())/float64(b.N), "ns/ours")
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
}
