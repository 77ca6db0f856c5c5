package bus_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

func TestDescriptions(t *testing.T) {
	assert.Equal(t, "Notes.added", noteAdded.Name())
	assert.Equal(t, "A note was added.", noteAdded.Doc())
	assert.Equal(t, "Notes.add", addNote.Name())
	assert.Equal(t, "Adds a note and gives its number.", addNote.Doc())
}

func TestEventSaysWhereItCameFrom(t *testing.T) {
	both(t, func(t *testing.T, opts ...bus.SubscribeOption) {
		b := bus.New(nil)
		p, c := bind(t, register(t, b, "Notes"), noteAdded), register(t, b, "C")
		var plain, timed, zero bus.Event[note]
		s := subscribe(t, c, noteAdded, func(_ context.Context, e bus.Event[note]) { plain = e }, opts...)
		require.NoError(t, p.Publish(t.Context(), note{N: 1}))
		synctest.Wait()
		assert.Equal(t, "Notes.added", plain.Name())
		assert.Equal(t, "Notes", plain.Publisher())
		assert.Equal(t, 1, plain.Data.N)
		assert.True(t, plain.Time().IsZero())
		assert.False(t, plain.Retained())
		assert.Zero(t, plain.Revision())
		s.Unsubscribe()
		subscribe(t, c, noteAdded, func(_ context.Context, e bus.Event[note]) { timed = e }, append(opts, bus.Timed())...)
		now := time.Now()
		require.NoError(t, p.Publish(t.Context(), note{N: 2}))
		time.Sleep(time.Hour)
		synctest.Wait()
		assert.Equal(t, now, timed.Time())
		assert.Empty(t, zero.Name()+zero.Publisher(), "the zero event can be asked, too")
		assert.True(t, zero.Time().IsZero())
	})
}

// Inline subscribers have run when Publish returns, in the order they
// subscribed; mailbox ones of one plugin are called in that order, too.
func TestSubscribersRunInOrder(t *testing.T) {
	both(t, func(t *testing.T, opts ...bus.SubscribeOption) {
		b := bus.New(nil)
		a, c := register(t, b, "Notes"), register(t, b, "C")
		p := bind(t, a, noteAdded)
		var got list[int]
		for i := range 10 {
			switch i % 3 {
			case 0:
				subscribe(t, c, noteAdded, func(context.Context, bus.Event[note]) { got.add(i) }, opts...)
			case 1:
				subscribeName(t, c, "Notes.added", func(context.Context, bus.Event[any]) { got.add(i) }, opts...)
			default:
				subscribeName(t, c, "*.added", func(context.Context, bus.Event[any]) { got.add(i) }, opts...)
			}
		}
		require.NoError(t, p.Publish(t.Context(), note{}))
		if opts == nil {
			require.NoError(t, c.Flush(t.Context()))
		}
		assert.Equal(t, numbers(10), got.get())
	})
}

// One function subscribed twice is called twice, by two handles.
func TestDuplicateSubscription(t *testing.T) {
	b := bus.New(nil)
	p, c := bind(t, register(t, b, "Notes"), noteAdded), register(t, b, "C")
	n := 0
	h := func(context.Context, bus.Event[note]) { n++ }
	s := subscribe(t, c, noteAdded, h, bus.Inline())
	subscribe(t, c, noteAdded, h, bus.Inline())
	require.NoError(t, p.Publish(t.Context(), note{}))
	assert.Equal(t, 2, n)
	s.Unsubscribe()
	require.NoError(t, p.Publish(t.Context(), note{}))
	assert.Equal(t, 3, n)
}

func TestPublisherNeedNotExist(t *testing.T) {
	b := bus.New(nil)
	c := register(t, b, "C")
	n := 0
	subscribe(t, c, noteAdded, func(context.Context, bus.Event[note]) { n++ }, bus.Inline())
	subscribeName(t, c, "Notes.*", func(context.Context, bus.Event[any]) { n++ }, bus.Inline())
	require.NoError(t, bind(t, register(t, b, "Notes"), noteAdded).Publish(t.Context(), note{}))
	assert.Equal(t, 2, n)
}

func TestOnlyTheOwnerPublishes(t *testing.T) {
	b := bus.New(nil)
	a, c := register(t, b, "Notes"), register(t, b, "C")
	_, err := noteAdded.Bind(c)
	require.ErrorIs(t, err, bus.ErrNotOwner)
	require.ErrorIs(t, bus.Handle(c, addNote, func(context.Context, note) (int, error) { return 0, nil }), bus.ErrNotOwner)
	n := 0
	subscribeName(t, a, "Notes.added", func(context.Context, bus.Event[any]) { n++ }, bus.Inline())
	require.NoError(t, c.Publish(t.Context(), "Notes.added", 1), "is C.Notes.added")
	assert.Zero(t, n)
}

func TestNilHandlers(t *testing.T) {
	b := bus.New(nil)
	c := register(t, b, "Notes")
	for name, err := range map[string]error{
		"subscribe":         second(bus.Subscribe(c, noteAdded, nil)),
		"subscribe by name": second(c.Subscribe("Notes.added", nil)),
		"handle":            bus.Handle(c, addNote, nil),
		"handle async":      bus.HandleAsync(c, addNote, nil),
		"register command":  c.RegisterCommand("x", nil),
	} {
		require.ErrorIs(t, err, bus.ErrNilHandler, name)
		assert.Contains(t, err.Error(), "pass a function", name)
	}
}

func TestPublishByName(t *testing.T) {
	b := bus.New(nil)
	a, c := register(t, b, "Notes"), register(t, b, "C")
	bind(t, a, noteAdded)
	var got list[note]
	subscribe(t, c, noteAdded, func(_ context.Context, e bus.Event[note]) { got.add(e.Data) }, bus.Inline())
	for _, v := range []any{note{N: 1}, map[string]any{"N": 1}, json.RawMessage(`{"N": 1}`)} {
		require.NoError(t, a.Publish(t.Context(), "added", v))
	}
	require.NoError(t, a.Publish(t.Context(), "added", nil))
	assert.Equal(t, []note{{N: 1}, {N: 1}, {N: 1}, {}}, got.get())
	for _, v := range []any{"text", 5, &note{}, []byte(`{}`), map[string]any{"n": "x"}, map[string]any{"Nope": 1}, json.RawMessage(`{`), json.RawMessage(`{} {}`)} {
		require.ErrorIs(t, a.Publish(t.Context(), "added", v), bus.ErrWrongType, "%v", v)
		require.ErrorIs(t, a.Republish(t.Context(), "added", v), bus.ErrWrongType, "%v", v)
	}
	assert.Equal(t, 4, got.len())
}

// An undeclared event carries any payload, and keeps it as it is.
func TestUndeclaredEventCarriesAnything(t *testing.T) {
	b := bus.New(nil)
	a, c := register(t, b, "A"), register(t, b, "C")
	var got list[any]
	subscribeName(t, c, "A.x", func(_ context.Context, e bus.Event[any]) { got.add(e.Data) }, bus.Inline())
	want := []any{nil, 0, "", false, "s", map[string]any{"a": 1}, json.RawMessage("{"), []byte("b")}
	for _, v := range want {
		require.NoError(t, a.Publish(t.Context(), "x", v))
		require.NoError(t, a.PublishDirect(t.Context(), "x", v))
	}
	for i, v := range want {
		assert.Equal(t, []any{v, v}, got.get()[2*i:2*i+2])
	}
}

func TestOneEventHasOneType(t *testing.T) {
	other := bus.NewEvent[string]("Notes.added", "")
	b := bus.New(nil)
	a, c := register(t, b, "Notes"), register(t, b, "C")
	bind(t, a, noteAdded)
	bind(t, a, noteAdded)
	_, err := other.Bind(a)
	require.ErrorIs(t, err, bus.ErrWrongType)
	assert.Contains(t, err.Error(), "the event carries bus_test.note, not string")
	n := 0
	_, err = bus.Subscribe(c, other, func(context.Context, bus.Event[string]) { n++ })
	require.ErrorIs(t, err, bus.ErrWrongType)
	require.NoError(t, a.Publish(t.Context(), "added", note{}))
	assert.Zero(t, n)
}

// The type is declared after untyped subscriptions: all are served.
func TestTypeDeclaredAfterSubscribing(t *testing.T) {
	both(t, func(t *testing.T, opts ...bus.SubscribeOption) {
		b := bus.New(nil)
		a, c := register(t, b, "Notes"), register(t, b, "C")
		var got list[string]
		subscribeName(t, c, "Notes.added", func(_ context.Context, e bus.Event[any]) { got.add("untyped"); _ = e.Data.(note) }, opts...)
		subscribeName(t, c, "Notes.*", func(_ context.Context, e bus.Event[any]) { got.add("wild"); _ = e.Data.(note) }, opts...)
		require.NoError(t, a.Publish(t.Context(), "added", note{}))
		synctest.Wait()
		p := bind(t, a, noteAdded)
		subscribe(t, c, noteAdded, func(context.Context, bus.Event[note]) { got.add("typed") }, opts...)
		require.NoError(t, p.Publish(t.Context(), note{}))
		synctest.Wait()
		assert.Equal(t, []string{"untyped", "wild", "untyped", "wild", "typed"}, got.get())
	})
}

// Events declared with any payload type are told apart by the subscriber.
func TestRegisterEvents(t *testing.T) {
	b := bus.New(nil)
	a, c := register(t, b, "A"), register(t, b, "C")
	require.NoError(t, a.RegisterEvents("x", "y", "x"))
	require.ErrorIs(t, a.RegisterEvents("ok", "not ok"), bus.ErrBadName)
	var got list[any]
	subscribeName(t, c, "A.x", func(_ context.Context, e bus.Event[any]) { got.add(e.Data) }, bus.Inline())
	require.NoError(t, a.Publish(t.Context(), "x", 1))
	require.NoError(t, a.Publish(t.Context(), "x", "s"))
	assert.Equal(t, []any{1, "s"}, got.get())
}

// The bus holds no lock while it calls: everything may be called from a handler.
func TestHandlersMayDoEverything(t *testing.T) {
	both(t, func(t *testing.T, opts ...bus.SubscribeOption) {
		b := bus.New(nil)
		a, c := readyClient(t, b, "Notes"), readyClient(t, b, "C")
		p, state := bind(t, a, noteAdded), bind(t, a, noteState)
		require.NoError(t, state.Republish(t.Context(), note{N: 1}))
		require.NoError(t, a.RegisterCommand("echo", func(_ context.Context, in any) (any, error) { return in, nil }))
		var steps list[string]
		step := func(name string, err error) {
			assert.NoError(t, err, name)
			steps.add(name)
		}
		subscribe(t, c, noteAdded, func(ctx context.Context, e bus.Event[note]) {
			if e.Data.N > 0 {
				return
			}
			step("publish", p.Publish(ctx, note{N: 1}))
			step("republish", state.Republish(ctx, note{N: 2}))
			s, err := c.Subscribe("Notes.*", func(context.Context, bus.Event[any]) {}, bus.Inline())
			step("subscribe", err)
			s.Unsubscribe()
			r, err := bus.Subscribe(c, noteState, func(context.Context, bus.Event[note]) {})
			step("subscribe retained", err)
			r.Unsubscribe()
			out, err := c.Call(ctx, "Notes.echo", 5)
			step("call", err)
			assert.Equal(t, 5, out)
			_, err = c.Go(ctx, "Notes.echo", 5).Result(ctx)
			step("go", err)
			_, err = c.WaitFor(ctx, "Notes.state", nil)
			step("wait for", err)
			d, err := b.Register("New")
			step("register", err)
			step("declare", d.RegisterEvents("x"))
			d.Ready()
			step("handle", d.RegisterCommand("x", func(context.Context, any) (any, error) { return nil, nil }))
			step("start", b.Start(ctx, &plugin{name: "Started"}))
			step("unload", b.Unload(ctx, "New"))
			c.Registry()
			a.Subscribers()
			state.ClearRetained()
			step("close", b.Close(ctx))
		}, opts...)
		start := time.Now()
		require.NoError(t, p.Publish(t.Context(), note{}))
		synctest.Wait()
		require.NoError(t, b.Close(t.Context()))
		assert.Equal(t, 13, steps.len())
		assert.Less(t, time.Since(start), time.Second)
	})
}

func TestWaitFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		a, c := register(t, b, "Notes"), register(t, b, "C")
		p := bind(t, a, noteAdded)
		go func() {
			for i := range 5 {
				time.Sleep(time.Second)
				_ = p.Publish(context.Background(), note{N: i})
			}
		}()
		start := time.Now()
		e, err := c.WaitFor(t.Context(), "Notes.added", func(e bus.Event[any]) bool { return e.Data.(note).N == 2 })
		require.NoError(t, err)
		assert.Equal(t, note{N: 2}, e.Data)
		assert.Equal(t, 3*time.Second, time.Since(start))
		e, err = c.WaitFor(t.Context(), "Notes.*", nil)
		require.NoError(t, err)
		assert.Equal(t, note{N: 3}, e.Data)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err = c.WaitFor(ctx, "Notes.gone", nil)
		require.ErrorIs(t, err, bus.ErrTimeout)
		_, err = c.WaitFor(ctx, "malformed", nil)
		require.ErrorIs(t, err, bus.ErrBadName)
		require.NoError(t, a.Republish(t.Context(), "state", note{N: 9}))
		e, err = c.WaitFor(t.Context(), "Notes.state", nil)
		require.NoError(t, err)
		assert.True(t, e.Retained(), "a retained event counts at once")
		assert.Empty(t, a.Subscribers(), "no subscription stays")
		// A predicate that panics is contained.
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err = c.WaitFor(ctx, "Notes.state", func(bus.Event[any]) bool { panic("boom") })
		require.ErrorIs(t, err, bus.ErrTimeout)
		go func() { time.Sleep(time.Second); _ = b.Close(context.Background()) }()
		_, err = c.WaitFor(context.Background(), "Notes.gone", nil)
		require.ErrorIs(t, err, bus.ErrClosed)
	})
}
