package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMain lets the processes that the program starts be the program.
func TestMain(m *testing.M) {
	if os.Getenv(childVar) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestEntries holds that all who are compared do the work, a little of it: lines
// that do not come, or are not what they should be, are an error.
func TestEntries(t *testing.T) {
	to, stop, err := listen()
	require.NoError(t, err)
	for _, j := range jobs() {
		for _, e := range j.entries {
			t.Run(j.name+"/"+e.name, func(t *testing.T) {
				s, err := e.run(t.Context(), &meter{settle: 10 * time.Millisecond}, to, 20)
				require.NoError(t, err)
				for _, b := range j.bars {
					if b.what != goroutines && b.what != load {
						assert.NotZero(t, s.figure(b.what), b.what)
					}
				}
			})
		}
	}
	require.NoError(t, stop())
}

// TestJobs holds that bars and entries fit each other.
func TestJobs(t *testing.T) {
	seen := map[string]bool{}
	for _, j := range jobs() {
		assert.False(t, seen[j.name], "job %q twice", j.name)
		seen[j.name] = true
		for _, b := range j.bars {
			if b.against != "" {
				_, ok := findEntry(j.name + "/" + b.against)
				assert.True(t, ok, "%q has no entry %q", j.name, b.against)
			}
		}
	}
	_, ok := findEntry("answers/nobody")
	assert.False(t, ok)
}

func TestVerdict(t *testing.T) {
	j := job{name: "j", entries: []entry{{name: "a"}, {name: "b"}}}
	round := func(ours, base float64) figures { return figures{"j/a": {CPU: ours}, "j/b": {CPU: base}} }
	for _, tt := range []struct {
		bar    bar
		rounds []figures
		ratio  float64
		result string
	}{
		{bar{what: cpu, against: "b", times: 1.5}, []figures{round(14, 10)}, 1.4, "pass"},
		{bar{what: cpu, against: "b", times: 1.5}, []figures{round(16, 10)}, 1.6, "**miss**"},
		{bar{what: cpu, against: "b", times: 1.5, plus: 2}, []figures{round(16, 10)}, 1.6, "pass"},
		{bar{what: cpu, against: "b", times: 1.5}, []figures{round(10, 10), round(14, 10), round(90, 10)}, 1.4, "pass"},
		{bar{what: cpu, against: "b", times: 1, free: true}, []figures{round(16, 10)}, 1.6, ""},
		{bar{what: cpu, plus: 15}, []figures{round(16, 10)}, 0, "**miss**"},
		{bar{what: cpu}, []figures{round(0, 10)}, 0, "pass"},
	} {
		_, _, ratio, result := tt.bar.verdict(j, tt.rounds)
		assert.InDelta(t, tt.ratio, ratio, 1e-9)
		assert.Equal(t, tt.result, result, "%+v", tt)
	}
}

func TestPercentiles(t *testing.T) {
	took := make([]int64, 1000)
	for i := range took {
		took[i] = int64(1000 - i)
	}
	p50, p99 := percentiles(took)
	assert.InDelta(t, 501, p50, 0)
	assert.InDelta(t, 991, p99, 0)
	assert.InDelta(t, 2.5, median([]float64{4, 1, 2, 3}), 0)
}

// TestRun runs a job as the program does, with processes.
func TestRun(t *testing.T) {
	ctx := t.Context() // it takes as long as the machine needs
	var out bytes.Buffer
	require.NoError(t, run(ctx, []string{"-rounds", "1", "-scale", "0.01", "-job", "^polls$"}, nil, &out, io.Discard))
	assert.Contains(t, out.String(), "| polls that bring nothing | CPU per poll |")
	assert.Equal(t, 1+len(jobs()[1].bars), strings.Count(out.String(), "\n| ")) // head and rows

	for _, args := range [][]string{{"-rounds", "0"}, {"-scale", "0"}, {"-job", "("}, {"-entry", "nobody"}, {"-nonsense"}} {
		require.Error(t, run(ctx, args, strings.NewReader("{}"), io.Discard, io.Discard), fmt.Sprint(args))
	}
}

// TestServers holds that a control that can do nothing says so.
func TestServers(t *testing.T) {
	to, stop, err := listen()
	require.NoError(t, err)
	require.ErrorContains(t, ask(t.Context(), to, "push?n=1"), "nobody is there")
	require.ErrorContains(t, ask(t.Context(), to, "nonsense"), "404")
	require.NoError(t, stop())
}
