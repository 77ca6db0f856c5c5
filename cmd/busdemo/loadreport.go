package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// watch shows the progress on w, once a second, until the function returned is called.
func (l *load) watch(w io.Writer) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	begun := time.Now()
	wg.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-done:
				return
			}
			sum, _ := l.sum()
			fmt.Fprintf(w, "%4.0fs  %s  sent %d  confirmed %d  unknown %d  failed %d  received %d\n", time.Since(begun).Seconds(),
				plural(len(l.chats), "chat"), sum.Sent, sum.Confirmed, sum.Unknown, sum.Failed, sum.Received)
		}
	})
	return func() { close(done); wg.Wait() }
}

// print writes the figures.
func (l *load) print(w io.Writer) error {
	sum, early := l.sum()
	l.watches.mu.Lock()
	defer l.watches.mu.Unlock()
	if l.options.json {
		line, err := json.Marshal(struct {
			Transport string  `json:"transport"`
			Sessions  int     `json:"sessions"`
			Early     int     `json:"endedEarly"`
			Seconds   float64 `json:"seconds"`
			tally
			Balanced bool                  `json:"balanced"`
			Latency  map[string]*histogram `json:"latencyMs"`
		}{l.wire(), len(l.chats), early, l.took.Seconds(), sum, sum.balanced(), map[string]*histogram{
			"confirmed": &l.watches.confirmed, "received": &l.watches.received, "answered": &l.watches.answered,
		}})
		if err == nil {
			_, err = w.Write(append(line, '\n'))
		}
		return err
	}

	p := painter(colours(w, os.Getenv))
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n  %s over %s, %.1f s, %.1f messages a second\n", p.paint(bold, "Load"),
		plural(len(l.chats), "chat"), l.wire(), l.took.Seconds(), float64(sum.Sent)/max(l.took.Seconds(), 0.001))
	if early > 0 {
		fmt.Fprintf(&b, "  %s ended before its time\n", plural(early, "chat"))
	}
	fmt.Fprintln(&b, p.paint(bold, "Ledger"))
	row := func(name string, n int, note string) {
		fmt.Fprintln(&b, strings.TrimRight(fmt.Sprintf("  %-12s %9d  %s", name, n, p.paint(dim, note)), " "))
	}
	row("sent", sum.Sent, "")
	row("confirmed", sum.Confirmed, "the server has it")
	row("unknown", sum.Unknown, "nobody can say")
	row("failed", sum.Failed, "the server does not have it")
	row("received", sum.Received, fmt.Sprintf("own %d, of others %d", sum.Own, sum.Received-sum.Own))
	row("gaps", sum.Gaps, "entries that an event calls lost")
	row("missing", sum.Missing, "entries lost without a word")
	row("lost", sum.Lost, "confirmed and not received")
	row("unsent", sum.Unsent, "called failed, and received")
	row("duplicates", sum.Duplicates, "")
	row("out of order", sum.Disordered, "")
	if sum.balanced() {
		fmt.Fprintln(&b, "  "+p.paint(green, "it balances"))
	} else {
		fmt.Fprintln(&b, "  "+p.paint(red, "it does not balance"))
	}
	fmt.Fprintf(&b, "%s\n  %-12s %9s %9s %9s %9s %9s\n", p.paint(bold, "Latency, ms"), "", "p50", "p90", "p99", "max", "count")
	for _, r := range []struct {
		name string
		h    *histogram
	}{{"confirmed", &l.watches.confirmed}, {"received", &l.watches.received}, {"answered", &l.watches.answered}} {
		fmt.Fprintf(&b, "  %-12s %9.3f %9.3f %9.3f %9.3f %9d\n", r.name,
			millis(r.h.quantile(0.5)), millis(r.h.quantile(0.9)), millis(r.h.quantile(0.99)), millis(r.h.most), r.h.count)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
