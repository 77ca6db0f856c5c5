package bustest_test

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/bus/bustest"
)

var Rang = bus.NewEvent[int]("Bell.rang", "Somebody rang.")

// A test of a plugin: a bus that ends with the test, a recorder, and what is expected of the events.
func Example() {
	t := &printing{} // in a test: its *testing.T
	defer t.end()

	b := bustest.New(t)
	rec := bustest.Record(t, b, "Bell.*")
	bell, _ := b.Register("Bell")
	for times := range 3 {
		_ = Rang.Publish(context.Background(), bell, times)
	}
	rec.Expect(bustest.Equal(Rang, 0), bustest.Where(Rang, func(times int) bool { return times > 1 }))
	fmt.Println(rec.Names(), bustest.Of(rec, Rang))
	// Output:
	// [Bell.rang Bell.rang Bell.rang] [0 1 2]
}

// printing is a test that prints how it fails.
type printing struct {
	testing.TB
	atEnd []func()
}

func (p *printing) Helper()                        {}
func (p *printing) Cleanup(f func())               { p.atEnd = append(p.atEnd, f) }
func (p *printing) Output() io.Writer              { return io.Discard }
func (p *printing) Errorf(format string, a ...any) { fmt.Printf(format+"\n", a...) }
func (p *printing) Fatalf(format string, a ...any) { panic(fmt.Sprintf(format, a...)) }

func (p *printing) end() {
	for _, f := range p.atEnd {
		f()
	}
}
