package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// silence is how long the run may print nothing before the watch says what
// it is doing.
const silence = 10 * time.Second

// watch knows which tests run, and says so when nothing has been printed for a
// while. Its methods are safe for concurrent use.
type watch struct {
	out io.Writer // where the watch speaks

	mu      sync.Mutex // guards what follows, and each write
	start   time.Time
	printed time.Time            // when anything was last printed
	running map[string]time.Time // packages and tests that run, since when
	stop    chan struct{}
	done    sync.WaitGroup
}

// newWatch starts a watch. The caller ends it with close.
func newWatch(out io.Writer) *watch {
	now := time.Now()
	w := &watch{out: out, start: now, printed: now, running: map[string]time.Time{}, stop: make(chan struct{})}
	w.done.Go(func() {
		tick := time.NewTicker(silence / 10)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				w.speak()
			case <-w.stop:
				return
			}
		}
	})
	return w
}

func (w *watch) close() {
	close(w.stop)
	w.done.Wait()
}

// see notes what an event says of the tests that run.
func (w *watch) see(e event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := strings.TrimSpace(e.Package + " " + e.Test)
	switch e.Action {
	case "start", "run", "cont":
		w.running[name] = time.Now()
	case "pass", "fail", "skip", "pause":
		delete(w.running, name)
	}
}

// speak prints one line if nothing was printed for too long.
func (w *watch) speak() {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if now.Sub(w.printed) < silence {
		return
	}
	w.printed = now
	fmt.Fprintf(w.out, "suite: %s so far; %s\n", now.Sub(w.start).Round(time.Second), w.doing(now))
}

// doing names at most three tests, those that have run the longest first. A
// package or a test that only waits for a test inside it is left out.
func (w *watch) doing(now time.Time) string {
	var names []string
	for name := range w.running {
		inside := false
		for other := range w.running {
			inside = inside || strings.HasPrefix(other, name+" ") || strings.HasPrefix(other, name+"/") && strings.Contains(name, " ")
		}
		if !inside {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "compiling tests"
	}
	slices.SortFunc(names, func(a, b string) int {
		if c := w.running[a].Compare(w.running[b]); c != 0 {
			return c
		}
		return strings.Compare(a, b)
	})
	more := ""
	if n := len(names) - 3; n > 0 {
		names, more = names[:3], fmt.Sprintf(" and %d more", n)
	}
	for i, name := range names {
		names[i] = fmt.Sprintf("%s (%s)", name, now.Sub(w.running[name]).Round(time.Second))
	}
	return "running " + strings.Join(names, ", ") + more
}

// writer returns a writer that passes on to out and tells the watch.
func (w *watch) writer(out io.Writer) io.Writer { return watched{w, out} }

type watched struct {
	w   *watch
	out io.Writer
}

func (o watched) Write(p []byte) (int, error) {
	o.w.mu.Lock()
	defer o.w.mu.Unlock()
	o.w.printed = time.Now()
	return o.out.Write(p)
}
