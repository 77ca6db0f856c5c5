package bus

import (
	"cmp"
	"slices"
)

// Debugger shows what is on a bus and what it is doing: a snapshot, never live
// state, for debug tools (cxbus 9). Taking one stops nothing; its parts may be
// from slightly different moments.
type Debugger struct {
	Plugins       []PluginInfo        `json:"plugins"` // as registered
	Subscriptions []SubscriptionInfo  `json:"subscriptions"`
	Hooks         map[string][]string `json:"hooks"` // by command, the hooks' owners in the order they run
}

// SubscriptionInfo is one subscription.
type SubscriptionInfo struct {
	Plugin     string `json:"plugin"`
	Event      string `json:"event"` // name or pattern
	Place      string `json:"place"` // file and line of the Subscribe call
	Inline     bool   `json:"inline"`
	Limit      int    `json:"limit,omitempty"` // of a subscription that may drop
	Dropped    uint64 `json:"dropped,omitempty"`
	Undeclared bool   `json:"undeclared,omitempty"` // its plugin is ready and does not declare the event
}

// Debugger takes a snapshot.
func (b *Bus) Debugger() Debugger {
	b.mu.Lock()
	clients := slices.Clone(b.order.live())
	b.mu.Unlock()
	d := Debugger{Hooks: map[string][]string{}}
	for _, c := range clients {
		d.Plugins = append(d.Plugins, c.info())
		for _, s := range c.subscriptions() {
			d.Subscriptions = append(d.Subscriptions, s.info())
		}
	}
	slices.SortStableFunc(d.Subscriptions, func(a, b SubscriptionInfo) int {
		return compareAll(a.Plugin, b.Plugin, a.Event, b.Event, a.Place, b.Place)
	})
	if w := b.watch.Load(); w != nil {
		for name, list := range w.hooks {
			for _, h := range list {
				d.Hooks[name] = append(d.Hooks[name], h.owner.namespace)
			}
		}
	}
	return d
}

func (s *Subscription) info() SubscriptionInfo {
	i := SubscriptionInfo{Plugin: s.client.namespace, Event: s.name, Place: s.place(), Inline: s.inline, Limit: s.limit, Dropped: s.Dropped()}
	if !s.isWild && s.tap == nil {
		if t := s.client.bus.topics.get(s.name); t != nil {
			i.Undeclared = s.client.bus.neverDeclared(t) != nil
		}
	}
	return i
}

// info fills in what waits and runs in the mailbox.
func (mb *mailbox) info(p *PluginInfo) {
	mb.mu.Lock()
	defer mb.mu.Unlock()
	p.Waiting, p.Refused = mb.leftLocked(), mb.dropped
	if s := mb.currentLocked(); s != nil {
		p.Running, p.RunningFor = s.String(), mb.stuckFor
	}
}

// compareAll compares pairs in turn.
func compareAll(pairs ...string) int {
	for i := 0; i < len(pairs); i += 2 {
		if d := cmp.Compare(pairs[i], pairs[i+1]); d != 0 {
			return d
		}
	}
	return 0
}
