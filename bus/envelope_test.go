package bus_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

const (
	traceParent  = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	otherParent  = "00-11111111111111111111111111111111-2222222222222222-00"
	someState    = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
	newerVersion = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-the-future-brings"
)

func TestTraceParentIsChecked(t *testing.T) {
	for _, good := range []string{traceParent, otherParent, newerVersion} {
		e := bus.EnvelopeOf(bus.Envelope{TraceParent: good, TraceState: someState}.Context(t.Context()))
		assert.Equal(t, bus.Envelope{TraceParent: good, TraceState: someState}, e)
	}
	for _, bad := range []string{
		"", "00", strings.ToUpper(traceParent), traceParent + "-01", traceParent[:54], "ff" + traceParent[2:], "0x" + traceParent[2:],
		"00-00000000000000000000000000000000-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
		strings.Replace(traceParent, "-", "_", 1), newerVersion[:55] + "x",
	} {
		e := bus.EnvelopeOf(bus.Envelope{ID: "1", TraceParent: bad, TraceState: someState}.Context(t.Context()))
		assert.Equal(t, bus.Envelope{ID: "1"}, e, "%q: the state goes with its parent", bad)
	}
	e := bus.EnvelopeOf(bus.Envelope{TraceParent: traceParent, TraceState: strings.Repeat("x", 513)}.Context(t.Context()))
	assert.Equal(t, bus.Envelope{TraceParent: traceParent}, e)
}

// What comes over a link keeps its envelope on its way; what it causes is in the same trace and came into being here.
func TestEnvelopeTravels(t *testing.T) {
	b := bus.New(nil)
	a, c, link := readyClient(t, b, "Notes"), register(t, b, "C"), readyClient(t, b, "Link")
	added, gone := bind(t, a, noteAdded), bind(t, a, noteGone)
	got := map[string]bus.Envelope{}
	note1 := func(ctx context.Context, e bus.Event[note]) { got[e.Name()] = e.Envelope() }
	subscribe(t, c, noteAdded, note1, bus.Inline())
	subscribe(t, c, noteGone, note1, bus.Inline())
	require.NoError(t, c.RegisterCommand("inner", func(ctx context.Context, _ any) (any, error) {
		got["inner"] = bus.EnvelopeOf(ctx)
		return nil, nil
	}))
	c.Ready()
	require.NoError(t, bus.Handle(a, addNote, func(ctx context.Context, _ note) (int, error) {
		got["command"] = bus.EnvelopeOf(ctx)
		if _, err := a.Call(ctx, "C.inner", nil); err != nil {
			return 0, err
		}
		return 1, gone.Publish(ctx, note{})
	}))
	come := bus.Envelope{ID: "7", Origin: "far", TraceParent: traceParent, TraceState: someState}
	trace := bus.Envelope{TraceParent: traceParent, TraceState: someState}
	require.NoError(t, added.Publish(come.Context(a.Context()), note{}))
	_, err := link.Call(come.Context(t.Context()), "Notes.add", json.RawMessage(`{}`))
	require.NoError(t, err)
	assert.Equal(t, map[string]bus.Envelope{"Notes.added": come, "command": come, "Notes.gone": trace, "inner": trace}, got)

	clear(got)
	require.NoError(t, added.Publish(t.Context(), note{}))
	require.NoError(t, added.Publish(context.Background(), note{}))
	_, err = link.Call(t.Context(), "Notes.add", nil)
	require.NoError(t, err)
	assert.Equal(t, map[string]bus.Envelope{"Notes.added": {}, "command": {}, "Notes.gone": {}, "inner": {}}, got, "nothing is made that nobody asks for")
}

// Events have an ID if somebody asks for it, and retained ones always: the same live and as replay.
func TestEventIDs(t *testing.T) {
	b := bus.New(nil)
	a, c := register(t, b, "Notes"), register(t, b, "C")
	added, state := bind(t, a, noteAdded), bind(t, a, noteState)
	var ids []string
	h := func(_ context.Context, e bus.Event[note]) { ids = append(ids, e.Envelope().ID) }
	subscribe(t, c, noteAdded, h, bus.Inline(), bus.Timed())
	subscribe(t, c, noteState, h, bus.Inline())
	require.NoError(t, added.Publish(t.Context(), note{}))
	require.NoError(t, added.Publish(context.Background(), note{}))
	require.NoError(t, state.Republish(context.Background(), note{}))
	subscribe(t, c, noteState, h, bus.Inline())
	require.Len(t, ids, 4)
	assert.Equal(t, ids[2], ids[3], "the replay")
	assert.Len(t, map[string]bool{ids[0]: true, ids[1]: true, ids[2]: true, "": true}, 4)
	other := bus.New(nil)
	subscribe(t, register(t, other, "C"), noteAdded, h, bus.Inline(), bus.Timed())
	require.NoError(t, bind(t, register(t, other, "Notes"), noteAdded).Publish(context.Background(), note{}))
	before, _, _ := strings.Cut(ids[0], "-")
	after, _, _ := strings.Cut(ids[4], "-")
	assert.NotEqual(t, before, after, "no other bus gives the same")
	assert.Zero(t, bus.Event[note]{}.Envelope())
}

// A link does not send back what came from it, and two links can tell that they carry the same event.
func TestOriginStopsAnEcho(t *testing.T) {
	b := bus.New(nil)
	a := register(t, b, "Notes")
	added := bind(t, a, noteAdded)
	var sent []string
	for _, name := range []string{"near", "far"} {
		link := register(t, b, name)
		subscribeName(t, link, "*", func(_ context.Context, e bus.Event[any]) {
			if e.Envelope().Origin != name {
				sent = append(sent, name+" "+e.Envelope().ID)
			}
		}, bus.Inline(), bus.Timed())
	}
	require.NoError(t, added.Publish(bus.Envelope{ID: "x1", Origin: "far"}.Context(a.Context()), note{}))
	assert.Equal(t, []string{"near x1"}, sent)
	sent = nil
	require.NoError(t, added.Publish(context.Background(), note{}))
	require.Len(t, sent, 2)
	assert.Equal(t, strings.TrimPrefix(sent[0], "near "), strings.TrimPrefix(sent[1], "far "))
}

type spanKey struct{}

// The program's own trace is injected where a message crosses a link or a tap sees it, and asked for nowhere else.
func TestTraceOfTheProgram(t *testing.T) {
	asked := 0
	b := bus.New(&bus.Options{Trace: func(ctx context.Context) (string, string) {
		asked++
		switch v, _ := ctx.Value(spanKey{}).(string); v {
		case "panic":
			panic("tracer")
		default:
			return v, someState
		}
	}})
	a, c := readyClient(t, b, "Notes"), register(t, b, "C")
	added := bind(t, a, noteAdded)
	var got bus.Envelope
	plain := subscribe(t, c, noteAdded, func(_ context.Context, e bus.Event[note]) { got = e.Envelope() }, bus.Inline())
	require.NoError(t, bus.Handle(a, addNote, func(ctx context.Context, in note) (int, error) {
		if in.N == 1 {
			got = bus.EnvelopeOf(ctx)
		}
		return 0, nil
	}))
	ctx := context.WithValue(t.Context(), spanKey{}, traceParent)
	asked = 0 // by the retained Notes.ready
	require.NoError(t, added.Publish(ctx, note{}))
	add := caller(t, c, addNote)
	_, err := add.Call(ctx, note{})
	require.NoError(t, err)
	assert.Zero(t, asked, "no link, no tap")
	assert.Zero(t, got)

	_, err = add.Call(ctx, note{N: 1})
	require.NoError(t, err)
	assert.Equal(t, bus.Envelope{TraceParent: traceParent, TraceState: someState}, got)
	_, err = add.Call(bus.Envelope{ID: "1", TraceParent: otherParent}.Context(ctx), note{N: 1})
	require.NoError(t, err)
	assert.Equal(t, bus.Envelope{ID: "1", TraceParent: traceParent, TraceState: someState}, got, "the program's span is nearer than the link's")
	_, err = add.Call(bus.Envelope{ID: "1", TraceParent: otherParent}.Context(t.Context()), note{N: 1})
	require.NoError(t, err)
	assert.Equal(t, bus.Envelope{ID: "1", TraceParent: otherParent}, got, "the program has none")
	_, err = add.Call(context.WithValue(ctx, spanKey{}, "panic"), note{N: 1})
	require.NoError(t, err)
	assert.Zero(t, got, "a tracer that fails traces nothing")

	plain.Unsubscribe()
	subscribe(t, c, noteAdded, func(_ context.Context, e bus.Event[note]) { got = e.Envelope() }, bus.Inline(), bus.Timed())
	require.NoError(t, added.Publish(ctx, note{}))
	assert.Equal(t, traceParent, got.TraceParent)
	assert.NotEmpty(t, got.ID)

	var records list[bus.Record]
	_, err = c.Tap(func(_ context.Context, r bus.Record) { records.add(r) })
	require.NoError(t, err)
	_, err = add.Call(bus.Envelope{ID: "1", Origin: "far"}.Context(ctx), note{})
	require.NoError(t, err)
	require.NoError(t, added.Publish(ctx, note{}))
	require.NoError(t, b.Close(context.Background()))
	require.Equal(t, 3, records.len())
	call := bus.Envelope{ID: "1", Origin: "far", TraceParent: traceParent, TraceState: someState}
	assert.Equal(t, []bus.Envelope{call, call, {TraceParent: traceParent, TraceState: someState}},
		[]bus.Envelope{records.get()[0].Envelope, records.get()[1].Envelope, records.get()[2].Envelope})
}

// Events that came over a link are decoded leniently, commands and events of this process strictly.
func TestLenientDecode(t *testing.T) {
	b := bus.New(nil)
	a, c := readyClient(t, b, "Notes"), register(t, b, "C")
	bind(t, a, noteAdded)
	var got []int
	h := func(_ context.Context, e bus.Event[note]) { got = append(got, e.Data.N) }
	subscribe(t, c, noteAdded, h, bus.Inline())
	require.NoError(t, bus.Handle(a, addNote, func(_ context.Context, in note) (int, error) { return in.N, nil }))
	newer := json.RawMessage(`{"N":1,"Newer":{"x":[]}}`)
	linked := bus.Envelope{Origin: "far"}.Context(a.Context())

	require.NoError(t, a.Publish(linked, "added", newer))
	require.ErrorIs(t, a.Publish(a.Context(), "added", newer), bus.ErrWrongType)
	require.ErrorIs(t, a.Publish(bus.Envelope{TraceParent: traceParent}.Context(a.Context()), "added", newer), bus.ErrWrongType, "a trace is no link")
	require.ErrorIs(t, a.Publish(linked, "added", json.RawMessage(`{"N":"one"}`)), bus.ErrWrongType, "lenient, not blind")
	_, err := c.Call(linked, "Notes.add", newer)
	require.ErrorIs(t, err, bus.ErrWrongType)

	// The value is retained before its type is known.
	require.NoError(t, a.Republish(linked, "state", newer))
	subscribe(t, c, noteState, h, bus.Inline())
	require.NoError(t, a.Republish(linked, "state", json.RawMessage(`{"N":2,"Newer":1}`)))
	require.ErrorIs(t, a.Republish(a.Context(), "state", newer), bus.ErrWrongType)
	subscribe(t, c, noteState, h, bus.Inline())
	assert.Equal(t, []int{1, 1, 2, 2}, got)
}

// Nothing of all this costs a publish that has no link and no tap.
func TestEnvelopesCostNothing(t *testing.T) {
	b := bus.New(&bus.Options{Trace: func(context.Context) (string, string) { panic("asked") }})
	a, c := register(t, b, "Notes"), register(t, b, "C")
	p := bind(t, a, noteAdded)
	subscribe(t, c, noteAdded, func(context.Context, bus.Event[note]) {}, bus.Inline())
	for name, ctx := range map[string]context.Context{"background": context.Background(), "the client's": a.Context(), "the caller's": t.Context()} {
		assert.Zero(t, testing.AllocsPerRun(100, func() { _ = p.Publish(ctx, note{}) }), name)
	}
}
