package bus_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

// point is a result, and a newer one has a further field.
type point struct {
	X int `json:"x"`
	Y any `json:"y,omitempty"`
}

var (
	movePoint = bus.NewCommand[point, point]("Geo.move", "Moves a point.")
	pointRaw  = bus.NewCommand[json.RawMessage, json.RawMessage]("Geo.move", "")
	pointMap  = bus.NewCommand[map[string]any, map[string]any]("Geo.move", "")
)

// Whatever form caller and handler have chosen, they understand each other.
func TestTypedByNameAndRaw(t *testing.T) {
	handlers := map[string]func(t *testing.T, geo *bus.Client){
		"typed": func(t *testing.T, geo *bus.Client) {
			require.NoError(t, bus.Handle(geo, movePoint, func(_ context.Context, in point) (point, error) { return point{X: in.X + 1}, nil }))
		},
		"raw": func(t *testing.T, geo *bus.Client) {
			require.NoError(t, bus.Handle(geo, pointRaw, func(_ context.Context, in json.RawMessage) (json.RawMessage, error) {
				assert.JSONEq(t, `{"x":1}`, string(in))
				return json.RawMessage(`{"x":2}`), nil
			}))
		},
		"map": func(t *testing.T, geo *bus.Client) {
			require.NoError(t, bus.Handle(geo, pointMap, func(_ context.Context, in map[string]any) (map[string]any, error) {
				assert.EqualValues(t, "1", jsonOf(t, in["x"]))
				return map[string]any{"x": 2}, nil
			}))
		},
		"by name": func(t *testing.T, geo *bus.Client) {
			require.NoError(t, geo.RegisterCommand("move", func(_ context.Context, in any) (any, error) {
				assert.JSONEq(t, `{"x":1}`, jsonOf(t, in))
				return json.RawMessage(`{"x":2,"newer":true}`), nil
			}))
		},
		"any name": func(t *testing.T, geo *bus.Client) {
			rest := bus.NewCommand[bus.Call[any], any]("Geo.*", "")
			require.NoError(t, bus.HandleAsync(geo, rest, func(_ context.Context, in bus.Call[any], d *bus.Deferred[any]) {
				assert.Equal(t, "Geo.move", in.Command)
				assert.Equal(t, "C", in.Commander)
				assert.JSONEq(t, `{"x":1}`, jsonOf(t, in.In))
				d.Resolve(map[string]any{"x": 2})
			}))
		},
	}
	callers := map[string]func(t *testing.T, c *bus.Client) (any, error){
		"typed": func(t *testing.T, c *bus.Client) (any, error) {
			out, err := caller(t, c, movePoint).Call(t.Context(), point{X: 1})
			assert.Equal(t, 2, out.X)
			return out, err
		},
		"typed, without waiting": func(t *testing.T, c *bus.Client) (any, error) {
			return caller(t, c, movePoint).Go(t.Context(), point{X: 1}).Result(t.Context())
		},
		"raw": func(t *testing.T, c *bus.Client) (any, error) {
			return caller(t, c, pointRaw).Call(t.Context(), json.RawMessage(`{"x":1}`))
		},
		"map": func(t *testing.T, c *bus.Client) (any, error) {
			return caller(t, c, pointMap).Call(t.Context(), map[string]any{"x": 1})
		},
		"by name": func(t *testing.T, c *bus.Client) (any, error) {
			return c.Call(t.Context(), "Geo.move", map[string]any{"x": 1})
		},
		"by name, raw": func(t *testing.T, c *bus.Client) (any, error) {
			return c.Go(t.Context(), "Geo.move", json.RawMessage(`{"x":1}`)).Result(t.Context())
		},
	}
	for hname, handle := range handlers {
		for cname, call := range callers {
			t.Run(cname+" to "+hname, func(t *testing.T) {
				b := bus.New(nil)
				geo := register(t, b, "Geo")
				handle(t, geo)
				geo.Ready()
				out, err := call(t, register(t, b, "C"))
				require.NoError(t, err)
				var got point
				require.NoError(t, json.Unmarshal([]byte(jsonOf(t, out)), &got))
				assert.Equal(t, 2, got.X)
			})
		}
	}
}

func jsonOf(t *testing.T, v any) string {
	raw, err := json.Marshal(v)
	require.NoError(t, err)
	return string(raw)
}

// A plugin that stands for one elsewhere handles names it does not know; what has a handler of its own goes there.
func TestCommandsOfAnyName(t *testing.T) {
	b := bus.New(nil)
	geo, c := register(t, b, "Geo"), register(t, b, "C")
	rest := bus.NewCommand[bus.Call[any], any]("Geo.*", "")
	early := c.Go(t.Context(), "Geo.early", 1)
	require.NoError(t, bus.Handle(geo, rest, func(ctx context.Context, in bus.Call[any]) (any, error) {
		if in.Command == "Geo.fail" {
			return nil, errOops
		}
		return in.Command + " by " + in.Commander + " via " + bus.Commander(ctx), nil
	}))
	require.NoError(t, bus.Handle(geo, movePoint, func(_ context.Context, in point) (point, error) { return in, nil }))
	own, err := geo.Call(t.Context(), "anything", nil)
	require.NoError(t, err)
	assert.Equal(t, "Geo.anything by Geo via Geo", own)
	geo.Ready()
	out, err := early.Result(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "Geo.early by C via C", out)
	out, err = c.Call(context.Background(), "Geo.move", point{X: 3})
	require.NoError(t, err)
	assert.Equal(t, point{X: 3}, out)
	_, err = c.Call(t.Context(), "Geo.fail", nil)
	require.ErrorIs(t, err, errOops)
	for _, name := range []string{"Geo.a.b", "Geo.", "Geo.*"} {
		_, err = c.Call(t.Context(), name, nil)
		assert.ErrorIs(t, err, bus.ErrBadName, name)
	}
	list, err := c.Call(t.Context(), "Geo.COMMANDS", nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"Geo.*", "Geo.move"}, list)
	require.ErrorIs(t, bus.Handle(geo, rest, func(context.Context, bus.Call[any]) (any, error) { return nil, nil }), bus.ErrDuplicate)
	require.ErrorIs(t, bus.Handle(geo, bus.NewCommand[any, any]("Geo.*", ""), func(context.Context, any) (any, error) { return nil, nil }), bus.ErrBadName)
	require.NoError(t, b.Unload(t.Context(), "Geo"))
	_, err = c.Call(t.Context(), "Geo.anything", nil)
	require.ErrorIs(t, err, bus.ErrUnknownPlugin)
}

// Numbers keep their digits where their type is open.
func TestNumbersKeepTheirDigits(t *testing.T) {
	const digits = `[9007199254740993,123456789012345678901234567890,1.10,-0,1e999]`
	b := bus.New(nil)
	geo, c := readyClient(t, b, "Geo"), register(t, b, "C")
	moved := bus.NewEvent[point]("Geo.moved", "")
	bind(t, geo, moved)
	var got []string
	subscribe(t, c, moved, func(_ context.Context, e bus.Event[point]) { got = append(got, jsonOf(t, e.Data.Y)) }, bus.Inline())
	require.NoError(t, bus.Handle(geo, movePoint, func(_ context.Context, in point) (point, error) {
		got = append(got, jsonOf(t, in.Y))
		return in, nil
	}))
	raw := json.RawMessage(`{"x":1,"y":` + digits + `}`)
	require.NoError(t, geo.Publish(t.Context(), "moved", raw))
	out, err := c.Call(t.Context(), "Geo.move", raw)
	require.NoError(t, err)
	got = append(got, jsonOf(t, out.(point).Y))
	asMap, err := caller(t, c, pointMap).Call(t.Context(), map[string]any{"y": json.RawMessage(digits)})
	require.NoError(t, err)
	got = append(got, jsonOf(t, asMap["y"]))
	assert.Equal(t, []string{digits, digits, digits, digits, digits}, got)
	big, err := c.Call(t.Context(), "Geo.move", map[string]any{"y": int64(1)<<62 + 1})
	require.NoError(t, err)
	assert.Equal(t, json.Number("4611686018427387905"), big.(point).Y)
}

func TestErrorAsJSON(t *testing.T) {
	assert.True(t, bus.ErrOverflow.Temporary)
	assert.True(t, bus.ErrNotReady.Temporary)
	assert.False(t, bus.ErrUnknownCommand.Temporary)
	var e *bus.Error
	for _, want := range []*bus.Error{{Code: "a.b", Text: "text", Hint: "hint", Temporary: true}, {Code: "c"}} {
		raw := jsonOf(t, want)
		e = nil
		require.NoError(t, json.Unmarshal([]byte(raw), &e))
		assert.Equal(t, want, e)
	}
	assert.JSONEq(t, `{"code":"c","text":""}`, jsonOf(t, e))
}

// A hook by a pattern runs before each command that fits, in the order in which all hooks were added.
func TestBeforeByPattern(t *testing.T) {
	b := bus.New(nil)
	geo, c, h := readyClient(t, b, "Geo"), register(t, b, "C"), register(t, b, "H")
	var got []string
	add := func(pattern string) *bus.Hook {
		hook, err := h.Before(pattern, func(_ context.Context, call *bus.Call[any]) error {
			got = append(got, pattern)
			if p, ok := call.In.(point); ok {
				p.X++
				call.In = p
			}
			return nil
		})
		require.NoError(t, err)
		assert.Equal(t, pattern, hook.Command())
		return hook
	}
	for _, name := range []string{"Geo.*", "Geo.move", "*.move", "*.stop", "Other.*", "*"} {
		add(name)
	}
	require.NoError(t, bus.Handle(geo, movePoint, func(_ context.Context, in point) (point, error) { return in, nil }))
	out, err := caller(t, c, movePoint).Call(t.Context(), point{})
	require.NoError(t, err)
	assert.Equal(t, 4, out.X)
	assert.Equal(t, []string{"Geo.*", "Geo.move", "*.move", "*"}, got)
	assert.Equal(t, map[string][]string{"Geo.*": {"H"}, "Geo.move": {"H"}, "*.move": {"H"}, "*.stop": {"H"}, "Other.*": {"H"}, "*": {"H"}}, b.Debugger().Hooks)

	got = nil
	_, err = c.Call(t.Context(), "Nobody.stop", nil)
	require.ErrorIs(t, err, bus.ErrUnknownPlugin)
	assert.Equal(t, []string{"*.stop", "*"}, got)
	got = nil
	veto, err := h.Before("Geo.*", func(context.Context, *bus.Call[any]) error { return errOops })
	require.NoError(t, err)
	_, err = c.Call(t.Context(), "Geo.move", nil)
	require.ErrorIs(t, err, bus.ErrVetoed)
	veto.Remove()
	require.NoError(t, b.Unload(t.Context(), "H"))
	got = nil
	_, err = c.Call(t.Context(), "Geo.move", nil)
	require.NoError(t, err)
	assert.Empty(t, got)
}

// A hook by name sees one shape of the input, whatever the caller gave, so that none passes it by.
func TestHooksSeeOneShape(t *testing.T) {
	b := bus.New(nil)
	geo, c, h := readyClient(t, b, "Geo"), register(t, b, "C"), register(t, b, "H")
	require.NoError(t, bus.Handle(geo, movePoint, func(_ context.Context, in point) (point, error) { return in, nil }))
	seen := 0
	_, err := h.Before("Geo.move", func(_ context.Context, call *bus.Call[any]) error {
		p, ok := call.In.(point)
		if assert.True(t, ok, "%T", call.In) && p.X == 13 {
			return errors.New("forbidden")
		}
		seen++
		return nil
	})
	require.NoError(t, err)
	_, err = c.Call(t.Context(), "Geo.move", nil)
	require.NoError(t, err)
	for _, in := range []any{point{X: 13}, map[string]any{"x": 13}, json.RawMessage(`{"x":13}`)} {
		_, err = c.Call(t.Context(), "Geo.move", in)
		assert.ErrorIs(t, err, bus.ErrVetoed)
	}
	assert.Equal(t, 1, seen)
}

// A hook does not mask the caller's mistake.
func TestHookDoesNotMaskAMistake(t *testing.T) {
	for _, early := range []bool{false, true} {
		b := bus.New(&bus.Options{BufferTimeout: 1})
		geo, c, h := readyClient(t, b, "Geo"), register(t, b, "C"), register(t, b, "H")
		if !early {
			require.NoError(t, bus.Handle(geo, movePoint, func(_ context.Context, in point) (point, error) { return in, nil }))
		}
		_, err := bus.Before(h, movePoint, func(context.Context, *bus.Call[point]) error { return nil })
		require.NoError(t, err)
		for _, in := range []any{json.RawMessage(`{"z":1}`), 7} {
			_, err = c.Call(t.Context(), "Geo.move", in)
			require.ErrorIs(t, err, bus.ErrWrongType)
			require.NotErrorIs(t, err, bus.ErrVetoed)
		}
	}
}
