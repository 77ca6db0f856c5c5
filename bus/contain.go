package bus

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

// contain runs f and turns a panic into an error with the stack.
func contain(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = ErrPanic.because("", fmt.Errorf("%v\n%s", p, debug.Stack()), "")
		}
	}()
	return f()
}

// runApart is contain for code that may end its goroutine with runtime.Goexit: it runs in one of its own, and runApart
// waits for it.
func runApart(what string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		var err error = ErrPanic.with("", what+" ended its goroutine") // unless contain returns
		defer func() { done <- err }()
		err = contain(f)
	}()
	return <-done
}

// A task is code of the program that the bus runs and waits for, besides handlers: the Stop of a plugin, or the loader.
// What is asked for from inside a task must not wait for it. The context that the task gets says so.
type task struct {
	stop  *Client  // whose Stop it is, or nil
	load  *loading // or else the run of the loader
	outer *task
}

type taskKey struct{}

// within returns the context for a task.
func (t task) within(ctx context.Context) context.Context {
	t.outer = taskOf(ctx)
	return context.WithValue(ctx, taskKey{}, &t)
}

// taskOf returns the innermost task that ctx is inside of, or nil.
func taskOf(ctx context.Context) *task {
	t, _ := ctx.Value(taskKey{}).(*task)
	return t
}

// Endless recursion. Handlers that call each other in a circle would use up the stack, which ends the process: Go gives
// a goroutine a gigabyte. A circle shows in the number of calls that have begun and not ended, which is counted anyway.
// Whenever that passes a multiple of lookEach, somebody looks at the stack, which takes time in proportion to its depth.
const (
	lookEach  = 8192    // a power of two
	deepStack = 600_000 // frames: a hundred thousand calls, one inside the other
)

// mustLook reports whether it is time to look at the stack, n calls having begun and not ended.
func mustLook[N int32 | int64](n N) bool { return n&(lookEach-1) == 0 }

// tooDeep reports whether the stack of this goroutine has more than deepStack frames.
func tooDeep() bool {
	var pc [1]uintptr
	return runtime.Callers(deepStack, pc[:]) > 0
}
