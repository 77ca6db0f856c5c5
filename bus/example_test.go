package bus_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/cxbus/cxbus/bus"
)

// What a plugin offers is described once, in package variables.
var (
	AddItem   = bus.NewCommand[Item, int]("Basket.add", "Adds an item and gives the number of items.")
	ItemAdded = bus.NewEvent[Item]("Basket.added", "An item was added.")
	Total     = bus.NewEvent[int]("Basket.total", "The price of all items in cents (retained).")
)

// Item is the input of AddItem and the payload of ItemAdded.
type Item struct {
	Name  string `json:"name"`
	Cents int    `json:"cents"`
}

// Basket is a plugin. Commands may overlap each other, so what they share is
// guarded by a mutex.
type Basket struct {
	added *bus.Publisher[Item]
	total *bus.Publisher[int]

	mu    sync.Mutex // guards items
	items []Item
}

func (b *Basket) Namespace() string { return "Basket" }

func (b *Basket) Start(_ context.Context, c *bus.Client) (err error) {
	if b.added, err = ItemAdded.Bind(c); err != nil {
		return err
	}
	if b.total, err = Total.Bind(c); err != nil {
		return err
	}
	return bus.Handle(c, AddItem, b.add)
}

func (b *Basket) add(ctx context.Context, in Item) (int, error) {
	if in.Name == "" {
		return 0, &bus.Error{Code: "basket.no-name", Text: "an item needs a name"}
	}
	b.mu.Lock()
	b.items = append(b.items, in)
	n, sum := len(b.items), 0
	for _, item := range b.items {
		sum += item.Cents
	}
	b.mu.Unlock() // unlock, then call out
	if err := b.added.Publish(ctx, in); err != nil {
		return n, err
	}
	return n, b.total.Republish(ctx, sum)
}

var _ bus.Plugin = (*Basket)(nil)

// A whole plugin: a typed command, typed events, and state that they share.
func Example() {
	ctx := context.Background()
	b := bus.New(nil)
	if err := b.Start(ctx, &Basket{}); err != nil {
		fmt.Println(err)
		return
	}
	shop, _ := b.Register("Shop")
	_, err := bus.Subscribe(shop, ItemAdded, func(_ context.Context, e bus.Event[Item]) {
		fmt.Printf("%s: %s for %d\n", e.Name(), e.Data.Name, e.Data.Cents)
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	add, _ := AddItem.Bind(shop)
	for _, item := range []Item{{"tea", 350}, {"cup", 1200}, {"", 1}} {
		n, err := add.Call(ctx, item)
		if errors.Is(err, &bus.Error{Code: "basket.no-name"}) {
			fmt.Println("refused:", err)
			continue
		}
		_ = shop.Flush(ctx) // until the subscriber has printed
		fmt.Println("items:", n)
	}
	if err := b.Close(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// Basket.added: tea for 350
	// items: 1
	// Basket.added: cup for 1200
	// items: 2
	// refused: an item needs a name
}

// The same plugin by name, as a tool would use it that learns names and values
// at run time.
func ExampleClient_Call() {
	ctx := context.Background()
	b := bus.New(nil)
	_ = b.Start(ctx, &Basket{})
	tool, _ := b.Register("Tool")
	_, _ = tool.Subscribe("Basket.*", func(_ context.Context, e bus.Event[any]) {
		fmt.Printf("%s %v\n", e.Name(), e.Data)
	}, bus.Inline())
	out, err := tool.Call(ctx, "Basket.add", map[string]any{"name": "tea", "cents": 350})
	fmt.Println(out, err)
	_, err = tool.Call(ctx, "Basket.add", map[string]any{"nmae": "tea"})
	fmt.Println(errors.Is(err, bus.ErrWrongType))
	_, err = tool.Call(ctx, "Basket.ad", nil)
	fmt.Println(err)
	for _, k := range tool.Registry()["Basket"].Commands {
		if k.Doc != "" {
			fmt.Println(k.Name, "takes", k.In, "-", k.Doc)
		}
	}
	// Output:
	// Basket.ready {}
	// Basket.added {tea 350}
	// Basket.total 350
	// 1 <nil>
	// true
	// call Basket.ad: Command does not exist (did you mean Basket.add?)
	// Basket.add takes bus_test.Item - Adds an item and gives the number of items.
}

// A command that takes its time: the caller goes on and follows it.
func ExampleHandleAsync() {
	ctx := context.Background()
	b := bus.New(nil)
	c, _ := b.Register("Files")
	upload := bus.NewCommand[[]string, int]("Files.upload", "Sends files one after the other.")
	err := bus.HandleAsync(c, upload, func(ctx context.Context, files []string, d *bus.Deferred[int]) {
		go func() { // an async handler must not block
			for _, name := range files {
				if ctx.Err() != nil {
					d.Reject(context.Cause(ctx))
					return
				}
				d.Notify("sent " + name)
			}
			d.Resolve(len(files))
		}()
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	c.Ready()
	caller, _ := upload.Bind(c)
	future := caller.Go(ctx, []string{"a.txt", "b.txt"})
	for note := range future.Progress(ctx) {
		fmt.Println(note)
	}
	n, err := future.Result(ctx)
	fmt.Println(n, err)
	// Output:
	// sent a.txt
	// sent b.txt
	// 2 <nil>
}

// Who subscribes late is told the state that was republished.
func ExamplePublisher_Republish() {
	ctx := context.Background()
	b := bus.New(nil)
	c, _ := b.Register("Weather")
	temperature, _ := bus.NewEvent[int]("Weather.temperature", "Degrees (retained).").Bind(c)
	_ = temperature.Republish(ctx, 20)
	_ = temperature.Republish(ctx, 21)
	late, _ := b.Register("Late")
	_, _ = late.Subscribe("Weather.temperature", func(_ context.Context, e bus.Event[any]) {
		fmt.Println(e.Data, "retained:", e.Retained(), "revision:", e.Revision())
	}, bus.Inline())
	_ = temperature.Republish(ctx, 22)
	// Output:
	// 21 retained: true revision: 2
	// 22 retained: false revision: 3
}

// One function call waits for the answer that comes as an event.
func ExampleClient_WaitFor() {
	ctx := context.Background()
	b := bus.New(nil)
	c, _ := b.Register("Door")
	go func() {
		for _, state := range []string{"opening", "open"} {
			_ = c.Republish(ctx, "state", state)
		}
	}()
	e, err := c.WaitFor(ctx, "Door.state", func(e bus.Event[any]) bool { return e.Data == "open" })
	fmt.Println(e.Data, err)
	// Output: open <nil>
}

// A mistyped name is an error that knows better.
func ExampleError() {
	b := bus.New(nil)
	_ = b.Start(context.Background(), &Basket{})
	c, _ := b.Register("Shop")
	_, err := c.Call(context.Background(), "basket.add", nil)
	var e *bus.Error
	if errors.As(err, &e) {
		fmt.Println(e.Code, "|", e.Text, "|", e.Hint)
	}
	fmt.Println(slices.Sorted(maps.Keys(c.Registry())))
	fmt.Fprintln(os.Stdout, errors.Is(err, bus.ErrUnknownPlugin))
	// Output:
	// unknown-plugin | plugin is not registered | did you mean Basket?
	// [Basket Shop]
	// true
}
