package main

import (
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"syscall"
	"time"
)

// sample is what one run of an entry found. What a job does not ask for is 0.
type sample struct {
	CPU        float64 `json:"cpu,omitempty"`        // ns of CPU time of this process per piece of work
	Wall       float64 `json:"wall,omitempty"`       // ns per piece of work
	P50        float64 `json:"p50,omitempty"`        // ns, of a latency
	P99        float64 `json:"p99,omitempty"`        // ns
	Bytes      float64 `json:"bytes,omitempty"`      // heap and stacks, per session
	Stacks     float64 `json:"stacks,omitempty"`     // those alone, per session
	Goroutines float64 `json:"goroutines,omitempty"` // per session
	Load       float64 `json:"load,omitempty"`       // part of one core, while nothing happens
}

// figures are the samples of one round by "job/entry".
type figures map[string]sample

// meter takes the figures of one entry.
type meter struct {
	profile string        // where to write profiles; "" for none
	settle  time.Duration // how long sessions are left alone before they are looked at
	err     error

	began time.Time
	spent time.Duration
	base  held
}

// begin starts the clocks.
func (m *meter) begin() {
	if m.profile != "" {
		f, err := os.Create(m.profile)
		if err == nil {
			err = pprof.StartCPUProfile(f)
		}
		m.note(err)
	}
	m.began, m.spent = time.Now(), cpuTime()
}

// end returns what n pieces of work have cost since begin.
func (m *meter) end(n int) sample {
	wall, spent := time.Since(m.began), cpuTime()-m.spent
	if m.profile != "" {
		pprof.StopCPUProfile()
	}
	return sample{CPU: float64(spent) / float64(n), Wall: float64(wall) / float64(n)}
}

// empty notes what the process holds before there are any sessions.
func (m *meter) empty() { m.base = footprint() }

// full returns what each of n sessions holds.
func (m *meter) full(n int) sample {
	time.Sleep(m.settle)
	now := footprint()
	if m.profile != "" {
		f, err := os.Create(m.profile + ".heap")
		if err == nil {
			err = pprof.Lookup("heap").WriteTo(f, 0)
			m.note(err)
			err = f.Close()
		}
		m.note(err)
	}
	each := func(of func(held) float64) float64 { return (of(now) - of(m.base)) / float64(n) }
	return sample{
		Bytes:      each(func(h held) float64 { return h.heap + h.stacks }),
		Stacks:     each(func(h held) float64 { return h.stacks }),
		Goroutines: each(func(h held) float64 { return h.goroutines }),
	}
}

// idle returns the load of this process while nothing happens. It looks for so many times the time to settle: sessions
// that began together do what they do from time to time together, too, so the look has to be as long as their round.
func (m *meter) idle(times int) float64 {
	begun, spent := time.Now(), cpuTime()
	time.Sleep(time.Duration(times) * m.settle)
	return float64(cpuTime()-spent) / float64(time.Since(begun))
}

func (m *meter) note(err error) {
	if m.err == nil {
		m.err = err
	}
}

// held is what a process holds: the memory of the heap that is in use, and that
// of the stacks, and how many goroutines there are.
type held struct{ heap, stacks, goroutines float64 }

func footprint() held {
	runtime.GC()
	runtime.GC() // the second one frees what the first one has finalised, and pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return held{float64(m.HeapAlloc), float64(m.StackInuse), float64(runtime.NumGoroutine())}
}

// cpuTime is what this process has used, in user and system mode.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic("getrusage: " + err.Error()) // it fails for a wrong argument alone
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// percentiles are the median and the 99th percentile of latencies.
func percentiles(took []int64) (p50, p99 float64) {
	slices.Sort(took)
	return float64(took[len(took)/2]), float64(took[len(took)*99/100])
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}
