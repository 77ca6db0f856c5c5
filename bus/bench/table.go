package main

import (
	"fmt"
	"io"
	"strings"
)

// A row is one line of the table: how many times as long as its baseline the
// bus takes, and how long it may.
type row struct {
	text      string
	job       string
	bus, base string  // entries of the job; base may be one of another job, "job/entry"
	must, aim float64 // times the baseline; 0: no limit
	// alone, if set, are bus and base with one producer: must and aim are then
	// for the ratio divided by the ratio of these two.
	alone [2]string
	// allocs is how many allocations the bus may make; -1: not looked at.
	allocs int64
}

// rows of the table, in order. A limit is what the project has set itself:
// must is the bar, aim what the best in the field would try for.
func rows() []row {
	name := func(n int, must, aim float64) row {
		return row{fmt.Sprintf("publish by name, %s", subscribers(n)), fmt.Sprintf("publish %d", n), "name", "cow-map", must, aim, [2]string{}, 0}
	}
	token := func(n int, must, aim float64) row {
		return row{fmt.Sprintf("publish by token, %s", subscribers(n)), fmt.Sprintf("publish %d", n), "token", "cow-handle", must, aim, [2]string{}, 0}
	}
	two := func(text, bus, base, kind string) row {
		return row{"two producers, " + kind + " topic, " + text + ", to one producer", "producers", bus + " " + kind, base + " " + kind, 1.3, 1.1,
			[2]string{bus + " 1", base + " 1"}, 0}
	}
	many := func(text, entry string) row {
		return row{"10,000 subscriptions of one event, " + text + ": one of them, to one of 1,000", "subscriptions 10000", entry, "subscriptions 1000/" + entry,
			2, 1.5, [2]string{}, -1}
	}
	return []row{
		token(0, 2, 1.2), name(0, 1.5, 1.2),
		token(1, 3, 2), name(1, 2, 1.5),
		token(10, 0, 0), name(10, 1.5, 1.25),
		token(100, 0, 0), name(100, 1.25, 1.1),
		token(1000, 0, 0), name(1000, 1.2, 1.1),
		two("by token", "token", "cow-handle", "same"), two("by name", "name", "cow-map", "same"),
		two("by token", "token", "cow-handle", "other"), two("by name", "name", "cow-map", "other"),
		{"10,000 topics, by token", "topics", "token", "cow-handle", 2.5, 1.5, [2]string{}, 0},
		{"10,000 topics, by name", "topics", "name", "cow-map", 1.5, 1.2, [2]string{}, 0},
		{"1,000 patterns, name seen before", "wildcard seen", "name", "memo", 2, 1.3, [2]string{}, 0},
		{"1,000 patterns, new name", "wildcard new", "name", "trie", 5, 2, [2]string{}, -1},
		{"publish while others subscribe", "churn", "name", "cow-map", 2, 1.2, [2]string{}, -1},
		{"command by name", "command", "name", "cow-map", 2.5, 1.8, [2]string{}, 0},
		{"command by token", "command", "token", "cow-map", 0, 0, [2]string{}, 0},
		{"command by name, another context", "command", "name context", "cow-map", 8, 5, [2]string{}, 1},
		{"command by name, future, async handler", "command", "name future", "cow-map", 5, 4, [2]string{}, 1},
		{"mailbox 1 to 1", "mailbox 1 to 1", "mailbox", "batch", 2.5, 1.5, [2]string{}, 0},
		{"mailbox 2 to 1", "mailbox 2 to 1", "mailbox", "batch", 2.5, 1.5, [2]string{}, 0},
		{"mailbox 1 to 10 plugins", "mailbox 1 to 10", "mailbox", "batch", 1.5, 0.7, [2]string{}, 0},
		{"mailbox 1 to 10 subscribers of one plugin", "mailbox 1 to 10", "one mailbox", "batch", 1.5, 0.7, [2]string{}, 0},
		{"mailbox latency, producer yields", "latency yield", "mailbox", "chan", 1.5, 1.2, [2]string{}, -1},
		{"mailbox latency, producer spins", "latency spin", "mailbox", "chan", 1.5, 1.2, [2]string{}, -1},
		many("inline, of one plugin", "inline"), many("of one plugin", "mailbox"), many("of as many plugins", "plugins"),
	}
}

func subscribers(n int) string {
	switch n {
	case 0:
		return "nobody listens"
	case 1:
		return "1 inline subscriber"
	}
	return fmt.Sprintf("%d inline subscribers", n)
}

// What a row under 10 ns may cost above its baseline, whatever the ratio.
const (
	short     = 10.0 // ns
	allowance = 3.0  // ns
)

// line is a row filled in.
type line struct {
	row
	ratio          float64
	ours, baseline sample
	result         string
}

// baseline is the baseline as figures have it, "job/entry".
func (r row) baseline() string {
	if strings.Contains(r.base, "/") {
		return r.base
	}
	return r.job + "/" + r.base
}

// fill takes the ratio inside each round and the median over the rounds. It
// reports false if the job was not run.
func (r row) fill(rounds []figures) (line, bool) {
	l := line{row: r}
	var ours, theirs []sample
	var ratios []float64
	for _, f := range rounds {
		b, ok := f[r.job+"/"+r.bus]
		if !ok {
			return l, false
		}
		o, ok := f[r.baseline()]
		if !ok {
			return l, false
		}
		ratio := b.ns / o.ns
		if r.alone[0] != "" {
			ratio /= f[r.job+"/"+r.alone[0]].ns / f[r.job+"/"+r.alone[1]].ns
		}
		ours, theirs, ratios = append(ours, b), append(theirs, o), append(ratios, ratio)
	}
	l.ratio = median(ratios, func(v float64) float64 { return v })
	l.ours, l.baseline = typical(ours), typical(theirs)
	l.result = l.verdict()
	return l, true
}

// typical is the median of samples, in each respect.
func typical(list []sample) sample {
	return sample{
		ns:     median(list, func(s sample) float64 { return s.ns }),
		p99:    median(list, func(s sample) float64 { return s.p99 }),
		bytes:  int64(median(list, func(s sample) float64 { return float64(s.bytes) })),
		allocs: int64(median(list, func(s sample) float64 { return float64(s.allocs) })),
	}
}

func (l line) verdict() string {
	if l.allocs >= 0 && l.ours.allocs > l.allocs {
		return fmt.Sprintf("**miss**: %d allocations", l.ours.allocs)
	}
	near := l.alone[0] == "" && l.ours.ns < short && l.ours.ns <= l.baseline.ns+allowance
	switch {
	case l.must == 0:
		return ""
	case l.ratio <= l.aim:
		return "pass, aim met"
	case l.ratio <= l.must:
		return "pass"
	case near:
		return fmt.Sprintf("pass, within %g ns", allowance)
	}
	return "**miss**"
}

// printRows writes how the bus stands against its baselines.
func printRows(w io.Writer, rounds []figures) {
	fmt.Fprintln(w, "| job | cxbus | baseline | ratio | must | aim | result |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|")
	for _, r := range rows() {
		l, ok := r.fill(rounds)
		if !ok {
			continue
		}
		ours := nanos(l.ours.ns)
		if l.allocs >= 0 && l.ours.allocs > 0 {
			ours += fmt.Sprintf(", %d B in %d", l.ours.bytes, l.ours.allocs)
		}
		base := "base-" + l.base + " " + nanos(l.baseline.ns)
		if strings.Contains(l.base, "/") {
			base = "of 1,000 " + nanos(l.baseline.ns)
		}
		if l.ours.p99 > 0 {
			ours += ", p99 " + nanos(l.ours.p99)
			base += ", p99 " + nanos(l.baseline.p99)
		}
		fmt.Fprintf(w, "| %s | %s | %s | %.2f | %s | %s | %s |\n", l.text, ours, base, l.ratio, times(l.must), times(l.aim), l.result)
	}
	for _, k := range []string{"pointer by name/inline", "pointer by name/mailbox", "value by token/inline", "value by token/mailbox"} {
		var list []sample
		for _, f := range rounds {
			if s, ok := f[k]; ok {
				list = append(list, s)
			}
		}
		if len(list) > 0 {
			s := typical(list)
			fmt.Fprintf(w, "| allocations: %s | %d B | | | 0 B | 0 B | %s |\n", strings.Replace(k, "/", ", ", 1), s.bytes, within(s.bytes == 0, true))
		}
	}
}

func within(must, aim bool) string {
	switch {
	case !must:
		return "**miss**"
	case aim:
		return "pass, aim met"
	}
	return "pass"
}

// printPeers writes what other buses take for the jobs that they can do.
func printPeers(w io.Writer, rounds []figures) {
	fmt.Fprintln(w, "| job | bus | its time, allocations | cxbus | ratio |\n|---|---|---|---|---|")
	for _, p := range []struct{ job, ours string }{
		{"publish 1", "name"}, {"publish 10", "name"}, {"command", "name"}, {"mailbox 1 to 1", "mailbox"}, {"mailbox 2 to 1", "mailbox"},
		{"mailbox 1 to 10", "mailbox"}, {"latency yield", "mailbox"}, {"latency spin", "mailbox"},
	} {
		for _, peer := range []string{"EventBus", "watermill", "ro", "libp2p", "kelindar", "cskr", "tailscale", "geth"} {
			r := row{job: p.job, bus: peer, base: p.ours, allocs: -1}
			if l, ok := r.fill(rounds); ok {
				fmt.Fprintf(w, "| %s | %s | %s, %d | %s | %.1f |\n", p.job, peer, nanos(l.ours.ns), l.ours.allocs, nanos(l.baseline.ns), l.ratio)
			}
		}
	}
}

// printIdle writes what a bus costs that does nothing.
func printIdle(w io.Writer) {
	for _, i := range []struct {
		text  string
		burst int
	}{{"idle bus, three plugins, nothing published yet", 0}, {"idle bus, three plugins, after 100 events each", 100}} {
		bytes, goroutines := idle(i.burst)
		fmt.Fprintf(w, "| %s | %.1f KB, %g goroutines | | | 16 KB, 0 | 8 KB, 0 | %s |\n", i.text, bytes/1024, goroutines,
			within(bytes <= 16*1024 && goroutines == 0, bytes <= 8*1024))
	}
}

func nanos(ns float64) string {
	switch {
	case ns < 100:
		return fmt.Sprintf("%.1f ns", ns)
	case ns < 10_000:
		return fmt.Sprintf("%.0f ns", ns)
	}
	return fmt.Sprintf("%.1f µs", ns/1000)
}

func times(limit float64) string {
	if limit == 0 {
		return ""
	}
	return fmt.Sprintf("%g ×", limit)
}
