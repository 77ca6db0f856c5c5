package gmssim

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
)

// Fault is what goes wrong in the terms of a GMS: the Details of a [chatsim.Fault].
type Fault struct {
	// StatusCode 1 or 2 answers with this statusCode in place of carrying
	// out the request; with HTTP 200 unless Status is set.
	StatusCode int
	// Errors answers with these errors in place of carrying out the request;
	// with HTTP 400 unless Status is set.
	Errors []Error
	// Alias changes the server's alias before the answer, if not 0.
	Alias int
}

func (f *Fault) refuses() bool { return f.StatusCode != 0 || len(f.Errors) > 0 }

// Detailed is what the Details of a fault may be that has a Fault in it.
type Detailed interface{ GMSFault() Fault }

// GMSFault implements [Detailed].
func (f Fault) GMSFault() Fault { return f }

// detailsOf returns what a fault says in the terms of a GMS. Never nil.
func detailsOf(f *chatsim.Fault) *Fault {
	if d, ok := f.Details.(Detailed); ok {
		return ptr(d.GMSFault())
	}
	return &Fault{}
}

// Refuses reports whether a fault has FaultAnswer in place of the real one.
func Refuses(f *chatsim.Fault) bool { return detailsOf(f).refuses() }

// FaultAnswer is the answer that a fault puts in place of the real one.
func (g *Face) FaultAnswer(chatID string, f *chatsim.Fault) *Answer {
	details := detailsOf(f)
	a := g.Refusal(chatID, false, details.Errors...)
	if details.StatusCode != 0 {
		a.StatusCode, a.ChatEnded = ptr(details.StatusCode), ptr(false)
	}
	return a
}

// ApplyFault does what a fault does to the chat, between the operation and its answer.
func (g *Face) ApplyFault(tx *chatsim.Tx, f *chatsim.Fault) {
	if alias := detailsOf(f).Alias; alias != 0 {
		g.SetAlias(alias)
	}
	if f.EndChat {
		tx.End(chatsim.EndedByServer)
	}
}

// Overlap returns an answer with up to n earlier events before its own.
func (g *Face) Overlap(tx *chatsim.Tx, a *Answer, n int) *Answer {
	if n <= 0 || a == nil || a.Messages == nil {
		return a
	}
	first := tx.LastIndex() + 1
	if len(*a.Messages) > 0 && (*a.Messages)[0].Index != nil {
		first = *(*a.Messages)[0].Index
	}
	var all []Message
	for _, e := range tx.FromIndex(first - n) {
		if e.Index < first {
			all = append(all, g.message(e))
		}
	}
	all = append(all, *a.Messages...)
	changed := *a
	changed.Messages = &all
	return &changed
}

// Change returns a finished answer with what a fault does to its events.
func Change(a *Answer, f *chatsim.Fault) *Answer {
	if a.Messages == nil || !f.Double && !f.Shuffle && !f.NoIndex && f.Omit == 0 {
		return a
	}
	m := slices.Clone(*a.Messages)
	m = m[min(f.Omit, len(m)):]
	if f.Double {
		doubled := make([]Message, 0, 2*len(m))
		for _, e := range m {
			doubled = append(doubled, e, e)
		}
		m = doubled
	}
	if f.Shuffle {
		slices.Reverse(m)
	}
	if f.NoIndex {
		for i := range m {
			m[i].Index = nil
		}
	}
	changed := *a
	changed.Messages = &m
	return &changed
}

// RandomFault implements [chatsim.Face]. It returns a fault of the kind that a bad network, a busy gateway or
// an old server makes, for one request of any operation. None of them takes
// anything from the visitor for good: a client that keeps its place and asks
// again, and looks into the transcript before it sends a line again, ends with
// the whole chat, if it tries more often than [chatsim.Options].SilenceLimit allows. The
// same state of rng gives the same fault.
func (g *Face) RandomFault(rng *rand.Rand) chatsim.Fault {
	upTo := func(d time.Duration) time.Duration {
		return time.Duration(rng.Int64N(int64(d/time.Millisecond))+1) * time.Millisecond
	}
	faults := []func() chatsim.Fault{
		func() chatsim.Fault { return chatsim.Fault{Drop: chatsim.DropBefore} },
		func() chatsim.Fault { return chatsim.Fault{Drop: chatsim.DropAfter} },
		func() chatsim.Fault { return chatsim.Fault{Late: upTo(10 * time.Second)} },
		func() chatsim.Fault { return chatsim.Fault{Delay: upTo(10 * time.Second)} },
		func() chatsim.Fault { return chatsim.Fault{DelayAnswer: upTo(10 * time.Second)} },
		func() chatsim.Fault {
			return chatsim.Fault{DelayAnswer: upTo(10 * time.Second), Drop: chatsim.DropAfter}
		},
		func() chatsim.Fault { return chatsim.Fault{Details: Fault{StatusCode: 1}, Times: 1 + rng.IntN(7)} },
		func() chatsim.Fault {
			f := chatsim.Fault{Status: []int{429, 500, 502, 503}[rng.IntN(4)], Times: 1 + rng.IntN(3), Body: []byte("<html>busy</html>")}
			if rng.IntN(2) == 0 {
				f.Header = http.Header{"Retry-After": {strconv.Itoa(1 + rng.IntN(5))}}
			}
			return f
		},
		func() chatsim.Fault { return chatsim.Fault{Status: 502, Accept: true} },
		func() chatsim.Fault { return chatsim.Fault{Status: 200, Body: []byte("<html>Please log in</html>")} },
		func() chatsim.Fault { return chatsim.Fault{Truncate: 1 + rng.IntN(60)} },
		func() chatsim.Fault { return chatsim.Fault{Cut: 1 + rng.IntN(60)} },
		func() chatsim.Fault { return chatsim.Fault{Slow: upTo(10 * time.Second)} },
		func() chatsim.Fault { return chatsim.Fault{Overlap: 1 + rng.IntN(20)} },
		func() chatsim.Fault { return chatsim.Fault{Double: true} },
		func() chatsim.Fault { return chatsim.Fault{Shuffle: true} },
		func() chatsim.Fault { return chatsim.Fault{Omit: 1 + rng.IntN(3)} },
		func() chatsim.Fault { return chatsim.Fault{Repeat: true} },
		func() chatsim.Fault { return chatsim.Fault{Details: Fault{Alias: 100 + rng.IntN(900)}} },
	}
	f := faults[rng.IntN(len(faults))]()
	f.Wire = Name
	return f
}
