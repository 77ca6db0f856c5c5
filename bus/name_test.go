package bus_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

func TestMalformedNamespaces(t *testing.T) {
	for _, ns := range []string{"", "A.B", ".", "A B", "A\n", " A", "*", "A*", "\xff", strings.Repeat("x", 257), "A\x00", "A\u200b"} {
		b := bus.New(nil)
		_, err := b.Register(ns)
		require.ErrorIs(t, err, bus.ErrBadName, "%q", ns)
		require.ErrorIs(t, b.Start(t.Context(), &plugin{name: ns}), bus.ErrBadName, "%q", ns)
	}
	for _, ns := range []string{"A", "WebChatService", "é", "a-b", "a:b#1", strings.Repeat("x", 256)} {
		_, err := bus.New(nil).Register(ns)
		require.NoError(t, err, "%q", ns)
	}
}

func TestMalformedEventNames(t *testing.T) {
	b := bus.New(nil)
	c := register(t, b, "A")
	for _, member := range []string{"", ".", ".x", "x.", "x..y", "x y", "x\t", "x*", "*", "x.*", "\xfe", strings.Repeat("x", 257)} {
		require.ErrorIs(t, c.Publish(t.Context(), member, 1), bus.ErrBadName, "%q", member)
		require.ErrorIs(t, c.Republish(t.Context(), member, 1), bus.ErrBadName, "%q", member)
		require.ErrorIs(t, c.RegisterEvents(member), bus.ErrBadName, "%q", member)
		d := bus.NewEvent[int]("A."+member, "")
		require.ErrorIs(t, second(d.Bind(c)), bus.ErrBadName, "%q", member)
		require.ErrorIs(t, second(bus.Subscribe(c, d, func(context.Context, bus.Event[int]) {})), bus.ErrBadName, "%q", member)
	}
	for _, name := range []string{"", "A", "A.", ".x", "A..x", "A.*.x", "A.x*", "**", "*x", "*.", "A.**", "A .*", "*.*.x", strings.Repeat("x", 300) + ".*"} {
		require.ErrorIs(t, second(c.Subscribe(name, func(context.Context, bus.Event[any]) {})), bus.ErrBadName, "%q", name)
	}
	for _, member := range []string{"x", "x.y", "x:y", "idle:5", "data.k:'v'", "x.y.z", "ü", strings.Repeat("x", 256)} {
		require.NoError(t, c.Publish(t.Context(), member, 1), "%q", member)
		require.NoError(t, second(c.Subscribe("A."+member, func(context.Context, bus.Event[any]) {})), "%q", member)
	}
}

func TestMalformedCommandNames(t *testing.T) {
	b := bus.New(nil)
	a, c := readyClient(t, b, "A"), register(t, b, "C")
	for _, member := range []string{"", "x.y", "x y", "*", "x*", "\xff", strings.Repeat("x", 257)} {
		name := "A." + member
		require.ErrorIs(t, a.RegisterCommand(member, func(context.Context, any) (any, error) { return nil, nil }), bus.ErrBadName, "%q", member)
		require.ErrorIs(t, second(c.Call(t.Context(), name, nil)), bus.ErrBadName, "%q", member)
		require.ErrorIs(t, second(c.Go(t.Context(), name, nil).Result(t.Context())), bus.ErrBadName, "%q", member)
		require.ErrorIs(t, second(bus.NewCommand[any, any](name, "").Bind(c)), bus.ErrBadName, "%q", member)
	}
	require.ErrorIs(t, second(c.Call(t.Context(), "", nil)), bus.ErrBadName)
	require.ErrorIs(t, second(bus.NewCommand[any, any]("x", "").Bind(c)), bus.ErrBadName)
}

// A name from the network is shortened and quoted in an error.
func TestBadNamesAreQuoted(t *testing.T) {
	_, err := bus.New(nil).Register("\x1b[31m" + strings.Repeat("x", 10_000))
	assert.Less(t, len(err.Error()), 200)
	assert.NotContains(t, err.Error(), "\x1b")
}

func TestPatterns(t *testing.T) {
	names := []string{"A.x", "A.y", "A.x.y", "A.x.y.z", "B.x", "B.x.y", "AB.x"}
	for pattern, want := range map[string]string{
		"*":       "A.x A.y A.x.y A.x.y.z B.x B.x.y AB.x",
		"A.*":     "A.x A.y A.x.y A.x.y.z",
		"A.x.*":   "A.x.y A.x.y.z",
		"A.x.y.*": "A.x.y.z",
		"*.x":     "A.x B.x AB.x",
		"*.x.y":   "A.x.y B.x.y",
		"*.*":     "A.x A.y A.x.y A.x.y.z B.x B.x.y AB.x",
		"*.x.*":   "A.x.y A.x.y.z B.x.y",
		"C.*":     "",
	} {
		for _, first := range []bool{true, false} { // the subscription, or the names
			b := bus.New(nil)
			var got list[string]
			clients := map[string]*bus.Client{"A": register(t, b, "A"), "B": register(t, b, "B"), "AB": register(t, b, "AB")}
			publish := func() {
				for _, name := range names {
					ns, member, _ := strings.Cut(name, ".")
					require.NoError(t, clients[ns].Publish(t.Context(), member, 1))
				}
			}
			if !first {
				publish()
			}
			s := subscribeName(t, clients["A"], pattern, func(_ context.Context, e bus.Event[any]) { got.add(e.Name()) }, bus.Inline())
			publish()
			assert.Equal(t, want, strings.Join(got.get(), " "), pattern)
			s.Unsubscribe()
			publish()
			assert.Equal(t, want, strings.Join(got.get(), " "), pattern)
		}
	}
}

func TestErrors(t *testing.T) {
	b := bus.New(nil)
	register(t, b, "WebChatService")
	c := register(t, b, "C")
	_, err := c.Call(t.Context(), "WebchatService.startChat", nil)
	require.EqualError(t, err, "call WebchatService.startChat: plugin is not registered (did you mean WebChatService?)")
	raw, jerr := json.Marshal(err)
	require.NoError(t, jerr)
	assert.JSONEq(t, `{"code":"unknown-plugin","text":"plugin is not registered","hint":"did you mean WebChatService?"}`, string(raw))

	own := &bus.Error{Code: "webchat.no-session", Err: io.EOF}
	assert.Equal(t, "webchat.no-session: EOF", own.Error())
	require.ErrorIs(t, own, io.EOF)
	require.ErrorIs(t, fmt.Errorf("wrapped: %w", own), &bus.Error{Code: "webchat.no-session"})
	assert.False(t, errors.Is(own, bus.ErrClosed))
	assert.False(t, errors.Is(own, io.ErrUnexpectedEOF))
}
