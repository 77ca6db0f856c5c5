package eventbus_test

import (
	"context"
	"fmt"

	"github.com/asaskevich/EventBus"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/bus/eventbus"
)

func Example() {
	b := bus.New(nil)
	c, err := b.Register("Legacy")
	if err != nil {
		fmt.Println(err)
		return
	}
	eb := eventbus.New(c) // was: EventBus.New()

	_ = eb.Subscribe("calculator:add", func(x, y int) { fmt.Println(x + y) })
	eb.Publish("calculator:add", 20, 40)

	// What is new: plugins see the topic as an event.
	audit, err := b.Register("Audit")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, _ = audit.Subscribe("Legacy.*", func(_ context.Context, e bus.Event[any]) { fmt.Println(e.Name(), e.Data) })
	eb.Publish("calculator:add", 1, 2)

	fmt.Println(b.Close(context.Background()))
	// Unordered output:
	// 60
	// 3
	// Legacy.calculator:add [1 2]
	// <nil>
}

func ExampleBus_PublishErr() {
	c, err := bus.New(nil).Register("Legacy")
	if err != nil {
		fmt.Println(err)
		return
	}
	eb := eventbus.Wrap(c)
	_ = eb.Subscribe("greet", func(name string) { fmt.Println("hello", name) })
	err = eb.PublishErr(context.Background(), "greet", "Ada")
	fmt.Println(err)
	err = eb.PublishErr(context.Background(), "greet", 36)
	fmt.Println(err != nil)
	// Output:
	// hello Ada
	// <nil>
	// true
}

func ExampleBridge() {
	b := bus.New(nil)
	c, err := b.Register("Legacy")
	if err != nil {
		fmt.Println(err)
		return
	}
	real := EventBus.New() // stays as it is
	_ = real.Subscribe("order", func(id int) { fmt.Println("EventBus has", id) })
	link, err := eventbus.Bridge(c, real, "order")
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = c.Publish(context.Background(), "order", 7)
	fmt.Println(c.Flush(context.Background()), link.Close(context.Background()))
	// Output:
	// EventBus has 7
	// <nil> <nil>
}
