package gms

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
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
				var s indexSet
				model := make(map[int64]bool)
				for _, i := range rapid.SliceOf(indices).Draw(t, "indices") {
					if got, want := s.add(i), !model[i]; got != want {
						t.Fatalf("Add(%d) = %v, want %v", i, got, want)
					}
					model[i] = true
					if at := indices.Draw(t, "asked"); s.has(at) != model[at] {
						t.Fatalf("Has(%d) = %v, want %v", at, s.has(at), model[at])
					}
				}
				ranges := 0
				for i := range model {
					if i == math.MinInt64 || !model[i-1] {
						ranges++
					}
				}
				if len(s.ranges) != ranges {
					t.Fatalf("%d ranges, want %d", len(s.ranges), ranges)
				}
				at := indices.Draw(t, "before")
				below, ok := int64(0), false
				for i := range model {
					if i < at && (!ok || i > below) {
						below, ok = i, true
					}
				}
				if got, found := s.before(at); got != below || found != ok {
					t.Fatalf("before(%d) = %v, %v, want %v, %v", at, got, found, below, ok)
				}
				to := max(at, indices.Draw(t, "to"))
				s.cut(at, to)
				for i := range model {
					if s.has(i) != (i < at || i >= to) {
						t.Fatalf("after cut(%d, %d), has(%d) = %v", at, to, i, s.has(i))
					}
				}
			})
		})
	}
}

func TestZeroSet(t *testing.T) {
	var s indexSet
	assert.False(t, s.has(0))
	assert.Empty(t, s.ranges)
}
