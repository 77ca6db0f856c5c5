package bus

import (
	"context"
	"time"
)

// Record is one thing that happened on the bus, as a tap sees it.
type Record struct {
	Kind        string        // "command", "result" or "event"
	Name        string        // full name of the command or event
	By          string        // commander or publisher
	ID          uint64        // of the call; the command and its result share it
	Correlation uint64        // see [Correlation]
	Time        time.Time     // when it happened
	Duration    time.Duration // of a result: since the command was called
	Data        any           // input, result or payload: do not change it; it may hold secrets
	Err         error         // of a result that is an error
	Envelope    Envelope      // of a command and its result: what it came with; of an event without an ID of this bus
}

// The kinds of record: a command was called and passed its hooks; a command
// settled, also one that a hook vetoed or nobody handles; an event was
// published.
const (
	recordCommand = "command"
	recordResult  = "result"
	recordEvent   = "event"
)

// tap is one tap or observer.
type tap struct {
	sub     *Subscription
	lane    *lane[Record]
	kind    string  // only these; "" for all
	pattern pattern // only these names
	all     bool
}

// tapQueue is how many records wait for one tap.
const tapQueue = 1 << 16

// Tap calls h for everything that happens on the bus: each command, each
// settlement and each event, in order, with ids and durations, for audit,
// tracing and debugging. h runs in a goroutine of its own and cannot slow or
// break the bus: of what it is too slow for, 65,536 records wait and further ones are
// dropped and counted in [Subscription.Dropped]. Unused, a tap costs one atomic
// load. It returns [ErrNilHandler], [ErrStopped] or [ErrClosed].
func (c *Client) Tap(h func(ctx context.Context, r Record)) (*Subscription, error) {
	return c.tap("*", "", h)
}

// Observe calls h after each settlement of a command: who called it, how long
// it took and how it ended. It cannot change the result. The name may be a
// pattern as for Subscribe; a malformed one is [ErrBadName]. The rest is as with
// [Client.Tap].
func (c *Client) Observe(command string, h func(ctx context.Context, r Record)) (*Subscription, error) {
	return c.tap(command, recordResult, h)
}

func (c *Client) tap(name string, kind string, h func(context.Context, Record)) (*Subscription, error) {
	if h == nil {
		return nil, ErrNilHandler.with("tap "+name, "pass a function")
	}
	if !wild(name) {
		if err := checkFull(name, checkCommand); err != nil {
			return nil, err
		}
	}
	t := &tap{kind: kind, all: name == "*"}
	var err error
	if t.pattern, err = parsePattern(name); err != nil {
		return nil, err
	}
	t.sub = newSubscription(c, name, []SubscribeOption{DropNewest(tapQueue)})
	t.sub.calledThrough()
	t.sub.box = c.addMailbox()
	t.sub.scope = &scope{Context: context.Background(), client: c, mailbox: true, box: t.sub.box}
	t.sub.tap = t
	t.lane = newLane(t.sub, func(ctx context.Context, e Event[Record]) { h(ctx, e.Data) })
	t.sub.lane = t.lane
	if err := c.remember(t.sub); err != nil {
		c.dropMailbox(t.sub.box)
		return nil, err
	}
	c.bus.mu.Lock()
	defer c.bus.mu.Unlock()
	if t.sub.dead.Load() { // the plugin was taken down meanwhile
		return nil, c.gone("tap " + name)
	}
	w := c.bus.copyWatch()
	w.taps = append(w.taps, t)
	c.bus.setWatch(w)
	return t.sub, nil
}

// record hands r to the taps that want it.
func (w *watch) record(r Record) {
	for _, t := range w.taps {
		if t.kind != "" && t.kind != r.Kind || !t.all && !t.pattern.matches(r.Name) {
			continue
		}
		mb := t.sub.box
		mb.mu.Lock()
		t.lane.put(r, nil)
		mb.queued(nil)
	}
}

func (w *watch) event(t *topic, l lineage, v any) {
	if len(w.taps) > 0 {
		w.record(Record{Kind: recordEvent, Name: t.name, By: t.namespace, Correlation: l.chain, Envelope: l.envelope(), Time: time.Now(), Data: v})
	}
}

// watched is one call while somebody looks on.
type watched struct {
	w     *watch
	rec   Record
	start time.Time
}

// look begins to watch a call. It returns the context to go on with.
func (w *watch) look(ctx context.Context, c *Client, name string) (*watched, context.Context) {
	full := name
	if _, _, dotted := splitName(name); !dotted {
		full = c.namespace + "." + name
	}
	now := time.Now()
	id := c.bus.ids.Add(1)
	l := lineageOf(ctx)
	if l.chain == 0 {
		l.chain = id
		ctx = &carrier{ctx, l}
	}
	e := c.bus.traced(ctx, l).envelope()
	return &watched{w, Record{Name: full, By: c.namespace, ID: id, Correlation: l.chain, Envelope: e, Time: now}, now}, ctx
}

// enter runs the hooks and records the command. It returns the input to go on with.
func (at *watched) enter(ctx context.Context, c *Client, in any) (any, error) {
	in, err := at.w.before(ctx, c, at.rec.Name, in)
	if err != nil {
		return nil, err
	}
	r := at.rec
	r.Kind, r.Data = recordCommand, in
	at.w.record(r)
	return in, nil
}

// leave records the settlement.
func (at *watched) leave(out any, err error) {
	r := at.rec
	r.Kind, r.Data, r.Err = recordResult, out, err
	r.Time = time.Now()
	r.Duration = r.Time.Sub(at.start)
	at.w.record(r)
}

// ended records the settlement if a hook or a handler has ended the goroutine: then nobody has, as told says. It is
// deferred.
func (at *watched) ended(told *bool) {
	if !*told {
		at.leave(nil, ErrPanic.with(at.rec.Name, "a hook or the handler ended the goroutine"))
	}
}

// callWatched is Call while somebody looks on.
func (c *Client) callWatched(ctx context.Context, w *watch, name string, in any) (out any, err error) {
	at, ctx := w.look(ctx, c, name)
	told := false
	defer at.ended(&told)
	if in, err = at.enter(ctx, c, in); err == nil {
		out, err = c.callPlain(ctx, name, in)
	}
	told = true
	at.leave(out, err)
	return out, err
}

// goWatched is Go while somebody looks on.
func (c *Client) goWatched(ctx context.Context, w *watch, name string, in any) *Future[any] {
	at, ctx := w.look(ctx, c, name)
	told := false
	defer at.ended(&told)
	in, err := at.enter(ctx, c, in)
	if err != nil {
		told = true
		at.leave(nil, err)
		return failedFuture[any](err)
	}
	f := c.goPlain(ctx, name, in)
	told = true // from here on f does
	f.f.onSettle(at.leave)
	return f
}
