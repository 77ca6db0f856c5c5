package main

import (
	"encoding/json"
	"math"
	"time"
)

// histogram counts durations, each to within a hundredth, in a memory that does not grow with their number. The
// zero histogram is empty.
type histogram struct {
	buckets [2400]uint64 // bucket i holds what is below growth to the power of i microseconds, and not in those before
	count   uint64
	most    time.Duration
}

// growth is how much longer the durations of a bucket may be than those of the one before: 2400 of them reach from a
// microsecond to hours.
const growth = 1.01

func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	i := 0
	if d > time.Microsecond {
		i = int(math.Ceil(math.Log(float64(d)/float64(time.Microsecond)) / math.Log(growth)))
	}
	h.buckets[min(i, len(h.buckets)-1)]++
	h.count++
	h.most = max(h.most, d)
}

// quantile returns a duration that the fraction q of all do not exceed, 0 if there is none.
func (h *histogram) quantile(q float64) time.Duration {
	rank := uint64(math.Ceil(q * float64(h.count)))
	var seen uint64
	for i, n := range h.buckets {
		if seen += n; seen >= rank && seen > 0 {
			return min(time.Duration(math.Pow(growth, float64(i))*float64(time.Microsecond)), h.most)
		}
	}
	return 0
}

// MarshalJSON writes {count, p50, p90, p99, max}, in milliseconds.
func (h *histogram) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Count uint64  `json:"count"`
		P50   float64 `json:"p50"`
		P90   float64 `json:"p90"`
		P99   float64 `json:"p99"`
		Max   float64 `json:"max"`
	}{h.count, millis(h.quantile(0.5)), millis(h.quantile(0.9)), millis(h.quantile(0.99)), millis(h.most)})
}

// millis returns milliseconds, to within a microsecond.
func millis(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}
