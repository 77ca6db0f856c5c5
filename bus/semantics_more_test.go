package bus_test

import (
	"context"
	"errors"
	"fmt"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

// moreQuestions are the rows 21 to 40.
func moreQuestions() []answer {
	return []answer{
		{n: 21, question: "Wildcards",
			cxbus: "None.",
			here:  "A final `*` stands for one or more parts, a leading `*` for exactly one, `*` alone for everything; they cost nothing per event. For audit and debugging there is `Tap`.",
			why:   "Loggers, bridges and debug tools need them, and would otherwise be written around the bus.",
			proof: func(w *world) {
				want := map[string][]any{"A.*": {"A.e", "A.e.f"}, "*.e": {"A.e", "C.e"}, "*": {"A.e", "A.e.f", "C.e"}, "A.e.*": {"A.e.f"}}
				got := map[string]*list[any]{}
				for pattern := range want {
					got[pattern] = &list[any]{}
					subscribeName(w, w.c, pattern, func(_ context.Context, e bus.Event[any]) {
						if e.Data != (struct{}{}) { // ready
							got[pattern].add(e.Name())
						}
					})
				}
				var taps list[string]
				_, err := w.c.Tap(func(_ context.Context, r bus.Record) { taps.add(r.Kind + " " + r.Name) })
				w.ok(err)
				w.publish("e", 1)
				w.publish("e.f", 1)
				w.ok(w.c.Publish(w.ctx(), "e", 1))
				_, _ = w.call("A.none", nil)
				synctest.Wait()
				for pattern, names := range want {
					w.equal(names, got[pattern].get())
				}
				w.equal([]string{"event A.e", "event A.e.f", "event C.e", "command A.none", "result A.none"}, taps.get())
			}},
		{n: 22, question: "Before hooks: scope",
			cxbus: "Anonymous, cannot be removed, see the options only.",
			here:  "Owned by a plugin and gone with it; removed by a handle; see caller, name, context and a copy of the input, in the type of the command; by name or by pattern; may change the input, go on, or stop the command with a reason.",
			why:   "Nobody can debug a hook that nobody can find.",
			proof: func(w *world) {
				w.handle("x", func(_ context.Context, in any) (any, error) { return in, nil })
				var seen bus.Call[any]
				hook, err := w.c.Before("A.x", func(_ context.Context, c *bus.Call[any]) error {
					seen = *c
					c.In = "changed"
					return nil
				})
				w.ok(err)
				out, err := w.call("A.x", "given")
				w.ok(err)
				w.equal("changed", out)
				w.equal(bus.Call[any]{Command: "A.x", Commander: "C", In: "given"}, seen)
				w.equal(map[string][]string{"A.x": {"C"}}, w.b.Debugger().Hooks)
				hook.Remove()
				out, err = w.call("A.x", "given")
				w.ok(err)
				w.equal("given", out)
				d := w.register("D")
				_, err = d.Before("A.x", func(context.Context, *bus.Call[any]) error { return errOops })
				w.ok(err)
				w.is(second(w.call("A.x", nil)), bus.ErrVetoed)
				w.ok(w.b.Unload(w.ctx(), "D"))
				w.ok(second(w.call("A.x", nil)))
			}},
		{n: 23, question: "Before hooks: a forgotten return",
			cxbus: "Cancels the command, with a misleading text.",
			here:  "A hook returns an error or nil; nil goes on with the input as the hook left it. Only an error stops the command.",
			why:   "There is nothing to forget.",
			proof: func(w *world) {
				w.handle("x", func(_ context.Context, in any) (any, error) { return in, nil })
				_, err := w.c.Before("A.x", func(context.Context, *bus.Call[any]) error { return nil })
				w.ok(err)
				out, err := w.call("A.x", "given")
				w.ok(err)
				w.equal("given", out)
			}},
		{n: 24, question: "Before hooks: time",
			cxbus: "At the call, before buffering; the hook changes the caller's own object.",
			here:  "At the call, before buffering; the caller's map, raw JSON or pointed-to value is copied, one level deep.",
			why:   "A caller who uses his map again must not find a hook's traces in it.",
			proof: func(w *world) {
				late := w.register("Late")
				w.ok(late.RegisterCommand("x", func(_ context.Context, in any) (any, error) { return in, nil }))
				ran := 0
				hook := func(_ context.Context, c *bus.Call[any]) error {
					ran++
					c.In.(map[string]any)["added"] = true
					return nil
				}
				_, err := w.c.Before("Late.x", hook)
				w.ok(err)
				in := map[string]any{"given": true}
				f := w.c.Go(w.ctx(), "Late.x", in)
				w.equal(1, ran)
				_, err = w.c.Before("Late.x", hook) // too late for that call
				w.ok(err)
				late.Ready()
				out, err := f.Result(w.ctx())
				w.ok(err)
				w.equal(map[string]any{"given": true, "added": true}, out)
				w.equal(map[string]any{"given": true}, in)
				w.equal(1, ran)
			}},
		{n: 25, question: "Before hooks: an exception",
			cxbus: "Thrown into the caller of `command()`.",
			here:  "Recovered; the call returns `ErrPanic`; logged with its stack.",
			why:   "A caller must not pay for somebody else's hook.",
			proof: func(w *world) {
				ran := false
				w.handle("x", func(context.Context, any) (any, error) { ran = true; return nil, nil })
				_, err := w.c.Before("A.x", func(context.Context, *bus.Call[any]) error { panic("oops") })
				w.ok(err)
				w.is(second(w.call("A.x", nil)), bus.ErrPanic)
				assert.False(w, ran)
				require.Len(w, w.logs.find("before hook panicked"), 1)
			}},
		{n: 26, question: "After hooks",
			cxbus: "None.",
			here:  "`Observe` is told of each settlement: name, caller, duration, result or error. It cannot change the result.",
			why:   "Metrics and audit need the end of a command, not only its beginning.",
			proof: func(w *world) {
				w.handle("x", func(context.Context, any) (any, error) { time.Sleep(time.Second); return 1, errOops })
				var seen list[bus.Record]
				_, err := w.a.Observe("A.*", func(_ context.Context, r bus.Record) { seen.add(r) })
				w.ok(err)
				w.is(second(w.call("A.x", nil)), errOops)
				synctest.Wait()
				require.Len(w, seen.get(), 1)
				r := seen.get()[0]
				w.equal([]any{"result", "A.x", "C", time.Second, errOops}, []any{r.Kind, r.Name, r.By, r.Duration, r.Err})
			}},
		{n: 27, question: "Options of a wrong type",
			cxbus: "Rejected as \"cancelled by a 'before' function\".",
			here:  "`ErrWrongType`, which says what came and what was wanted. Maps and raw JSON are decoded strictly into the input's type.",
			why:   "The vendor's text misleads; typed input is what Go has.",
			proof: func(w *world) {
				ran := false
				w.ok(bus.Handle(w.a, bus.NewCommand[note, int]("A.add", ""), func(_ context.Context, n note) (int, error) { ran = true; return n.N, nil }))
				for _, in := range []any{"s", 1, true, []int{1}, map[string]any{"M": 1}, map[string]any{"N": "1"}} {
					err := second(w.call("A.add", in))
					w.is(err, bus.ErrWrongType)
					assert.NotErrorIs(w, err, bus.ErrVetoed)
				}
				assert.False(w, ran)
				out, err := w.call("A.add", map[string]any{"N": 7})
				w.ok(err)
				w.equal(7, out)
			}},
		{n: 28, question: "Time-out and cancelling",
			cxbus: "None.",
			here:  "Every call takes a context; its end ends the wait (`ErrTimeout`, `ErrCancelled`) and the handler's context.",
			why:   "Go's way of saying how long somebody will wait.",
			proof: func(w *world) {
				var ended error
				w.handle("x", func(ctx context.Context, _ any) (any, error) {
					<-ctx.Done()
					ended = ctx.Err()
					return nil, ctx.Err()
				})
				ctx, cancel := context.WithTimeout(w.ctx(), time.Second)
				defer cancel()
				w.is(second(w.c.Call(ctx, "A.x", nil)), context.DeadlineExceeded)
				w.is(ended, context.DeadlineExceeded)
				ctx, cancel = context.WithCancel(w.ctx())
				f := w.c.Go(ctx, "A.x", nil)
				cancel()
				w.is(second(f.Result(ctx)), bus.ErrCancelled)
				synctest.Wait()
				w.is(ended, context.Canceled)
			}},
		{n: 29, question: "Commands in commands",
			cxbus: "Not tracked.",
			here:  "A handler passes its context on: deadline, correlation number and depth go with it; a circle ends with `ErrTooDeep`.",
			why:   "A trace can be put together, and a ping-pong ends.",
			opts:  &bus.Options{MaxDepth: 8},
			proof: func(w *world) {
				var chains list[uint64]
				calls := 0
				w.handle("ping", func(ctx context.Context, _ any) (any, error) {
					calls++
					chains.add(bus.Correlation(ctx))
					return w.a.Call(ctx, "C.pong", nil)
				})
				w.ok(w.c.RegisterCommand("pong", func(ctx context.Context, _ any) (any, error) {
					calls++
					chains.add(bus.Correlation(ctx))
					return w.c.Call(ctx, "A.ping", nil)
				}))
				w.is(second(w.call("A.ping", nil)), bus.ErrTooDeep)
				w.equal(8, calls)
				for _, n := range chains.get() {
					w.equal(chains.get()[0], n)
				}
				assert.NotZero(w, chains.get()[0])
			}},
		{n: 30, question: "Chaining of promises",
			cxbus: "`then` returns nothing; callbacks run in the resolver's stack, and a throwing one hurts the resolver.",
			here:  "`Call` returns the result; `Go` gives a `Future` with `Done` and `Result(ctx)`, for any number of waiters, each in its own goroutine. There are no callbacks.",
			why:   "Go waits where others chain.",
			proof: func(w *world) {
				w.handle("x", func(context.Context, any) (any, error) { time.Sleep(time.Second); return 1, nil })
				f := w.c.Go(w.ctx(), "A.x", nil)
				var got list[any]
				for range 3 {
					go func() {
						out, err := f.Result(w.ctx())
						assert.NoError(w, err)
						got.add(out)
					}()
				}
				<-f.Done()
				synctest.Wait()
				w.equal([]any{1, 1, 1}, got.get())
			}},
		{n: 31, question: "What a rejection is",
			cxbus: "A string, an object, `undefined`: all occur.",
			here:  "Always an error. The bus's own are `*bus.Error` with stable codes, and keep the vendor's texts; a handler's own error is handed on unchanged.",
			why:   "Programs compare codes, people read texts.",
			proof: func(w *world) {
				w.handle("x", func(context.Context, any) (any, error) { return nil, errOops })
				require.Same(w, errOops, second(w.call("A.x", nil)))
				w.ok(bus.HandleAsync(w.a, bus.NewCommand[any, any]("A.y", ""), func(_ context.Context, _ any, d *bus.Deferred[any]) { d.Reject(nil) }))
				var e *bus.Error
				require.ErrorAs(w, second(w.call("A.y", nil)), &e)
				w.equal(bus.Code("rejected"), e.Code)
				require.ErrorAs(w, second(w.call("A.z", nil)), &e)
				w.equal([]any{bus.Code("unknown-command"), "Command does not exist"}, []any{e.Code, e.Text})
				w.equal("Command was cancelled by a 'before' function.", bus.ErrVetoed.Text)
			}},
		{n: 32, question: "Identity",
			cxbus: "The name: first come, first served; `unlocked` gives away every interface.",
			here:  "The `*Client` is the capability. Namespaces can be reserved for plugins that the host starts; nobody can get at another's client, publish its events or handle its commands.",
			why:   "A name is no proof.",
			opts:  &bus.Options{Reserved: []string{"Core"}},
			proof: func(w *world) {
				w.is(second(w.b.Register("Core")), bus.ErrNameTaken)
				w.ok(w.b.Start(w.ctx(), &plugin{name: "Core", log: &list[string]{}}))
				w.is(second(w.b.Register("Bus")), bus.ErrNameTaken)
				w.is(second(bus.NewEvent[int]("A.e", "").Bind(w.c)), bus.ErrNotOwner)
				w.is(bus.Handle(w.c, bus.NewCommand[int, int]("A.x", ""), func(context.Context, int) (int, error) { return 0, nil }), bus.ErrNotOwner)
				w.is(bus.NewData[int]("A.n", "").Set(w.c, 1), bus.ErrNotOwner)
			}},
		{n: 33, question: "The registry",
			cxbus: "The live internal object, which any caller can alter.",
			here:  "A snapshot: state, commands and events with types and meaning, what waits; the debugger adds subscriptions and hooks.",
			why:   "Tools look, they do not reach in.",
			proof: func(w *world) {
				w.ok(bus.Handle(w.a, bus.NewCommand[note, int]("A.add", "Adds."), func(context.Context, note) (int, error) { return 1, nil }))
				reg := w.c.Registry()
				w.equal("ready", reg["A"].State)
				w.equal("Adds.", reg["A"].Commands[0].Doc)
				w.equal("bus_test.note", reg["A"].Commands[0].In.String())
				reg["A"].Commands[0].Name = "gone"
				delete(reg, "C")
				w.equal("A.add", w.c.Registry()["A"].Commands[0].Name)
				assert.Contains(w, w.c.Registry(), "C")
				late := w.register("Late")
				f := w.c.Go(w.ctx(), "Late.x", nil)
				w.equal("starting", w.c.Registry()["Late"].State)
				w.equal([]string{"Late.x"}, w.c.Registry()["Late"].Buffered)
				late.Ready()
				w.is(second(f.Result(w.ctx())), bus.ErrUnknownCommand)
			}},
		{n: 34, question: "`subscribers()`",
			cxbus: "Matches the namespace as an unanchored pattern, so that `WebChatService` shows up under `WebChat`.",
			here:  "The own namespace alone; a subscriber is listed once per subscription.",
			why:   "The mix-up is an accident.",
			proof: func(w *world) {
				_, _ = w.sees("A.e")
				_, _ = w.sees("A.e")
				_, _ = w.sees("AB.e")
				w.equal([]string{"C", "C"}, w.a.Subscribers()["A.e"])
				assert.NotContains(w, w.a.Subscribers(), "AB.e")
			}},
		{n: 35, question: "`ready()` and the event `ready`",
			cxbus: "Two separate calls; integrations forget one or publish it unretained.",
			here:  "`Ready` opens the gate and republishes `<Name>.ready`; calling it again does nothing. A plugin that the host starts is ready when its `Start` returns.",
			why:   "One call cannot be made in the wrong order.",
			proof: func(w *world) {
				late := w.register("Late")
				live, _ := w.sees("Late.ready")
				late.Ready()
				late.Ready()
				after, _ := w.sees("Late.ready")
				synctest.Wait()
				w.equal([]any{struct{}{}}, live.get())
				w.equal([]any{struct{}{}}, after.get())
				w.ok(w.b.Start(w.ctx(), &plugin{name: "P", log: &list[string]{}}))
				w.equal("ready", w.c.Registry()["P"].State)
			}},
		{n: 36, question: "The end",
			cxbus: "None; a plugin cannot be removed.",
			here:  "`Close` stops plugins in reverse order, refuses what is new, rejects what is buffered, lets mailboxes run empty and waits, no longer than its context lives; `Unload` does it for one plugin and takes commands, hooks, subscriptions and retained values with it.",
			why:   "A page is closed; a server stays up.",
			proof: func(w *world) {
				d := w.register("D")
				w.ok(d.RegisterCommand("x", constant(1)))
				w.ok(d.Republish(w.ctx(), "kept", 1))
				subscribeName(w, d, "A.e", func(context.Context, bus.Event[any]) { w.Error("after Unload") })
				f := w.c.Go(w.ctx(), "D.x", nil) // buffered
				w.ok(w.b.Unload(w.ctx(), "D"))
				w.is(second(f.Result(w.ctx())), bus.ErrStopped)
				w.is(second(w.call("D.x", nil)), bus.ErrUnknownPlugin)
				w.is(d.Publish(w.ctx(), "kept", 2), bus.ErrStopped)
				w.publish("e", 1)
				none, _ := w.sees("D.kept")
				got, _ := w.sees("A.f")
				w.publish("f", 1)
				w.ok(w.b.Close(w.ctx()))
				w.equal([]any{1}, got.get())
				w.equal(0, none.len())
				w.is(second(w.call("A.x", nil)), bus.ErrClosed)
				w.is(w.a.Publish(w.ctx(), "e", 1), bus.ErrClosed)
				w.is(second(w.b.Register("E")), bus.ErrClosed)
			}},
		{n: 37, question: "The data store",
			cxbus: "Loose comparison, no null, a live object handed out.",
			here:  "Typed set, get, delete and compare-and-set; equality decides what a change is; the change event has old and new value and is retained; `Data` copies the store.",
			why:   "1 and \"1\" are two values.",
			proof: func(w *world) {
				d := bus.NewData[any]("A.k", "")
				var got list[bus.DataChange]
				subscribe(w, w.c, d.Changed(), func(_ context.Context, e bus.Event[bus.DataChange]) { got.add(e.Data) })
				for _, v := range []any{1, 1, "1", nil} {
					w.ok(d.Set(w.a, v))
				}
				v, ok := d.Get(w.c)
				w.equal([]any{nil, true}, []any{v, ok})
				v, err := d.Wait(w.ctx(), w.c, nil)
				w.ok(err)
				w.equal(nil, v)
				w.ok(d.Set(w.a, 2))
				done, err := d.CompareAndSet(w.a, 1, 3)
				w.ok(err)
				assert.False(w, done)
				done, err = d.CompareAndSet(w.a, 2, 3)
				w.ok(err)
				assert.True(w, done)
				snapshot := w.c.Data("A")
				w.equal(map[string]any{"k": 3}, snapshot)
				snapshot["k"] = 4
				w.ok(d.Delete(w.a))
				_, ok = d.Get(w.c)
				assert.False(w, ok)
				synctest.Wait()
				var values []string
				for _, c := range got.get() {
					values = append(values, fmt.Sprintf("%v>%v", c.Last, c.Value))
				}
				w.equal([]string{"<nil>>1", "1>1", "1><nil>", "<nil>>2", "2>3", "3><nil>"}, values)
			}},
		{n: 38, question: "An event per value (`data.k:'v'`)",
			cxbus: "One event name per value: an unbounded number of names.",
			here:  "`DataOf.Wait(ctx, client, match)`.",
			why:   "Names that are never used again are a leak.",
			proof: func(w *world) {
				d := bus.NewData[int]("A.k", "")
				go func() {
					for i := range 10 {
						time.Sleep(time.Second)
						assert.NoError(w, d.Set(w.a, i))
					}
				}()
				v, err := d.Wait(w.ctx(), w.c, func(n int) bool { return n > 5 })
				w.ok(err)
				w.equal(6, v)
				v, err = d.Wait(w.ctx(), w.c, nil) // there is one already
				w.ok(err)
				w.equal(6, v)
				time.Sleep(time.Minute)
				for name := range w.a.Subscribers() {
					assert.NotContains(w, name, ":")
				}
			}},
		{n: 39, question: "Sync mode",
			cxbus: "A global switch that changes all semantics.",
			here:  "None. A subscription may be inline; `Flush` waits until what was queued has been handled.",
			why:   "Code must mean one thing.",
			proof: func(w *world) {
				inline, _ := w.sees("A.e", bus.Inline())
				mail, _ := w.sees("A.e")
				w.publish("e", 1)
				w.equal([]any{1}, inline.get())
				w.ok(w.c.Flush(w.ctx()))
				w.equal([]any{1}, mail.get())
			}},
		{n: 40, question: "Logging",
			cxbus: "One debug flag, `console.log`, no levels or ids.",
			here:  "`log/slog` with levels and attributes, for what no caller is told; never a payload. Ids and durations are in what taps see.",
			why:   "Payloads hold what customers write.",
			proof: func(w *world) {
				const secret = "4111 1111"
				w.handle("x", func(context.Context, any) (any, error) { return nil, errors.New("refused") })
				late := w.register("Late")
				var records list[bus.Record]
				_, err := w.c.Tap(func(_ context.Context, r bus.Record) { records.add(r) })
				w.ok(err)
				subscribeName(w, w.c, "A.e", func(context.Context, bus.Event[any]) { panic("oops") })
				w.publish("e", secret)
				_, _ = w.call("A.x", secret)
				f := w.c.Go(w.ctx(), "Late.x", secret)
				late.Ready()
				_, _ = f.Result(w.ctx())
				synctest.Wait()
				assert.NotEmpty(w, w.logs.records.get())
				for _, r := range w.logs.records.get() {
					assert.NotContains(w, r.Message, secret)
				}
				for _, message := range []string{"subscriber panicked", "command waits until the plugin is ready"} {
					require.NotEmpty(w, w.logs.find(message))
					assert.NotContains(w, fmt.Sprint(w.logs.find(message)), secret)
				}
				ids := map[uint64]int{}
				for _, r := range records.get() {
					if r.Name == "A.x" {
						ids[r.ID]++
					}
				}
				require.Len(w, ids, 1, "the command and its result")
			}},
	}
}
