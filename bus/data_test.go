package bus_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

var (
	dataOpen  = bus.NewData[bool]("Notes.open", "Whether notes can be added.")
	dataCount = bus.NewData[int]("Notes.count", "How many notes there are.")
	dataTags  = bus.NewData[[]string]("Notes.tags", "The tags in use.")
	dataAny   = bus.NewData[any]("Notes.any", "Anything.")
)

func TestData(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		c, app := register(t, b, "Notes"), register(t, b, "App")
		assert.Equal(t, "Notes.count", dataCount.Name())
		assert.Equal(t, "How many notes there are.", dataCount.Doc())
		assert.Equal(t, "Notes.data.count", dataCount.Changed().Name())
		var changes []bus.DataChange
		subscribe(t, app, dataCount.Changed(), func(_ context.Context, e bus.Event[bus.DataChange]) { changes = append(changes, e.Data) }, bus.Inline())

		_, ok := dataCount.Get(app)
		assert.False(t, ok)
		assert.Empty(t, app.Data("Notes"))
		assert.Empty(t, app.Data("Nobody"))
		require.NoError(t, dataCount.Delete(c), "nothing to delete")
		done, err := dataCount.CompareAndSet(c, 0, 1)
		require.NoError(t, err)
		assert.False(t, done, "no value is not the zero value")
		assert.Empty(t, changes)

		require.NoError(t, dataCount.Set(c, 0))
		n, ok := dataCount.Get(app)
		assert.True(t, ok)
		assert.Zero(t, n)
		time.Sleep(time.Hour)
		require.NoError(t, dataCount.Set(c, 1))
		require.NoError(t, dataCount.Set(c, 1))
		done, err = dataCount.CompareAndSet(c, 1, 2)
		require.NoError(t, err)
		assert.True(t, done)
		done, err = dataCount.CompareAndSet(c, 1, 3)
		require.NoError(t, err)
		assert.False(t, done)
		done, err = dataCount.CompareAndSet(c, 2, 2)
		require.NoError(t, err)
		assert.True(t, done, "it was, and nothing changed")
		require.NoError(t, dataOpen.Set(c, true))
		assert.Equal(t, map[string]any{"count": 2, "open": true}, app.Data("Notes"))
		copied := app.Data("Notes")
		copied["count"] = 9
		n, _ = dataCount.Get(app)
		assert.Equal(t, 2, n)
		require.NoError(t, dataCount.Delete(c))
		require.NoError(t, dataCount.Delete(c))
		_, ok = dataCount.Get(app)
		assert.False(t, ok)
		assert.Equal(t, map[string]any{"open": true}, app.Data("Notes"))

		var pairs [][2]any
		for _, ch := range changes {
			pairs = append(pairs, [2]any{ch.Last, ch.Value})
		}
		assert.Equal(t, [][2]any{{nil, 0}, {0, 1}, {1, 2}, {2, nil}}, pairs)
		assert.Equal(t, time.Hour, changes[1].Time.Sub(changes[0].Time))
		text, err := json.Marshal(changes[1])
		require.NoError(t, err)
		assert.JSONEq(t, `{"last":0,"value":1,"time":"2000-01-01T01:00:00Z"}`, string(text))
	})
}

// Equality is that of reflect.DeepEqual, so also values that == cannot compare
// publish nothing when they are equal.
func TestDataEquality(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		c := register(t, b, "Notes")
		n := 0
		subscribe(t, c, dataTags.Changed(), func(context.Context, bus.Event[bus.DataChange]) { n++ }, bus.Inline())
		require.NoError(t, dataTags.Set(c, []string{"a"}))
		require.NoError(t, dataTags.Set(c, []string{"a"}))
		assert.Equal(t, 1, n)
		done, err := dataTags.CompareAndSet(c, []string{"a"}, []string{"a", "b"})
		require.NoError(t, err)
		assert.True(t, done)
		require.NoError(t, dataTags.Set(c, nil))
		got, ok := dataTags.Get(c)
		assert.True(t, ok, "a nil slice is a value")
		assert.Nil(t, got)
		assert.Equal(t, 3, n)

		require.NoError(t, dataAny.Set(c, nil))
		v, ok := dataAny.Get(c)
		assert.True(t, ok, "nil is a value of an interface type")
		assert.Nil(t, v)
		assert.Equal(t, map[string]any{"any": nil, "tags": []string(nil)}, c.Data("Notes"))
		_, ok = bus.NewData[int]("Notes.any", "").Get(c)
		assert.False(t, ok, "another type")
	})
}

// A subscriber begins with the value there is and sees each change once, in
// order, also by pattern.
func TestDataSubscribers(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		c, app := register(t, b, "Notes"), register(t, b, "App")
		require.NoError(t, dataCount.Set(c, 1))
		require.NoError(t, dataCount.Set(c, 2))
		var typed, wild list[any]
		var replays list[bool]
		subscribe(t, app, dataCount.Changed(), func(_ context.Context, e bus.Event[bus.DataChange]) {
			typed.add(e.Data.Value)
			replays.add(e.Retained())
		})
		subscribeName(t, app, "Notes.data.*", func(_ context.Context, e bus.Event[any]) { wild.add(e.Data.(bus.DataChange).Value) })
		require.NoError(t, dataCount.Set(c, 3))
		require.NoError(t, dataOpen.Set(c, true))
		require.NoError(t, dataCount.Delete(c))
		synctest.Wait()
		assert.Equal(t, []any{2, 3, nil}, typed.get())
		assert.Equal(t, []bool{true, false, false}, replays.get())
		assert.Equal(t, []any{2, 3, true, nil}, wild.get())
	})
}

// Many goroutines count up together; nobody sees a value twice or out of order.
func TestDataCompareAndSetRaces(t *testing.T) {
	b := bus.New(nil)
	c := register(t, b, "Notes")
	require.NoError(t, dataCount.Set(c, 0))
	var seen list[any]
	subscribe(t, c, dataCount.Changed(), func(_ context.Context, e bus.Event[bus.DataChange]) { seen.add(e.Data.Value) })
	const each = 50
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for n := 0; n < each; {
				is, _ := dataCount.Get(c)
				done, err := dataCount.CompareAndSet(c, is, is+1)
				assert.NoError(t, err)
				if done {
					n++
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, b.Close(t.Context()))
	var want []any
	for n := range 4*each + 1 {
		want = append(want, n)
	}
	assert.Equal(t, want, seen.get())
}

func TestDataWait(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		app := register(t, b, "App")
		start := time.Now()
		type answer struct {
			n   int
			err error
		}
		wait := func(ctx context.Context, match func(int) bool) chan answer {
			got := make(chan answer, 1)
			go func() {
				n, err := dataCount.Wait(ctx, app, match)
				got <- answer{n, err}
			}()
			synctest.Wait()
			return got
		}
		first, three := wait(t.Context(), nil), wait(t.Context(), func(n int) bool { return n == 3 })
		c := register(t, b, "Notes") // the owner may come later
		require.NoError(t, bus.NewData[any]("Notes.count", "").Set(c, "no number"))
		synctest.Wait()
		assert.Empty(t, first, "another type is no value")
		require.NoError(t, dataCount.Set(c, 2))
		assert.Equal(t, answer{2, nil}, <-first)
		require.NoError(t, dataCount.Delete(c))
		require.NoError(t, dataCount.Set(c, 3))
		assert.Equal(t, answer{3, nil}, <-three)
		assert.Equal(t, answer{3, nil}, <-wait(t.Context(), nil), "what is there counts at once")

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		got := <-wait(ctx, func(n int) bool { return n > 3 })
		assert.ErrorIs(t, got.err, bus.ErrTimeout)
		assert.Equal(t, time.Second, time.Since(start))
		late := wait(t.Context(), func(n int) bool { return n > 3 })
		require.NoError(t, dataCount.Delete(c))
		none := wait(t.Context(), nil)
		assert.Empty(t, none, "a deleted value is none")
		require.NoError(t, b.Unload(t.Context(), "App"))
		assert.ErrorIs(t, (<-late).err, bus.ErrStopped)
		assert.ErrorIs(t, (<-none).err, bus.ErrStopped)
	})
}

func TestDataAfterUnload(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *bus.Bus) {
		c, app := register(t, b, "Notes"), register(t, b, "App")
		var seen list[any]
		subscribe(t, app, dataCount.Changed(), func(_ context.Context, e bus.Event[bus.DataChange]) { seen.add(e.Data.Value) })
		require.NoError(t, dataCount.Set(c, 1))
		require.NoError(t, b.Unload(t.Context(), "Notes"))
		_, ok := dataCount.Get(app)
		assert.False(t, ok)
		assert.Empty(t, app.Data("Notes"))
		assert.ErrorIs(t, dataCount.Set(c, 2), bus.ErrStopped)
		assert.ErrorIs(t, dataCount.Delete(c), bus.ErrStopped)
		done, err := dataCount.CompareAndSet(c, 1, 2)
		assert.ErrorIs(t, err, bus.ErrStopped)
		assert.False(t, done)
		again := register(t, b, "Notes")
		_, ok = dataCount.Get(app)
		assert.False(t, ok)
		require.NoError(t, dataCount.Set(again, 5))
		synctest.Wait()
		assert.Equal(t, []any{1, 5}, seen.get(), "subscriptions stay")
	})
}

func TestDataRefusals(t *testing.T) {
	b := bus.New(nil)
	app := register(t, b, "App")
	register(t, b, "Notes")
	assert.ErrorIs(t, dataCount.Set(app, 1), bus.ErrNotOwner)
	for _, name := range []string{"", "App", "App.", "App.a b", "App.*"} {
		assert.ErrorIs(t, bus.NewData[int](name, "").Set(app, 1), bus.ErrBadName, name)
	}
	require.NoError(t, b.Close(t.Context()))
	assert.ErrorIs(t, bus.NewData[int]("App.n", "").Set(app, 1), bus.ErrClosed)
}
