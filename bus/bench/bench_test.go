package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDelivery holds that all who are compared do the work: each message
// reaches each subscriber once, in order where the bus promises one, and a
// subscriber that is removed gets no more while the others do.
func TestDelivery(t *testing.T) {
	// These remove the wrong one of two closures, or some time later.
	sticky := map[string]bool{"chan": true, "batch": true, "libp2p": true, "EventBus": true, "EventBus async": true, "watermill": true, "watermill async": true}
	for name, open := range map[string]func([]string) pubsub{
		"cow-handle": newCowHandle, "cow-map": newCowMap, "token": inlineToken, "name": inlineName,
		"chan": newChanQueues, "batch": newBatchQueues, "mailbox": mailboxes(3), "one mailbox": mailboxes(1),
		"EventBus": newEventBus, "EventBus async": newEventBusAsync, "watermill": newGoChannel, "watermill async": newGoChannelAsync,
		"libp2p": newLibp2p, "ro": newSubjects, "kelindar": newDispatcher, "cskr": newChannels, "tailscale": newTailscale, "geth": newFeed,
	} {
		t.Run(name, func(t *testing.T) {
			const messages = 500
			b := open(topics(2))
			var got [3]atomic.Int64
			var mu sync.Mutex
			var swapped int
			var last [3]int64
			var cancel []func()
			for i := range got {
				cancel = append(cancel, b.subscribe(0, each(func(m *msg) {
					mu.Lock()
					if m.N < last[i] {
						swapped++
					}
					last[i] = m.N
					mu.Unlock()
					got[i].Add(1)
				})))
			}
			for i := range messages {
				b.publish(0, &msg{N: int64(i + 1)})
			}
			for i := range got {
				wait(&got[i], messages)
			}
			if !strings.HasSuffix(name, "async") {
				assert.Zero(t, swapped, "messages out of order")
			}
			removed := int64(messages + 1)
			if !sticky[name] {
				cancel[1]()
				removed = messages
			}
			b.publish(0, &msg{N: messages + 1})
			wants := []int64{messages + 1, removed, messages + 1}
			for i, want := range wants {
				wait(&got[i], want)
			}
			b.close()
			for i, want := range wants {
				assert.EqualValues(t, want, got[i].Load(), "subscriber %d", i)
			}
		})
	}
}

func TestPatterns(t *testing.T) {
	for name, open := range map[string]func() wildcards{"trie": newTrie, "memo": newMemo, "name": newOursWild} {
		t.Run(name, func(t *testing.T) {
			b := open()
			defer b.close()
			var fits, others atomic.Int64
			b.subscribe("plugin500.section.*", count(&fits))
			b.subscribe("*.section.*", count(&fits))
			b.subscribe("plugin501.section.*", count(&others))
			for i := range 3 {
				b.publish(wildName(i), &msg{})
				b.publish(wildName(i), &msg{})
			}
			assert.EqualValues(t, 12, fits.Load())
			assert.Zero(t, others.Load())
		})
	}
}

func TestCalls(t *testing.T) {
	for name, open := range map[string]func(commandFunc) caller{
		"direct": newDirectCall, "cow-map": newCowCall, "chan": newChanCall, "EventBus": newEventBusCall,
		"token":  func(h commandFunc) caller { return callByToken{plainCall(h)} },
		"name":   func(h commandFunc) caller { return callByName{plainCall(h)} },
		"future": func(h commandFunc) caller { return goByName{asyncCall(h)} },
	} {
		t.Run(name, func(t *testing.T) {
			c := open(answer())
			defer c.close()
			a, err := c.call(t.Context(), &msg{N: 1})
			require.NoError(t, err)
			assert.EqualValues(t, 42, a.N)
		})
	}
}

// TestRows holds that each row of the table has its figures.
func TestRows(t *testing.T) {
	var out bytes.Buffer
	names := map[string]bool{}
	f := figures{}
	for _, j := range jobs() {
		names[j.name] = true
		for _, e := range j.entries {
			f[j.name+"/"+e.name] = sample{ns: 1}
		}
	}
	for _, r := range rows() {
		assert.True(t, names[r.job], "no job %q", r.job)
		_, ok := f[r.baseline()]
		assert.True(t, ok, "no baseline %q in %q", r.base, r.job)
		_, ok = r.fill([]figures{f})
		assert.True(t, ok, "no bus %q in %q", r.bus, r.job)
	}
	printRows(&out, []figures{f})
	assert.NotContains(t, out.String(), "miss")
}

func TestVerdict(t *testing.T) {
	r := row{job: "j", bus: "a", base: "b", must: 2, aim: 1.5}
	round := func(bus, base float64, allocs int64) figures {
		return figures{"j/a": {ns: bus, allocs: allocs}, "j/b": {ns: base}}
	}
	for _, tt := range []struct {
		rounds []figures
		ratio  float64
		result string
	}{
		{[]figures{round(14, 10, 0)}, 1.4, "pass, aim met"},
		{[]figures{round(19, 10, 0)}, 1.9, "pass"},
		{[]figures{round(21, 10, 0)}, 2.1, "**miss**"},
		{[]figures{round(10, 10, 0), round(20, 10, 0), round(50, 10, 0)}, 2, "pass"},
		{[]figures{round(5, 2, 0)}, 2.5, "pass, within 3 ns"},
		{[]figures{round(6, 2, 0)}, 3, "**miss**"},
		{[]figures{round(10, 10, 2)}, 1, "**miss**: 2 allocations"},
	} {
		l, ok := r.fill(tt.rounds)
		require.True(t, ok)
		assert.InDelta(t, tt.ratio, l.ratio, 1e-9)
		assert.Equal(t, tt.result, l.result, "%v", tt.rounds)
	}
	_, ok := r.fill([]figures{{}})
	assert.False(t, ok, "a job that was not run has no line")
}

func TestRun(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run([]string{"-rounds", "1", "-time", "1ms", "-job", "^(publish 1|command|idle)$"}, &out, io.Discard))
	for _, want := range []string{"publish by name, 1 inline subscriber", "command by token", "idle bus", "| EventBus |"} {
		assert.Contains(t, out.String(), want)
	}
	require.Error(t, run([]string{"-rounds", "0"}, io.Discard, io.Discard))
	require.Error(t, run([]string{"-job", "("}, io.Discard, io.Discard))
}

func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{0, 1, 10, 100} {
		for _, p := range []struct {
			name string
			open func([]string) pubsub
		}{{"token", inlineToken}, {"name", inlineName}} {
			b.Run(fmt.Sprintf("subscribers=%d/by=%s", n, p.name), func(b *testing.B) {
				s := p.open(topics(1))
				defer s.close()
				for range n {
					s.subscribe(0, nop())
				}
				m := &msg{N: 1}
				b.ReportAllocs()
				for b.Loop() {
					s.publish(0, m)
				}
			})
		}
	}
}

// BenchmarkMailbox takes the time from the first publish to the last delivery.
func BenchmarkMailbox(b *testing.B) {
	s := mailboxes(1)(topics(1))
	defer s.close()
	var got atomic.Int64
	s.subscribe(0, count(&got))
	m := &msg{N: 1}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		s.publish(0, m)
	}
	wait(&got, int64(b.N))
}

func BenchmarkCommand(b *testing.B) {
	for _, c := range []struct {
		name string
		open func(commandFunc) caller
	}{
		{"token", func(h commandFunc) caller { return callByToken{plainCall(h)} }},
		{"name", func(h commandFunc) caller { return callByName{plainCall(h)} }},
		{"future", func(h commandFunc) caller { return goByName{asyncCall(h)} }},
	} {
		b.Run("by="+c.name, func(b *testing.B) {
			s := c.open(answer())
			defer s.close()
			ctx, m := context.Background(), &msg{N: 1}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.call(ctx, m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestAllocations holds the publish paths to no allocation.
func TestAllocations(t *testing.T) {
	for _, j := range append(payloads(), job{"call", []entry{callEntry()}}) {
		for _, e := range j.entries {
			t.Run(j.name+" "+e.name, func(t *testing.T) {
				run, stop := e.start()
				defer stop()
				run(5000)
				bytes, allocs := allocated(run, 5000)
				assert.Zero(t, allocs)
				assert.Less(t, bytes, int64(64))
			})
		}
	}
}

func callEntry() entry {
	return entry{name: "by name", start: func() (func(int) sample, func()) {
		c := callByName{plainCall(answer())}
		m := &msg{N: 1}
		return func(n int) sample {
			start := time.Now()
			for range n {
				_, _ = c.call(context.Background(), m)
			}
			return per(start, n)
		}, c.close
	}}
}
