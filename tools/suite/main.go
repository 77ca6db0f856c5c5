// Command suite runs go test and prints what go test prints: one closing line
// for a package that passes, the whole output of a test that does not.
//
// Meanwhile it reads all that the tests wrote, also what go test keeps to
// itself because the test passed. Tests give their secrets values that begin
// with CANARY-; where one turns up in the output, a secret has leaked and the
// run fails. Nothing but the name of the test is shown then.
//
// When nothing was printed for ten seconds, it says on the standard error
// which tests are running.
//
//	suite [flags of go test] packages
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

const canary = "CANARY-"

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	w := newWatch(stderr)
	defer w.close()
	stdout, stderr = w.writer(stdout), w.writer(stderr)
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	errs := &searcher{w: stderr}
	cmd.Stderr = errs
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintf(stderr, "suite: run go test: %v\n", err)
		return 2
	}
	leaks, err := show(out, stdout, w.see)
	if err != nil {
		fmt.Fprintf(stderr, "suite: read the output of go test: %v\n", err)
	}
	waitErr := cmd.Wait()
	if errs.found {
		leaks = append(leaks, "the standard error of go test")
	}
	for _, l := range leaks {
		fmt.Fprintf(stderr, "suite: a secret (%s...) is in the output of %s\n", canary, l)
	}
	var exit *exec.ExitError
	switch {
	case errors.As(waitErr, &exit):
		return max(exit.ExitCode(), 1)
	case waitErr != nil, err != nil, len(leaks) > 0:
		return 1
	}
	return 0
}

// event is one line of go test -json; see go doc test2json.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// show prints the events in r as go test without -v would, and returns the
// tests whose output holds a canary, sorted. It calls see with each event.
func show(r io.Reader, w io.Writer, see func(event)) (leaks []string, err error) {
	type key struct{ pkg, test string }
	var (
		held  = map[key][]string{} // output of tests that still run
		loose = map[key][]string{} // the same for what has no test
		last  = map[key]string{}   // start of a line whose end is to come
	)
	in := bufio.NewReader(r)
	for {
		line, readErr := in.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				// Not an event: go itself speaks.
				fmt.Fprintf(w, "%s", line)
				e = event{Action: "output", Output: string(line), Package: "go test"}
				leaks = search(leaks, e, "")
				continue
			}
			see(e)
			k := key{e.Package, e.Test}
			switch e.Action {
			case "build-output":
				leaks = search(leaks, e, "")
				fmt.Fprint(w, e.Output)
			case "output":
				// One line can come in pieces.
				leaks = search(leaks, e, last[k])
				last[k] += e.Output
				if strings.HasSuffix(last[k], "\n") {
					delete(last, k)
				}
				if e.Test != "" {
					held[k] = append(held[k], e.Output)
				} else {
					loose[k] = append(loose[k], e.Output)
				}
			case "pass", "fail", "skip":
				if e.Test != "" {
					if e.Action == "fail" {
						for _, o := range held[k] {
							if !strings.HasPrefix(o, "=== ") {
								fmt.Fprint(w, o)
							}
						}
					}
					delete(held, k)
					continue
				}
				// A package ends. A test that has not ended took it down
				// (a panic, a data race, the time limit): show it.
				if e.Action == "fail" {
					for h, lines := range held {
						if h.pkg == e.Package {
							fmt.Fprint(w, strings.Join(lines, ""))
							delete(held, h)
						}
					}
				}
				for _, o := range loose[k] {
					if e.Action == "fail" || o != "PASS\n" && !strings.HasPrefix(o, "-test.shuffle ") && isClosing(o) {
						fmt.Fprint(w, o)
					}
				}
				delete(loose, k)
			}
		}
		if readErr == io.EOF {
			slices.Sort(leaks)
			return slices.Compact(leaks), nil
		}
		if readErr != nil {
			return leaks, readErr
		}
	}
}

// isClosing reports whether go test shows the line for a package that passed.
func isClosing(line string) bool {
	return strings.HasPrefix(line, "ok ") || strings.HasPrefix(line, "? ") || strings.HasPrefix(line, "\t") ||
		strings.HasPrefix(line, "testing: warning")
}

func search(leaks []string, e event, before string) []string {
	if !strings.Contains(before+e.Output, canary) {
		return leaks
	}
	name := e.Package
	if e.Test != "" {
		name += " " + e.Test
	}
	return append(leaks, name)
}

// searcher passes everything on and looks for a canary in it.
type searcher struct {
	w     io.Writer
	tail  string
	found bool
}

func (s *searcher) Write(p []byte) (int, error) {
	all := s.tail + string(p)
	s.found = s.found || strings.Contains(all, canary)
	s.tail = all[max(0, len(all)-len(canary)):]
	return s.w.Write(p)
}
