package eventbus_test

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/asaskevich/EventBus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// side is one of the two buses that a script runs on.
type side struct {
	eb    EventBus.Bus
	funcs map[string]any

	mu    sync.Mutex
	calls map[string][]string // by function
}

// newSide makes the functions of a script. Each is a literal of its own: the
// original tells functions apart by their code.
func newSide(eb EventBus.Bus) *side {
	s := &side{eb: eb, calls: map[string][]string{}}
	note := func(name string, args ...any) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.calls[name] = append(s.calls[name], fmt.Sprintf("%v", args))
	}
	s.funcs = map[string]any{
		"none/0": func() { note("none/0") },
		"none/1": func() { note("none/1") },
		"none/2": func(args ...any) { note("none/2", args...) },
		"none/3": func() error { note("none/3"); return nil },
		"int/0":  func(n int) { note("int/0", n) },
		"int/1":  func(v any) { note("int/1", v) },
		"int/2":  func(n int) int { note("int/2", n); return n },
		"int/3":  func(n int, more ...string) { note("int/3", n, more) },
		"pair/0": func(a string, b any) { note("pair/0", a, b) },
		"pair/1": func(a, b any) { note("pair/1", a, b) },
		"pair/2": func(a string, b error) { note("pair/2", a, b) },
		"pair/3": func(a string, b error) bool { note("pair/3", a, b); return true },
	}
	return s
}

func (s *side) subscribe(topic, fn, mode string) error {
	switch mode {
	case "once":
		return s.eb.SubscribeOnce(topic, s.funcs[fn])
	case "onceAsync":
		return s.eb.SubscribeOnceAsync(topic, s.funcs[fn])
	case "async":
		return s.eb.SubscribeAsync(topic, s.funcs[fn], false)
	case "transactional":
		return s.eb.SubscribeAsync(topic, s.funcs[fn], true)
	}
	return s.eb.Subscribe(topic, s.funcs[fn])
}

func (s *side) seen() map[string][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls)
}

// TestOracle runs random scripts on the original and here. They leave out what
// the original does wrong, see wrong_test.go: two once subscriptions on a topic,
// closures of one literal, re-entry, order without transactional, and arguments
// that do not fit.
func TestOracle(t *testing.T) {
	topics := []string{"none", "int", "pair"}
	rapid.Check(t, func(rt *rapid.T) {
		_, _, eb, _ := open(t)
		ours, theirs := newSide(eb), newSide(EventBus.New())
		once := map[string]bool{}      // topics with a once subscription
		async := map[string]bool{}     // functions subscribed asynchronously
		unordered := map[string]bool{} // topics with an async subscription that is not transactional
		both := func(do func(s *side) any) {
			require.Equal(rt, do(theirs), do(ours))
		}
		topic := rapid.SampledFrom(topics)
		number := rapid.IntRange(0, 3)
		publish := func(topic string, rt *rapid.T) {
			var args []any
			switch topic {
			case "int":
				args = []any{rapid.IntRange(-5, 5).Draw(rt, "n")}
			case "pair":
				args = []any{rapid.SampledFrom([]any{"a", "b", nil}).Draw(rt, "a"), rapid.SampledFrom([]any{fmt.Errorf("e"), nil}).Draw(rt, "b")}
			}
			both(func(s *side) any { s.eb.Publish(topic, args...); return nil })
			once[topic] = false
		}
		rt.Repeat(map[string]func(*rapid.T){
			"subscribe": func(rt *rapid.T) {
				topic := topic.Draw(rt, "topic")
				fn := fmt.Sprintf("%s/%d", topic, number.Draw(rt, "fn"))
				mode := rapid.SampledFrom([]string{"sync", "once", "onceAsync", "async", "transactional"}).Draw(rt, "mode")
				isOnce := mode == "once" || mode == "onceAsync"
				isAsync := mode != "sync" && mode != "once"
				if isOnce && once[topic] || isAsync && async[fn] {
					return
				}
				once[topic] = once[topic] || isOnce
				async[fn] = async[fn] || isAsync
				unordered[topic] = unordered[topic] || mode == "async"
				both(func(s *side) any { return s.subscribe(topic, fn, mode) == nil })
			},
			"unsubscribe": func(rt *rapid.T) {
				topic := topic.Draw(rt, "topic")
				fn := fmt.Sprintf("%s/%d", topic, number.Draw(rt, "fn"))
				both(func(s *side) any { return s.eb.Unsubscribe(topic, s.funcs[fn]) == nil })
			},
			"publish": func(rt *rapid.T) {
				topic := topic.Draw(rt, "topic")
				n := rapid.IntRange(1, 4).Draw(rt, "times")
				if unordered[topic] {
					n = 1
				}
				for range n {
					publish(topic, rt)
				}
				both(func(s *side) any { s.eb.WaitAsync(); return nil })
			},
			"": func(rt *rapid.T) {
				for _, topic := range topics {
					both(func(s *side) any { return s.eb.HasCallback(topic) })
				}
				want, got := theirs.seen(), ours.seen()
				for name := range theirs.funcs {
					if async[name] { // may be subscribed synchronously, too: no order between the two
						want[name], got[name] = sorted(want[name]), sorted(got[name])
					}
					require.Equal(rt, want[name], got[name], name)
				}
			},
		})
		assert.Zero(rt, eb.Failures())
	})
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }
