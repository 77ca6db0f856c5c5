package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// jobs returns all jobs, in the order of the table.
func jobs() []job {
	list := []job{
		publish(0), publish(1), publish(10), publish(100), publish(1000),
		producers(), manyTopics(), seenName(), newName(), churn(), command(),
		endToEnd(1, 1), endToEnd(2, 1), endToEnd(1, 10),
		latency("yield", runtime.Gosched), latency("spin", func() {}),
		subscriptions(1_000), subscriptions(10_000),
	}
	return append(list, payloads()...)
}

// publish publishes to n inline subscribers of one topic.
func publish(n int) job {
	j := job{name: fmt.Sprintf("publish %d", n)}
	add := func(name string, open func([]string) pubsub) {
		j.entries = append(j.entries, entry{name: name, start: func() (func(int) sample, func()) {
			b := open(topics(1))
			for range n {
				b.subscribe(0, nop())
			}
			m := &msg{N: 1}
			return func(n int) sample {
				start := time.Now()
				for range n {
					b.publish(0, m)
				}
				return per(start, n)
			}, b.close
		}})
	}
	add("direct", newDirect)
	add("cow-handle", newCowHandle)
	add("token", inlineToken)
	add("cow-map", newCowMap)
	add("name", inlineName)
	if n == 1 || n == 10 {
		add("EventBus", newEventBus)
		add("watermill", newGoChannel)
		add("ro", newSubjects)
	}
	return j
}

// producers publishes from one goroutine, then from two at once, to the same
// topic or to one each, with one inline subscriber for each topic.
func producers() job {
	j := job{name: "producers"}
	add := func(name string, open func([]string) pubsub, workers, count int) {
		j.entries = append(j.entries, entry{name: name, start: func() (func(int) sample, func()) {
			b := open(topics(2))
			b.subscribe(0, nop())
			b.subscribe(1, nop())
			return func(n int) sample {
				share := n / workers
				var all sync.WaitGroup
				start := time.Now()
				for w := range workers {
					all.Go(func() {
						topic, m := w%count, &msg{N: 1}
						for range share {
							b.publish(topic, m)
						}
					})
				}
				all.Wait()
				return per(start, share*workers)
			}, b.close
		}})
	}
	for _, e := range []struct {
		name string
		open func([]string) pubsub
	}{{"cow-handle", newCowHandle}, {"token", inlineToken}, {"cow-map", newCowMap}, {"name", inlineName}} {
		add(e.name+" 1", e.open, 1, 1)
		add(e.name+" same", e.open, 2, 1)
		add(e.name+" other", e.open, 2, 2)
	}
	return j
}

// manyTopics publishes to a random one of 10,000 topics, each of which has an
// inline subscriber.
func manyTopics() job {
	const n = 10_000
	r := rand.New(rand.NewPCG(1, 2))
	order := make([]int, 1<<14)
	for i := range order {
		order[i] = r.IntN(n)
	}
	j := job{name: "topics"}
	add := func(name string, open func([]string) pubsub) {
		j.entries = append(j.entries, entry{name: name, start: func() (func(int) sample, func()) {
			b := open(topics(n))
			for i := range n {
				b.subscribe(i, nop())
			}
			m := &msg{N: 1}
			return func(n int) sample {
				start := time.Now()
				for i := range n {
					b.publish(order[i%len(order)], m)
				}
				return per(start, n)
			}, b.close
		}})
	}
	add("cow-handle", newCowHandle)
	add("token", inlineToken)
	add("cow-map", newCowMap)
	add("name", inlineName)
	return j
}

// wildNamespace owns the events that the wildcard jobs publish.
const wildNamespace = "plugin500"

// patterns subscribes 1,000 patterns, of which two fit the published names.
func patterns(b wildcards) {
	for i := range 999 {
		b.subscribe(fmt.Sprintf("plugin%03d.section.*", i), nop())
	}
	b.subscribe("*.section.*", nop())
}

func seenName() job {
	j := job{name: "wildcard seen"}
	add := func(name string, open func() wildcards) {
		j.entries = append(j.entries, entry{name: name, start: func() (func(int) sample, func()) {
			b := open()
			patterns(b)
			m, topic := &msg{N: 1}, wildName(7)
			b.publish(topic, m)
			return func(n int) sample {
				start := time.Now()
				for range n {
					b.publish(topic, m)
				}
				return per(start, n)
			}, b.close
		}})
	}
	add("memo", newMemo)
	add("trie", newTrie)
	add("name", newOursWild)
	return j
}

// newName publishes each name once, so nothing can be remembered.
func newName() job {
	j := job{name: "wildcard new"}
	add := func(name string, open func() wildcards) {
		j.entries = append(j.entries, entry{name: name, n: 2000, start: func() (func(int) sample, func()) {
			b := open()
			patterns(b)
			m, last := &msg{N: 1}, 0
			return func(n int) sample {
				names := make([]topicName, n)
				for i := range names {
					last++
					names[i] = wildName(last)
				}
				start := time.Now()
				for _, t := range names {
					b.publish(t, m)
				}
				return per(start, n)
			}, b.close
		}})
	}
	add("trie", newTrie)
	add("name", newOursWild)
	return j
}

func wildName(i int) topicName {
	short := fmt.Sprintf("section.event%d", i)
	return topicName{wildNamespace + "." + short, short}
}

// churn publishes to ten inline subscribers while another goroutine subscribes
// and unsubscribes on the same topic as fast as it can.
func churn() job {
	j := job{name: "churn"}
	add := func(name string, open func([]string) pubsub) {
		j.entries = append(j.entries, entry{name: name, start: func() (func(int) sample, func()) {
			b := open(topics(1))
			for range 10 {
				b.subscribe(0, nop())
			}
			m := &msg{N: 1}
			return func(n int) sample {
				var stop atomic.Bool
				var rounds atomic.Int64
				var done sync.WaitGroup
				done.Go(func() {
					h := nop()
					for !stop.Load() {
						b.subscribe(0, h)()
						rounds.Add(1)
					}
				})
				wait(&rounds, 1)
				start := time.Now()
				for range n {
					b.publish(0, m)
				}
				s := per(start, n)
				stop.Store(true)
				done.Wait()
				return s
			}, b.close
		}})
	}
	add("cow-map", newCowMap)
	add("name", inlineName)
	return j
}

// subscriptions makes n subscriptions of one event, publishes it once to all of them, and ends them in the order in which
// they were made; ns is for one of them.
func subscriptions(n int) job {
	j := job{name: fmt.Sprintf("subscriptions %d", n)}
	add := func(name string, open func([]string) pubsub) {
		j.entries = append(j.entries, entry{name: name, n: n, start: func() (func(int) sample, func()) {
			m := &msg{N: 1}
			return func(n int) sample {
				b := open(topics(1))
				defer b.close()
				cancels := make([]func(), n)
				start := time.Now()
				for i := range cancels {
					cancels[i] = b.subscribe(0, nop())
				}
				b.publish(0, m)
				for _, cancel := range cancels {
					cancel()
				}
				return per(start, n)
			}, func() {}
		}})
	}
	add("inline", inlineToken)
	add("mailbox", mailboxes(1))
	add("plugins", mailboxes(n))
	return j
}

// command calls a command and takes its result.
func command() job {
	j := job{name: "command"}
	add := func(name string, open func(commandFunc) caller) {
		j.entries = append(j.entries, entry{name: name, start: func() (func(int) sample, func()) {
			c := open(answer())
			m, ctx, end := &msg{N: 1}, context.Background(), func() {}
			if name == "name context" { // as of a request under way
				ctx, end = context.WithCancel(ctx)
			}
			if a, err := c.call(ctx, m); err != nil || a.N != 42 {
				panic(fmt.Sprint("wrong answer: ", a, err))
			}
			return func(n int) sample {
				start := time.Now()
				for range n {
					if _, err := c.call(ctx, m); err != nil {
						panic(err)
					}
				}
				return per(start, n)
			}, func() { end(); c.close() }
		}})
	}
	add("direct", newDirectCall)
	add("cow-map", newCowCall)
	add("token", func(h commandFunc) caller { return callByToken{plainCall(h)} })
	add("name", func(h commandFunc) caller { return callByName{plainCall(h)} })
	add("name context", func(h commandFunc) caller { return callByName{plainCall(h)} })
	add("name future", func(h commandFunc) caller { return goByName{asyncCall(h)} })
	add("chan", newChanCall)
	add("EventBus", newEventBusCall)
	return j
}

// endToEnd hands messages over to consumers on goroutines of their own and
// takes the time from the first publish to the last delivery.
func endToEnd(workers, consumers int) job {
	j := job{name: fmt.Sprintf("mailbox %d to %d", workers, consumers)}
	add := func(name string, open func([]string) pubsub) {
		j.entries = append(j.entries, entry{name: name, start: func() (func(int) sample, func()) {
			b := open(topics(1))
			counts := make([]struct {
				n atomic.Int64
				_ [56]byte
			}, consumers)
			for i := range counts {
				b.subscribe(0, count(&counts[i].n))
			}
			m := &msg{N: 1}
			return func(n int) sample {
				share := n / workers
				total := int64(share * workers)
				for i := range counts {
					counts[i].n.Store(0)
				}
				var all sync.WaitGroup
				start := time.Now()
				for range workers {
					all.Go(func() {
						for range share {
							b.publish(0, m)
						}
					})
				}
				all.Wait()
				for i := range counts {
					wait(&counts[i].n, total)
				}
				return per(start, int(total))
			}, b.close
		}})
	}
	add("chan", newChanQueues)
	add("batch", newBatchQueues)
	add("mailbox", mailboxes(consumers))
	if consumers > 1 {
		add("one mailbox", mailboxes(1))
	}
	for _, p := range queuePeers() {
		add(p.name, p.open)
	}
	return j
}

// wait waits until n has come to want, without keeping a core from the others.
func wait(n *atomic.Int64, want int64) {
	for spins := 0; n.Load() < want; spins++ {
		if spins < 100 {
			runtime.Gosched()
			continue
		}
		time.Sleep(20 * time.Microsecond)
	}
}

// latency publishes one message each 20 µs; ns is the median of the times from
// publish to handler. The producer calls pause while it waits: one that yields
// is as one that blocks on input, one that spins keeps its core, so that
// each delivery needs the other.
func latency(pace string, pause func()) job {
	const every = 20 * time.Microsecond
	j := job{name: "latency " + pace}
	add := func(name string, open func([]string) pubsub) {
		j.entries = append(j.entries, entry{name: name, n: 1000, start: func() (func(int) sample, func()) {
			b := open(topics(1))
			epoch := time.Now()
			var took []float64
			var got atomic.Int64
			b.subscribe(0, each(func(m *msg) {
				took[m.N] = float64(int64(time.Since(epoch)) - m.Stamp)
				got.Add(1)
			}))
			return func(n int) sample {
				took = make([]float64, n)
				got.Store(0)
				msgs := make([]msg, n)
				next := time.Since(epoch)
				for i := range msgs {
					for next += every; time.Since(epoch) < next; {
						pause()
					}
					m := &msgs[i]
					m.N, m.Stamp = int64(i), int64(time.Since(epoch))
					b.publish(0, m)
				}
				wait(&got, int64(n))
				slices.Sort(took)
				return sample{ns: took[n/2], p99: took[n*99/100]}
			}, b.close
		}})
	}
	add("chan", newChanQueues)
	add("batch", newBatchQueues)
	add("mailbox", mailboxes(1))
	for _, p := range queuePeers() {
		if p.name != "EventBus" && p.name != "watermill" { // they take longer than the time between two messages
			add(p.name, p.open)
		}
	}
	return j
}
