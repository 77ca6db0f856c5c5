package chatsim

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// RandomCometDFault is RandomFault for clients on Bayeux, of either carrier: it
// hits a message of any kind, or with Op "push" or "upgrade" what the server
// sends unasked and the opening of a websocket. A client that goes on after its
// last index whenever anything went wrong, and looks into the transcript before
// it sends a line again, ends with the whole chat.
func RandomCometDFault(rng *rand.Rand) Fault {
	upTo := func(d time.Duration) time.Duration {
		return time.Duration(rng.Int64N(int64(d/time.Millisecond))+1) * time.Millisecond
	}
	status := func() int { return []int{302, 403, 413, 500, 502, 503}[rng.IntN(6)] }
	faults := []func() Fault{
		func() Fault { return Fault{Drop: DropBefore} },
		func() Fault { return Fault{Drop: DropAfter} },
		func() Fault { return Fault{Late: upTo(10 * time.Second)} },
		func() Fault { return Fault{Delay: upTo(10 * time.Second)} },
		func() Fault { return Fault{DelayAnswer: upTo(10 * time.Second)} },
		func() Fault { return Fault{StatusCode: 1, Times: 1 + rng.IntN(7)} },
		func() Fault {
			return Fault{Status: status(), Times: 1 + rng.IntN(3), Body: []byte("<html>busy</html>")}
		},
		func() Fault { return Fault{Status: 502, Accept: true} },
		func() Fault { return Fault{Status: 200, Body: []byte("<html>Please log in</html>")} },
		func() Fault { return Fault{Truncate: 1 + rng.IntN(60)} },
		func() Fault { return Fault{Cut: 1 + rng.IntN(60)} },
		func() Fault { return Fault{Slow: upTo(10 * time.Second)} },
		func() Fault { return Fault{Overlap: 1 + rng.IntN(20)} },
		func() Fault { return Fault{Double: true} },
		func() Fault { return Fault{Alias: 100 + rng.IntN(900)} },
		func() Fault { return Fault{Unsuccessful: "402::Unknown client", Times: 1 + rng.IntN(2)} },
		func() Fault { return Fault{Unsuccessful: "402::Unknown client", Accept: true} },
		func() Fault { return Fault{Elsewhere: true, Times: 1 + rng.IntN(3)} },
		func() Fault { return Fault{Close: []int{1000, 1001, 1011, 1012}[rng.IntN(4)]} },
		func() Fault { return Fault{Binary: true} },
		func() Fault { return Fault{Fragment: 1 + rng.IntN(3)} },
		func() Fault { return Fault{Op: metaConnect, Hold: true} },
		func() Fault { return Fault{Op: "upgrade", Status: status(), Times: 1 + rng.IntN(3)} },
		func() Fault { return Fault{Op: "upgrade", Drop: DropAfter} },
		func() Fault { return Fault{Op: "upgrade", Mute: true} },
		func() Fault { return Fault{Op: "upgrade", NoPong: true} },
		func() Fault { return Fault{Op: opPush, Delay: upTo(10 * time.Second)} },
		func() Fault { return Fault{Op: opPush, Repeat: true} },
		func() Fault { return Fault{Op: opPush, Shuffle: true, Overlap: 1 + rng.IntN(20)} },
	}
	return faults[rng.IntN(len(faults))]()
}

// RandomFault returns a fault of the kind that a bad network, a busy gateway or
// an old server makes, for one request of any operation. None of them takes
// anything from the visitor for good: a client that keeps its place and asks
// again, and looks into the transcript before it sends a line again, ends with
// the whole chat, if it tries more often than Options.SilenceLimit allows. The
// same state of rng gives the same fault.
func RandomFault(rng *rand.Rand) Fault {
	upTo := func(d time.Duration) time.Duration {
		return time.Duration(rng.Int64N(int64(d/time.Millisecond))+1) * time.Millisecond
	}
	faults := []func() Fault{
		func() Fault { return Fault{Drop: DropBefore} },
		func() Fault { return Fault{Drop: DropAfter} },
		func() Fault { return Fault{Late: upTo(10 * time.Second)} },
		func() Fault { return Fault{Delay: upTo(10 * time.Second)} },
		func() Fault { return Fault{DelayAnswer: upTo(10 * time.Second)} },
		func() Fault { return Fault{DelayAnswer: upTo(10 * time.Second), Drop: DropAfter} },
		func() Fault { return Fault{StatusCode: 1, Times: 1 + rng.IntN(7)} },
		func() Fault {
			f := Fault{Status: []int{429, 500, 502, 503}[rng.IntN(4)], Times: 1 + rng.IntN(3), Body: []byte("<html>busy</html>")}
			if rng.IntN(2) == 0 {
				f.Header = http.Header{"Retry-After": {strconv.Itoa(1 + rng.IntN(5))}}
			}
			return f
		},
		func() Fault { return Fault{Status: 502, Accept: true} },
		func() Fault { return Fault{Status: 200, Body: []byte("<html>Please log in</html>")} },
		func() Fault { return Fault{Truncate: 1 + rng.IntN(60)} },
		func() Fault { return Fault{Cut: 1 + rng.IntN(60)} },
		func() Fault { return Fault{Slow: upTo(10 * time.Second)} },
		func() Fault { return Fault{Overlap: 1 + rng.IntN(20)} },
		func() Fault { return Fault{Double: true} },
		func() Fault { return Fault{Shuffle: true} },
		func() Fault { return Fault{Omit: 1 + rng.IntN(3)} },
		func() Fault { return Fault{Repeat: true} },
		func() Fault { return Fault{Alias: 100 + rng.IntN(900)} },
	}
	return faults[rng.IntN(len(faults))]()
}
