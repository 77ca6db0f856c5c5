package eventbus_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asaskevich/EventBus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/bus/eventbus"
)

// Where the original is wrong. What hangs it or ends its process runs in a
// process of its own: this test binary with scenarioVar set.

const scenarioVar = "EVENTBUS_SCENARIO"

func TestMain(m *testing.M) {
	name := os.Getenv(scenarioVar)
	if name == "" {
		os.Exit(m.Run())
	}
	eb := EventBus.New()
	if name[:4] == "ours" {
		c, err := bus.New(nil).Register("Legacy")
		if err != nil {
			panic(err)
		}
		eb = eventbus.New(c)
	}
	switch name[5:] {
	case "reentry":
		_ = eb.Subscribe("t", func() { eb.Publish("u") })
	case "panic":
		_ = eb.SubscribeAsync("t", func() { panic("on purpose") }, true)
	}
	eb.Publish("t")
	eb.WaitAsync()
	fmt.Println("survived")
}

// run runs a scenario on the original or on ours, and reports whether it came
// through within the time given; 0 is as long as it takes.
func run(t *testing.T, scenario string, limit time.Duration) (survived bool, output string) {
	t.Helper()
	ctx := t.Context()
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), scenarioVar+"="+scenario)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return err == nil && bytes.Contains(out.Bytes(), []byte("survived")), out.String()
}

func TestWrongDeadlockOnReentry(t *testing.T) {
	ok, _ := run(t, "orig/reentry", time.Second)
	assert.False(t, ok, "the original holds its lock while handlers run")
	ok, out := run(t, "ours/reentry", 0)
	assert.True(t, ok, out)

	_, _, eb, _ := open(t)
	depth := 0
	require.NoError(t, eb.Subscribe("t", func() {
		if depth++; depth == 1 {
			assert.NoError(t, eb.Subscribe("u", func() {}))
			assert.True(t, eb.HasCallback("u"))
			eb.Publish("t")
			eb.WaitAsync()
		}
	}))
	eb.Publish("t")
	assert.Equal(t, 2, depth)
}

func TestWrongPanicKillsTheProcess(t *testing.T) {
	ok, out := run(t, "orig/panic", 0)
	assert.False(t, ok, "a panic in an asynchronous handler of the original ends the process")
	assert.Contains(t, out, "on purpose")
	ok, out = run(t, "ours/panic", 0)
	assert.True(t, ok, out)

	_, _, eb, log := open(t)
	var got []int
	require.NoError(t, eb.Subscribe("t", func(int) { panic("sync") }))
	require.NoError(t, eb.SubscribeAsync("t", func(int) { panic("async") }, false))
	require.NoError(t, eb.Subscribe("t", func(n int) { got = append(got, n) }))
	for i := range 3 {
		require.NoError(t, eb.PublishErr(t.Context(), "t", i))
	}
	eb.WaitAsync()
	assert.Equal(t, []int{0, 1, 2}, got)
	assert.Contains(t, log.String(), "panic=async")
	assert.Contains(t, log.String(), "wrong_test.go", "the stack")
}

func TestWrongClosureRemoved(t *testing.T) {
	_, _, ours, _ := open(t)
	last := func(eb EventBus.Bus) []int {
		var got []int
		one, two := adds(&got, 1), adds(&got, 2)
		require.NoError(t, eb.Subscribe("t", one))
		require.NoError(t, eb.Subscribe("t", two))
		require.NoError(t, eb.Unsubscribe("t", two))
		eb.Publish("t")
		return got
	}
	assert.Equal(t, []int{2}, last(EventBus.New()), "the original removes the first with the same code")
	assert.Equal(t, []int{1}, last(ours))
}

func TestWrongTwoSubscribeOnce(t *testing.T) {
	_, _, ours, _ := open(t)
	calls := func(eb EventBus.Bus) []int {
		var got []int
		require.NoError(t, eb.SubscribeOnce("t", func() { got = append(got, 1) }))
		require.NoError(t, eb.SubscribeOnce("t", func() { got = append(got, 2) }))
		require.NoError(t, eb.Subscribe("t", func() { got = append(got, 3) }))
		for range 3 {
			eb.Publish("t")
		}
		return got
	}
	assert.NotEqual(t, []int{1, 2, 3, 3, 3}, calls(EventBus.New()), "the original removes by an index that has moved")
	assert.Equal(t, []int{1, 2, 3, 3, 3}, calls(ours))
}

func TestWrongUnorderedAsync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, ours, _ := open(t)
		order := func(eb EventBus.Bus) []int {
			var mu sync.Mutex
			var got []int
			require.NoError(t, eb.SubscribeAsync("t", func(n int) {
				time.Sleep(time.Duration(3-n) * time.Second) // the first takes longest
				mu.Lock()
				defer mu.Unlock()
				got = append(got, n)
			}, false))
			for n := range 3 {
				eb.Publish("t", n)
			}
			eb.WaitAsync()
			return got
		}
		assert.Equal(t, []int{2, 1, 0}, order(EventBus.New()), "the original starts a goroutine for each event")
		assert.Equal(t, []int{0, 1, 2}, order(ours))
	})
}

func TestWrongPublisherPanics(t *testing.T) {
	_, _, ours, _ := open(t)
	publish := func(eb EventBus.Bus) func() {
		require.NoError(t, eb.Subscribe("t", func(string) {}))
		return func() { eb.Publish("t", 1) }
	}
	assert.Panics(t, publish(EventBus.New()), "arguments that do not fit panic in the publisher")
	assert.NotPanics(t, publish(ours))
	assert.Equal(t, uint64(1), ours.Failures())
}

func TestWrongNilForVariadic(t *testing.T) {
	_, _, ours, _ := open(t)
	var got []any
	publish := func(eb EventBus.Bus) func() {
		require.NoError(t, eb.Subscribe("t", func(args ...any) { got = args }))
		return func() { eb.Publish("t", 1, nil) }
	}
	assert.Panics(t, publish(EventBus.New()), "a nil for a variadic parameter panics in the publisher")
	assert.NotPanics(t, publish(ours))
	assert.Equal(t, []any{1, nil}, got)
}
