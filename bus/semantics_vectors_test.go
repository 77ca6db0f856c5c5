package bus_test

import (
	"context"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

// vectors are the conformance vectors.
func vectors() []answer {
	return []answer{
		{n: 1, question: "Two registrations of one name",
			cxbus: "The second is refused.",
			here:  "The second is refused: `ErrNameTaken`.",
			proof: func(w *world) {
				w.register("New")
				w.is(second(w.b.Register("New")), bus.ErrNameTaken)
			}},
		{n: 2, question: "`registerPlugin` with something that is not a string",
			cxbus: "Refused without a log line.",
			here:  "A name is a string by its type; a malformed one is `ErrBadName`, without a log line.",
			proof: func(w *world) {
				lines := w.logs.records.len()
				for _, name := range []string{"", "A.B", "two words", "*"} {
					w.is(second(w.b.Register(name)), bus.ErrBadName)
				}
				w.equal(lines, w.logs.records.len())
			}},
		{n: 3, question: "The statement after a call or a publish",
			cxbus: "Runs before the handler, and before the subscribers.",
			here:  "`Call` has returned the result; an async handler has run when `Go` returns. Mailbox subscribers never run in the publisher's stack; to a handler of the same plugin that means later.",
			why:   "A result that is there at once needs no callback.",
			proof: func(w *world) {
				var got list[string]
				w.handle("x", func(context.Context, any) (any, error) { got.add("handler"); return nil, nil })
				subscribeName(w, w.c, "A.e", func(ctx context.Context, e bus.Event[any]) {
					got.add(e.Data.(string))
					if e.Data == "outer" {
						w.ok(w.a.Publish(ctx, "e", "inner"))
						got.add("after publish")
						w.ok(second(w.c.Call(ctx, "A.x", nil)))
						got.add("after call")
					}
				})
				w.publish("e", "outer")
				synctest.Wait()
				w.equal([]string{"outer", "after publish", "handler", "after call", "inner"}, got.get())
			}},
		{n: 4, question: "publish, command, publish from one caller",
			cxbus: "Observed in exactly that order.",
			here:  "The events in that order; the command runs at once, so it may overtake the first event. An inline subscriber observes exactly that order.",
			why:   "There is no queue for the whole bus.",
			proof: func(w *world) {
				var inline, mail list[string]
				release := make(chan struct{})
				w.handle("x", func(context.Context, any) (any, error) { inline.add("command"); mail.add("command"); return nil, nil })
				subscribeName(w, w.c, "A.e", func(_ context.Context, e bus.Event[any]) { inline.add(e.Data.(string)) }, bus.Inline())
				subscribeName(w, w.c, "A.e", func(_ context.Context, e bus.Event[any]) { <-release; mail.add(e.Data.(string)) })
				w.publish("e", "first")
				w.ok(second(w.call("A.x", nil)))
				w.publish("e", "second")
				close(release)
				synctest.Wait()
				w.equal([]string{"first", "command", "second"}, inline.get())
				w.equal([]string{"command", "first", "second"}, mail.get())
			}},
		{n: 5, question: "Subscribers of one event",
			cxbus: "Run in subscription order, across plugins.",
			here:  "Those of one plugin, and inline ones, run in subscription order; there is none between the mailboxes of plugins.",
			why:   "Mailboxes of plugins run in parallel.",
			proof: func(w *world) {
				var mail, inline list[int]
				d := w.register("D")
				for i := range 10 {
					subscribeName(w, w.c, "A.e", func(context.Context, bus.Event[any]) { mail.add(i) })
					subscribeName(w, []*bus.Client{w.c, d}[i%2], "A.e", func(context.Context, bus.Event[any]) { inline.add(i) }, bus.Inline())
				}
				w.publish("e", nil)
				synctest.Wait()
				w.equal(numbers(10), mail.get())
				w.equal(numbers(10), inline.get())
			}},
		{n: 6, question: "A subscriber that throws",
			cxbus: "Does not stop the next.",
			here:  "Does not stop the next.",
			proof: func(w *world) {
				subscribeName(w, w.c, "A.e", func(context.Context, bus.Event[any]) { panic("oops") })
				got, _ := w.sees("A.e")
				w.publish("e", 1)
				synctest.Wait()
				w.equal([]any{1}, got.get())
			}},
		{n: 7, question: "Payload `0`, payload `\"s\"`",
			cxbus: "`0` arrives as `{}`, `\"s\"` as `\"s\"`.",
			here:  "`0` arrives as `0`, `\"s\"` as `\"s\"`.",
			why:   "Zero is a value.",
			proof: func(w *world) {
				got, _ := w.sees("A.e")
				w.publish("e", 0)
				w.publish("e", "s")
				synctest.Wait()
				w.equal([]any{0, "s"}, got.get())
			}},
		{n: 8, question: "What a handler is handed",
			cxbus: "Events: `time, publisher, event, data`. Commands: `time, commander, command, deferred, data`.",
			here:  "Events: `Time` (for who asks with `Timed`), `Publisher`, `Name`, `Data`, and `Retained`, `Revision`, `Correlation`. Commands: the input, and `Commander(ctx)`; async ones a `Deferred`.",
			why:   "The clock costs more than a delivery; a handler knows which command it is.",
			proof: func(w *world) {
				var timed, plain bus.Event[any]
				subscribeName(w, w.c, "A.e", func(_ context.Context, e bus.Event[any]) { timed = e }, bus.Timed())
				subscribeName(w, w.c, "A.f", func(_ context.Context, e bus.Event[any]) { plain = e })
				w.publish("e", 1)
				w.publish("f", 2)
				synctest.Wait()
				w.equal([]any{time.Now(), "A", "A.e", 1}, []any{timed.Time(), timed.Publisher(), timed.Name(), timed.Data})
				w.equal([]any{time.Time{}, "A", "A.f", 2}, []any{plain.Time(), plain.Publisher(), plain.Name(), plain.Data})
				w.handle("x", func(ctx context.Context, in any) (any, error) { return []any{bus.Commander(ctx), in}, nil })
				out, err := w.call("A.x", 3)
				w.ok(err)
				w.equal([]any{"C", 3}, out)
			}},
		{n: 9, question: "`resolve(1, 2)`, then `reject`",
			cxbus: "Both values reach `done`; the later `reject` is ignored.",
			here:  "A result is one value, of the command's type; a later `Reject` is ignored and returns false.",
			why:   "More values are a struct.",
			proof: func(w *world) {
				var late bool
				w.ok(bus.HandleAsync(w.a, bus.NewCommand[any, [2]int]("A.x", ""), func(_ context.Context, _ any, d *bus.Deferred[[2]int]) {
					d.Resolve([2]int{1, 2})
					late = d.Reject(errOops)
				}))
				out, err := w.call("A.x", nil)
				w.ok(err)
				w.equal([2]int{1, 2}, out)
				assert.False(w, late)
			}},
		{n: 10, question: "`notify`",
			cxbus: "Reaches `progress`; lost if nobody listens yet.",
			here:  "Reaches `Future.Progress`; the last 64 wait for a listener.",
			why:   "A caller cannot listen before it has the future.",
			proof: func(w *world) {
				w.ok(bus.HandleAsync(w.a, bus.NewCommand[any, any]("A.x", ""), func(_ context.Context, _ any, d *bus.Deferred[any]) {
					d.Notify(0) // before anybody can listen
					go func() {
						for i := 1; i < 5; i++ {
							time.Sleep(time.Second)
							d.Notify(i)
						}
						d.Resolve(nil)
					}()
				}))
				var got []int
				for v := range w.c.Go(w.ctx(), "A.x", nil).Progress(w.ctx()) {
					got = append(got, v.(int))
				}
				w.equal(numbers(5), got)
			}},
		{n: 11, question: "A command registered again",
			cxbus: "The second handler answers.",
			here:  "`ErrDuplicate`; the first answers.",
			why:   "Silent replacement has caused a real bug.",
			proof: func(w *world) {
				w.handle("x", constant(1))
				w.is(w.a.RegisterCommand("x", constant(2)), bus.ErrDuplicate)
				out, err := w.call("A.x", nil)
				w.ok(err)
				w.equal(1, out)
			}},
		{n: 12, question: "Two hooks",
			cxbus: "The second sees the first one's result, the handler the last; all run in order before `command()` returns.",
			here:  "The same, also under `Go`.",
			proof: func(w *world) {
				var order list[any]
				w.ok(bus.HandleAsync(w.a, bus.NewCommand[any, any]("A.x", ""), func(_ context.Context, in any, d *bus.Deferred[any]) {
					order.add(in)
					d.Resolve(in)
				}))
				for i := range 2 {
					_, err := w.c.Before("A.x", func(_ context.Context, c *bus.Call[any]) error {
						order.add(c.In)
						c.In = c.In.(int) + i + 1
						return nil
					})
					w.ok(err)
				}
				f := w.c.Go(w.ctx(), "A.x", 0)
				w.equal([]any{0, 1, 3}, order.get())
				out, err := f.Result(w.ctx())
				w.ok(err)
				w.equal(3, out)
			}},
		{n: 13, question: "A hook that returns `false` or nothing",
			cxbus: "Rejected with \"Command was cancelled by a 'before' function.\"",
			here:  "A hook that returns an error: `ErrVetoed` with that text, and the error as its cause. Nothing cannot be returned.",
			why:   "A cancel has a reason.",
			proof: func(w *world) {
				w.handle("x", func(context.Context, any) (any, error) { w.Error("it runs"); return nil, nil })
				_, err := w.c.Before("A.x", func(context.Context, *bus.Call[any]) error { return errOops })
				w.ok(err)
				err = second(w.call("A.x", nil))
				w.is(err, bus.ErrVetoed)
				w.is(err, errOops)
				assert.Contains(w, err.Error(), "Command was cancelled by a 'before' function.")
			}},
		{n: 14, question: "Options `\"s\"`, `1`, `true`, a function; `null`, `0`, `\"\"`, `false`; an array",
			cxbus: "The first are rejected as if by a hook; the second become `{}`; arrays pass.",
			here:  "What is not the input's type, a map or raw JSON is `ErrWrongType`; nil is the zero value. A command registered by `RegisterCommand` takes anything as it is.",
			why:   "The types of the command decide.",
			proof: func(w *world) {
				w.ok(bus.Handle(w.a, bus.NewCommand[note, int]("A.add", ""), func(_ context.Context, n note) (int, error) { return n.N, nil }))
				for _, in := range []any{"s", 1, true, func() {}, 0, "", false, []any{}} {
					w.is(second(w.call("A.add", in)), bus.ErrWrongType)
				}
				out, err := w.call("A.add", nil)
				w.ok(err)
				w.equal(0, out)
				w.handle("any", func(_ context.Context, in any) (any, error) { return in, nil })
				for _, in := range []any{"s", 1, true, nil, 0, "", false, []int{1}} {
					out, err := w.call("A.any", in)
					w.ok(err)
					w.equal(in, out)
				}
			}},
		{n: 15, question: "Command to a plugin that is not ready",
			cxbus: "Pending; executed after `ready()`, in call order across callers.",
			here:  "The same, bounded in number and time.",
			proof: func(w *world) {
				late, d := w.register("Late"), w.register("D")
				var got list[any]
				w.ok(bus.HandleAsync(late, bus.NewCommand[any, any]("Late.x", ""), func(_ context.Context, in any, d *bus.Deferred[any]) {
					got.add(in)
					d.Resolve(nil)
				}))
				for i := range 10 {
					[]*bus.Client{w.c, d}[i%2].Go(w.ctx(), "Late.x", i)
				}
				synctest.Wait()
				w.equal(0, got.len())
				late.Ready()
				w.equal([]any{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, got.get())
			}},
		{n: 16, question: "Command registered after the call, before `ready()`",
			cxbus: "Executed.",
			here:  "Executed.",
			proof: func(w *world) {
				late := w.register("Late")
				f := w.c.Go(w.ctx(), "Late.x", nil)
				w.ok(late.RegisterCommand("x", constant(1)))
				late.Ready()
				out, err := f.Result(w.ctx())
				w.ok(err)
				w.equal(1, out)
			}},
		{n: 17, question: "Own command before own `ready()`",
			cxbus: "Executed.",
			here:  "Executed.",
			proof: func(w *world) {
				late := w.register("Late")
				w.ok(late.RegisterCommand("x", constant(1)))
				for _, name := range []string{"x", "Late.x"} {
					out, err := late.Call(w.ctx(), name, nil)
					w.ok(err)
					w.equal(1, out)
				}
			}},
		{n: 18, question: "Unknown command on a ready plugin",
			cxbus: "Pending (2018: rejected with \"Command does not exist\").",
			here:  "Rejected with \"Command does not exist\".",
			why:   "Nothing hangs.",
			proof: func(w *world) {
				err := second(w.call("A.none", nil))
				w.is(err, bus.ErrUnknownCommand)
				assert.Contains(w, err.Error(), "Command does not exist")
			}},
		{n: 19, question: "`republish`, subscribe, `publish` another payload, subscribe",
			cxbus: "The first subscriber gets both, the second the republished one.",
			here:  "The same.",
			proof: func(w *world) {
				w.republish("e", 1)
				first, _ := w.sees("A.e")
				synctest.Wait()
				w.publish("e", 2)
				third, _ := w.sees("A.e")
				synctest.Wait()
				w.equal([]any{1, 2}, first.get())
				w.equal([]any{1}, third.get())
			}},
		{n: 20, question: "Retained event, all subscribers leave, a new one comes",
			cxbus: "Gets nothing.",
			here:  "Gets the value.",
			why:   "The value belongs to its publisher, not to who looks at it.",
			proof: func(w *world) {
				w.republish("e", 1)
				_, s := w.sees("A.e")
				s.Unsubscribe()
				got, _ := w.sees("A.e")
				synctest.Wait()
				w.equal([]any{1}, got.get())
			}},
		{n: 21, question: "`unsubscribe` between publish and delivery",
			cxbus: "Still delivered once.",
			here:  "Not delivered.",
			why:   "After it has returned, what the handler uses may be torn down.",
			proof: func(w *world) {
				release := make(chan struct{})
				subscribeName(w, w.c, "A.e", func(context.Context, bus.Event[any]) { <-release })
				got, s := w.sees("A.e")
				w.publish("e", 1)
				synctest.Wait()
				s.Unsubscribe()
				close(release)
				synctest.Wait()
				w.equal(0, got.len())
			}},
		{n: 22, question: "`unsubscribe` of an event with foreign subscribers only; of an unknown event",
			cxbus: "`true`; `false`.",
			here:  "One unsubscribes what one holds a handle of; there is nothing to answer, and no way to hit another's.",
			why:   "Handles.",
			proof: func(w *world) {
				d := w.register("D")
				var foreign list[any]
				subscribeName(w, d, "A.e", func(_ context.Context, e bus.Event[any]) { foreign.add(e.Data) })
				_, s := w.sees("A.e")
				s.Unsubscribe()
				s.Unsubscribe()
				w.publish("e", 1)
				synctest.Wait()
				w.equal([]any{1}, foreign.get())
			}},
		{n: 23, question: "`subscribe` without a callback; to an unregistered publisher",
			cxbus: "`false`; accepted.",
			here:  "`ErrNilHandler`; accepted.",
			proof: func(w *world) {
				w.is(second(w.c.Subscribe("A.e", nil)), bus.ErrNilHandler)
				got, _ := w.sees("Later.e")
				later := w.register("Later")
				w.ok(later.Publish(w.ctx(), "e", 1))
				synctest.Wait()
				w.equal([]any{1}, got.get())
			}},
		{n: 24, question: "Two subscriptions of one function; one `unsubscribe`",
			cxbus: "Two calls; both are removed.",
			here:  "Two calls; one is removed.",
			why:   "Handles.",
			proof: func(w *world) {
				var got list[any]
				h := func(_ context.Context, e bus.Event[any]) { got.add(e.Data) }
				subscribeName(w, w.c, "A.e", h)
				s := subscribeName(w, w.c, "A.e", h)
				w.publish("e", 1)
				synctest.Wait()
				s.Unsubscribe()
				w.publish("e", 2)
				synctest.Wait()
				w.equal([]any{1, 1, 2}, got.get())
			}},
		{n: 25, question: "`B.publish(\"A.foo\")`",
			cxbus: "Does not reach subscribers of `A.foo`.",
			here:  "Does not: it is the event `B.A.foo`.",
			proof: func(w *world) {
				b := w.register("B")
				foreign, _ := w.sees("A.foo")
				own, _ := w.sees("B.A.foo")
				w.ok(b.Publish(w.ctx(), "A.foo", 1))
				synctest.Wait()
				w.equal(0, foreign.len())
				w.equal([]any{1}, own.get())
			}},
		{n: 26, question: "`A.*`",
			cxbus: "Matches nothing but the literal name.",
			here:  "Matches all events of A; no event can have the name.",
			why:   "See question 21.",
			proof: func(w *world) {
				got, _ := w.sees("A.*")
				w.publish("e", 1)
				w.publish("e.f", 2)
				synctest.Wait()
				w.equal([]any{struct{}{}, 1, 2}, got.get()) // A.ready is retained
				w.is(w.a.Publish(w.ctx(), "*", 1), bus.ErrBadName)
			}},
		{n: 27, question: "A missing plugin",
			cxbus: "A request for its script file, lower-cased; on failure \"Could not load plugin file in given location...\"; two quick calls make two requests.",
			here:  "`Options.Loader` is called with the namespace as it was spelled, once for all who wait; its error is the cause of `ErrUnknownPlugin`. `X.LOAD` brings a plugin and does nothing else.",
			why:   "There are no script files.",
			proof: func(w *world) {
				var asked list[string]
				b := bus.New(&bus.Options{Loader: func(_ context.Context, b *bus.Bus, namespace string) error {
					asked.add(namespace)
					time.Sleep(time.Second)
					if namespace == "NoSuch" {
						return errOops
					}
					p, err := b.Register(namespace)
					if err == nil {
						p.Ready()
					}
					return err
				}})
				c := register(w, b, "C")
				f, g := c.Go(w.ctx(), "NoSuch.x", nil), c.Go(w.ctx(), "NoSuch.y", nil)
				for _, err := range []error{second(f.Result(w.ctx())), second(g.Result(w.ctx()))} {
					w.is(err, bus.ErrUnknownPlugin)
					w.is(err, errOops)
				}
				w.ok(second(c.Call(w.ctx(), "Lazy.LOAD", nil)))
				w.equal([]string{"NoSuch", "Lazy"}, asked.get())
				w.ok(b.Close(w.ctx()))
			}},
		{n: 28, question: "`data(\"k\", 1)`, then `data(\"k\", \"v\")`",
			cxbus: "`A.data.k` with `{last: 1, value: \"v\", time}`, and an event named `A.data.k:'v'`.",
			here:  "`A.data.k` with `Last`, `Value` and `Time`, retained; `DataOf.Wait` takes the place of the other.",
			why:   "See question 38.",
			proof: func(w *world) {
				names := &list[string]{}
				d := bus.NewData[any]("A.k", "")
				w.ok(d.Set(w.a, 1))
				var last atomic.Value
				subscribeName(w, w.c, "A.*", func(_ context.Context, e bus.Event[any]) {
					if change, ok := e.Data.(bus.DataChange); ok {
						names.add(e.Name())
						last.Store(change)
					}
				})
				time.Sleep(time.Second)
				w.ok(d.Set(w.a, "v"))
				synctest.Wait()
				w.equal([]string{"A.data.k", "A.data.k"}, names.get())
				change := last.Load().(bus.DataChange)
				w.equal([]any{1, "v", time.Now()}, []any{change.Last, change.Value, change.Time})
			}},
		{n: 29, question: "`registerMaster` a second time; registration after `lock()`",
			cxbus: "`undefined`; refused.",
			here:  "Whoever has the `*Bus` is the master: plugins get a `*Client`, which cannot register others. `Options.Reserved` keeps names, `Close` ends registration.",
			why:   "The two types say it.",
			opts:  &bus.Options{Reserved: []string{"Master"}},
			proof: func(w *world) {
				w.is(second(w.b.Register("Master")), bus.ErrNameTaken)
				w.ok(w.b.Close(w.ctx()))
				w.is(second(w.b.Register("New")), bus.ErrClosed)
			}},
		{n: 30, question: "`registerEvents`",
			cxbus: "Takes an array or a string; drops duplicates.",
			here:  "Takes any number of names; drops duplicates.",
			proof: func(w *world) {
				w.ok(w.a.RegisterEvents("e", "f", "e"))
				w.ok(w.a.RegisterEvents("f"))
				out, err := w.call("A.EVENTS", nil)
				w.ok(err)
				w.equal([]string{"A.e", "A.f", "A.ready"}, out)
				require.Len(w, w.c.Registry()["A"].Events, 3)
			}},
	}
}
