package main

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// own and others are batches of one line.
func own(index int64, text string) webchatservice.MessageReceivedData {
	return batchOf(webchatservice.Message{Type: chat.KindMessage, Index: index, Text: text, From: webchatservice.From{Type: chat.RoleClient}})
}

func others(index int64, text string) webchatservice.MessageReceivedData {
	return batchOf(webchatservice.Message{Type: chat.KindMessage, Index: index, Text: text, From: webchatservice.From{Type: chat.RoleAgent}})
}

func batchOf(m webchatservice.Message) webchatservice.MessageReceivedData {
	return webchatservice.MessageReceivedData{Messages: []webchatservice.Message{m}}
}

func TestLedger(t *testing.T) {
	lie := errors.New("not sent")
	tests := []struct {
		name     string
		happens  func(l *ledger)
		want     tally
		balanced bool
	}{
		{"nothing", func(*ledger) {}, tally{}, true},
		{"under way", func(l *ledger) { l.send() }, tally{Sent: 1}, false},
		{"confirmed, then received", func(l *ledger) { l.send(); l.settle(1, false, nil); l.receive(own(1, "line 1")) },
			tally{Sent: 1, Confirmed: 1, Received: 1, Own: 1}, true},
		{"received, then confirmed, and answered", func(l *ledger) {
			l.send()
			l.receive(own(1, "line 1"))
			l.settle(1, false, nil)
			l.receive(others(2, "You said: line 1"))
		}, tally{Sent: 1, Confirmed: 1, Received: 2, Own: 1}, true},
		{"lost", func(l *ledger) { l.send(); l.settle(1, false, nil) }, tally{Sent: 1, Confirmed: 1, Lost: 1}, false},
		{"unknown", func(l *ledger) { l.send(); l.settle(1, true, lie) }, tally{Sent: 1, Unknown: 1}, true},
		{"unknown, and there after all", func(l *ledger) { l.send(); l.settle(1, true, lie); l.receive(own(1, "line 1")) },
			tally{Sent: 1, Unknown: 1, Received: 1, Own: 1}, true},
		{"failed", func(l *ledger) { l.send(); l.settle(1, false, lie) }, tally{Sent: 1, Failed: 1}, true},
		{"failed, and there all the same", func(l *ledger) { l.send(); l.settle(1, false, lie); l.receive(own(1, "line 1")) },
			tally{Sent: 1, Failed: 1, Received: 1, Own: 1, Unsent: 1}, false},
		{"there, and failed all the same", func(l *ledger) { l.send(); l.receive(own(1, "line 1")); l.settle(1, false, lie) },
			tally{Sent: 1, Failed: 1, Received: 1, Own: 1, Unsent: 1}, false},
		{"the same entry twice", func(l *ledger) { l.receive(others(1, "a")); l.receive(others(1, "a")) },
			tally{Received: 1, Duplicates: 1}, false},
		{"one line in two places", func(l *ledger) {
			l.send()
			l.settle(1, false, nil)
			l.receive(own(1, "line 1"))
			l.receive(own(2, "line 1"))
		}, tally{Sent: 1, Confirmed: 1, Received: 2, Own: 2, Duplicates: 1}, false},
		{"out of order", func(l *ledger) { l.receive(others(1, "a")); l.receive(others(3, "c")); l.receive(others(2, "b")) },
			tally{Received: 3, Disordered: 1}, false},
		{"missing", func(l *ledger) { l.receive(others(1, "a")); l.receive(others(4, "d")) }, tally{Received: 2, Missing: 2}, false},
		{"missing, and said so", func(l *ledger) {
			l.receive(others(1, "a"))
			l.receive(others(4, "d"))
			l.gap(webchatservice.TranscriptGapData{From: 2, To: 3})
		}, tally{Received: 2, Gaps: 2}, true},
		{"missing, said so before, and there after all", func(l *ledger) {
			l.receive(others(1, "a"))
			l.gap(webchatservice.TranscriptGapData{From: 2, To: 3})
			l.receive(others(4, "d"))
			l.receive(others(3, "c"))
		}, tally{Received: 3, Gaps: 1}, true},
		{"no index", func(l *ledger) { l.receive(others(0, "a")); l.receive(others(0, "a")) }, tally{Received: 2}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLedger(&stopwatches{})
			tt.happens(l)
			sum := l.tally()
			assert.Equal(t, tt.want, sum)
			assert.Equal(t, tt.balanced, sum.balanced())
			var all tally
			all.add(sum)
			all.add(tally{})
			assert.Equal(t, tt.want, all)
		})
	}
}

// TestLedgerForgets: a ledger of many lines does not grow with their number.
func TestLedgerForgets(t *testing.T) {
	for _, answered := range []bool{true, false} {
		l := newLedger(&stopwatches{})
		index := int64(0)
		for range 5 * unanswered {
			n, text := l.send()
			index++
			l.receive(own(index, text))
			l.settle(n, false, nil)
			if answered {
				index++
				l.receive(others(index, "You said: "+text))
			}
		}
		assert.LessOrEqual(t, len(l.lines), unanswered+1)
		assert.Equal(t, 5*unanswered, l.tally().Own)
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	assert.Zero(t, h.quantile(0.5))
	h.add(-time.Second)
	h.add(30 * 24 * time.Hour)
	assert.Equal(t, 30*24*time.Hour, h.most)
	assert.LessOrEqual(t, h.quantile(0.5), time.Microsecond)

	h = histogram{}
	random := rand.New(rand.NewPCG(1, 2))
	var all []time.Duration
	for range 10_000 {
		d := time.Duration(random.ExpFloat64() * float64(50*time.Millisecond))
		all = append(all, d)
		h.add(d)
	}
	slices.Sort(all)
	for _, q := range []float64{0.5, 0.9, 0.99, 1} {
		want := all[int(q*float64(len(all)))-1]
		assert.InEpsilon(t, float64(want), float64(h.quantile(q)), 0.011, "quantile %v", q)
	}
	assert.Equal(t, all[len(all)-1], h.most)
}
