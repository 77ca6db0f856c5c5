// Command bench measures the chat service side by side with the least that does
// the same job: a decode, net/http, a gorilla websocket. It prints a table of
// ratios in Markdown.
//
// The chat servers run in one process of their own, and each entry of a job in
// another, so that what is measured is what the entry costs: CPU time is that
// of its process. In each round the entries take turns; a ratio is taken inside
// a round, and the median over the rounds is printed. Compare ratios: times
// belong to one machine and one minute.
//
//	go run . [-rounds 5] [-job regexp] [-scale 1]
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"time"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	number := flags.Int("rounds", 5, "how many rounds to take the median of")
	only := flags.String("job", "", "run only the jobs whose name matches this regular expression")
	scale := flags.Float64("scale", 1, "how much of the work of each entry to do; less is for trying it out")
	servers := flags.Bool("serve", false, "run the servers that the entries talk to, until standard input ends; their addresses are printed")
	entry := flags.String("entry", "", "run this one entry (job/entry), against the servers whose addresses are read from standard input, and print what it found")
	profile := flags.String("profile", "", "with -entry: write a CPU profile of the work to this file, and one of the heap to FILE.heap")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *servers {
		return serve(ctx, stdin, stdout)
	}
	if *entry != "" {
		return runEntry(ctx, *entry, *scale, *profile, stdin, stdout)
	}
	match, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-job: %w", err)
	}
	if *number < 1 || *scale <= 0 {
		return fmt.Errorf("want at least one round and some work, not %d and %v", *number, *scale)
	}
	return compare(ctx, match, *number, *scale, stdout, stderr)
}

// compare runs the jobs that match, and prints the table.
func compare(ctx context.Context, match *regexp.Regexp, number int, scale float64, stdout, stderr io.Writer) error {
	start := time.Now()
	all := jobs()
	var rounds []figures
	for i := range number {
		f := figures{}
		for _, j := range all {
			if !match.MatchString(j.name) {
				continue
			}
			fmt.Fprintf(stderr, "round %d of %d: %s\n", i+1, number, j.name)
			if err := j.measure(ctx, scale, f); err != nil {
				return err
			}
		}
		rounds = append(rounds, f)
	}
	fmt.Fprintf(stdout, "%s, %s/%s, %d cores, %s; %d rounds in %v.\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH,
		runtime.GOMAXPROCS(0), start.UTC().Format("2006-01-02 15:04 UTC"), number, time.Since(start).Round(time.Second))
	printTable(stdout, all, rounds)
	return nil
}

// runEntry is what the process of an entry does.
func runEntry(ctx context.Context, name string, scale float64, profile string, stdin io.Reader, stdout io.Writer) error {
	e, ok := findEntry(name)
	if !ok {
		return fmt.Errorf("no entry %q", name)
	}
	var to peers
	if err := json.NewDecoder(stdin).Decode(&to); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("addresses of the servers: %w", err)
	}
	m := &meter{profile: profile, settle: 5 * time.Second}
	s, err := e.run(ctx, m, to, max(1, int(float64(e.n)*scale)))
	if err == nil {
		err = m.err
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return json.NewEncoder(stdout).Encode(s)
}
