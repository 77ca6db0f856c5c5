// Package eventbus gives programs written for github.com/asaskevich/EventBus a
// home on a bus of this project.
//
//	c, err := b.Register("Legacy")
//	eb := eventbus.New(c) // was: EventBus.New()
//	eb.Subscribe("calculator:add", func(a, b int) { ... })
//	eb.Publish("calculator:add", 20, 40)
//
// [New] returns the package's own interface; [Wrap] the type behind it, which
// also returns errors. [Bridge] is for programs that keep a real EventBus.
//
// # Promises
//
// Topics are events. The topic t is the event <Namespace>.<[EventName](t)> of the
// client: plugins subscribe to it, taps see it, and what the client's owner
// publishes there by other means reaches the handlers too.
//
// Arguments. No argument travels as nil, one as itself, and everything else as
// [Args]; see there.
//
// Handlers may have any signature, also variadic ones and ones with results,
// which are ignored. As in the original, a nil argument is the zero value of its
// parameter. Arguments that do not fit are an error and no panic: that handler
// is not called, the others are.
//
// Order. Handlers made with Subscribe and SubscribeOnce are called in the
// publisher's goroutine, before Publish returns, in the order they subscribed;
// publishers in several goroutines call them at once (the original runs one
// handler at a time). Each asynchronous handler has a mailbox of its own: it
// gets its events one at a time in the order they were published, whether
// transactional or not, and holds up nobody else.
//
// Re-entry. No lock is held while a handler runs. Handlers may publish, also to
// their own topic, subscribe and unsubscribe, and synchronous ones may wait for
// the asynchronous ones.
//
// Panics are contained as everywhere on the bus: logged with the stack and
// published as the event Bus.handlerPanicked.
//
// Unsubscribing removes exactly the given function; see [Bus.Unsubscribe]. No
// call of the handler starts after it returned.
//
// Limits. Publish never waits for a slow handler; what waits in a mailbox
// counts against the hard limit of the bus, and passing that is an error.
// [Bus.PublishErr] with a context of the caller's own waits at the soft limit.
package eventbus
