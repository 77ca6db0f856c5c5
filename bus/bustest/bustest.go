// Package bustest is for tests of plugins. [New] makes a bus that ends with its test, [Record] writes down its events, and
// [Recorder.Expect] checks them.
//
//	b := bustest.New(t)
//	rec := bustest.Record(t, b)              // before the plugins under test
//	require.NoError(t, b.Start(t.Context(), plugin))
//	...
//	rec.Expect("Chat.started", "Chat.message*", bustest.Where(Ended, func(v EndedData) bool {
//		return v.Reason == "bye"
//	}))
//	rec.ExpectNone(time.Second, "Chat.error")
//
// # Promises
//
// Time. Waits use the package time alone, so all of this works under the fake
// clock of [testing/synctest], if New and Record are called inside the bubble
// with the bubble's t: there an hour takes a millisecond, and an expectation
// that fails does so as soon as everything in the bubble is blocked.
//
// Order. A recorder writes the events of one publisher down in the order they
// were published. One that was made before the plugins it watches never writes
// an effect down before its cause.
//
// The end. New closes its bus when the test ends and fails the test if
// something of it is still running after [CloseTimeout].
package bustest

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/cxbus/cxbus/bus"
)

// CloseTimeout is how long a bus made by [New] may take to close.
const CloseTimeout = 10 * time.Second

// New returns a bus for one test. It logs to the test's output. When the test
// ends it is closed, before the clean-up functions that were registered earlier
// run; the test fails if a plugin's Stop fails or handlers still run after
// [CloseTimeout]. A test may close the bus itself.
func New(t testing.TB) *bus.Bus {
	t.Helper()
	return NewWith(t, nil)
}

// NewWith is [New] for a bus with settings. opts is not changed; a Logger in it
// is kept.
func NewWith(t testing.TB, opts *bus.Options) *bus.Bus {
	t.Helper()
	var o bus.Options
	if opts != nil {
		o = *opts
	}
	out := &output{w: t.Output()}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	b := bus.New(&o)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), CloseTimeout)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Errorf("bustest: the bus did not close: %v", err)
		}
		out.shut()
	})
	return b
}

// output is the test's output for as long as the test runs. A handler that
// outlives the test may still log, which the test would answer with a panic.
type output struct {
	mu sync.Mutex // guards w
	w  io.Writer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.w == nil {
		return len(p), nil
	}
	return o.w.Write(p)
}

func (o *output) shut() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.w = nil
}
