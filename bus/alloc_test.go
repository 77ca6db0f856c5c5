package bus_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

// The publish paths and commands with context.Background() allocate nothing.
func TestAllocations(t *testing.T) {
	ctx := context.Background()
	pointer := &note{N: 1}
	large := note{N: 1, Text: "48 bytes"}
	byPointer := bus.NewEvent[*note]("Notes.pointer", "")
	sum := 0
	type setup func(t *testing.T, b *bus.Bus, a, c *bus.Client) func()
	typed := func(opts ...bus.SubscribeOption) func(t *testing.T, c *bus.Client) {
		return func(t *testing.T, c *bus.Client) {
			subscribe(t, c, noteAdded, func(_ context.Context, e bus.Event[note]) { sum += e.Data.N }, opts...)
			subscribe(t, c, byPointer, func(_ context.Context, e bus.Event[*note]) { sum += e.Data.N }, opts...)
		}
	}
	subscribers := map[string]func(t *testing.T, c *bus.Client){
		"nobody":  func(*testing.T, *bus.Client) {},
		"inline":  typed(bus.Inline()),
		"mailbox": typed(),
		"untyped": func(t *testing.T, c *bus.Client) {
			subscribeName(t, c, "Notes.pointer", func(_ context.Context, e bus.Event[any]) { sum += e.Data.(*note).N }, bus.Inline())
			typed(bus.Inline())(t, c)
		},
		"wildcard mailbox": func(t *testing.T, c *bus.Client) {
			subscribeName(t, c, "Notes.*", func(_ context.Context, e bus.Event[any]) {
				if p, ok := e.Data.(*note); ok {
					sum += p.N
				}
			})
		},
	}
	publishers := map[string]setup{
		"pointer by token": func(t *testing.T, _ *bus.Bus, a, _ *bus.Client) func() {
			p := bind(t, a, byPointer)
			return func() { _ = p.Publish(ctx, pointer) }
		},
		"pointer by name": func(t *testing.T, _ *bus.Bus, a, _ *bus.Client) func() {
			bind(t, a, byPointer)
			return func() { _ = a.Publish(ctx, "pointer", pointer) }
		},
		"48 bytes by token": func(t *testing.T, _ *bus.Bus, a, _ *bus.Client) func() {
			p := bind(t, a, noteAdded)
			return func() { _ = p.Publish(ctx, large) }
		},
	}
	for who, subscribed := range subscribers {
		for how, publisher := range publishers {
			if who == "wildcard mailbox" && how == "48 bytes by token" {
				continue // a value is boxed once for those that take any
			}
			t.Run(how+" to "+who, func(t *testing.T) {
				b := bus.New(nil)
				a, c := register(t, b, "Notes"), register(t, b, "C")
				subscribed(t, c)
				publish := publisher(t, b, a, c)
				for range 4096 { // the queues grow to their working size
					publish()
				}
				require.NoError(t, c.Flush(ctx))
				// A batch, so that starting the consumer's goroutine counts once at most.
				const batch = 500
				got := testing.AllocsPerRun(20, func() {
					for range batch {
						publish()
					}
				})
				assert.Less(t, got/batch, 0.05)
				require.NoError(t, b.Close(ctx))
			})
		}
	}
	command := bus.NewCommand[*note, *note]("Notes.echo", "")
	commands := map[string]func(t *testing.T, c *bus.Client) func(){
		"by name": func(_ *testing.T, c *bus.Client) func() {
			return func() { _, _ = c.Call(ctx, "Notes.echo", pointer) }
		},
		"bound": func(t *testing.T, c *bus.Client) func() {
			k := caller(t, c, command)
			return func() { _, _ = k.Call(ctx, pointer) }
		},
	}
	for how, call := range commands {
		t.Run("command "+how, func(t *testing.T) {
			b := bus.New(nil)
			a, c := readyClient(t, b, "Notes"), register(t, b, "C")
			require.NoError(t, bus.Handle(a, command, func(_ context.Context, in *note) (*note, error) { return in, nil }))
			assert.Zero(t, testing.AllocsPerRun(100, call(t, c)))
		})
	}
	_ = sum
}
