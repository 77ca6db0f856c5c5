package indexset_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"github.com/cxbus/cxbus/plugins/webchatservice/indexset"
)

// The set agrees with a map, and is as small as its gaps allow.
func TestSetAgreesWithMap(t *testing.T) {
	for name, indices := range map[string]*rapid.Generator[int64]{
		"Dense": rapid.Int64Range(1, 40),
		"Ends": rapid.SampledFrom([]int64{
			math.MinInt64, math.MinInt64 + 1, math.MinInt64 + 2, -1, 0, 1, math.MaxInt64 - 2, math.MaxInt64 - 1, math.MaxInt64,
		}),
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				var s indexset.Set
				model := make(map[int64]bool)
				for _, i := range rapid.SliceOf(indices).Draw(t, "indices") {
					if got, want := s.Add(i), !model[i]; got != want {
						t.Fatalf("Add(%d) = %v, want %v", i, got, want)
					}
					model[i] = true
					if at := indices.Draw(t, "asked"); s.Has(at) != model[at] {
						t.Fatalf("Has(%d) = %v, want %v", at, s.Has(at), model[at])
					}
				}
				ranges := 0
				for i := range model {
					if i == math.MinInt64 || !model[i-1] {
						ranges++
					}
				}
				if s.Ranges() != ranges {
					t.Fatalf("%d ranges, want %d", s.Ranges(), ranges)
				}
			})
		})
	}
}

func TestZeroSet(t *testing.T) {
	var s indexset.Set
	assert.False(t, s.Has(0))
	assert.Zero(t, s.Ranges())
}
