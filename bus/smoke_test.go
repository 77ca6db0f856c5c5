package bus_test

import (
	"context"
	"github.com/cxbus/cxbus/bus"
	"github.com/stretchr/testify/require"
	"sync/atomic"
	"testing"
)

type Msg struct{ N int64 }

var ev = bus.NewEvent[*Msg]("A.x", "")
var cmd = bus.NewCommand[*Msg, *Msg]("A.c", "")

func TestSmoke(t *testing.T) {
	b := bus.New(nil)
	a, err := b.Register("A")
	require.NoError(t, err)
	c, err := b.Register("C")
	require.NoError(t, err)
	p, err := ev.Bind(a)
	require.NoError(t, err)
	var n atomic.Int64
	_, err = bus.Subscribe(c, ev, func(ctx context.Context, e bus.Event[*Msg]) { n.Add(e.Data.N) })
	require.NoError(t, err)
	_, err = bus.Subscribe(c, ev, func(ctx context.Context, e bus.Event[*Msg]) { n.Add(e.Data.N) }, bus.Inline())
	require.NoError(t, err)
	_, err = c.Subscribe("A.*", func(ctx context.Context, e bus.Event[any]) { n.Add(e.Data.(*Msg).N) }, bus.Inline())
	require.NoError(t, err)
	require.NoError(t, p.Publish(t.Context(), &Msg{1}))
	require.NoError(t, a.Publish(t.Context(), "x", &Msg{1}))
	require.NoError(t, c.Flush(t.Context()))
	require.EqualValues(t, 6, n.Load())
	require.NoError(t, bus.Handle(a, cmd, func(ctx context.Context, m *Msg) (*Msg, error) { return m, nil }))
	a.Ready()
	r, err := c.Call(t.Context(), "A.c", &Msg{5})
	require.NoError(t, err)
	require.EqualValues(t, 5, r.(*Msg).N)
	_, err = c.Call(t.Context(), "A.d", nil)
	require.ErrorIs(t, err, bus.ErrUnknownCommand)
	t.Log(err)
	require.NoError(t, b.Close(t.Context()))
	require.ErrorIs(t, p.Publish(t.Context(), nil), bus.ErrClosed)
}

var sink int64

func nop(_ context.Context, e bus.Event[*Msg]) {
	if e.Data.N == -1 {
		sink++
	}
}
func bench(bb *testing.B, n int, byName bool) {
	b := bus.New(nil)
	a, _ := b.Register("A")
	c, _ := b.Register("C")
	p, _ := ev.Bind(a)
	for range n {
		bus.Subscribe(c, ev, func(_ context.Context, e bus.Event[*Msg]) {
			if e.Data.N == -1 {
				sink++
			}
		}, bus.Inline())
	}
	m := &Msg{1}
	ctx := context.Background()
	bb.ReportAllocs()
	if byName {
		for bb.Loop() {
			a.Publish(ctx, "x", m)
		}
	} else {
		for bb.Loop() {
			p.Publish(ctx, m)
		}
	}
}
func BenchmarkToken0(b *testing.B)  { bench(b, 0, false) }
func BenchmarkToken1(b *testing.B)  { bench(b, 1, false) }
func BenchmarkToken10(b *testing.B) { bench(b, 10, false) }
func BenchmarkName0(b *testing.B)   { bench(b, 0, true) }
func BenchmarkName1(b *testing.B)   { bench(b, 1, true) }
func BenchmarkName10(b *testing.B)  { bench(b, 10, true) }
func BenchmarkName100(b *testing.B) { bench(b, 100, true) }
func BenchmarkCall(bb *testing.B) {
	b := bus.New(nil)
	a, _ := b.Register("A")
	c, _ := b.Register("C")
	m := &Msg{1}
	bus.Handle(a, cmd, func(ctx context.Context, m *Msg) (*Msg, error) { return m, nil })
	a.Ready()
	ctx := context.Background()
	bb.ReportAllocs()
	for bb.Loop() {
		c.Call(ctx, "A.c", m)
	}
}
func BenchmarkMail(bb *testing.B) {
	b := bus.New(nil)
	a, _ := b.Register("A")
	c, _ := b.Register("C")
	p, _ := ev.Bind(a)
	var n atomic.Int64
	bus.Subscribe(c, ev, func(_ context.Context, e bus.Event[*Msg]) { n.Add(1) })
	m := &Msg{1}
	ctx := context.Background()
	bb.ReportAllocs()
	for bb.Loop() {
		p.Publish(ctx, m)
	}
	c.Flush(ctx)
}
