package bus

import (
	"context"
	"errors"
	"reflect"
	"slices"
)

// A Manifest is what all plugins of one kind have: the events that they declare,
// and the commands that they handle. It is made once, is immutable, and is
// shared by any number of buses, each of which pays only for those of its
// entries that somebody uses. So it suits plugins with many commands and events
// of which there is one for each of many visitors; see [Client.Declare].
type Manifest struct {
	namespace string
	events    map[string]*latentEvent   // by short name
	commands  map[string]*latentCommand // by full name
	err       error
}

// Part is an entry of a [Manifest]: an [EventOf], or what [Method] or
// [AsyncMethod] return.
type Part interface{ enter(m *Manifest) }

// latentEvent is an event that is declared, and of which there is no topic yet.
type latentEvent struct {
	name, doc string
	kind      kind
}

// latentCommand is a command that is registered, and that nobody has called yet.
type latentCommand struct {
	name, doc string
	fits      func(plugin any) bool
	open      func(plugin any) commandHandler
	in, out   reflect.Type
	async     bool
}

// latent is the manifest of a client, and whom its commands are for.
type latent struct {
	*Manifest
	plugin any
}

// NewManifest returns the manifest of the plugins with that namespace. What is
// wrong with a part is reported by [Client.Declare].
func NewManifest(namespace string, parts ...Part) *Manifest {
	m := &Manifest{namespace: namespace, events: make(map[string]*latentEvent), commands: make(map[string]*latentCommand)}
	for _, p := range parts {
		p.enter(m)
	}
	return m
}

// owned returns the short name of an entry, or notes what is wrong with it.
func (m *Manifest) owned(name string, err error) (member string, ok bool) {
	ns, member, _ := splitName(name)
	if err == nil && ns != m.namespace {
		err = ErrNotOwner.with("declare "+name, "the manifest is that of "+m.namespace)
	}
	if err != nil {
		m.err = errors.Join(m.err, err)
	}
	return member, err == nil
}

func (d EventOf[T]) enter(m *Manifest) {
	if member, ok := m.owned(d.name, checkFull(d.name, checkEvent)); ok {
		m.events[member] = &latentEvent{d.name, d.doc, kindOf[T]{}}
	}
}

// methodPart is a command with its handler, a method of the plugin.
type methodPart struct{ latentCommand }

func (p methodPart) enter(m *Manifest) {
	member, ok := m.owned(p.name, checkFull(p.name, checkCommand))
	switch {
	case !ok:
	case m.commands[p.name] != nil || isBuiltin(member):
		m.err = errors.Join(m.err, ErrDuplicate.with("declare "+p.name, "a command has one handler"))
	case p.open == nil:
		m.err = errors.Join(m.err, ErrNilHandler.with("declare "+p.name, "pass a method"))
	default:
		m.commands[p.name] = &p.latentCommand
	}
}

// Method is a command whose handler is h, a method of the plugin; see [Handle]
// for what is asked of it.
func Method[P, In, Out any](d CommandOf[In, Out], h func(p P, ctx context.Context, in In) (Out, error)) Part {
	l := newLatentCommand[P, In, Out](d, false)
	if h != nil {
		l.open = func(plugin any) commandHandler {
			p := plugin.(P)
			return &handler[In, Out]{plain: func(ctx context.Context, in In) (Out, error) { return h(p, ctx, in) }}
		}
	}
	return methodPart{l}
}

// AsyncMethod is Method for a handler as [HandleAsync] takes it.
func AsyncMethod[P, In, Out any](d CommandOf[In, Out], h func(p P, ctx context.Context, in In, d *Deferred[Out])) Part {
	l := newLatentCommand[P, In, Out](d, true)
	if h != nil {
		l.open = func(plugin any) commandHandler {
			p := plugin.(P)
			return &handler[In, Out]{async: func(ctx context.Context, in In, d *Deferred[Out]) { h(p, ctx, in, d) }}
		}
	}
	return methodPart{l}
}

func newLatentCommand[P, In, Out any](d CommandOf[In, Out], async bool) latentCommand {
	return latentCommand{
		name: d.name, doc: d.doc, async: async, in: reflect.TypeFor[In](), out: reflect.TypeFor[Out](),
		fits: func(plugin any) bool { _, ok := plugin.(P); return ok },
	}
}

// Declare declares all events of m, and makes the methods of plugin the handlers
// of its commands, as [EventOf.Bind] and [Handle] do one by one. A client has one
// manifest; further events and commands may be added to it one by one.
//
// It returns what is wrong with m, [ErrNotOwner] for the manifest of another
// namespace, [ErrWrongType] if plugin does not have the methods or if an event was
// subscribed to with another payload type, [ErrDuplicate] for a command that is
// there or for a second manifest, [ErrStopped] or [ErrClosed].
func (c *Client) Declare(m *Manifest, plugin any) error {
	op := "declare " + m.namespace
	if m.err != nil {
		return m.err
	}
	if m.namespace != c.namespace {
		return ErrNotOwner.with(op, "only the client of "+m.namespace+" can declare it")
	}
	for _, l := range m.commands {
		if !l.fits(plugin) {
			return ErrWrongType.with(op, "the method of "+l.name+" is not one of "+reflect.TypeOf(plugin).String())
		}
	}
	if err := c.adopt(m, plugin, op); err != nil {
		return err
	}
	if len(m.events) > 0 {
		c.declares.Store(true)
	}
	var errs []error
	for member, e := range m.events { // those with a topic: somebody has subscribed before
		if c.bus.topics.get(e.name) != nil {
			_, err := c.declare(member, e.doc, e.kind)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// adopt makes m the client's manifest.
func (c *Client) adopt(m *Manifest, plugin any, op string) error {
	b := c.bus
	b.mu.Lock() // topics that are made from now on are declared
	defer b.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.usable(op); err != nil {
		return err
	}
	if c.latent.Load() != nil {
		return ErrDuplicate.with(op, "a plugin has one manifest")
	}
	for name := range c.commands {
		if m.commands[name] != nil {
			return ErrDuplicate.with("declare "+name, "a command has one handler")
		}
	}
	c.latent.Store(&latent{m, plugin})
	return nil
}

// latentEvent returns an event of the manifest, nil if it is not there.
func (c *Client) latentEvent(member string) *latentEvent {
	if l := c.latent.Load(); l != nil {
		return l.events[member]
	}
	return nil
}

// declareLatent declares the event of a topic that was just made, if the manifest
// has it; b.mu is held.
func (c *Client) declareLatent(t *topic) {
	_, member, _ := splitName(t.name)
	e := c.latentEvent(member)
	if e == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kind, t.doc, t.declared, t.held, t.transient = e.kind, e.doc, true, true, false
	c.events.put(member, t.routeFor(c))
	t.changed()
}

// nobodyListens reports whether an event of the manifest has no topic and needs none to
// be published now: nobody listens, and the payload is of its type.
func (c *Client) nobodyListens(e *latentEvent, payload any) bool {
	if c.flags.Load() != 0 || reflect.TypeOf(payload) != e.kind.typ() || c.bus.topics.get(e.name) != nil {
		return false
	}
	var few [8]*Subscription
	c.bus.mu.Lock()
	defer c.bus.mu.Unlock()
	return len(c.bus.patterns.match(e.name, few[:0])) == 0
}

// command returns the command with a full name, in the namespace ns.
func (b *Bus) command(full, ns string) *command {
	if k := b.commands.get(full); k != nil {
		return k
	}
	if owner := b.client(ns); owner != nil {
		return owner.openLatent(full)
	}
	return nil
}

// openLatent registers a command of the manifest.
func (c *Client) openLatent(full string) *command {
	l := c.latent.Load()
	if l == nil || l.commands[full] == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.commands[full]; k != nil {
		return k
	}
	if c.usable("call "+full) != nil {
		return nil
	}
	d := l.commands[full]
	k := &command{name: d.name, doc: d.doc, owner: c, h: d.open(l.plugin)}
	c.enterLocked(k)
	return k
}

// inManifest reports whether the manifest has a command.
func (c *Client) inManifest(full string) bool {
	l := c.latent.Load()
	return l != nil && l.commands[full] != nil
}

// latentInfo adds what the manifest has and p lacks.
func (c *Client) latentInfo(p *PluginInfo) {
	l := c.latent.Load()
	if l == nil {
		return
	}
	for name, d := range l.commands {
		if !slices.ContainsFunc(p.Commands, func(i CommandInfo) bool { return i.Name == name }) {
			p.Commands = append(p.Commands, CommandInfo{name, d.doc, d.in, d.out, d.async, 0})
		}
	}
	for _, e := range l.events {
		if !slices.ContainsFunc(p.Events, func(i EventInfo) bool { return i.Name == e.name }) {
			p.Events = append(p.Events, EventInfo{Name: e.name, Doc: e.doc, Type: e.kind.typ()})
		}
	}
}
