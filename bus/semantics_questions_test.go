package bus_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

// questions are the rows 1 to 20.
func questions() []answer {
	return []answer{
		{n: 1, question: "Unknown command of a ready plugin",
			cxbus: "The promise never settles; older releases reject with \"Command does not exist\".",
			here:  "`ErrUnknownCommand` at once, with that text and the nearest name there is.",
			why:   "A call that hangs cannot be told from a slow one.",
			proof: func(w *world) {
				w.handle("open", constant(1))
				for _, err := range []error{second(w.call("A.opne", nil)), second(w.c.Go(w.ctx(), "A.opne", nil).Result(w.ctx()))} {
					w.is(err, bus.ErrUnknownCommand)
					assert.Contains(w, err.Error(), "Command does not exist")
					w.equal("did you mean A.open?", hint(w, err))
				}
			}},
		{n: 2, question: "Unknown plugin",
			cxbus: "Loads the plugin's script file, twice if two ask; else rejects.",
			here:  "`ErrUnknownPlugin` at once, or `Options.Loader` brings the plugin: once for all who ask, no longer than their contexts.",
			why:   "There are no script files; loading twice is an accident.",
			proof: func(w *world) {
				w.is(second(w.call("Other.x", nil)), bus.ErrUnknownPlugin)
				var loads atomic.Int64
				b := bus.New(&bus.Options{Loader: func(ctx context.Context, b *bus.Bus, namespace string) error {
					loads.Add(1)
					time.Sleep(time.Minute)
					if namespace == "Bad" {
						return errOops
					}
					p, err := b.Register(namespace)
					if err == nil {
						p.Ready()
						err = p.RegisterCommand("x", constant(namespace))
					}
					return err
				}})
				c := register(w, b, "C")
				first, next := callLater(c, w.ctx(), "Lazy.x", nil), c.Go(w.ctx(), "Lazy.x", nil)
				ctx, cancel := context.WithTimeout(w.ctx(), time.Second)
				defer cancel()
				w.is(second(c.Call(ctx, "Lazy.x", nil)), bus.ErrTimeout)
				w.ok(first.wait())
				w.equal("Lazy", first.out)
				w.ok(second(next.Result(w.ctx())))
				w.equal(int64(1), loads.Load())
				err := second(c.Call(w.ctx(), "Bad.x", nil))
				w.is(err, bus.ErrUnknownPlugin)
				w.is(err, errOops)
				w.ok(b.Close(w.ctx()))
			}},
		{n: 3, question: "Plugin known, not ready",
			cxbus: "Buffers without limit in number or time; what is unknown at `ready()` is dropped and stays pending.",
			here:  "Buffers in call order, bounded in number and time (`ErrNotReady`); each call honours its context; unknown commands are refused at `Ready`, the rest at `Close`.",
			why:   "An unbounded buffer is a leak, a dropped call a hang.",
			opts:  &bus.Options{BufferLimit: 4, BufferTimeout: time.Minute},
			proof: func(w *world) {
				late := w.register("Late")
				w.is(second(w.call("Late.x", nil)), bus.ErrNotReady) // after a minute
				ctx, cancel := context.WithTimeout(w.ctx(), time.Second)
				defer cancel()
				w.is(second(w.c.Call(ctx, "Late.x", nil)), bus.ErrTimeout)
				var got list[any]
				w.ok(late.RegisterCommand("x", func(_ context.Context, in any) (any, error) { got.add(in); return in, nil }))
				known, unknown := w.c.Go(w.ctx(), "Late.x", 1), w.c.Go(w.ctx(), "Late.none", nil)
				_, _ = w.c.Go(w.ctx(), "Late.x", 2), w.c.Go(w.ctx(), "Late.x", 3)
				w.is(second(w.call("Late.x", nil)), bus.ErrNotReady) // one too many
				late.Ready()
				w.ok(second(known.Result(w.ctx())))
				w.is(second(unknown.Result(w.ctx())), bus.ErrUnknownCommand)
				synctest.Wait()
				assert.ElementsMatch(w, []any{1, 2, 3}, got.get())
				w.register("Never")
				left := w.c.Go(w.ctx(), "Never.x", nil)
				w.ok(w.b.Close(w.ctx()))
				w.is(second(left.Result(w.ctx())), bus.ErrClosed)
			}},
		{n: 4, question: "Malformed name (no dot, two dots, wrong case)",
			cxbus: "Hangs, tries to load a file, or is silently useless.",
			here:  "`ErrBadName` when it is used; a wrong case is an unknown name whose error suggests the right one.",
			why:   "A typo should show on the first run.",
			proof: func(w *world) {
				w.handle("open", constant(1))
				for _, name := range []string{"", "A.", ".open", "A.open.now", "A. open", "A.*"} {
					assert.ErrorIs(w, second(w.call(name, nil)), bus.ErrBadName, name)
				}
				err := second(w.call("a.open", nil))
				w.is(err, bus.ErrUnknownPlugin)
				w.equal("did you mean A?", hint(w, err))
				err = second(w.call("A.Open", nil))
				w.is(err, bus.ErrUnknownCommand)
				w.equal("did you mean A.open?", hint(w, err))
				for _, name := range []string{"", "nodot", "A..x", "A.*.x"} {
					assert.ErrorIs(w, second(w.c.Subscribe(name, func(context.Context, bus.Event[any]) {})), bus.ErrBadName, name)
				}
				w.is(w.a.Publish(w.ctx(), "", nil), bus.ErrBadName)
				w.is(second(w.b.Register("A.B")), bus.ErrBadName)
			}},
		{n: 5, question: "Duplicate plugin name",
			cxbus: "`registerPlugin` returns `false`.",
			here:  "`ErrNameTaken` and no client, with the vendor's text.",
			proof: func(w *world) {
				c, err := w.b.Register("A")
				w.is(err, bus.ErrNameTaken)
				assert.Contains(w, err.Error(), "Name is already taken")
				assert.Nil(w, c)
			}},
		{n: 6, question: "Duplicate command",
			cxbus: "The second handler silently replaces the first (a real bug: `Overlay.mutable`).",
			here:  "`ErrDuplicate`; the first stays. Who wants to replace a handler unloads its plugin.",
			why:   "Nobody replaces a handler of his own on purpose by registering it again.",
			proof: func(w *world) {
				w.handle("x", constant("first"))
				w.is(w.a.RegisterCommand("x", constant("second")), bus.ErrDuplicate)
				out, err := w.call("A.x", nil)
				w.ok(err)
				w.equal("first", out)
			}},
		{n: 7, question: "A command's handler throws",
			cxbus: "The promise stays pending for ever; an uncaught error in the console.",
			here:  "The call returns `ErrPanic` with command and cause; the stack is logged; `Bus.handlerPanicked` is published.",
			why:   "A call that hangs cannot be told from a slow one.",
			proof: func(w *world) {
				w.handle("x", func(context.Context, any) (any, error) { panic(errOops) })
				reports, _ := w.sees("Bus.handlerPanicked")
				err := second(w.call("A.x", nil))
				w.is(err, bus.ErrPanic)
				w.is(err, errOops)
				assert.Contains(w, err.Error(), "A.x")
				synctest.Wait()
				w.equal("A.x", reports.get()[0].(bus.Incident).Name)
				assert.Contains(w, w.logs.find("command handler panicked")[0]["stack"], "questions")
			}},
		{n: 8, question: "A handler returns without settling",
			cxbus: "Pending for ever; five commands of one known integration do.",
			here:  "What a handler returns is the settlement. An async handler that forgets its token is bounded by the caller's context and by the life of its plugin (`ErrStopped`).",
			why:   "The common case cannot be forgotten.",
			proof: func(w *world) {
				w.handle("x", constant(nil))
				w.ok(second(w.call("A.x", nil)))
				w.ok(bus.HandleAsync(w.a, bus.NewCommand[any, any]("A.late", ""), func(context.Context, any, *bus.Deferred[any]) {}))
				ctx, cancel := context.WithTimeout(w.ctx(), time.Second)
				defer cancel()
				w.is(second(w.c.Call(ctx, "A.late", nil)), bus.ErrTimeout)
				f := w.c.Go(w.ctx(), "A.late", nil)
				w.ok(w.b.Unload(w.ctx(), "A"))
				w.is(second(f.Result(w.ctx())), bus.ErrStopped)
			}},
		{n: 9, question: "Settling twice",
			cxbus: "Ignored silently.",
			here:  "Ignored; `Resolve` and `Reject` report whether they were the first.",
			proof: func(w *world) {
				w.ok(bus.HandleAsync(w.a, bus.NewCommand[any, any]("A.x", ""), func(_ context.Context, _ any, d *bus.Deferred[any]) {
					assert.True(w, d.Resolve(1))
					assert.False(w, d.Resolve(2))
					assert.False(w, d.Reject(errOops))
				}))
				out, err := w.call("A.x", nil)
				w.ok(err)
				w.equal(1, out)
			}},
		{n: 10, question: "A subscriber throws",
			cxbus: "Isolated in async mode; ends the fan-out in sync mode.",
			here:  "Always isolated: logged and published with event, subscriber and stack; the next subscriber and the next event are served.",
			why:   "There is no mode in which one plugin may break another.",
			proof: func(w *world) {
				for _, opts := range [][]bus.SubscribeOption{nil, {bus.Inline()}} {
					subscribeName(w, w.c, "A.e", func(context.Context, bus.Event[any]) { panic("oops") }, opts...)
					got, _ := w.sees("A.e", opts...)
					w.publish("e", 1)
					w.publish("e", 2)
					synctest.Wait()
					w.equal([]any{1, 2}, got.get())
				}
				assert.NotEmpty(w, w.logs.find("subscriber panicked")[0]["stack"])
			}},
		{n: 11, question: "Order",
			cxbus: "One queue of timer tasks for the whole page; events and commands interleave in call order.",
			here:  "What one goroutine publishes reaches each subscriber, and each plugin's mailbox over all its events, in that order; async commands of one caller start in call order. There is no order between plugins, nor between events and commands.",
			why:   "A global order needs one goroutine for the whole bus.",
			proof: func(w *world) {
				var got list[string]
				for _, e := range []string{"e", "f"} {
					subscribeName(w, w.c, "A."+e, func(_ context.Context, ev bus.Event[any]) { got.add(e + ev.Data.(string)) })
				}
				for _, n := range []string{"1", "2", "3"} {
					w.publish("e", n)
					w.publish("f", n)
				}
				synctest.Wait()
				w.equal([]string{"e1", "f1", "e2", "f2", "e3", "f3"}, got.get())
				var calls list[any]
				w.ok(bus.HandleAsync(w.a, bus.NewCommand[any, any]("A.x", ""), func(_ context.Context, in any, d *bus.Deferred[any]) {
					calls.add(in)
					d.Resolve(nil)
				}))
				for i := range 3 {
					w.c.Go(w.ctx(), "A.x", i)
				}
				w.equal([]any{0, 1, 2}, calls.get())
			}},
		{n: 12, question: "Overlap",
			cxbus: "Never: there is one thread.",
			here:  "Mailbox handlers of one plugin never overlap, those of different plugins run in parallel; commands and inline subscribers may overlap everything. Commands to oneself run in the caller's stack; waiting for the own mailbox is `ErrSelfWait`.",
			why:   "Go programs have more than one processor.",
			proof: func(w *world) {
				var running, most atomic.Int64
				busy := func(context.Context, bus.Event[any]) {
					most.Store(max(most.Load(), running.Add(1)))
					time.Sleep(time.Second)
					running.Add(-1)
				}
				subscribeName(w, w.c, "A.e", busy)
				subscribeName(w, w.c, "*.e", busy)
				start := time.Now()
				w.publish("e", nil)
				w.ok(w.c.Flush(w.ctx()))
				w.equal(int64(1), most.Load())
				w.equal(2*time.Second, time.Since(start))
				d := w.register("D")
				subscribeName(w, d, "A.e", busy)
				w.publish("e", nil)
				synctest.Wait()
				w.equal(int64(2), running.Load())
				var self, own error
				w.handle("self", constant(1))
				subscribeName(w, w.a, "A.ask", func(ctx context.Context, _ bus.Event[any]) {
					self = w.a.Flush(ctx)
					_, own = w.a.Call(ctx, "self", nil)
				})
				w.publish("ask", nil)
				w.ok(w.a.Flush(w.ctx()))
				w.is(self, bus.ErrSelfWait)
				w.ok(own)
			}},
		{n: 13, question: "Re-entrancy: publish or call inside a handler",
			cxbus: "Always allowed, runs later.",
			here:  "Always allowed, with no lock held: events run later, from the mailbox; a command runs at once, in the caller's goroutine.",
			why:   "A result that is there at once needs no callback.",
			proof: func(w *world) {
				var got list[any]
				w.handle("x", func(context.Context, any) (any, error) { got.add("command"); return nil, nil })
				subscribeName(w, w.c, "A.e", func(ctx context.Context, e bus.Event[any]) {
					got.add(e.Data)
					if e.Data == 1 {
						w.ok(w.a.Publish(ctx, "e", 2))
						w.ok(second(w.c.Call(ctx, "A.x", nil)))
						got.add("end of 1")
					}
				})
				w.publish("e", 1)
				synctest.Wait()
				w.equal([]any{1, "command", "end of 1", 2}, got.get())
			}},
		{n: 14, question: "A slow subscriber",
			cxbus: "Blocks the page.",
			here:  "Its mailbox is bounded: publishers wait at the soft limit on their context, handlers never wait, the hard limit is `ErrOverflow`, counted. A subscription may drop the oldest or newest instead, counted too. Others are not held up.",
			why:   "Neither a deadlock nor a silent loss by default.",
			opts:  &bus.Options{MailboxSoft: 2, MailboxHard: 3, SlowAfter: -1},
			proof: func(w *world) {
				release := make(chan struct{})
				subscribeName(w, w.c, "A.e", func(context.Context, bus.Event[any]) { <-release })
				d := w.register("D")
				var got list[any]
				dropping := subscribeName(w, d, "A.e", func(_ context.Context, e bus.Event[any]) { <-release; got.add(e.Data) }, bus.DropOldest(1))
				w.publish("e", 0)
				synctest.Wait()
				w.publish("e", 1)
				w.publish("e", 2)
				ctx, cancel := context.WithTimeout(w.ctx(), time.Second)
				defer cancel()
				w.is(w.a.Publish(ctx, "e", 3), bus.ErrTimeout)
				w.ok(w.a.Publish(w.a.Context(), "e", 4))
				err := w.a.Publish(w.a.Context(), "e", 5)
				w.is(err, bus.ErrOverflow)
				assert.Contains(w, err.Error(), "subscriber C")
				w.equal(uint64(1), w.a.Registry()["C"].Refused)
				close(release)
				synctest.Wait()
				w.equal([]any{0, 5}, got.get())
				w.equal(uint64(4), dropping.Dropped())
			}},
		{n: 15, question: "Sharing of payloads",
			cxbus: "One mutable reference for all; a falsy payload becomes `{}`.",
			here:  "The payload is shared and must not be changed once published; zero values and nil arrive as they are. A hook gets a copy of a command's input.",
			why:   "Copying would cost every event for the few that are changed; zero is a value.",
			proof: func(w *world) {
				got, _ := w.sees("A.e")
				n := &note{N: 1}
				for _, v := range []any{n, 0, "", false, nil} {
					w.publish("e", v)
				}
				synctest.Wait()
				w.equal([]any{n, 0, "", false, nil}, got.get())
				assert.Same(w, n, got.get()[0])
			}},
		{n: 16, question: "A late subscriber",
			cxbus: "Gets what was republished, indistinguishable from a live event; `publish` does not refresh it; it is forgotten with the last subscriber.",
			here:  "Gets it as one atomic step with subscribing: each value exactly once, live or as the replay, which is flagged and keeps its time and revision. `Publish` does not change it; it survives unsubscribing; `ClearRetained` forgets it.",
			why:   "Forgetting the value when nobody happens to look is an accident.",
			proof: func(w *world) {
				var got list[bus.Event[any]]
				w.republish("state", 1)
				at := time.Now()
				time.Sleep(time.Hour)
				s := subscribeName(w, w.c, "A.state", func(_ context.Context, e bus.Event[any]) { got.add(e) })
				w.publish("state", 2)
				synctest.Wait()
				s.Unsubscribe()
				s = subscribeName(w, w.c, "A.state", func(_ context.Context, e bus.Event[any]) { got.add(e) })
				synctest.Wait()
				all := got.get()
				require.Len(w, all, 3)
				for i, replay := range []bool{true, false, true} {
					w.equal(replay, all[i].Retained())
				}
				w.equal([]any{1, 2, 1}, []any{all[0].Data, all[1].Data, all[2].Data})
				w.equal(at, all[2].Time())
				w.equal(uint64(1), all[2].Revision())
				s.Unsubscribe()
				w.a.ClearRetained("state")
				nothing, _ := w.sees("A.state")
				synctest.Wait()
				w.equal(0, nothing.len())
			}},
		{n: 17, question: "Unsubscribing",
			cxbus: "By event and plugin, all at once; what is queued still arrives.",
			here:  "By handle, exactly one, any number of times; what is queued does not arrive. `UnsubscribeWait` waits for a call under way; an inline call that is under way may still come.",
			why:   "After it has returned, what the handler uses may be torn down.",
			proof: func(w *world) {
				got, s := w.sees("A.e")
				kept, _ := w.sees("A.e")
				w.publish("e", 1)
				s.Unsubscribe()
				s.Unsubscribe()
				w.ok(s.UnsubscribeWait(w.ctx()))
				before := got.len()
				synctest.Wait()
				w.publish("e", 2)
				synctest.Wait()
				w.equal(before, got.len())
				w.equal([]any{1, 2}, kept.get())
			}},
		{n: 18, question: "Subscribing twice",
			cxbus: "Two calls.",
			here:  "Two calls, two handles.",
			proof: func(w *world) {
				var got list[any]
				h := func(_ context.Context, e bus.Event[any]) { got.add(e.Data) }
				s := subscribeName(w, w.c, "A.e", h)
				subscribeName(w, w.c, "A.e", h)
				w.publish("e", 1)
				synctest.Wait()
				s.Unsubscribe()
				w.publish("e", 2)
				synctest.Wait()
				w.equal([]any{1, 1, 2}, got.get())
			}},
		{n: 19, question: "A typo in an event's name",
			cxbus: "Silent for ever.",
			here:  "Subscribing stays loose, but is warned of once the plugin is ready, has declared events and this is none of them; the debugger lists it as undeclared; an error in strict mode, with the nearest name.",
			why:   "Known integrations wait for events that do not exist.",
			proof: func(w *world) {
				_, _ = w.sees("Late.messageRecieved")
				late := w.register("Late")
				w.ok(late.RegisterEvents("messageReceived"))
				late.Ready()
				const warning = "subscribed to an event that its plugin does not declare"
				require.Len(w, w.logs.find(warning), 1)
				assert.Contains(w, w.logs.find(warning)[0]["error"], "did you mean Late.messageReceived?")
				_, _ = w.sees("Late.other")
				require.Len(w, w.logs.find(warning), 2)
				undeclaredSubscriptions := 0
				for _, s := range w.b.Debugger().Subscriptions {
					if s.Undeclared {
						undeclaredSubscriptions++
					}
				}
				w.equal(2, undeclaredSubscriptions)
				strict := bus.New(&bus.Options{Strict: true})
				a := register(w, strict, "A")
				w.ok(a.RegisterEvents("opened"))
				a.Ready()
				err := second(a.Subscribe("A.opend", func(context.Context, bus.Event[any]) {}))
				w.is(err, bus.ErrUndeclared)
				w.equal("did you mean A.opened?", hint(w, err))
			}},
		{n: 20, question: "Declared events",
			cxbus: "Decoration, and incomplete.",
			here:  "`Bind` declares and gives the handle to publish with. Publishing an undeclared event by name works and is logged at debug level; in strict mode it is `ErrUndeclared`.",
			why:   "The registry is what tools rely on.",
			proof: func(w *world) {
				got, _ := w.sees("A.e")
				w.publish("e", 1)
				synctest.Wait()
				w.equal([]any{1}, got.get())
				require.Len(w, w.logs.find("published an event that is not declared"), 1)
				strict := bus.New(&bus.Options{Strict: true})
				a := register(w, strict, "A")
				w.ok(a.RegisterEvents("declared"))
				w.ok(a.Publish(w.ctx(), "declared", 1))
				w.is(a.Publish(w.ctx(), "undeclared", 1), bus.ErrUndeclared)
				w.is(a.Republish(w.ctx(), "undeclared", 1), bus.ErrUndeclared)
				assert.True(w, strings.HasPrefix(a.Registry()["A"].Events[0].Name, "A."))
			}},
	}
}
