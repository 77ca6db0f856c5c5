package config_test

import (
	"context"
	"fmt"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/bus/busconfig"
	"github.com/cxbus/cxbus/plugins/config"
)

// A lamp takes its section when it starts, and again when the file has changed and Config.reload is called.
func Example() {
	ctx := context.Background()
	file := "lampA: {size: 3}"
	cfg, err := config.New(func() (*busconfig.Config, error) {
		return busconfig.Load(&busconfig.Options{File: "lamps.yaml", Data: []byte(file), Environ: []string{}}) // without Data it reads the file
	}, config.Section{Name: "lampA", Configure: "A.configure", Defaults: func() any { return &settings{Size: 1} }})
	if err != nil {
		fmt.Println(err)
		return
	}
	b := bus.New(&bus.Options{Configure: cfg.Configure})
	defer b.Close(ctx)
	a := &lamp{ns: "A"}
	fmt.Println(b.Start(ctx, cfg, a), a.is.Size)
	app, _ := b.Register("App")

	file = "lampA: {size: 5}"
	result, err := config.Reload.Call(ctx, app, struct{}{})
	fmt.Println(result, err, a.is.Size)
	file = "lampA: {size: 50}" // a file that has turned bad changes nothing
	_, err = config.Reload.Call(ctx, app, struct{}{})
	fmt.Println(err != nil, a.is.Size)
	// Output:
	// <nil> 3
	// {[lampA]} <nil> 5
	// true 5
}
