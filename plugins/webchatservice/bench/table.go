package main

import (
	"fmt"
	"io"
)

// printTable writes how the service stands against the bars.
func printTable(w io.Writer, all []job, rounds []figures) {
	fmt.Fprintln(w, "| job | figure | service | compared with | ratio | must | result |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|")
	for _, j := range all {
		if _, ran := rounds[0][j.name+"/"+j.entries[0].name]; !ran {
			continue
		}
		for i, b := range j.bars {
			ours, base, ratio, result := b.verdict(j, rounds)
			text, with, times := "", "", ""
			if i == 0 {
				text = j.text
			}
			if b.against != "" {
				with, times = b.against+" "+amount(b.what, base), fmt.Sprintf("%.2f", ratio)
			}
			fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s |\n", text, j.label(b), amount(b.what, ours), with, times, b.limit(), result)
		}
	}
}

// amount is a figure with its unit.
func amount(what string, v float64) string {
	switch {
	case what == memory, what == stacks:
		return fmt.Sprintf("%.1f KB", v/1024)
	case what == goroutines:
		return fmt.Sprintf("%.3g", v)
	case what == load:
		return fmt.Sprintf("%.2g %% of a core", 100*v)
	case v >= 1e6:
		return fmt.Sprintf("%.2f ms", v/1e6)
	}
	return fmt.Sprintf("%.1f µs", v/1e3)
}
