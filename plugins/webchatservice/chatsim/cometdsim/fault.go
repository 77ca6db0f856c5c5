package cometdsim

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
)

// Fault is what goes wrong in the terms of Bayeux: the Details of a [chatsim.Fault]. GMS is for the delivery that answers
// an operation; what changes the body, and the ways of sending, are for the POST's answer or the
// reply's frame.
type Fault struct {
	// GMS is what goes wrong with the operation.
	GMS gmssim.Fault
	// Unsuccessful answers a message with successful false and this error,
	// "402::Unknown client", in place of carrying it out.
	Unsuccessful string
	// Advice, a JSON value of any kind, is the advice of the reply.
	Advice string
	// Elsewhere answers a message as a node does that has never heard of the
	// session, which lives on.
	Elsewhere bool
	// Hold holds a connect for ever: neither time nor an event releases it.
	Hold bool
	// Ping sends a ping between the fragments of a reply that Fragment cuts up.
	Ping bool
}

// Check is called when the fault is added.
func (f Fault) Check() error {
	if f.Advice != "" && !json.Valid([]byte(f.Advice)) {
		return errors.New("the advice of a fault is not JSON")
	}
	return nil
}

// GMSFault implements [gmssim.Detailed].
func (f Fault) GMSFault() gmssim.Fault { return f.GMS }

// detailsOf returns what a fault says in the terms of Bayeux. Never nil.
func detailsOf(f *chatsim.Fault) *Fault {
	if d, ok := f.Details.(Fault); ok {
		return &d
	}
	return &Fault{}
}

// alter puts into a Bayeux reply what the fault wants there.
func (f *Fault) alter(r *bayeuxReply) {
	if f.Unsuccessful != "" {
		r.fail(f.Unsuccessful)
	}
	if f.Advice != "" {
		r.Advice = json.RawMessage(f.Advice)
	}
}

// RandomFault implements [chatsim.Face]. It returns a fault for clients of either carrier: it
// hits a message of any kind, or with Op "push" or "upgrade" what the server
// sends unasked and the opening of a websocket. A client that goes on after its
// last index whenever anything went wrong, and looks into the transcript before
// it sends a line again, ends with the whole chat.
func (h *Face) RandomFault(rng *rand.Rand) chatsim.Fault {
	upTo := func(d time.Duration) time.Duration {
		return time.Duration(rng.Int64N(int64(d/time.Millisecond))+1) * time.Millisecond
	}
	status := func() int { return []int{302, 403, 413, 500, 502, 503}[rng.IntN(6)] }
	faults := []func() chatsim.Fault{
		func() chatsim.Fault { return chatsim.Fault{Drop: chatsim.DropBefore} },
		func() chatsim.Fault { return chatsim.Fault{Drop: chatsim.DropAfter} },
		func() chatsim.Fault { return chatsim.Fault{Late: upTo(10 * time.Second)} },
		func() chatsim.Fault { return chatsim.Fault{Delay: upTo(10 * time.Second)} },
		func() chatsim.Fault { return chatsim.Fault{DelayAnswer: upTo(10 * time.Second)} },
		func() chatsim.Fault {
			return chatsim.Fault{Details: gmssim.Fault{StatusCode: 1}, Times: 1 + rng.IntN(7)}
		},
		func() chatsim.Fault {
			return chatsim.Fault{Status: status(), Times: 1 + rng.IntN(3), Body: []byte("<html>busy</html>")}
		},
		func() chatsim.Fault { return chatsim.Fault{Status: 502, Accept: true} },
		func() chatsim.Fault { return chatsim.Fault{Status: 200, Body: []byte("<html>Please log in</html>")} },
		func() chatsim.Fault { return chatsim.Fault{Truncate: 1 + rng.IntN(60)} },
		func() chatsim.Fault { return chatsim.Fault{Cut: 1 + rng.IntN(60)} },
		func() chatsim.Fault { return chatsim.Fault{Slow: upTo(10 * time.Second)} },
		func() chatsim.Fault { return chatsim.Fault{Overlap: 1 + rng.IntN(20)} },
		func() chatsim.Fault { return chatsim.Fault{Double: true} },
		func() chatsim.Fault { return chatsim.Fault{Details: gmssim.Fault{Alias: 100 + rng.IntN(900)}} },
		func() chatsim.Fault {
			return chatsim.Fault{Details: Fault{Unsuccessful: "402::Unknown client"}, Times: 1 + rng.IntN(2)}
		},
		func() chatsim.Fault {
			return chatsim.Fault{Details: Fault{Unsuccessful: "402::Unknown client"}, Accept: true}
		},
		func() chatsim.Fault { return chatsim.Fault{Details: Fault{Elsewhere: true}, Times: 1 + rng.IntN(3)} },
		func() chatsim.Fault { return chatsim.Fault{Close: []int{1000, 1001, 1011, 1012}[rng.IntN(4)]} },
		func() chatsim.Fault { return chatsim.Fault{Binary: true} },
		func() chatsim.Fault { return chatsim.Fault{Fragment: 1 + rng.IntN(3)} },
		func() chatsim.Fault { return chatsim.Fault{Op: metaConnect, Details: Fault{Hold: true}} },
		func() chatsim.Fault { return chatsim.Fault{Op: "upgrade", Status: status(), Times: 1 + rng.IntN(3)} },
		func() chatsim.Fault { return chatsim.Fault{Op: "upgrade", Drop: chatsim.DropAfter} },
		func() chatsim.Fault { return chatsim.Fault{Op: "upgrade", Mute: true} },
		func() chatsim.Fault { return chatsim.Fault{Op: "upgrade", NoPong: true} },
		func() chatsim.Fault { return chatsim.Fault{Op: chatsim.OpPush, Delay: upTo(10 * time.Second)} },
		func() chatsim.Fault { return chatsim.Fault{Op: chatsim.OpPush, Repeat: true} },
		func() chatsim.Fault {
			return chatsim.Fault{Op: chatsim.OpPush, Shuffle: true, Overlap: 1 + rng.IntN(20)}
		},
	}
	f := faults[rng.IntN(len(faults))]()
	f.Wire = Name
	return f
}
