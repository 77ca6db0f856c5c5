package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// A job is one piece of work that several entries do. The first is the chat
// service's, the others are what it is compared with.
type job struct {
	name    string
	text    string // of the table
	unit    string // of the work
	load    string // what the figure of load is of: all that the job holds; "" if there is no such figure
	entries []entry
	bars    []bar
}

// entry does the work of a job n times, or with n sessions, and reports on it.
type entry struct {
	name string
	n    int
	run  func(ctx context.Context, m *meter, to peers, n int) (sample, error)
}

// bar is what the first entry of a job is held to: at most times that of another
// entry, plus an absolute amount.
type bar struct {
	what    string // the figure: see figure
	against string // an entry; "" for none
	times   float64
	plus    float64
	free    bool // reported, and no bar
}

// The figures that bars are about.
const (
	cpu        = "CPU"
	wall       = "time"
	median50   = "p50"
	tail99     = "p99"
	memory     = "memory"
	stacks     = "stacks of that"
	goroutines = "goroutines"
	load       = "load"
)

func (s sample) figure(what string) float64 {
	switch what {
	case cpu:
		return s.CPU
	case wall:
		return s.Wall
	case median50:
		return s.P50
	case tail99:
		return s.P99
	case memory:
		return s.Bytes
	case stacks:
		return s.Stacks
	case goroutines:
		return s.Goroutines
	case load:
		return s.Load
	}
	panic("no figure " + what)
}

// jobs returns all jobs, in the order of the table.
func jobs() []job {
	const kilobyte = 1024
	return []job{
		{
			name: "answers", text: "answers of 20 lines, body to subscriber", unit: "answer",
			entries: []entry{
				{"service", 4000, serviceAnswers}, {"encoding/json", 4000, decodeAnswers(plain)}, {"same decode", 4000, decodeAnswers(same)},
			},
			bars: []bar{
				{what: cpu, against: "encoding/json", times: 1.5}, {what: wall, against: "encoding/json", times: 1.5},
				{what: cpu, against: "same decode", times: 1.5, free: true},
			},
		},
		{
			name: "polls", text: "polls that bring nothing", unit: "poll",
			entries: []entry{{"service", 10000, servicePolls}, {"net/http, same decode", 10000, rawPolls(same)}, {"net/http, encoding/json", 10000, rawPolls(plain)}},
			bars: []bar{
				{what: cpu, against: "net/http, same decode", times: 1.3}, {what: cpu, against: "net/http, encoding/json", times: 1.3, free: true},
			},
		},
		{
			name: "polling sessions", text: "1,000 sessions that poll, a bus each", unit: "session",
			entries: []entry{{"service", 1000, servicePolling}, {"net/http", 1000, rawPolling}},
			bars: []bar{
				{what: memory, against: "net/http", times: 1.3, plus: 10 * kilobyte}, {what: stacks, against: "net/http", free: true}, {what: goroutines, against: "net/http", free: true},
			},
		},
		{
			name: "idle buses", text: "10,000 buses with the service and no session", unit: "bus", load: "10,000 buses",
			entries: []entry{{"service", 10000, idleBuses}},
			bars:    []bar{{what: memory, plus: 16 * kilobyte}, {what: goroutines}, {what: load, plus: 0.02}},
		},
		{
			name: "socket throughput", text: "lines pushed on a websocket, to a subscriber", unit: "line",
			entries: []entry{
				{"service", 300000, serviceFlood}, {"gorilla, same decode", 300000, rawFlood(rawBuffer, sameDeliveries, sameValid)},
				{"gorilla with 4 KB, same decode", 300000, rawFlood(defaultBuffer, sameDeliveries, sameValid)},
				{"gorilla, encoding/json", 300000, rawFlood(rawBuffer, deliveries, plain)},
			},
			bars: []bar{
				{what: cpu, against: "gorilla, same decode", times: 1.25}, {what: wall, against: "gorilla, same decode", times: 1.25},
				{what: cpu, against: "gorilla with 4 KB, same decode", free: true}, {what: wall, against: "gorilla with 4 KB, same decode", free: true},
				{what: cpu, against: "gorilla, encoding/json", free: true}, {what: wall, against: "gorilla, encoding/json", free: true},
			},
		},
		{
			name: "socket latency", text: "1,000 lines a second to 1,000 websockets, from frame to subscriber", unit: "line",
			entries: []entry{{"service", 1000, serviceLatency}, {"gorilla", 1000, rawLatency}},
			bars: []bar{
				{what: median50, against: "gorilla", times: 1.5}, {what: tail99, against: "gorilla", times: 1.5, free: true},
			},
		},
		{
			name: "idle sockets", text: "10,000 idle websocket sessions, a bus each", unit: "session", load: "10,000 sessions",
			entries: []entry{{"service", 10000, serviceSockets}, {"gorilla", 10000, rawSockets}},
			bars: []bar{
				{what: memory, plus: 32 * kilobyte}, {what: goroutines, plus: 3}, {what: memory, against: "gorilla", free: true}, {what: stacks, against: "gorilla", free: true},
				{what: load, plus: 0.01},
			},
		},
		{
			name: "long-polling", text: "lines by long-polling, to a subscriber of the same bus", unit: "line",
			entries: []entry{{"service", 1000, serviceLongPolling}, {"net/http, encoding/json", 1000, rawLongPolling(deliveries, plain)}, {"net/http, same decode", 1000, rawLongPolling(sameDeliveries, sameValid)}},
			bars: []bar{
				{what: cpu, against: "net/http, encoding/json", times: 1.3}, {what: cpu, against: "net/http, same decode", times: 1.3, free: true},
			},
		},
	}
}

func findEntry(name string) (entry, bool) {
	for _, j := range jobs() {
		for _, e := range j.entries {
			if j.name+"/"+e.name == name {
				return e, true
			}
		}
	}
	return entry{}, false
}

// measure does one round of the job: each entry in a process of its own, one after the other, against the same servers.
func (j job) measure(ctx context.Context, scale float64, into figures) error {
	to, stop, err := startServers(ctx)
	if err != nil {
		return err
	}
	for _, e := range j.entries {
		var s sample
		if s, err = inProcess(ctx, j.name+"/"+e.name, to, scale); err != nil {
			break
		}
		into[j.name+"/"+e.name] = s
	}
	return errors.Join(err, stop())
}

// verdict holds the figures of all rounds to a bar: a ratio is taken inside each round.
func (b bar) verdict(j job, rounds []figures) (ours, base, ratio float64, result string) {
	var all, bases, ratios, over []float64
	for _, f := range rounds {
		v := f[j.name+"/"+j.entries[0].name].figure(b.what)
		all = append(all, v)
		limit := b.plus
		if b.against != "" {
			w := f[j.name+"/"+b.against].figure(b.what)
			bases, ratios = append(bases, w), append(ratios, v/w)
			limit += b.times * w
		}
		over = append(over, v-limit)
	}
	if b.against != "" {
		base, ratio = median(bases), median(ratios)
	}
	result = "pass"
	switch {
	case b.free:
		result = ""
	case median(over) > 0:
		result = "**miss**"
	}
	return median(all), base, ratio, result
}

// label says what a bar is about, and of how much work.
func (j job) label(b bar) string {
	if b.what == load {
		return b.what + " of all " + j.load
	}
	return b.what + " per " + j.unit
}

// limit says what the bar is.
func (b bar) limit() string {
	var parts []string
	if b.against != "" {
		parts = append(parts, fmt.Sprintf("%g ×", b.times))
	}
	if b.plus != 0 || b.against == "" {
		parts = append(parts, amount(b.what, b.plus))
	}
	if b.free {
		return ""
	}
	return strings.Join(parts, " + ")
}
