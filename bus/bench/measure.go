package main

import (
	"runtime"
	"slices"
	"time"
)

// A job is one piece of work that several entries do in turn.
type job struct {
	name    string
	entries []entry
}

// entry is one bus or baseline at a job. start sets it up; run does the work n
// times and reports on it; stop takes it down.
type entry struct {
	name  string
	n     int // the work per slice; 0: as much as fits
	start func() (run func(n int) sample, stop func())
}

// sample is what one slice, or one round, found.
type sample struct {
	ns     float64 // per piece of work
	p99    float64 // of a latency, of which ns is the median
	bytes  int64   // allocated per piece of work
	allocs int64
}

// figures are the samples of one round by "job/entry".
type figures map[string]sample

// slices of a round: the entries take turns, so that what else the machine
// does meets all of them.
const turns = 10

// measure does one round of the job: about budget for each entry, in turns.
// The figure of an entry is the median of its turns.
func (j job) measure(budget time.Duration, into figures) {
	runs := make([]func(int) sample, len(j.entries))
	ns := make([]int, len(j.entries))
	got := make([][]sample, len(j.entries))
	for i, e := range j.entries {
		run, stop := e.start()
		defer stop()
		runs[i], ns[i] = run, e.n
	}
	runtime.GC() // what setting up has left
	for i, n := range ns {
		if n == 0 {
			ns[i] = calibrate(runs[i], budget/turns)
		}
	}
	for range turns {
		for i, run := range runs {
			got[i] = append(got[i], run(ns[i]))
		}
	}
	for i, e := range j.entries {
		s := sample{
			ns:  median(got[i], func(s sample) float64 { return s.ns }),
			p99: median(got[i], func(s sample) float64 { return s.p99 }),
		}
		s.bytes, s.allocs = allocated(runs[i], ns[i])
		into[j.name+"/"+e.name] = s
	}
}

// calibrate returns how much work takes about d, and warms up on the way.
func calibrate(run func(int) sample, d time.Duration) int {
	for n := 64; ; n *= 4 {
		s := run(n)
		if took := time.Duration(s.ns * float64(n)); took > d/8 || n >= 1<<24 {
			return max(64, int(float64(d)/max(s.ns, 0.1)))
		}
	}
}

// allocated returns what one piece of work allocates, rounded down as go test
// does.
func allocated(run func(int) sample, n int) (bytes, allocs int64) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	run(n)
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc-before.TotalAlloc) / int64(n), int64(after.Mallocs-before.Mallocs) / int64(n)
}

func median[V any](list []V, of func(V) float64) float64 {
	v := make([]float64, len(list))
	for i, x := range list {
		v[i] = of(x)
	}
	slices.Sort(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// per is the sample of n pieces of work that began at start.
func per(start time.Time, n int) sample {
	return sample{ns: float64(time.Since(start)) / float64(n)}
}
