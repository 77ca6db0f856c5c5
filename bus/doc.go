// Package bus is a message bus for the plugins of one process: CXBus of
// Genesys Widgets in Go form. A plugin owns a namespace; it handles the commands
// of that namespace, publishes its events, and calls and subscribes to those of
// others.
//
//	b := bus.New(nil)
//	c, err := b.Register("Greeter")            // a namespace and its client
//	bus.Handle(c, Hello, func(ctx context.Context, in HelloIn) (HelloOut, error) { ... })
//	c.Ready()                                  // others' commands may come
//	out, err := Hello.Call(ctx, other, HelloIn{Name: "Ada"})
//
// Commands and events are described once, as package variables ([NewCommand],
// [NewEvent]), and used through typed handles: [Handle], [CommandOf.Bind],
// [EventOf.Bind] and [Subscribe], or without a handle, now and then
// ([CommandOf.Call], [EventOf.Publish], [Events]). The same can be done by name, with the
// methods of [Client]; values that come as maps or raw JSON are then decoded
// strictly.
//
// # Promises
//
// Names. A full name is Namespace.member. Commands have one dot, events may
// have more. A malformed name is an error when it is used, never a silence.
//
// Ownership. Only the client of a namespace publishes its events and handles
// its commands. A namespace and a command are taken once; the second attempt
// is an error.
//
// Order. Events that one goroutine publishes reach each subscriber in the
// order they were published, also across different events to one plugin's
// mailbox. Subscribers of one event in one plugin are called in the order they
// subscribed. There is no order between plugins.
//
// Overlap. Mailbox handlers of one plugin never overlap each other, and never
// run in the publisher's stack. Mailboxes of different plugins run in parallel.
// Commands and inline subscribers may overlap everything.
//
// No locks. The bus holds no lock while it calls a handler, a plugin or a
// predicate. Handlers may publish, call, subscribe, unsubscribe and close.
//
// Slow subscribers. Each plugin's mailbox takes events up to a soft limit;
// then publishers wait for room, as long as their context lives. A publish
// made with a context of the bus (a handler's, or [Client.Context]) does not
// wait, so handlers cannot deadlock; the hard limit ends that, with [ErrOverflow],
// which names the subscriber. Nothing is dropped without an error to the publisher.
//
// Panics. A panic in a subscriber is logged, and the next subscriber and the
// next event are served. A panic in a command's handler is the command's
// error, [ErrPanic]. JSON methods of payloads, log handlers, and the Start and
// Stop of plugins are contained as well. Handlers that call each other in a
// circle get [ErrTooDeep].
//
// Logging. What no caller can be told is logged, to slog.Default() unless
// [Options.Logger] says otherwise: contained panics, overflows, slow handlers,
// subscriptions to events that their plugin does not declare.
//
// Commands settle. A call returns the handler's result or error, or one of the
// errors listed at [Caller.Call], at once: there is no command that hangs
// because nobody handles it. Commands to a plugin that is not ready wait in
// call order, bounded in number and time.
//
// Unsubscribing. [Subscription.Unsubscribe] ends exactly that subscription. No
// mailbox call starts after it returned. [Subscription.UnsubscribeWait] also
// waits for calls under way.
//
// Retained events. A value that was republished reaches every subscriber once:
// live, or as the replay when it subscribes. The last value a subscriber sees
// is the one that is retained.
//
// Contexts. The context of an event handler is the life of its plugin; that of
// a command handler ends with its caller's as well. Both tell the bus who is
// asking: pass them on.
//
// The end. [Bus.Close] lets plugins stop in reverse order, lets mailboxes run
// empty, waits for handlers, closes [Options.Closers], and returns an error that lists what still runs if
// its context ends first. Afterwards everything returns [ErrClosed].
//
// Payloads are shared, not copied: they are immutable once published.
package bus
