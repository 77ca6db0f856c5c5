package bus

import (
	"slices"
	"time"
)

// Debugger shows what is on a bus and what it is doing: a snapshot, never live
// state, for debug tools (cxbus 9). Taking one stops nothing; its parts may be
// from slightly different moments.
type Debugger struct {
	Plugins       []PluginInfo       `json:"plugins"` // as registered
	Subscriptions []SubscriptionInfo `json:"subscriptions"`
	Hooks         []HookInfo         `json:"hooks"` // by command, in the order they run
}

// SubscriptionInfo is one subscription.
type SubscriptionInfo struct {
	Plugin  string `json:"plugin"`
	Event   string `json:"event"` // name or pattern
	Place   string `json:"place"` // file and line of the Subscribe call
	Inline  bool   `json:"inline"`
	Limit   int    `json:"limit,omitempty"` // of a subscription that may drop
	Dropped uint64 `json:"dropped,omitempty"`
	Orphan  bool   `json:"orphan,omitempty"` // its plugin is ready and does not declare the event
}

// HookInfo is one before hook.
type HookInfo struct {
	Command string `json:"command"`
	Owner   string `json:"owner"`
}

// MailboxInfo is what waits and what runs in a plugin's mailbox.
type MailboxInfo struct {
	Waiting int    `json:"waiting"`
	Refused uint64 `json:"refused,omitempty"` // events that met the hard limit
	Running string `json:"running,omitempty"` // the subscription whose handler runs
	// RunningFor is how long it has been running, at least; the bus looks at
	// it now and then.
	RunningFor time.Duration `json:"runningFor,omitempty"`
}

// Debugger takes a snapshot.
func (b *Bus) Debugger() Debugger {
	b.mu.Lock()
	clients := slices.Clone(b.order)
	b.mu.Unlock()
	var d Debugger
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
				d.Hooks = append(d.Hooks, HookInfo{name, h.owner.namespace})
			}
		}
		slices.SortStableFunc(d.Hooks, func(a, b HookInfo) int { return compareAll(a.Command, b.Command) })
	}
	return d
}

func (s *Subscription) info() SubscriptionInfo {
	i := SubscriptionInfo{Plugin: s.client.namespace, Event: s.name, Place: s.place(), Inline: s.inline, Limit: s.limit, Dropped: s.Dropped()}
	if !s.isWild && s.tap == nil {
		if t := s.client.bus.topics.get(s.name); t != nil {
			i.Orphan = s.client.bus.orphan(t) != nil
		}
	}
	return i
}

func (mb *mailbox) info() MailboxInfo {
	mb.mu.Lock()
	defer mb.mu.Unlock()
	i := MailboxInfo{Waiting: len(mb.fill), Refused: mb.dropped}
	if mb.running {
		i.Waiting += max(0, len(mb.work)-int(mb.pos.Load())-1)
	}
	if s := mb.currentLocked(); s != nil {
		i.Running, i.RunningFor = s.String(), mb.stuck
	}
	return i
}
