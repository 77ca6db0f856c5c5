package bus_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cxbus/cxbus/bus"
)

// model is the bus as one thread would do it: lists and loops, nothing else.
type model struct {
	plugins  []string // registered, in order
	commands map[string]bool
	subs     []*modelSub
	retained map[string]int
	seen     []string // calls of inline handlers
	boxes    map[string][]string
	closed   bool
}

type modelSub struct {
	id      int
	owner   string
	pattern string
	inline  bool
}

func (m *model) fits(pattern, name string) bool {
	p, n := strings.Split(pattern, "."), strings.Split(name, ".")
	if pattern == "*" {
		return true
	}
	for i, part := range p {
		switch {
		case part == "*" && i == len(p)-1 && i > 0:
			return len(n) > i
		case i >= len(n) || part != n[i] && (part != "*" || i > 0):
			return false
		}
	}
	return len(n) == len(p)
}

func (m *model) deliver(s *modelSub, name string, v int, replay bool) {
	line := fmt.Sprintf("%d:%s=%d,%v", s.id, name, v, replay)
	if s.inline {
		m.seen = append(m.seen, line)
	} else {
		m.boxes[s.owner] = append(m.boxes[s.owner], line)
	}
}

func (m *model) subscribe(s *modelSub) string {
	if m.closed {
		return "closed"
	}
	m.subs = append(m.subs, s)
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for n := range m.retained {
			if !yield(n) {
				return
			}
		}
	}) {
		if m.fits(s.pattern, name) {
			m.deliver(s, name, m.retained[name], true)
		}
	}
	return ""
}

func (m *model) unsubscribe(id int) {
	m.subs = slices.DeleteFunc(m.subs, func(s *modelSub) bool { return s.id == id })
}

func (m *model) publish(name string, v int, retain bool) string {
	if m.closed {
		return "closed"
	}
	if retain {
		m.retained[name] = v
	}
	for _, s := range m.subs {
		if m.fits(s.pattern, name) {
			m.deliver(s, name, v, false)
		}
	}
	return ""
}

func (m *model) register(ns string) string {
	switch {
	case m.closed:
		return "closed"
	case slices.Contains(m.plugins, ns):
		return "name-taken"
	}
	m.plugins = append(m.plugins, ns)
	return ""
}

func (m *model) handle(name string) string {
	switch {
	case m.closed:
		return "closed"
	case m.commands[name]:
		return "duplicate"
	}
	m.commands[name] = true
	return ""
}

func (m *model) call(name string) string {
	ns, _, _ := strings.Cut(name, ".")
	switch {
	case m.closed:
		return "closed"
	case !slices.Contains(m.plugins, ns):
		return "unknown-plugin"
	case !m.commands[name]:
		return "unknown-command"
	}
	return ""
}

// code is what the model knows of an error.
func code(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := err.(*bus.Error); ok {
		return string(e.Code)
	}
	return err.Error()
}

// TestModel: a random script of subscribe, unsubscribe, publish, republish,
// clear, call, register, handle and close, by name and by token, ends every
// step with the same error on the bus and on the model; the inline calls are
// the same in the same order, and so are the mailbox calls of each plugin.
func TestModel(t *testing.T) {
	namespaces := []string{"A", "B", "C"}
	members := []string{"x", "y", "x.y"}
	script := []string{ // how often each action is drawn
		"register", "subscribe", "subscribe", "subscribe", "unsubscribe", "publish", "publish", "publish", "publish",
		"publish", "clear", "handle", "call", "close",
	}
	rapid.Check(t, func(t *rapid.T) {
		b := bus.New(nil)
		m := &model{commands: map[string]bool{}, retained: map[string]int{}, boxes: map[string][]string{}}
		clients := map[string]*bus.Client{}
		tokens := map[string]*bus.Publisher[int]{}
		handles := map[int]*bus.Subscription{}
		var seen list[string]
		boxes := map[string]*list[string]{}
		same := func(what string, got error, want string) {
			if code(got) != want {
				t.Fatalf("%s = %v, the model says %q", what, got, want)
			}
		}
		member := rapid.SampledFrom(members)
		client := func(t *rapid.T) *bus.Client {
			return clients[rapid.SampledFrom(m.plugins).Draw(t, "client")]
		}
		pattern := func(t *rapid.T) string {
			return rapid.SampledFrom([]string{"A.x", "A.y", "A.x.y", "B.x", "B.y", "C.x", "C.x.y", "A.*", "B.*", "*.x", "*.y", "*", "*.*", "A.x.*", "*.x.*"}).Draw(t, "pattern")
		}
		id, value := 0, 0
		actions := map[string]func(*rapid.T){
			"register": func(t *rapid.T) {
				ns := rapid.SampledFrom(namespaces).Draw(t, "namespace")
				c, err := b.Register(ns)
				same("Register", err, m.register(ns))
				if err == nil {
					clients[ns], boxes[ns] = c, &list[string]{}
				}
			},
			"subscribe": func(t *rapid.T) {
				c := client(t)
				id++
				s := &modelSub{id, c.Namespace(), pattern(t), rapid.Bool().Draw(t, "inline")}
				log, opts := boxes[s.owner], []bus.SubscribeOption{}
				if s.inline {
					log, opts = &seen, append(opts, bus.Inline())
				}
				write := func(name string, v any, replay bool) {
					log.add(fmt.Sprintf("%d:%s=%v,%v", s.id, name, v, replay))
				}
				// The replays of a wildcard come in no promised order: one of
				// each, that is all; so a wildcard is not drawn once two are kept.
				if n := len(m.retained); n > 1 && strings.Contains(s.pattern, "*") {
					return
				}
				var h *bus.Subscription
				var err error
				if rapid.Bool().Draw(t, "typed") && !strings.Contains(s.pattern, "*") {
					h, err = bus.Subscribe(c, bus.NewEvent[int](s.pattern, ""), func(_ context.Context, e bus.Event[int]) { write(e.Name(), e.Data, e.Retained()) }, opts...)
				} else {
					h, err = c.Subscribe(s.pattern, func(_ context.Context, e bus.Event[any]) { write(e.Name(), e.Data, e.Retained()) }, opts...)
				}
				same("Subscribe", err, m.subscribe(s))
				handles[id] = h
			},
			"unsubscribe": func(t *rapid.T) {
				if len(m.subs) == 0 {
					return
				}
				s := rapid.SampledFrom(m.subs).Draw(t, "subscription")
				if !m.closed {
					// What is queued would be dropped, and the model has no time.
					if err := clients[s.owner].Flush(context.Background()); err != nil {
						t.Fatal(err)
					}
				}
				if rapid.Bool().Draw(t, "wait") {
					if err := handles[s.id].UnsubscribeWait(context.Background()); err != nil {
						t.Fatal(err)
					}
				}
				handles[s.id].Unsubscribe()
				m.unsubscribe(s.id)
			},
			"publish": func(t *rapid.T) {
				c, name, keep := client(t), member.Draw(t, "event"), rapid.Bool().Draw(t, "retain")
				full := c.Namespace() + "." + name
				value++
				want := m.publish(full, value, keep)
				p := tokens[full]
				if p == nil && !m.closed && rapid.Bool().Draw(t, "bind") {
					var err error
					if p, err = bus.NewEvent[int](full, "").Bind(c); err != nil {
						t.Fatal(err)
					}
					tokens[full] = p
				}
				var err error
				switch {
				case p != nil && keep:
					err = p.Republish(context.Background(), value)
				case p != nil:
					err = p.Publish(context.Background(), value)
				case keep:
					err = c.Republish(context.Background(), name, value)
				default:
					err = c.Publish(context.Background(), name, value)
				}
				same("Publish "+full, err, want)
			},
			"clear": func(t *rapid.T) {
				c, name := client(t), member.Draw(t, "event")
				c.ClearRetained(name)
				delete(m.retained, c.Namespace()+"."+name)
			},
			"handle": func(t *rapid.T) {
				c := client(t)
				err := c.RegisterCommand("do", func(context.Context, any) (any, error) { return nil, nil })
				same("RegisterCommand", err, m.handle(c.Namespace()+".do"))
			},
			"call": func(t *rapid.T) {
				// A plugin that is not ready makes others wait; a plugin may
				// always call its own commands.
				c, name := client(t), rapid.SampledFrom(namespaces).Draw(t, "callee")+".do"
				if slices.Contains(m.plugins, name[:1]) && name[:1] != c.Namespace() {
					name = c.Namespace() + ".do"
				}
				same("Call "+name, second(c.Call(context.Background(), name, nil)), m.call(name))
			},
			"close": func(t *rapid.T) {
				if rapid.IntRange(0, 4).Draw(t, "seldom") > 0 {
					return
				}
				if err := b.Close(context.Background()); err != nil {
					t.Fatal(err)
				}
				m.closed = true
				m.subs = nil
			},
		}
		actions["register"](t)
		for range rapid.IntRange(0, 100).Draw(t, "steps") {
			actions[rapid.SampledFrom(script).Draw(t, "action")](t)
			if got := seen.get(); !slices.Equal(got, m.seen) {
				t.Fatalf("inline calls %v, the model says %v", got, m.seen)
			}
		}
		for ns, log := range boxes {
			if err := clients[ns].Flush(context.Background()); err != nil && !m.closed {
				t.Fatal(err)
			}
			if got := log.get(); !slices.Equal(got, m.boxes[ns]) {
				t.Fatalf("mailbox calls of %s: %v, the model says %v", ns, got, m.boxes[ns])
			}
		}
		if err := b.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
}
