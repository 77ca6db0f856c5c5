package bus_test

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/cxbus/cxbus/bus"
)

// A name that was put is found from then on, one that was dropped is not,
// whatever others put and drop meanwhile.
func TestTable(t *testing.T) {
	const names = 2000
	var table bus.Table
	var put, dropped atomic.Int64 // names below dropped are gone, others below put are there
	values := make([]int, names)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range names {
			table.Put(strconv.Itoa(i), &values[i])
			put.Store(int64(i + 1))
			if i >= 500 {
				d := i - 500
				table.Drop(strconv.Itoa(d), &values[(d+1)%names]) // another value: no effect
				dropped.Store(int64(d + 1))
				table.Drop(strconv.Itoa(d), &values[d])
			}
		}
	})
	for seed := range uint64(3) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, 1))
			for put.Load() < names {
				there := put.Load()
				if there == 0 {
					continue
				}
				i := r.Int64N(there)
				v := table.Get(strconv.FormatInt(i, 10))
				if v == nil && i >= dropped.Load() {
					t.Errorf("name %d of %d is lost", i, there)
					return
				}
				if v != nil && v != &values[i] {
					t.Errorf("name %d has another's value", i)
					return
				}
			}
		})
	}
	wg.Wait()
	for i := range names {
		v := table.Get(strconv.Itoa(i))
		if i < names-500 {
			assert.Nil(t, v)
		} else {
			assert.Same(t, &values[i], v)
		}
	}
}
