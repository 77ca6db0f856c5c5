package main

import (
	"context"
	"sync"
	"sync/atomic"
)

// The baselines are the physical limit: each does what its name says and
// nothing of what makes a bus a bus. They take no name apart, contain no panic
// and check no type.

// direct calls a function as often as there are subscribers.
type direct struct{ subs []int }

func newDirect(names []string) pubsub { return &direct{make([]int, len(names))} }

func (d *direct) subscribe(topic int, _ handlers) func() { d.subs[topic]++; return func() {} }
func (d *direct) close()                                 {}

func (d *direct) publish(topic int, m *msg) {
	for range d.subs[topic] {
		touch(m)
	}
}

//go:noinline
func touch(m *msg) {
	if m.N == -1 {
		sink.Add(1)
	}
}

// cowList is a list of subscribers that is replaced, never changed: publishing
// takes one atomic load.
type cowList struct {
	list atomic.Pointer[[]*cowSub]
	mu   sync.Mutex // held by who replaces list
}

// cowSub gives each subscriber an identity, so that the right one is removed.
type cowSub struct{ fn func(*msg) }

func (l *cowList) publish(m *msg) {
	if p := l.list.Load(); p != nil {
		for _, s := range *p {
			s.fn(m)
		}
	}
}

func (l *cowList) subscribe(fn func(*msg)) (cancel func()) {
	s := &cowSub{fn}
	l.change(func(old []*cowSub) []*cowSub { return append(old, s) })
	return func() {
		l.change(func(old []*cowSub) []*cowSub {
			kept := old[:0]
			for _, o := range old {
				if o != s {
					kept = append(kept, o)
				}
			}
			return kept
		})
	}
}

// change replaces the list by what edit makes of a copy.
func (l *cowList) change(edit func(old []*cowSub) []*cowSub) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var old []*cowSub
	if p := l.list.Load(); p != nil {
		old = *p
	}
	next := edit(append(make([]*cowSub, 0, len(old)+1), old...))
	l.list.Store(&next)
}

// cowHandle knows its topics beforehand.
type cowHandle struct{ topics []cowList }

func newCowHandle(names []string) pubsub { return &cowHandle{make([]cowList, len(names))} }

func (c *cowHandle) publish(topic int, m *msg) { c.topics[topic].publish(m) }
func (c *cowHandle) subscribe(topic int, h handlers) func() {
	return c.topics[topic].subscribe(h.plain)
}
func (c *cowHandle) close() {}

// cowMap finds them by name in a map that is replaced, never changed: the
// least that a correct bus addressed by name does.
type cowMap struct {
	names  []string
	topics atomic.Pointer[map[string]*cowList]
}

func newCowMap(names []string) pubsub {
	m := make(map[string]*cowList, len(names))
	for _, n := range names {
		m[n] = &cowList{}
	}
	c := &cowMap{names: names}
	c.topics.Store(&m)
	return c
}

func (c *cowMap) publish(topic int, m *msg) {
	if l := (*c.topics.Load())[c.names[topic]]; l != nil {
		l.publish(m)
	}
}

func (c *cowMap) subscribe(topic int, h handlers) func() {
	return (*c.topics.Load())[c.names[topic]].subscribe(h.plain)
}
func (c *cowMap) close() {}

// directCall calls the handler of a command.
type directCall struct{ h commandFunc }

func newDirectCall(h commandFunc) caller { return directCall{h} }

func (d directCall) call(ctx context.Context, m *msg) (*msg, error) { return d.h(ctx, m) }
func (directCall) close()                                           {}

// cowCall finds it by name in a map that is replaced, never changed.
type cowCall struct {
	name     string
	commands atomic.Pointer[map[string]commandFunc]
}

func newCowCall(h commandFunc) caller {
	c := &cowCall{name: commandName}
	c.commands.Store(&map[string]commandFunc{commandName: h})
	return c
}

func (c *cowCall) call(ctx context.Context, m *msg) (*msg, error) {
	return (*c.commands.Load())[c.name](ctx, m)
}
func (*cowCall) close() {}

// chanCall hands the command to a goroutine and waits for the reply.
type chanCall struct {
	in   chan request
	done sync.WaitGroup
}

type request struct {
	ctx   context.Context
	m     *msg
	reply chan reply
}

type reply struct {
	m   *msg
	err error
}

func newChanCall(h commandFunc) caller {
	c := &chanCall{in: make(chan request)}
	c.done.Go(func() {
		for r := range c.in {
			m, err := h(r.ctx, r.m)
			r.reply <- reply{m, err}
		}
	})
	return c
}

func (c *chanCall) call(ctx context.Context, m *msg) (*msg, error) {
	r := request{ctx, m, make(chan reply, 1)}
	c.in <- r
	a := <-r.reply
	return a.m, a.err
}

func (c *chanCall) close() { close(c.in); c.done.Wait() }
