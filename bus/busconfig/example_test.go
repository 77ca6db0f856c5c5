package busconfig_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/cxbus/cxbus/bus/busconfig"
)

// The options of a plugin are a struct. Its tags name and limit them; what it
// holds before are the defaults.
func Example() {
	type Config struct {
		Greeting string        `json:"greeting" doc:"first line"`
		Pause    time.Duration `json:"pause" unit:"ms" min:"0" max:"60000" doc:"before an answer"`
		Loud     bool          `json:"loud"`
	}

	cfg, err := busconfig.Load(&busconfig.Options{
		File:    "echo.yaml",
		Data:    []byte("echo:\n  pause: 250\n"),  // leave out to read the file
		Environ: []string{"CXBUS_ECHO_LOUD=true"}, // leave out for the process's own
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mine := Config{Greeting: "Hello", Pause: time.Second}
	err = errors.Join(
		cfg.Section("echo").Decode(&mine),
		cfg.CheckUnknown("echo", "webchat"),
	)
	fmt.Printf("%+v %v\n", mine, err)
	// Output: {Greeting:Hello Pause:250ms Loud:true} <nil>
}

// All that is wrong is reported at once, each with its place and what mends it.
func ExampleSection_Decode() {
	type Config struct {
		Greeting string `json:"greeting"`
		Pause    int    `json:"pause" unit:"ms" min:"0" max:"60000"`
	}
	cfg, err := busconfig.Load(&busconfig.Options{
		File:    "echo.yaml",
		Data:    []byte("echo:\n  greting: Hi\n  pause: 90000\n"),
		Environ: []string{},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	var mine Config
	err = cfg.Section("echo").Decode(&mine)
	fmt.Println(err)
	fmt.Println(errors.Is(err, busconfig.ErrUnknown), errors.Is(err, busconfig.ErrRange))
	// Output:
	// echo.yaml:2: echo.greting: unknown option; did you mean echo.greeting?
	// echo.yaml:3: echo.pause: 90000 is out of range; want a whole number of ms, 0 to 60000
	// true true
}
