package bus_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

// revisions writes down what one subscriber sees.
type revisions struct {
	mu   sync.Mutex // guards all
	all  []uint64
	last any
}

func (r *revisions) see(_ context.Context, e bus.Event[any]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, e.Revision())
	r.last = e.Data
}

// check wants every revision from the first one seen to the last, once.
func (r *revisions) check(t *testing.T, last uint64, value any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !assert.NotEmpty(t, r.all) {
		return
	}
	first := r.all[0]
	for i, rev := range r.all {
		if rev != first+uint64(i) {
			t.Errorf("revisions %v", r.all)
			return
		}
	}
	assert.Equal(t, last, r.all[len(r.all)-1])
	assert.Equal(t, value, r.last)
}

var retainedKinds = map[string][]bus.SubscribeOption{
	"mailbox": nil,
	"inline":  {bus.Inline()},
	"pattern": nil,
}

// However a subscription races republishing, it sees each value from the first
// one on exactly once, as replay or live, and ends with the retained one.
func TestConductSubscribeRacesRepublish(t *testing.T) {
	inProcess(t, func(t *testing.T) {
		for name, opts := range retainedKinds {
			event := "A.kept"
			if name == "pattern" {
				event = "A.*"
			}
			b := bus.New(nil)
			a, c := register(t, b, "A"), register(t, b, "C")
			require.NoError(t, a.Republish(t.Context(), "kept", 0))
			rev := uint64(1)
			const each = 3
			for range soak(100_000) / len(retainedKinds) {
				r := &revisions{}
				var s *bus.Subscription
				var wg sync.WaitGroup
				wg.Go(func() { s = subscribeName(t, c, event, r.see, opts...) })
				for range each {
					rev++
					assert.NoError(t, a.Republish(t.Context(), "kept", rev))
				}
				wg.Wait()
				require.NoError(t, c.Flush(t.Context()))
				r.check(t, rev, rev)
				if t.Failed() {
					t.Fatal(name)
				}
				s.Unsubscribe()
			}
			require.NoError(t, b.Close(t.Context()))
		}
	})
}

// Two that republish at once, and one that publishes plainly: every subscriber
// sees all revisions in order, and the last one seen is the retained one.
func TestConductTwoRepublishAtOnce(t *testing.T) {
	inProcess(t, func(t *testing.T) {
		for name, opts := range retainedKinds {
			for range soak(3_000) {
				b := bus.New(nil)
				a, c := register(t, b, "A"), register(t, b, "C")
				event := "A.kept"
				if name == "pattern" {
					event = "A.*"
				}
				var plain list[any]
				early, late := &revisions{}, &revisions{}
				see := func(r *revisions) func(context.Context, bus.Event[any]) {
					return func(ctx context.Context, e bus.Event[any]) {
						if e.Revision() == 0 {
							plain.add(e.Data)
							return
						}
						r.see(ctx, e)
					}
				}
				subscribeName(t, c, event, see(early), opts...)
				const each = 5
				var wg sync.WaitGroup
				for g := range 2 {
					wg.Go(func() {
						for i := range each {
							assert.NoError(t, a.Republish(context.Background(), "kept", 10*g+i))
						}
					})
				}
				wg.Go(func() {
					for i := range each {
						assert.NoError(t, a.Publish(context.Background(), "kept", i))
					}
				})
				wg.Wait()
				require.NoError(t, c.Flush(t.Context()))
				subscribeName(t, c, event, see(late), opts...)
				require.NoError(t, c.Flush(t.Context()))
				late.check(t, 2*each, late.last) // the replay alone
				early.check(t, 2*each, late.last)
				assert.Len(t, early.all, 2*each)
				assert.ElementsMatch(t, []any{0, 1, 2, 3, 4}, plain.get())
				require.NoError(t, b.Close(t.Context()))
				if t.Failed() {
					t.Fatal(name)
				}
			}
		}
	})
}

// Clearing the value and subscribing do not meet half-way.
func TestConductClearRacesSubscribe(t *testing.T) {
	inProcess(t, func(t *testing.T) {
		b := bus.New(nil)
		a, c := register(t, b, "A"), register(t, b, "C")
		for range soak(20_000) {
			require.NoError(t, a.Republish(t.Context(), "kept", 1))
			r := &revisions{}
			var wg sync.WaitGroup
			wg.Go(func() { a.ClearRetained("kept") })
			s := subscribeName(t, c, "A.kept", r.see, bus.Inline())
			wg.Wait()
			require.LessOrEqual(t, len(r.all), 1)
			s.Unsubscribe()
			u := subscribeName(t, c, "A.kept", func(context.Context, bus.Event[any]) { t.Error("it was cleared") }, bus.Inline())
			u.Unsubscribe()
		}
		require.NoError(t, b.Close(t.Context()))
	})
}
