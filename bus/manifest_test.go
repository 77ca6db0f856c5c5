package bus_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

// lamp is a plugin with a manifest.
type lamp struct {
	mu   sync.Mutex
	on   bool
	self *bus.Client
}

var (
	lampLit    = bus.NewEvent[lampState]("Lamp.lit", "The lamp was lit.")
	lampBroken = bus.NewEvent[string]("Lamp.broken", "It broke.")
	lampSwitch = bus.NewCommand[bool, lampState]("Lamp.switch", "Switches it.")
	lampAsk    = bus.NewCommand[struct{}, lampState]("Lamp.ask", "Tells its state.")
	lampTest   = bus.NewManifest("Lamp", lampLit, lampBroken,
		bus.Method(lampSwitch, (*lamp).set), bus.AsyncMethod(lampAsk, (*lamp).ask))
)

type lampState struct {
	On bool `json:"on"`
}

func (l *lamp) set(ctx context.Context, on bool) (lampState, error) {
	l.mu.Lock()
	l.on = on
	l.mu.Unlock()
	return lampState{on}, l.self.Publish(ctx, "lit", lampState{on})
}

func (l *lamp) ask(_ context.Context, _ struct{}, d *bus.Deferred[lampState]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d.Resolve(lampState{l.on})
}

func (l *lamp) Namespace() string { return "Lamp" }

func (l *lamp) Start(_ context.Context, c *bus.Client) error {
	l.self = c
	return c.Declare(lampTest, l)
}

// What a manifest declares is there as what was declared one by one is: it is
// listed, called, published, subscribed to before and after, by name, by handle
// and by pattern, and its types count.
func TestManifest(t *testing.T) {
	ctx := t.Context()
	b := bus.New(&bus.Options{Strict: true})
	app, err := b.Register("App")
	require.NoError(t, err)
	var mu sync.Mutex
	var got []string
	note := func(how string) func(context.Context, bus.Event[lampState]) {
		return func(_ context.Context, e bus.Event[lampState]) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, how+" "+e.Name())
		}
	}
	_, err = bus.Subscribe(app, lampLit, note("before"))
	require.NoError(t, err)
	require.NoError(t, b.Start(ctx, &lamp{}))
	_, err = bus.Subscribe(app, lampLit, note("after"))
	require.NoError(t, err)

	out, err := app.Call(ctx, "Lamp.switch", true)
	require.NoError(t, err)
	assert.Equal(t, lampState{true}, out)
	caller, err := lampAsk.Bind(app)
	require.NoError(t, err)
	state, err := caller.Call(ctx, struct{}{})
	require.NoError(t, err)
	assert.Equal(t, lampState{true}, state)
	require.NoError(t, app.Flush(ctx))
	assert.Equal(t, []string{"before Lamp.lit", "after Lamp.lit"}, got)

	info := app.Registry()["Lamp"]
	var names []string
	for _, c := range info.Commands {
		names = append(names, c.Name)
	}
	for _, e := range info.Events {
		names = append(names, e.Name+" "+e.Type.String())
	}
	assert.Equal(t, []string{"Lamp.ask", "Lamp.switch", "Lamp.broken string", "Lamp.lit bus_test.lampState", "Lamp.ready struct {}"}, names)
	assert.True(t, info.Commands[0].Async)
	assert.Equal(t, "It broke.", info.Events[0].Doc)

	// Names that are not there, and types that are others.
	_, err = app.Call(ctx, "Lamp.swich", true)
	require.ErrorIs(t, err, bus.ErrUnknownCommand)
	assert.ErrorContains(t, err, "Lamp.switch")
	_, err = app.Call(ctx, "Lamp.switch", "on")
	require.ErrorIs(t, err, bus.ErrWrongType)
	_, err = app.Subscribe("Lamp.lid", func(context.Context, bus.Event[any]) {})
	require.ErrorIs(t, err, bus.ErrUndeclared)
	_, err = bus.Subscribe(app, bus.NewEvent[int]("Lamp.broken", ""), func(context.Context, bus.Event[int]) {})
	require.ErrorIs(t, err, bus.ErrWrongType)
	require.NoError(t, b.Close(context.WithoutCancel(ctx)))
}

// An event of a manifest that nobody has used yet is one with its type all the same.
func TestManifestUnused(t *testing.T) {
	ctx := t.Context()
	b := bus.New(&bus.Options{Strict: true})
	p := &lamp{}
	require.NoError(t, b.Start(ctx, p))
	require.NoError(t, p.self.Publish(ctx, "broken", "to nobody"))
	require.ErrorIs(t, p.self.Publish(ctx, "broken", 5), bus.ErrWrongType)
	require.ErrorIs(t, p.self.Publish(ctx, "borken", "x"), bus.ErrUndeclared)

	app, err := b.Register("App")
	require.NoError(t, err)
	var got []any
	_, err = app.Subscribe("Lamp.*", func(_ context.Context, e bus.Event[any]) { got = append(got, e.Data) })
	require.NoError(t, err)
	require.NoError(t, p.self.Publish(ctx, "broken", "to somebody"))
	pub, err := lampLit.Bind(p.self)
	require.NoError(t, err)
	require.NoError(t, pub.Publish(ctx, lampState{true}))
	require.NoError(t, pub.Republish(ctx, lampState{}))
	require.NoError(t, app.Flush(ctx))
	assert.Equal(t, []any{struct{}{}, "to somebody", lampState{true}, lampState{}}, got, "and ready, which is retained")

	var seen []string
	_, err = app.Tap(func(_ context.Context, r bus.Record) {
		if r.Kind == "event" {
			seen = append(seen, r.Name)
		}
	})
	require.NoError(t, err)
	require.NoError(t, p.self.Publish(ctx, "broken", "while a tap is there"))
	require.NoError(t, b.Close(context.WithoutCancel(ctx)))
	assert.Equal(t, []string{"Lamp.broken"}, seen)
}

// A plugin with a manifest leaves nothing behind, and may come back.
func TestManifestUnload(t *testing.T) {
	ctx := t.Context()
	b := bus.New(nil)
	app, err := b.Register("App")
	require.NoError(t, err)
	for range 3 {
		require.NoError(t, b.Start(ctx, &lamp{}))
		_, err = app.Call(ctx, "Lamp.switch", true)
		require.NoError(t, err)
		require.NoError(t, b.Unload(ctx, "Lamp"))
		_, err = app.Call(ctx, "Lamp.switch", true)
		require.ErrorIs(t, err, bus.ErrUnknownPlugin)
		_, err = app.Call(ctx, "Lamp.ask", nil)
		require.ErrorIs(t, err, bus.ErrUnknownPlugin)
	}
	// Its events are undeclared: another plugin of that name may declare others.
	c, err := b.Register("Lamp")
	require.NoError(t, err)
	_, err = bus.NewEvent[int]("Lamp.lit", "").Bind(c)
	require.NoError(t, err)
	require.NoError(t, b.Close(context.WithoutCancel(ctx)))
}

func TestManifestRefused(t *testing.T) {
	b := bus.New(nil)
	c, err := b.Register("Lamp")
	require.NoError(t, err)
	other, err := b.Register("Other")
	require.NoError(t, err)
	plain := func(*lamp, context.Context, bool) (lampState, error) { return lampState{}, nil }

	for want, err := range map[error]error{
		bus.ErrNotOwner:   other.Declare(lampTest, &lamp{}),
		bus.ErrWrongType:  c.Declare(lampTest, lamp{}),
		bus.ErrNilHandler: c.Declare(bus.NewManifest("Lamp", bus.Method[*lamp](lampSwitch, nil)), &lamp{}),
		bus.ErrBadName:    c.Declare(bus.NewManifest("Lamp", bus.NewEvent[int]("Lamp.*", "")), &lamp{}),
		bus.ErrDuplicate:  c.Declare(bus.NewManifest("Lamp", bus.Method(lampSwitch, plain), bus.Method(lampSwitch, plain)), &lamp{}),
	} {
		require.ErrorIs(t, err, want)
	}
	require.ErrorIs(t, c.Declare(bus.NewManifest("Lamp", bus.NewEvent[int]("Radio.on", "")), nil), bus.ErrNotOwner)

	// One subscriber that wants another type is told of, and the rest is there.
	_, err = bus.Subscribe(other, bus.NewEvent[int]("Lamp.broken", ""), func(context.Context, bus.Event[int]) {})
	require.NoError(t, err)
	require.ErrorIs(t, c.Declare(lampTest, &lamp{self: c}), bus.ErrWrongType)
	require.ErrorIs(t, c.Declare(lampTest, &lamp{self: c}), bus.ErrDuplicate)
	require.ErrorIs(t, bus.Handle(c, lampSwitch, (&lamp{self: c}).set), bus.ErrDuplicate)
	_, err = c.Call(t.Context(), "switch", true)
	require.NoError(t, err)
	require.NoError(t, b.Close(context.WithoutCancel(t.Context())))
	require.ErrorIs(t, c.Declare(lampTest, &lamp{}), bus.ErrClosed)
}

// Subscribers, publishers and callers who come at once find one topic and one
// handler, and no event is lost to who was there before it was published.
func TestManifestConcurrently(t *testing.T) {
	for range 50 {
		b := bus.New(nil)
		p := &lamp{}
		require.NoError(t, b.Start(t.Context(), p))
		var all sync.WaitGroup
		for i := range 4 {
			app, err := b.Register("App" + strings.Repeat("x", i))
			require.NoError(t, err)
			all.Go(func() {
				got := make(chan lampState, 100)
				_, err := bus.Subscribe(app, lampLit, func(_ context.Context, e bus.Event[lampState]) { got <- e.Data })
				if !assert.NoError(t, err) {
					return
				}
				_, err = app.Call(t.Context(), "Lamp.switch", true)
				assert.NoError(t, err)
				assert.NoError(t, app.Flush(t.Context()))
				assert.NotEmpty(t, got)
			})
		}
		all.Wait()
		require.NoError(t, b.Close(context.WithoutCancel(t.Context())))
	}
}

// Names that nobody has declared cannot crowd out those of a manifest, nor their types.
func TestManifestAmongManyNames(t *testing.T) {
	ctx := t.Context()
	b := bus.New(nil)
	p := &lamp{}
	require.NoError(t, b.Start(ctx, p))
	app, err := b.Register("App")
	require.NoError(t, err)
	for i := range bus.MaxUndeclared + 1 {
		for range 2 { // a name is remembered when it comes again
			require.NoError(t, app.Publish(ctx, "undeclared"+strconv.Itoa(i), nil))
		}
	}
	var got []any
	_, err = app.Subscribe("*.broken", func(_ context.Context, e bus.Event[any]) { got = append(got, e.Data) }, bus.Inline())
	require.NoError(t, err)
	require.ErrorIs(t, p.self.Publish(ctx, "broken", 5), bus.ErrWrongType)
	require.NoError(t, p.self.Publish(ctx, "broken", "once"))
	assert.Equal(t, []any{"once"}, got)
	require.NoError(t, b.Close(context.WithoutCancel(ctx)))
}
