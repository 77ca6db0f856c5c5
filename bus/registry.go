package bus

import (
	"cmp"
	"context"
	"reflect"
	"slices"
	"strings"
	"time"
)

// PluginInfo is one namespace.
type PluginInfo struct {
	Namespace string        `json:"namespace"`
	State     string        `json:"state"` // "starting", "ready", "stopping" or "stopped"
	Commands  []CommandInfo `json:"commands"`
	Events    []EventInfo   `json:"events"`
	Buffered  []string      `json:"buffered,omitempty"` // commands that wait until it is ready

	Waiting int    `json:"waiting"`           // events in its mailbox
	Refused uint64 `json:"refused,omitempty"` // events that met the mailbox's hard limit
	Running string `json:"running,omitempty"` // the subscription whose handler runs
	// RunningFor is how long it has been running, at least: the bus looks at
	// it only now and then.
	RunningFor time.Duration `json:"runningFor,omitempty"`
}

// CommandInfo is one registered command.
type CommandInfo struct {
	Name    string       `json:"name"` // full name
	Doc     string       `json:"doc"`
	In      reflect.Type `json:"-"`
	Out     reflect.Type `json:"-"`
	Async   bool         `json:"async,omitempty"`   // registered with HandleAsync
	Running int64        `json:"running,omitempty"` // handlers at work
}

// EventInfo is one declared event.
type EventInfo struct {
	Name     string       `json:"name"` // full name
	Doc      string       `json:"doc"`
	Type     reflect.Type `json:"-"`                  // of the payload; interface{} if any
	Revision uint64       `json:"revision,omitempty"` // of the retained value
	Retained any          `json:"retained,omitempty"` // the value, nil if there is none
}

// Registry returns what is registered now: a snapshot, by namespace, with
// commands and events in order of their names (cxbus 3, registry).
func (c *Client) Registry() map[string]PluginInfo {
	b := c.bus
	b.mu.Lock()
	clients := slices.Clone(b.order.live())
	b.mu.Unlock()
	list := make(map[string]PluginInfo, len(clients))
	for _, c := range clients {
		list[c.namespace] = c.info()
	}
	return list
}

func (c *Client) info() PluginInfo {
	p := PluginInfo{Namespace: c.namespace, State: [...]string{"starting", "ready", "stopping", "stopped"}[c.state.Load()]}
	c.mu.Lock()
	for _, k := range c.commands {
		in, out := k.h.types()
		p.Commands = append(p.Commands, CommandInfo{k.name, k.doc, in, out, k.h.isAsync(), k.running.Load()})
	}
	c.mu.Unlock()
	for _, o := range c.events.all() {
		t := o.topic()
		t.retain.Lock()
		rev, value := t.rev, t.value
		t.retain.Unlock()
		t.mu.Lock()
		if t.declared {
			p.Events = append(p.Events, EventInfo{t.name, t.doc, t.kind.typ(), rev, value})
		}
		t.mu.Unlock()
	}
	c.latentInfo(&p)
	slices.SortFunc(p.Commands, func(a, b CommandInfo) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(p.Events, func(a, b EventInfo) int { return cmp.Compare(a.Name, b.Name) })
	c.mailbox.info(&p)
	p.Buffered = c.gate.names()
	return p
}

// Subscribers returns, for each event of the client's namespace that somebody
// is subscribed to, the subscribing namespaces in subscription order; one that
// subscribed twice is listed twice. Namespaces match exactly; CXBus mixes up
// those with a common beginning (cxbus 10, row 34).
func (c *Client) Subscribers() map[string][]string {
	list := map[string][]string{}
	prefix := c.namespace + "."
	for _, t := range c.bus.topics.matching(func(name string) bool { return strings.HasPrefix(name, prefix) }) {
		t.mu.Lock()
		for _, s := range t.subs.live() {
			list[t.name] = append(list[t.name], s.client.namespace)
		}
		t.mu.Unlock()
	}
	return list
}

// RegisterCommand registers a command by its short name, with a handler that
// takes and gives any value; see [Handle].
func (c *Client) RegisterCommand(name string, h func(ctx context.Context, in any) (any, error)) error {
	return Handle(c, NewCommand[any, any](c.namespace+"."+name, ""), h)
}

// RegisterEvents declares events by their short names, with any payload.
// Declaring one twice is fine (cxbus 10, vector 30).
func (c *Client) RegisterEvents(names ...string) error {
	for _, name := range names {
		if err := c.checkShort(name); err != nil {
			return err
		}
		if _, err := c.declare(name, "", kindOf[any]{}); err != nil {
			return err
		}
	}
	return nil
}
