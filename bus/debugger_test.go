package bus_test

import (
	"context"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

// pluginInfo returns what a snapshot says of one plugin.
func pluginInfo(d bus.Debugger, namespace string) bus.PluginInfo {
	for _, p := range d.Plugins {
		if p.Namespace == namespace {
			return p
		}
	}
	return bus.PluginInfo{}
}

func TestDebuggerPlugins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(nil)
		c, app := register(t, b, "Notes"), register(t, b, "App")
		hold := make(chan struct{})
		require.NoError(t, bus.Handle(c, addNote, func(_ context.Context, in note) (int, error) { <-hold; return in.N, nil }))
		require.NoError(t, bus.HandleAsync(c, textOf, func(_ context.Context, _ *note, d *bus.Deferred[string]) { d.Resolve("") }))
		p := bind(t, c, noteState)
		require.NoError(t, c.RegisterEvents("any"))
		require.NoError(t, dataCount.Set(c, 3))

		d := b.Debugger()
		require.Len(t, d.Plugins, 2)
		assert.Equal(t, []string{"Notes", "App"}, []string{d.Plugins[0].Namespace, d.Plugins[1].Namespace}, "as registered")
		assert.Equal(t, "starting", d.Plugins[0].State)
		f, g := app.Go(t.Context(), "Notes.add", nil), app.Go(t.Context(), "Notes.later", nil)
		synctest.Wait()
		assert.Equal(t, []string{"Notes.add", "Notes.later"}, pluginInfo(b.Debugger(), "Notes").Buffered)
		c.Ready()
		synctest.Wait()
		_, err := g.Result(t.Context())
		require.ErrorIs(t, err, bus.ErrUnknownCommand)
		require.NoError(t, p.Republish(t.Context(), note{N: 1}))
		require.NoError(t, p.Republish(t.Context(), note{N: 2}))

		info := pluginInfo(b.Debugger(), "Notes")
		assert.Equal(t, "ready", info.State)
		assert.Empty(t, info.Buffered)
		assert.Equal(t, []bus.CommandInfo{
			{Name: "Notes.add", Doc: "Adds a note and gives its number.", In: reflect.TypeFor[note](), Out: reflect.TypeFor[int](), Running: 1},
			{Name: "Notes.text", Doc: "Gives the text of a note.", In: reflect.TypeFor[*note](), Out: reflect.TypeFor[string](), Async: true},
		}, info.Commands)
		require.Len(t, info.Events, 4)
		assert.Equal(t, bus.EventInfo{Name: "Notes.any", Type: reflect.TypeFor[any]()}, info.Events[0])
		assert.Equal(t, "Notes.data.count", info.Events[1].Name)
		assert.Equal(t, 3, info.Events[1].Retained.(bus.DataChange).Value)
		assert.Equal(t, "Notes.ready", info.Events[2].Name)
		assert.EqualValues(t, 1, info.Events[2].Revision)
		assert.Equal(t, bus.EventInfo{Name: "Notes.state", Doc: noteState.Doc(), Type: reflect.TypeFor[note](), Revision: 2, Retained: note{N: 2}}, info.Events[3])
		p.ClearRetained()
		assert.Nil(t, pluginInfo(b.Debugger(), "Notes").Events[3].Retained)
		assert.Equal(t, note{N: 2}, info.Events[3].Retained, "a snapshot stays what it was")

		done := make(chan error, 1)
		go func() { done <- b.Close(context.Background()) }()
		synctest.Wait()
		assert.Equal(t, "stopping", pluginInfo(b.Debugger(), "Notes").State)
		close(hold)
		require.NoError(t, <-done)
		_, err = f.Result(t.Context())
		require.NoError(t, err)
		assert.Empty(t, b.Debugger().Plugins)
		assert.Empty(t, b.Debugger().Subscriptions)
	})
}

func TestDebuggerHooks(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		c, app := register(t, b, "Notes"), register(t, b, "App")
		assert.Empty(t, b.Debugger().Hooks)
		ok := func(context.Context, *bus.Call[any]) error { return nil }
		var hooks []*bus.Hook
		for _, add := range []struct {
			c    *bus.Client
			name string
		}{{app, "Notes.add"}, {c, "Notes.add"}, {app, "Notes.add"}, {app, "Notes.text"}} {
			h, err := add.c.Before(add.name, ok)
			require.NoError(t, err)
			hooks = append(hooks, h)
		}
		assert.Equal(t, map[string][]string{"Notes.add": {"App", "Notes", "App"}, "Notes.text": {"App"}}, b.Debugger().Hooks)
		hooks[0].Remove()
		hooks[3].Remove()
		assert.Equal(t, map[string][]string{"Notes.add": {"Notes", "App"}}, b.Debugger().Hooks)
	})
}

func TestDebuggerSubscriptions(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		c, app := register(t, b, "Notes"), register(t, b, "App")
		places := map[string]string{}
		made := func(_ *bus.Subscription, err error) { require.NoError(t, err) }
		made(bus.Subscribe(app, noteAdded, func(context.Context, bus.Event[note]) {}))
		places["App Notes.added"] = lineAbove()
		made(app.Subscribe("*", ignore, bus.Inline()))
		places["App *"] = lineAbove()
		made(bus.Subscribe(c, noteAdded, func(context.Context, bus.Event[note]) {}, bus.DropNewest(7)))
		places["Notes Notes.added"] = lineAbove()
		made(c.Subscribe("App.x", ignore, bus.OwnMailbox()))
		places["Notes App.x"] = lineAbove()
		made(c.Tap(func(context.Context, bus.Record) {}))
		places["Notes *"] = lineAbove()
		_, err := c.Events(t.Context(), "Notes.ready")
		places["Notes Notes.ready"] = lineAbove()
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		forLine := make(chan string, 1)
		go func() {
			_, err := app.WaitFor(ctx, "Notes.x", nil)
			assert.ErrorIs(t, err, bus.ErrCancelled)
			forLine <- lineAbove()
		}()
		waited := make(chan string)
		go func() {
			_, err := dataCount.Wait(t.Context(), c, nil)
			assert.NoError(t, err)
			waited <- lineAbove()
		}()
		synctest.Wait()
		got := b.Debugger().Subscriptions
		require.NoError(t, dataCount.Set(c, 1))
		cancel()
		for name, line := range map[string]string{"Notes Notes.data.count": <-waited, "App Notes.x": <-forLine} {
			file, line, _ := strings.Cut(line, ":")
			at, err := strconv.Atoi(line)
			require.NoError(t, err)
			places[name] = file + ":" + strconv.Itoa(at-1)
		}
		for i, s := range got {
			assert.Equal(t, places[s.Plugin+" "+s.Event], s.Place, s.Event)
			got[i].Place = ""
		}
		assert.Equal(t, []bus.SubscriptionInfo{
			{Plugin: "App", Event: "*", Inline: true},
			{Plugin: "App", Event: "Notes.added"},
			{Plugin: "App", Event: "Notes.x", Inline: true},
			{Plugin: "Notes", Event: "*", Limit: 1 << 16},
			{Plugin: "Notes", Event: "App.x"},
			{Plugin: "Notes", Event: "Notes.added", Limit: 7},
			{Plugin: "Notes", Event: "Notes.data.count", Inline: true},
			{Plugin: "Notes", Event: "Notes.ready"},
		}, got)
	})
}

func TestDebuggerMailbox(t *testing.T) {
	bubble(t, &bus.Options{MailboxSoft: 2, MailboxHard: 3, SlowAfter: time.Minute}, func(t *testing.T, b *bus.Bus) {
		c, app := register(t, b, "Notes"), register(t, b, "App")
		p := bind(t, c, noteAdded)
		assert.Equal(t, bus.PluginInfo{Namespace: "App", State: "starting"}, pluginInfo(b.Debugger(), "App"))
		hold := make(chan struct{})
		s := subscribe(t, app, noteAdded, func(context.Context, bus.Event[note]) { <-hold })
		dropping := subscribe(t, app, noteGone, func(context.Context, bus.Event[note]) {}, bus.LatestOnly())
		require.NoError(t, p.Publish(t.Context(), note{}))
		synctest.Wait()
		for n := range 5 {
			err := p.Publish(c.Context(), note{})
			assert.Equal(t, n >= 3, err != nil)
		}
		for range 4 {
			require.NoError(t, bind(t, c, noteGone).Publish(t.Context(), note{}))
		}
		time.Sleep(20 * time.Minute)
		info := pluginInfo(b.Debugger(), "App")
		assert.Equal(t, 4, info.Waiting)
		assert.EqualValues(t, 2, info.Refused)
		assert.Equal(t, s.String(), info.Running)
		assert.Greater(t, info.RunningFor, 5*time.Minute)
		assert.LessOrEqual(t, info.RunningFor, 20*time.Minute, "at least so long, by what was seen")
		assert.EqualValues(t, 3, dropping.Dropped())
		text, err := json.Marshal(b.Debugger())
		require.NoError(t, err)
		assert.Contains(t, string(text), `"waiting":4,"refused":2,"running":"App/Notes.added (`)
		assert.Contains(t, string(text), `"limit":1,"dropped":3`)
		close(hold)
		require.NoError(t, app.Flush(t.Context()))
		synctest.Wait()
		info = pluginInfo(b.Debugger(), "App")
		assert.Equal(t, bus.PluginInfo{Namespace: "App", State: "starting", Refused: 2}, info)
	})
}
