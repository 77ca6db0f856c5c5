package oteltap_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/bus/oteltap"
)

var (
	prepare = bus.NewCommand[string, string]("Kitchen.make", "Makes a dish.")
	heat    = bus.NewCommand[struct{}, struct{}]("Stove.heat", "Heats the stove.")
	served  = bus.NewEvent[string]("Kitchen.served", "A dish is served.")
)

// kitchen sets up two plugins of which one calls the other.
func kitchen(b *bus.Bus) (*bus.Client, error) {
	stove, err := b.Register("Stove")
	if err != nil {
		return nil, err
	}
	c, err := b.Register("Kitchen")
	if err != nil {
		return nil, err
	}
	pub, err := served.Bind(c)
	if err != nil {
		return nil, err
	}
	warm, err := heat.Bind(c)
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		bus.Handle(stove, heat, func(context.Context, struct{}) (none struct{}, err error) { return none, nil }),
		bus.Handle(c, prepare, func(ctx context.Context, dish string) (string, error) {
			if dish == "" {
				return "", &bus.Error{Code: "kitchen.no-dish", Text: "no dish named"}
			}
			if _, err := warm.Call(ctx, struct{}{}); err != nil {
				return "", err
			}
			return "hot " + dish, pub.Publish(ctx, dish)
		}),
	)
	stove.Ready()
	c.Ready()
	return c, err
}

// An OpenTelemetry tracer on a bus: the spans of one command that calls another
// and publishes an event.
func Example() {
	spans := tracetest.NewSpanRecorder()
	provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(spans))

	b := bus.New(nil)
	if _, err := kitchen(b); err != nil {
		fmt.Println(err)
		return
	}
	app, _ := b.Register("App")
	if _, err := oteltap.Start(app, provider.Tracer("cxbus")); err != nil {
		fmt.Println(err)
		return
	}
	dish, err := app.Call(context.Background(), "Kitchen.make", "soup")
	fmt.Println(dish, err)
	_ = b.Close(context.Background()) // waits for the tap, too

	for _, s := range spans.Ended() {
		fmt.Println(s.Name(), "in another span:", s.Parent().IsValid())
		for _, e := range s.Events() {
			fmt.Println(" ", e.Name)
		}
	}
	// Output:
	// hot soup <nil>
	// Stove.heat in another span: true
	// Kitchen.make in another span: false
	//   Kitchen.served
}

func TestAFailureIsTheSpansStatus(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(spans))
	b := bus.New(nil)
	c, err := kitchen(b)
	require.NoError(t, err)
	app, err := b.Register("App")
	require.NoError(t, err)
	_, err = oteltap.Start(app, provider.Tracer("cxbus"))
	require.NoError(t, err)
	_, err = app.Call(t.Context(), "Kitchen.make", "")
	require.Error(t, err)
	require.NoError(t, c.Publish(t.Context(), "served", "bread"))
	require.NoError(t, b.Close(t.Context()))

	ended := spans.Ended()
	require.Len(t, ended, 2)
	assert.Equal(t, codes.Error, ended[0].Status().Code)
	assert.Contains(t, ended[0].Status().Description, "no dish named")
	assert.Equal(t, "Kitchen.served", ended[1].Name(), "an event outside of any command is a span of its own")
}

// Spans continue the trace of the program, and that of what came over a link.
func TestSpansContinueATrace(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(spans))
	b := bus.New(&bus.Options{Trace: oteltap.Trace})
	c, err := kitchen(b)
	require.NoError(t, err)
	app, err := b.Register("App")
	require.NoError(t, err)
	_, err = oteltap.Start(app, provider.Tracer("cxbus"))
	require.NoError(t, err)
	ctx, outer := provider.Tracer("program").Start(t.Context(), "outer")
	_, err = app.Call(ctx, "Stove.heat", nil)
	require.NoError(t, err)
	parent, _ := oteltap.Trace(ctx)
	require.NotEmpty(t, parent)
	const far = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	_, err = app.Call(bus.Envelope{TraceParent: far}.Context(t.Context()), "Kitchen.make", "soup")
	require.NoError(t, err)
	require.NoError(t, c.Publish(ctx, "served", "bread"))
	require.NoError(t, b.Close(t.Context()))
	outer.End()

	ended := spans.Ended()
	require.Len(t, ended, 5)
	within := outer.SpanContext().SpanID().String()
	for i, want := range []struct{ name, trace, parent string }{
		{"Stove.heat", outer.SpanContext().TraceID().String(), within},
		{"Stove.heat", far[3:35], ended[2].SpanContext().SpanID().String()},
		{"Kitchen.make", far[3:35], "b7ad6b7169203331"},
		{"Kitchen.served", outer.SpanContext().TraceID().String(), within},
	} {
		assert.Equal(t, want.name, ended[i].Name())
		assert.Equal(t, want.trace, ended[i].SpanContext().TraceID().String(), want.name)
		assert.Equal(t, want.parent, ended[i].Parent().SpanID().String(), want.name)
	}
}
