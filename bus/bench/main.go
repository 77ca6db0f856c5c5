// Command bench measures the bus side by side with baselines, which do only
// what is unavoidable, and with other buses of the field. It prints a table of
// ratios in Markdown.
//
// Each round sets every job up anew and lets all entries of a job take turns,
// so that bus and baseline meet the same state of the machine; a ratio is
// taken inside a round, and the median over the rounds is printed. Compare
// ratios: nanoseconds belong to one machine and one minute.
//
//	go run . [-rounds 5] [-time 100ms] [-job regexp]
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	number := flags.Int("rounds", 5, "how many rounds to take the median of")
	budget := flags.Duration("time", 100*time.Millisecond, "how long each entry of a job works in each round, about")
	only := flags.String("job", "", "run only the jobs whose name matches this regular expression")
	if err := flags.Parse(args); err != nil {
		return err
	}
	match, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-job: %w", err)
	}
	if *number < 1 || *budget <= 0 {
		return fmt.Errorf("want at least one round and some time, not %d and %v", *number, *budget)
	}

	start := time.Now()
	var rounds []figures
	for i := range *number {
		fmt.Fprintf(stderr, "round %d of %d\n", i+1, *number)
		f := figures{}
		for _, j := range jobs() {
			if match.MatchString(j.name) {
				j.measure(*budget, f)
			}
		}
		rounds = append(rounds, f)
	}
	fmt.Fprintf(stdout, "%s, %s/%s, %d cores, %s; %d rounds in %v.\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH,
		runtime.GOMAXPROCS(0), start.UTC().Format("2006-01-02 15:04 UTC"), *number, time.Since(start).Round(time.Second))
	printRows(stdout, rounds)
	if match.MatchString("idle") {
		printIdle(stdout)
	}
	fmt.Fprintln(stdout)
	printPeers(stdout, rounds)
	return nil
}
