package chatsim

import (
	"net/http"
	"slices"
	"sync"
	"time"
)

// Fault says which requests go wrong, and how. Add it with [Faults.Add]. Of
// several faults that match a request, the one added first has it, alone.
//
// Where one request carries several messages, as over Bayeux, it is one message that a fault hits, with the
// request that brought it. On a websocket Status, which has no place there, closes it with 1011. Of Op "push" only
// Delay, Drop (which loses it), Repeat, Rewrite and what changes events count; Match is then called with
// the chat locked.
//
// The parts happen in this order: DropBefore, Delay, Late, the answer in place
// of the real one (Details, Status), the operation, DelayAnswer,
// DropAfter, the changes to the answer, and the ways of sending it.
type Fault struct {
	// Wire is the wire, as in [Request]; empty for any.
	Wire string
	// Op is the operation, as in [Request]; empty for any.
	Op string
	// Chat is the chat id; empty for any.
	Chat string
	// Match, if set, must agree too. It is called once for each request that
	// Wire, Op and Chat fit, with no lock held but for "push"; Params, UserData and Status are not
	// known yet.
	Match func(Request) bool
	// Skip lets so many matching requests pass first.
	Skip int
	// Times is how many requests it hits: 0 means one, negative all until
	// Remove.
	Times int

	// Drop breaks the connection with a reset: with DropBefore before the
	// request is read, with DropAfter once it has been carried out, in place
	// of the answer.
	Drop Drop
	// Delay passes before the request is carried out. A client that goes
	// away meanwhile, or Close, ends it: then the request is never carried
	// out. The visitor counts as silent meanwhile.
	Delay time.Duration
	// DelayAnswer passes after the request has been carried out. A client
	// that goes away meanwhile gets no answer.
	DelayAnswer time.Duration
	// Late breaks the connection at once and carries the request out so much
	// later.
	Late time.Duration

	// Details is what goes wrong in the terms of one wire: a gmssim.Fault, a cometdsim.Fault. The other faces
	// make nothing of it.
	Details any

	// Status answers with this HTTP status and Body in place of carrying out
	// the request.
	Status int
	// Header is added to the answer, whichever it is: Retry-After,
	// Content-Type.
	Header http.Header
	// Body is the body of a Status answer, whatever it is: HTML, invalid
	// UTF-8, JSON that is nested too deep.
	Body []byte
	// Accept carries the request out although an error
	// is answered.
	Accept bool

	// EndChat ends the chat after the operation, so that this answer carries
	// chatEnded.
	EndChat bool
	// Repeat sends the chat's previous answer that had events once more, in
	// place of this one. The request is carried out.
	Repeat bool
	// Overlap repeats so many earlier events before those of the answer.
	Overlap int
	// Double sends each event twice.
	Double bool
	// Shuffle turns the order of the events round.
	Shuffle bool
	// NoIndex leaves the index out of each event.
	NoIndex bool
	// Omit leaves the first so many events out. They can be asked for again.
	Omit int
	// Rewrite, if set, changes the finished body; it must not keep its
	// argument.
	Rewrite func(body []byte) []byte

	// Truncate, if not 0, cuts the body after so many bytes: half a JSON
	// object in a whole HTTP answer.
	Truncate int
	// Cut, if not 0, breaks the connection after so many bytes of the body.
	Cut int
	// Pad sends so many bytes of white space before the body.
	Pad int64
	// Announce, if not 0, is how long the body, or the frame on a websocket, claims to be. It ends where it ends.
	Announce int64
	// Slow spreads the sending of the body over this time.
	Slow time.Duration

	// The rest is for websockets alone.

	// Close closes the websocket with this code in place of the reply.
	Close int
	// Binary sends the reply as a binary frame.
	Binary bool
	// Fragment sends the reply in fragments of so many bytes.
	Fragment int
	// Mute, of Op "upgrade", makes a websocket that never says anything.
	Mute bool
	// NoPong, of Op "upgrade", makes one that answers no ping.
	NoPong bool
}

// Drop says when a [Fault] breaks the connection.
type Drop int

// The moments.
const (
	DropNever Drop = iota
	DropBefore
	DropAfter
)

// Faults is the fault switchboard of a server. Safe for concurrent use.
type Faults struct {
	mu     sync.Mutex
	active []*Switch
}

// Switch is a fault that has been added.
type Switch struct {
	faults *Faults
	fault  Fault
	// guarded by faults.mu
	matched, hits int
	off           bool
}

// Add switches a fault on and returns the handle to remove it. It panics if Details has a method Check and that
// returns an error: the test is wrong.
func (f *Faults) Add(fault Fault) *Switch {
	if c, ok := fault.Details.(interface{ Check() error }); ok {
		if err := c.Check(); err != nil {
			panic("chatsim: " + err.Error())
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &Switch{faults: f, fault: fault}
	f.active = append(f.active, s)
	return s
}

// Clear removes all faults.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.active {
		s.off = true
	}
	f.active = nil
}

// Remove switches the fault off. Removing twice does nothing.
func (s *Switch) Remove() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.dropLocked(s)
}

// Hits returns how many requests the fault has hit.
func (s *Switch) Hits() int {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	return s.hits
}

func (f *Faults) dropLocked(s *Switch) {
	s.off = true
	f.active = slices.DeleteFunc(slices.Clone(f.active), func(o *Switch) bool { return o == s })
}

// OpPush is the operation that stands for what the server sends unasked; a fault
// must name it.
const OpPush = "push"

// take returns the fault for a request, or nil.
func (f *Faults) take(r Request) *Fault {
	f.mu.Lock()
	active := f.active // never changed in place, but for its end
	f.mu.Unlock()
	for _, s := range active {
		if (r.Op != OpPush || s.fault.Op == OpPush) && s.fault.matches(r) && f.hit(s) {
			return &s.fault
		}
	}
	return nil
}

func (f *Fault) matches(r Request) bool {
	return (f.Wire == "" || f.Wire == r.Wire) && (f.Op == "" || f.Op == r.Op) && (f.Chat == "" || f.Chat == r.Chat) && (f.Match == nil || f.Match(r))
}

// hit counts a request that a fault matches. It reports whether the fault has
// it.
func (f *Faults) hit(s *Switch) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.off {
		return false
	}
	if s.matched++; s.matched <= s.fault.Skip {
		return false
	}
	s.hits++
	if s.fault.Times >= 0 && s.hits >= max(1, s.fault.Times) {
		f.dropLocked(s)
	}
	return true
}
